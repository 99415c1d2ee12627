"""Whether an answer picks the right one of several choices."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...backends import Completion, ConfigError
from ...classifiers.choices import letters_of, picked_letter, plain_words
from ..errors import BadRow
from ..prompts import Prompt
from ..rows import shown

if TYPE_CHECKING:
    from . import AskOf


class MultipleChoiceGrader:
    """1 where the letter, or else the text, of a right choice is what the answer settles on, else 0."""

    def __init__(self, argument: str, _ask_of: AskOf) -> None:
        if argument:
            raise ConfigError(f"grader multiple_choice:{argument}: expected multiple_choice, without an argument")

    def check(self, prompt: Prompt) -> None:
        """Raises BadRow where the right choice is missing or is none of the choices."""
        if not prompt.answers:
            raise BadRow("column answer: missing; grader multiple_choice compares with it")
        if len(prompt.choices) > len(string.ascii_uppercase):
            raise BadRow(f"column choices: {len(prompt.choices)} choices; expected at most one a letter")
        for answer in prompt.answers:
            letter_of(answer, prompt.choices)

    async def grade(self, prompt: Prompt, completion: Completion) -> float:
        """Returns 1 or 0."""
        right = {letter_of(answer, prompt.choices) for answer in prompt.answers}
        return float(picked_letter(completion.text, prompt.choices) in right)


def letter_of(answer: str, choices: Sequence[str]) -> str:
    """Returns the letter of an expected answer, which is a letter itself or the text of a choice.

    Raises:
        BadRow: it is neither, or both and they differ.
    """
    letters = letters_of(choices)
    bare = answer.strip().strip("().").upper()
    by_letter = bare if len(bare) == 1 and bare in letters else ""
    texts = [plain_words(choice) for choice in choices]
    by_text = letters[texts.index(plain_words(answer))] if plain_words(answer) in texts else ""
    if by_letter and by_text and by_letter != by_text:
        raise BadRow(f"column answer: {shown(answer)} is the letter of one choice and the text of another")
    if not by_letter and not by_text:
        allowed = f"a letter from A to {letters[-1]}" + (" or the text of a choice" if choices else "")
        raise BadRow(f"column answer: {shown(answer)}; expected {allowed}")
    return by_letter or by_text
