"""Whether an answer matches a regular expression."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from ...backends import Completion, ConfigError
from ..errors import BadRow
from ..prompts import Prompt
from ..rows import shown

if TYPE_CHECKING:
    from . import AskOf


class RegexGrader:
    """1 where the pattern is found anywhere in the answer, else 0; `regex:PATTERN` is for prompts without their own.

    Patterns are Python's. One that backtracks without end cannot be stopped.
    """

    def __init__(self, argument: str, _ask_of: AskOf) -> None:
        self._pattern = argument
        try:
            re.compile(argument)
        except (re.error, OverflowError, RecursionError) as error:
            raise ConfigError(f"grader regex:{argument}: not a regular expression: {error}") from error

    def check(self, prompt: Prompt) -> None:
        """Raises BadRow where there is no pattern, or it is none."""
        pattern = self._pattern_for(prompt)
        if not pattern:
            raise BadRow("column pattern: missing; grader regex looks for it")
        try:
            compiled(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            raise BadRow(f"column pattern: {shown(pattern)} is not a regular expression: {error}") from error

    async def grade(self, prompt: Prompt, completion: Completion) -> float:
        """Returns 1 or 0."""
        return float(compiled(self._pattern_for(prompt)).search(completion.text) is not None)

    def _pattern_for(self, prompt: Prompt) -> str:
        return self._pattern if prompt.pattern is None else prompt.pattern


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> re.Pattern[str]:
    """Returns the compiled pattern; several draws and backends share it."""
    return re.compile(pattern)
