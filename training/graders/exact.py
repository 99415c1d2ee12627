"""Whether the answer is the expected text, white space aside."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from ...backends import Completion, ConfigError
from ..errors import BadRow
from ..prompts import Prompt

if TYPE_CHECKING:
    from . import AskOf


class ExactGrader:
    """1 where the whole answer is one of those expected, else 0; `exact:ignore_case` does not tell A from a."""

    def __init__(self, argument: str, _ask_of: AskOf) -> None:
        if argument not in ("", "ignore_case"):
            raise ConfigError(f"grader exact:{argument}: expected exact or exact:ignore_case")
        self._ignores_case = bool(argument)

    def check(self, prompt: Prompt) -> None:
        """Raises BadRow where no answer is expected."""
        if not prompt.answers:
            raise BadRow("column answer: missing; grader exact compares with it")

    async def grade(self, prompt: Prompt, completion: Completion) -> float:
        """Returns 1 or 0."""
        return float(self._plain(completion.text) in {self._plain(answer) for answer in prompt.answers})

    def _plain(self, text: str) -> str:
        folded = " ".join(unicodedata.normalize("NFC", text).split())
        return folded.casefold() if self._ignores_case else folded
