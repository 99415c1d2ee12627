"""Questions that offer choices: which these are, and which one an answer settles on."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from functools import lru_cache
from itertools import takewhile

from ..backends import Completion
from .final_answer import FinalAnswer, final_answer

LETTERS_WITHOUT_CHOICES = "ABCDEFGH"  # not I, which is a word
_MAX_CHARACTERS = 100_000  # of the end of an answer
_MAX_CHOICE = 2000  # of the text of one
_MAX_QUESTION = 20_000  # of its end, where the choices stand
_LOUD = r"[\s*_`$\"'“”]{0,9}"  # emphasis and space that may stand around a letter
_OPENING = r"(?:\\boxed\{|\\text\{|[(\[\s*_`$\"'“”]){0,9}"
_NOUN = r"(?i:\b(?:answer|option|choice|solution)\b)"
_SURELY = r"(?:(?:definitely|clearly|thus|therefore|simply)\s)?"
_IS = r"\s{1,9}(?:is|must be|would be|should be|be|are)"
_GAP = rf"(?i:(?:{_IS})?\s{{0,9}}[:=]?\s{{0,9}}{_SURELY})"
_SAYING = rf"(?i:{_IS}|\s{{0,9}}[:=])"
_IT_IS = r"(?:it(?:['’]s| is| must be)\s)"
_IS_NOT = r"(?:is|are|was|would be)\s(?:\w+ly\s|also\s){0,2}(?:not|wrong|false|incorrect)\b"
# Small letters number the parts of a question as well, so that with them it has to speak of choosing.
_MARK = re.compile(r"(?:^|[\n ])[(\[*]{0,3}([A-J])[)\]*.:]{1,3}[ \t]+(?=\S)")
_SMALL_MARK = re.compile(r"(?:(?:^|\n)[ \t*-]{0,4}([a-j])[).]|(?:^|\s)\(([a-j])\))[ \t]+(?=\S)")
_SAYS = re.compile(rf"{_NOUN}{_LOUD}{_SAYING}{_LOUD}{_GAP}")
_LAST_WORD, _LONGEST_WORD = re.compile(r"([^\W\d_]+) \Z"), 30
_CHOOSING = re.compile(r"\b(?:which|choose|select|pick|option|choice|letter|the following|multiple[- ]choice)\b", re.I)


def offered_choices(question: str) -> tuple[str, ...]:
    """Returns the texts of the choices that a question offers last, from A on without a gap; none of fewer than two.

    >>> offered_choices("Which is a fruit?\\nA. stone\\nB. apple"), offered_choices("Is it A. or C. ?")
    (('stone', 'apple'), ())
    """
    return _offered(question[-_MAX_QUESTION:])


@lru_cache(maxsize=16)  # asked of a question with each of its answers
def _offered(question: str) -> tuple[str, ...]:
    marks = list(_MARK.finditer(question))
    choices = _run_of(question, marks)
    if not choices and _CHOOSING.search(question):
        choices = _run_of(question, list(_SMALL_MARK.finditer(question)))
    return choices


def _run_of(question: str, marks: Sequence[re.Match[str]]) -> tuple[str, ...]:
    """Returns the texts behind the last marks that count from A up."""
    letters = [string.ascii_lowercase.index(mark[mark.lastindex or 1].lower()) for mark in marks]
    for start in [place for place, letter in enumerate(letters) if letter == 0][::-1]:
        run = list(takewhile(lambda pair: pair[0] == pair[1], enumerate(letters[start:])))
        run_marks = marks[start : start + len(run)]
        if len(run) > 1 and not _are_names(question, run_marks):
            ends = [mark.start() for mark in run_marks[1:]] + [len(question)]
            texts = [question[mark.end() : end] for mark, end in zip(run_marks, ends, strict=True)]
            return tuple(text.strip().partition("\n")[0].strip(" \t*") for text in texts)
    return ()


def _are_names(question: str, marks: Sequence[re.Match[str]]) -> bool:
    """Returns whether the letters are parts of names, as in `Store A: 5 dollars. Store B: 4 dollars.`"""
    starts = [mark.start() + 1 for mark in marks]  # the mark itself begins with what is in front of the letter
    found = [_LAST_WORD.search(question, max(start - _LONGEST_WORD, 0), start) for start in starts]
    words = {word[1].lower() if word else "" for word in found}
    return len(words) == 1 and words.isdisjoint(("", "option", "choice", "answer", "alternative"))


def settled_answer(question: str, completion: Completion) -> FinalAnswer | None:
    """Returns what a completion comes to: of the choices that the question offers, the letter of the one it settles on,
    be it named by letter or by text; else its final answer.

    >>> settled_answer("Which?\\nA. stone\\nB. apple", Completion(text="It must be the apple."))
    FinalAnswer(kind='choice', value='b')
    """
    choices = () if completion.tool_calls else offered_choices(question)
    letter = picked_letter(completion.text, choices) if choices else None
    return final_answer(completion) if letter is None else FinalAnswer(kind="choice", value=letter.lower())


def picked_letter(text: str, choices: Sequence[str] = ()) -> str | None:
    """Returns the letter that an answer settles on, None where it settles on none.

    >>> picked_letter("A is tempting, but the answer is (B)."), picked_letter("paris", ["Rome", "Paris"])
    ('B', 'B')
    """
    text = text[-_MAX_CHARACTERS:].strip()
    patterns = _patterns(letters_of(choices))
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
    named = rf"(?:option|choice|letter)?{_OPENING}{letter}"
    article = r"(?:the\s+)?(?:correct\s+)?"
    surely = rf"(?i:\b(?:so|thus|hence|therefore)\b,?\s(?:{_IT_IS})?|\b{_IT_IS})"
    return (
        re.compile(rf"\\(?:boxed|fbox)\s*\{{\s*(?:\\text\s*\{{)?[\s(]*([{letters}{small}])[\s).]*\}}"),
        # What is said to be the answer comes before what is only called an option: others may be, after the answer.
        re.compile(rf"{_NOUN}{_LOUD}{_SAYING}{_LOUD}{_GAP}{article}{named}", re.MULTILINE),
        re.compile(rf"{_NOUN}{_LOUD}{_GAP}{article}{named}(?!{_LOUD}\s(?i:{_IS_NOT}))", re.MULTILINE),
        re.compile(rf"(?i:\b(?:choose|pick|select|go with)\b)\s+{named}", re.MULTILINE),
        re.compile(rf"(?<![\w'’])[(\[]?([{letters}])[)\]]?{_LOUD}\s(?i:is (?:the )?(?:correct|right|best)\b)"),
        re.compile(rf"\A{_OPENING}([{letters}{small}])[\s*_`.):\]}}$]{{0,9}}\Z"),
        re.compile(rf"^{_OPENING}([{letters}])[\s*_`.):\]}}$]{{0,9}}\Z", re.MULTILINE),
        re.compile(rf"{surely}\s?{named}[\s*_`.):\]}}$]{{0,9}}\Z"),
        re.compile(rf"\A{_LOUD}(?:[(\[]([{letters}{small}])[)\]]|([{letters}])[.):])"),
        re.compile(rf"[(\[]([{letters}])[)\]]"),
    )


def _picked_text(text: str, choices: Sequence[str]) -> str | None:
    """Returns the letter of the choice that the answer says it is, else of the one whose text stands in it.

    Of a choice that stands within a longer one, only the longer one counts.
    """
    texts = {letter: plain_words(choice) for letter, choice in zip(letters_of(choices), choices, strict=False)}
    longest_first = sorted(texts.items(), key=lambda item: -len(item[1]))
    if ends := [found.end() for found in _SAYS.finditer(text)]:
        said = f"{plain_words(text[ends[-1] : ends[-1] + _MAX_CHOICE])} "
        for letter, choice in longest_first:
            if choice and said.startswith(f"{choice} "):
                return letter
    said = f" {plain_words(text)} "
    found = []
    for letter, choice in longest_first:
        if choice and f" {choice} " in said:
            found.append(letter)
            said = said.replace(f" {choice} ", " | ")
    return found[0] if len(found) == 1 else None


def letters_of(choices: Sequence[str]) -> str:
    """Returns the letters of so many choices; those that may be meant where they are not known."""
    return string.ascii_uppercase[: len(choices)] if choices else LETTERS_WITHOUT_CHOICES


def plain_words(text: str) -> str:
    """Returns the words of a text, small, with one space between; signs stay where a text has no words."""
    words = re.findall(r"[^\W_]+(?:[.,'’/-][^\W_]+)*|[-+]?\d+(?:\.\d+)?", text.casefold())
    return " ".join(words) or " ".join(text.casefold().split())
