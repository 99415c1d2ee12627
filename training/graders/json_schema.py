"""Whether an answer is JSON of the expected form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from ...backends import Completion, ConfigError
from ...classifiers.json_schema import check_schema, is_valid, unfenced
from ..errors import BadRow
from ..prompts import Prompt

if TYPE_CHECKING:
    from . import AskOf


class JsonSchemaGrader:
    """1 where the whole answer is JSON that the prompt's schema allows, else 0.

    One fence of a code block around the JSON is let pass, words before or behind it are not.
    """

    def __init__(self, argument: str, _ask_of: AskOf) -> None:
        if argument:
            raise ConfigError(f"grader json_schema:{argument}: expected json_schema, without an argument")

    def check(self, prompt: Prompt) -> None:
        """Raises BadRow where the schema is missing, wrong, or beyond what is understood here."""
        if prompt.schema is None:
            raise BadRow("column schema: missing; grader json_schema checks by it")
        try:
            check_schema(prompt.schema)
        except ValueError as error:
            raise BadRow(f"column schema: {error}") from error

    async def grade(self, prompt: Prompt, completion: Completion) -> float:
        """Returns 1 or 0."""
        try:
            return float(is_valid(orjson.loads(unfenced(completion.text)), prompt.schema))
        except ValueError:  # no JSON, or nested so deep that it cannot be told
            return 0.0
