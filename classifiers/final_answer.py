"""The final answer of a completion in a normal form, so that two answers can be held against each other."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from ..backends import Completion

_MAX_CHARACTERS = 20_000  # of the end of an answer
_MAX_ANSWER = 120  # characters; what is longer is prose, of which no two are the same
_MAX_DIGITS = 300  # what a float can hold

_FIELD = re.compile(r'"(?:final_?|correct_?)?(?:answer|result)"\s*:\s*("(?:[^"\\]|\\.)*"|-?[\d.,]+|\[[^\[\]]*\])', re.I)
_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{")
_HASHES = re.compile(r"####[ \t]*([^\n]+)")
_SAID = re.compile(r"\banswer(?: is|\s*:|s are)[ \t*:]*([^\n]+)", re.I)
_SENTENCE_END = re.compile(r"(?:\.|!|\?)(?:\s|$)")
_CHOICE = re.compile(r"[\s(\[*]*(?:option|choice)?[\s(\[*]*([A-Ja-j])\s*(?:[)\].:*]+.*|)", re.I | re.S)
_WRAPPED = re.compile(r"\\(?:text|mathrm|textbf|mathbf|operatorname|mbox)\s*\{([^{}]*)\}")
_FRACTION = re.compile(r"\\[dtc]?frac\s*(?:\{([^{}]+)\}\s*\{([^{}]+)\}|(\d)\s*(\d))")
_DROPPED = re.compile(r"\\left|\\right|\\[,;:!()\[\]]|\^\s*\{?\s*\\circ\s*\}?|\\(?:circ|degrees?)|°|[$`*]|\\quad|~")
_ASSIGNED = re.compile(r"^\s*[A-Za-z]\w?(?:\([A-Za-z]\))?\s*=\s*")
_THOUSANDS = re.compile(r"(?<=\d),(?:\\!)?(?=\d{3}(?!\d))")
_THOUSANDS_KEPT = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")  # as a digit, so that places in the text stay
_PLAIN_NUMBER = r"(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?"
_NUMBER = re.compile(rf"(?<![\w.])((?:[-+]\s?)?{_PLAIN_NUMBER})(?:\s*/\s*({_PLAIN_NUMBER}))?")
_UNIT = re.compile(r"[\s%]*+(?:[A-Za-z][A-Za-z²³.\-]*+[\s.]*+){0,6}+(?:/\s*+[A-Za-z]++)?+[\s.%]*+")
_SPACE = re.compile(r"\s+")
_ALONE = re.compile(r"(\d{1,15})[ .,;:]*")
_LISTED = re.compile(r"[\[({]?-?\d+(?:\.\d+)?(?: ?[,;] ?-?\d+(?:\.\d+)?)+[\])}]?\.?", re.ASCII)
_DRESSED = re.compile(r"[\\$`*°~^,{]")  # one of which is in everything that is cleaned away


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalAnswer:
    """What an answer comes to. Two that are equal say the same."""

    kind: str  # "number", "choice", "text" or "calls"
    value: str  # in normal form


def final_answer(completion: Completion) -> FinalAnswer | None:
    """Returns what a completion comes to, None where that could not be compared with another."""
    if completion.tool_calls:
        return _of_calls(completion.tool_calls)
    return stated_answer(completion.text)


def stated_answer(text: str) -> FinalAnswer | None:
    r"""Returns the final answer that a text gives, None where it gives none that could be compared.

    It is looked for in a JSON field `answer`, in `\boxed{}`, behind `####`, behind "the answer is", in the whole text
    if that is short, and last as the last number of the last line.

    >>> stated_answer("She pays 1,234.50 dollars."), stated_answer("The answer is (B)."), stated_answer("It depends.")
    (FinalAnswer(kind='number', value='1234.5'), FinalAnswer(kind='choice', value='b'), None)
    """
    return _stated(_end_of(text))


@lru_cache(maxsize=16)  # several signals and the cascade ask of the same answer, which is short by now
def _stated(text: str) -> FinalAnswer | None:
    span = _stated_span(text)
    if span is not None:
        return _normal_form(_unescaped(text[slice(*span)]))
    lines = text.strip().rsplit("\n", 1)
    if _is_bare(lines):
        return _normal_form(lines[0])
    last = _numbers(_clean(lines[-1]))
    return FinalAnswer(kind="number", value=last[-1][1]) if last else None


def answer_span(text: str) -> tuple[int, int] | None:
    """Returns where in a text its final answer stands, None where it gives none.

    >>> answer_span("The sum of both is 17.")
    (19, 21)
    """
    end = _end_of(text)
    skipped = len(text) - len(end)
    span = _stated_span(end)
    if span is None:
        start = end.rstrip().rfind("\n") + 1
        if start == 0 and _is_bare([end]):
            span = (0, len(end))
        else:
            numbers = [match.span() for match in _NUMBER.finditer(_THOUSANDS_KEPT.sub("0", end), start)]
            span = numbers[-1] if numbers else None
    return None if span is None else (skipped + span[0], skipped + span[1])


def last_boxed(text: str) -> str:
    """Returns what the last box of LaTeX holds, braces matched; '' where there is none."""
    span = _last_boxed_span(text)
    return "" if span is None else text[slice(*span)]


def _end_of(text: str) -> str:
    return text[-_MAX_CHARACTERS:].replace("\N{MINUS SIGN}", "-")


def _is_bare(lines: Sequence[str]) -> bool:
    """Returns whether a text is so short, or so plainly a list of numbers, that it is its own answer."""
    return len(lines) == 1 and (len(lines[0].split()) <= 4 or _LISTED.fullmatch(lines[0].strip()) is not None)


def _of_calls(calls: Sequence[Mapping[str, Any]]) -> FinalAnswer | None:
    """Returns the calls with their arguments as sorted JSON; None where these are no JSON."""
    functions = [call.get("function") or {} for call in calls]
    try:
        said = [[f.get("name"), orjson.loads(f.get("arguments") or "{}")] for f in functions]
        value = orjson.dumps(said, option=orjson.OPT_SORT_KEYS).decode()
    except (orjson.JSONDecodeError, orjson.JSONEncodeError, TypeError):
        return None
    return FinalAnswer(kind="calls", value=value)


def _stated_span(text: str) -> tuple[int, int] | None:
    """Returns where the part of a text stands that is marked as its answer."""
    # A sign is quickly found, or not.
    field = _last_match(_FIELD, text) if '"' in text else None
    if field is not None:
        return field.span(1)
    boxed = _last_boxed_span(text) if "\\" in text else None
    if boxed is not None and boxed[0] < boxed[1]:
        return boxed
    hashes = _last_match(_HASHES, text) if "#" in text else None
    if hashes is not None:
        return hashes.span(1)
    # Where a word begins is quickly found, but small letters may be more signs than capitals.
    place = text.lower().find("answer") if text.isascii() else 0
    said = _last_match(_SAID, text, place) if place >= 0 else None
    if said is None:
        return None
    return said.start(1), said.start(1) + len(_SENTENCE_END.split(said[1], maxsplit=1)[0])


def _last_match(pattern: re.Pattern[str], text: str, start: int = 0) -> re.Match[str] | None:
    last = None
    for match in pattern.finditer(text, start):
        last = match
    return last


def _unescaped(stated: str) -> str:
    """Returns what a JSON text says; other texts as they are."""
    if len(stated) > 1 and stated[0] == stated[-1] == '"':
        return stated.strip('"').replace("\\\\", "\\").replace('\\"', '"')
    return stated


def _last_boxed_span(text: str) -> tuple[int, int] | None:
    """Returns where the inside of the last box stands."""
    box = _last_match(_BOXED, text)
    if box is None:
        return None
    depth = 1
    for place in range(box.end(), len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return box.end(), place
    return box.end(), len(text)


def _normal_form(stated: str) -> FinalAnswer | None:
    """Returns a number where it is one with at most a unit, a letter where it is a choice, else the bare text."""
    stated = stated.strip()
    if not stated or len(stated) > _MAX_ANSWER:
        return None
    alone = _ALONE.fullmatch(stated)
    if alone:  # what most numbers look like
        return FinalAnswer(kind="number", value=str(int(alone[1])))
    choice = _CHOICE.fullmatch(stated)
    if choice:
        return FinalAnswer(kind="choice", value=choice[1].lower())
    cleaned = _ASSIGNED.sub("", _clean(stated)).strip(" .,;:")
    numbers = _numbers(cleaned)
    if len(numbers) == 1:
        (start, end), value = numbers[0]
        if _UNIT.fullmatch(cleaned[:start]) and _UNIT.fullmatch(cleaned[end:]):
            return FinalAnswer(kind="number", value=value)
    bare = _SPACE.sub("", cleaned).lower().strip("\"'.,;")
    return FinalAnswer(kind="text", value=bare) if bare else None


def _clean(text: str) -> str:
    """Returns the text without marks that change its looks only."""
    if not _DRESSED.search(text):
        return text
    text = _DROPPED.sub("", text.replace("\\%", "%").replace("\\$", "").replace("{,}", ","))
    text = _WRAPPED.sub(r" \1", text)
    text = _FRACTION.sub(lambda m: f"{m[1] or m[3]}/{m[2] or m[4]}", text)
    return _THOUSANDS.sub("", text)


def _numbers(text: str) -> list[tuple[tuple[int, int], str]]:
    """Returns place and normal form of every number, a fraction being one."""
    found = []
    for match in _NUMBER.finditer(text):
        value = _value(match[1])
        divisor = _value(match[2]) if match[2] else 1.0
        if value is not None and divisor:
            found.append((match.span(), _shown(value / divisor)))
    return found


def _value(digits: str) -> float | None:
    digits = "".join(digits.split())
    value = float(digits) if len(digits) <= _MAX_DIGITS else math.inf
    return value if math.isfinite(value) else None


def _shown(value: float) -> str:
    """Returns seven significant digits, so that 1/3 is 0.3333333, and whole numbers in full."""
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.7g}"
