"""Whether an answer picks the right one of several choices."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from ...backends import Completion, ConfigError
from ..errors import BadRow
from ..prompts import Prompt
from ..rows import shown

if TYPE_CHECKING:
    from . import AskOf

LETTERS_WITHOUT_CHOICES = "ABCDEFGH"  # not I, which is a word
_MAX_CHARACTERS = 100_000  # of the end of an answer
_LOUD = r"[\s*_`$\"'“”]{0,9}"  # emphasis and space that may stand around a letter
_OPENING = r"(?:\\boxed\{|\\text\{|[(\[\s*_`$\"'“”]){0,9}"


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
    letters = _letters(choices)
    bare = answer.strip().strip("().").upper()
    by_letter = bare if len(bare) == 1 and bare in letters else ""
    texts = [_plain(choice) for choice in choices]
    by_text = letters[texts.index(_plain(answer))] if _plain(answer) in texts else ""
    if by_letter and by_text and by_letter != by_text:
        raise BadRow(f"column answer: {shown(answer)} is the letter of one choice and the text of another")
    if not by_letter and not by_text:
        allowed = f"a letter from A to {letters[-1]}" + (" or the text of a choice" if choices else "")
        raise BadRow(f"column answer: {shown(answer)}; expected {allowed}")
    return by_letter or by_text


def picked_letter(text: str, choices: Sequence[str] = ()) -> str | None:
    """Returns the letter that an answer settles on, None where it settles on none.

    >>> picked_letter("A is tempting, but the answer is (B)."), picked_letter("paris", ["Rome", "Paris"])
    ('B', 'B')
    """
    text = text[-_MAX_CHARACTERS:].strip()
    patterns = _patterns(_letters(choices))
    for pattern in patterns:
        if found := pattern.findall(text):
            return str(next(letter for letter in found[-1] if letter)).upper()
    return _picked_text(text, choices)


@lru_cache(maxsize=32)
def _patterns(letters: str) -> tuple[re.Pattern[str], ...]:
    """Returns the ways to name a letter, the surest first; every group of each is one.

    A small letter counts only where nothing but signs follow on its line, so that "the answer is a river" names none.
    """
    small = letters.lower()
    letter = rf"(?:([{letters}])(?![\w'’])|([{small}])(?=[)\]]|[\s*_`.)\]}}$]{{0,9}}$))"
    surely = r"(?:(?:definitely|clearly|thus|therefore|simply)\s)?"
    gap = rf"(?:\s{{1,9}}(?:is|must be|would be|should be|be|are))?\s{{0,9}}[:=]?\s{{0,9}}{surely}"
    named = rf"(?:option|choice|letter)?{_OPENING}{letter}"
    noun = r"(?i:\b(?:answer|option|choice|solution)\b)"
    return (
        re.compile(rf"\\(?:boxed|fbox)\s*\{{\s*(?:\\text\s*\{{)?[\s(]*([{letters}{small}])[\s).]*\}}"),
        re.compile(rf"{noun}{_LOUD}(?i:{gap}){_LOUD}(?i:{gap})(?:the\s+)?(?:correct\s+)?{named}", re.MULTILINE),
        re.compile(rf"(?i:\b(?:choose|pick|select|go with)\b)\s+{named}", re.MULTILINE),
        re.compile(rf"(?<![\w'’])[(\[]?([{letters}])[)\]]?{_LOUD}\s(?i:is (?:the )?(?:correct|right|best)\b)"),
        re.compile(rf"\A{_OPENING}([{letters}{small}])[\s*_`.):\]}}$]{{0,9}}\Z"),
        re.compile(rf"^{_OPENING}([{letters}])[\s*_`.):\]}}$]{{0,9}}\Z", re.MULTILINE),
        re.compile(rf"\A{_LOUD}(?:[(\[]([{letters}{small}])[)\]]|([{letters}])[.):])"),
        re.compile(rf"[(\[]([{letters}])[)\]]"),
    )


def _picked_text(text: str, choices: Sequence[str]) -> str | None:
    """Returns the letter of the one choice whose text stands in the answer; one within a longer one does not count."""
    said = f" {_plain(text)} "
    texts = {letter: _plain(choice) for letter, choice in zip(_letters(choices), choices, strict=False)}
    found = []
    for letter, choice in sorted(texts.items(), key=lambda item: -len(item[1])):
        if choice and f" {choice} " in said:
            found.append(letter)
            said = said.replace(f" {choice} ", " | ")
    return found[0] if len(found) == 1 else None


def _letters(choices: Sequence[str]) -> str:
    return string.ascii_uppercase[: len(choices)] if choices else LETTERS_WITHOUT_CHOICES


def _plain(text: str) -> str:
    """Returns the words of a text, small, with one space between; signs stay where a text has no words."""
    words = re.findall(r"[^\W_]+(?:[.,'’/-][^\W_]+)*|[-+]?\d+(?:\.\d+)?", text.casefold())
    return " ".join(words) or " ".join(text.casefold().split())
