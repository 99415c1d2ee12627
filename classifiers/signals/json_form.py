"""A verifier: whether an answer that ought to be JSON is, and whether the request's schema allows it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from itertools import islice
from typing import Any

import orjson

from ...backends import Completion, Query
from ..json_schema import check_schema, is_valid, unfenced
from ..loose_schema import loosened

_MAX_CHARACTERS = 100_000
_MAX_WISH = 4000  # of either end of a question

_ASKED = re.compile(
    r"\b(?:as|in|to|into|return|output|produce|respond with|reply with|answer with|only|be)"
    r"(?: (?:an?|valid|only|pure|raw|the)){0,3} json\b(?! (?:schema|file|web|parser|library|api|lines))",
    re.IGNORECASE,
)
# Of a sentence in front of that, which then asks something about JSON, or for code that deals with it.
_ABOUT = re.compile(
    r"\b(?:how|what|why|does|parse|(?:write|create|implement|build|make|define)\b.{0,60}"
    r"\b(?:functions?|code|scripts?|programs?|class|method|endpoint|api))\b",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?:;\n]")
_MAX_SENTENCE = 300  # characters of it that are looked at
_MAX_STARTS = 8
_BRACKET = re.compile(r"[{\[]")
_FENCE = re.compile(r"```(?:json)?[ \t]*\n(.*?)\n?[ \t]*```", re.DOTALL | re.IGNORECASE)


class JsonVerifier:
    """Whether the answer is JSON, where the request asks for it or the answer sets out to be it, and by the schema.

    Where only the words of the question ask for it, other words may stand around it.
    """

    names = ("is_json", "is_allowed")
    needs = "text"

    def read(self, query: Query, completion: Completion) -> tuple[float, ...]:
        """Returns the numbers in the order of `names`; NaN where JSON is not the matter, or no schema is known."""
        wanted, text = query.params.get("response_format"), completion.text
        is_wanted = isinstance(wanted, Mapping) and wanted.get("type") in ("json_object", "json_schema")
        if completion.tool_calls or len(text) > _MAX_CHARACTERS:
            return math.nan, math.nan
        if not is_wanted and _is_asked(query.text):
            text = _among_words(text)
        elif not is_wanted and not begins_as_json(text):
            return math.nan, math.nan
        schema = _schema_of(wanted) if isinstance(wanted, Mapping) else None
        try:
            value = orjson.loads(unfenced(text))
        except orjson.JSONDecodeError:
            return 0.0, math.nan if schema is None else 0.0
        return 1.0, math.nan if schema is None else is_allowed(value, schema)


def begins_as_json(text: str) -> bool:
    """Returns whether an answer sets out to be JSON."""
    return text[:20].lstrip()[:7].startswith(("{", "[", "```json"))


def _is_asked(question: str) -> bool:
    ends = question if len(question) <= 2 * _MAX_WISH else question[:_MAX_WISH] + question[-_MAX_WISH:]
    if "json" not in ends.lower():
        return False
    befores = (ends[max(found.start() - _MAX_SENTENCE, 0) : found.start()] for found in _ASKED.finditer(ends))
    return any(not _ABOUT.search(_SENTENCE_END.split(before)[-1]) for before in befores)


def _among_words(text: str) -> str:
    """Returns what is most likely meant to be the JSON in a text: its last fence, else the longest of the first values
    in brackets, else all of the text.
    """
    fences = _FENCE.findall(text)
    if fences:
        return str(fences[-1])
    read, found = json.JSONDecoder().raw_decode, ""
    for start in islice(_BRACKET.finditer(text), _MAX_STARTS):
        try:
            value = text[start.start() : read(text, start.start())[1]]
        except (ValueError, RecursionError):
            continue
        found = max(found, value, key=len)
    return found or text


def is_allowed(value: object, schema: object) -> float:
    """Returns 1 or 0; NaN where nothing that is followed forbids the value, but not all of the schema is."""
    try:
        followed = loosened(schema)
        check_schema(followed)
        return 0.0 if not is_valid(value, followed) else 1.0 if followed is schema else math.nan
    except (ValueError, RecursionError):
        return math.nan


def _schema_of(wanted: Mapping[str, Any]) -> object | None:
    described = wanted.get("json_schema")
    return described.get("schema") if isinstance(described, Mapping) else None
