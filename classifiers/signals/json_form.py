"""A verifier: whether an answer that ought to be JSON is, and whether the request's schema allows it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import orjson

from ...backends import Completion, Query
from ..json_schema import check_schema, is_valid, unfenced
from ..loose_schema import loosened

_MAX_CHARACTERS = 100_000
_MAX_WISH = 4000  # of either end of a question


_ASKED = re.compile(
    r"\b(?:as|in|valid|return|output|respond with|reply with|answer with|only|a)"
    r"(?: (?:an?|valid|only|pure|raw|the)){0,3} json\b(?! (?:schema|file|web|parser|library|api))",
    re.IGNORECASE,
)
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
    return "json" in ends.lower() and _ASKED.search(ends) is not None


def _among_words(text: str) -> str:
    """Returns what is most likely meant to be the JSON in a text: its last fence, else all from bracket to bracket."""
    fences = _FENCE.findall(text)
    if fences:
        return str(fences[-1])
    starts = [place for place in (text.find("{"), text.find("[")) if place >= 0]
    return text[min(starts) : max(text.rfind("}"), text.rfind("]")) + 1] if starts else text


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
