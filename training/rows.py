"""One labelled row: its columns, and what is allowed in each."""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..backends import InvalidRequest, Message, Query
from .errors import BadRow

Values = Mapping[str, object]  # one row as a file holds it: column to value, None where it is empty

COLUMNS = (
    "query_id",
    "query",
    "messages",
    "backend",
    "score",
    "cost_usd",
    "input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "latency_s",
    "response",
    "logprobs",
    "reasoning_logprobs",
    "entropies",
    "margins",
    "task",
    "dataset",
    "split",
    "group",
    "draw",
    "draft_of",
    "policy",
    "step",
    "final",
    "propensity",
    "error",
    "given_up",
)
VERDICT_COLUMNS = ("judged", "verdict")  # of a row that says what a judge thinks of the answer in another row
NUMBERS = frozenset(
    {
        "score",
        "cost_usd",
        "cost_usd_a",
        "cost_usd_b",
        "input_tokens",
        "output_tokens",
        "reasoning_tokens",
        "latency_s",
        "draw",
        "step",
        "final",
        "propensity",
        "given_up",
        "verdict",
    }
)  # of these, text holds the decimal form

_MOST = 1e9  # dollars or seconds of one call; more is a slip of the pen and would drown all others
_ROUNDING = 1e-6  # how far beyond its bound a score or a log-probability may be, from adding floats

_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = _repr.maxlong = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a judge said of an answer."""

    judge: str
    right: float  # P(the answer is right), to the judge
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One outcome of one query at one backend."""

    query_id: str
    query: str  # the text by which the query is judged, of all messages where there are several
    backend: str
    score: float | None = None  # in [0, 1]; None: not graded yet
    cost_usd: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None  # reasoning included
    reasoning_tokens: int | None = None
    latency_s: float | None = None
    response: str | None = None
    logprobs: tuple[float, ...] | None = None  # natural log, of the answer tokens only
    reasoning_logprobs: tuple[float, ...] | None = None  # likewise, of the reasoning tokens
    entropies: tuple[float, ...] | None = None  # in nats, of the choice of each answer token
    margins: tuple[float, ...] | None = None  # log-probability there of the likeliest token less the second's
    messages: tuple[Message, ...] | None = None  # where the query is more than one user message
    task: str = ""
    dataset: str = ""
    split: str = ""
    group: str = ""
    draw: int = 0
    draft_of: str = ""  # the backend whose answer it was given to check
    policy: str = ""  # this and the following: in the log of a running router
    step: int | None = None  # place in the cascade; None in a log: a shadow call
    final: bool | None = None  # whether its answer was returned; None: not of a log
    propensity: float | None = None  # the chance with which the call was made
    error: str | None = None  # the kind of error where it failed
    given_up: bool = False  # it was broken off, or said nothing: it was paid for, and is no answer
    verdicts: tuple[Verdict, ...] = ()  # of judges, from rows of their own

    @property
    def is_answer(self) -> bool:
        """Whether an answer came of it; of a log, calls are recorded of which none did."""
        return self.error is None and not self.given_up


def shown(value: object) -> str:
    """Returns the value's repr, short enough for a message of one line."""
    return _repr.repr(value)


def parse_trace(values: Values) -> Trace:
    """Returns the trace that a row of a file holds; columns not in `COLUMNS` are ignored.

    Raises:
        BadRow: a column is missing, or holds what is not allowed.
    """
    query, messages = parse_query(values)
    return Trace(
        query_id=parse_name(values, "query_id"),
        query=query,
        backend=parse_name(values, "backend"),
        score=parse_score(values),
        cost_usd=parse_amount(values, "cost_usd"),
        input_tokens=parse_count(values, "input_tokens"),
        output_tokens=parse_count(values, "output_tokens"),
        reasoning_tokens=parse_count(values, "reasoning_tokens"),
        latency_s=parse_amount(values, "latency_s"),
        response=parse_text(values, "response"),
        logprobs=_parse_logs(values, "logprobs"),
        reasoning_logprobs=_parse_logs(values, "reasoning_logprobs"),
        entropies=_parse_amounts(values, "entropies"),
        margins=_parse_amounts(values, "margins"),
        messages=messages,
        task=parse_text(values, "task") or "",
        dataset=parse_text(values, "dataset") or "",
        split=parse_text(values, "split") or "",
        group=parse_label(values, "group"),
        draw=parse_count(values, "draw") or 0,
        draft_of=parse_label(values, "draft_of"),
        policy=parse_text(values, "policy") or "",
        step=parse_count(values, "step"),
        final=_parse_flag(values, "final"),
        propensity=_parse_propensity(values),
        error=parse_text(values, "error"),
        given_up=_parse_flag(values, "given_up") or False,
    )


def parse_verdict(values: Values) -> Verdict:
    """Returns what a row of a judge says.

    Raises:
        BadRow: a column is missing, or holds what is not allowed.
    """
    right = _number(values.get("verdict"))
    if right is None or not 0 <= right <= 1:
        raise BadRow(f"column verdict: {shown(values.get('verdict'))}; expected a number from 0 to 1")
    return Verdict(judge=parse_name(values, "backend"), right=right, cost_usd=parse_amount(values, "cost_usd"))


def parse_query(values: Values) -> tuple[str, tuple[Message, ...] | None]:
    """Returns the text of a row's query, and its messages where the row has them."""
    messages = _parse_messages(values)
    if isinstance(values.get("query"), list):
        raise BadRow(f"column query: {shown(values['query'])} is a list; expected text, or the list in column messages")
    text = parse_text(values, "query")
    if text is None and messages is not None:
        return Query(messages=messages).text, messages
    if text is None:
        raise BadRow("column query: missing; expected text here or a list of chat messages in column messages")
    if not text.strip():
        raise BadRow(f"column query: {shown(text)} is empty; expected text")
    return text, messages


def parse_name(values: Values, column: str) -> str:
    """Returns the text of a required column; a whole number is taken for its digits."""
    value = parse_label(values, column)
    if not value.strip():
        problem = "missing" if values.get(column) is None else f"{shown(values[column])} is empty"
        raise BadRow(f"column {column}: {problem}; expected text")
    return value


def parse_label(values: Values, column: str) -> str:
    """Returns the text of a column whose values only have to differ; '' where it is empty."""
    value = values.get(column)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return parse_text(values, column) or ""


def parse_text(values: Values, column: str) -> str | None:
    """Returns the text of an optional column."""
    value = values.get(column)
    if value is None or isinstance(value, str):
        return value
    raise BadRow(f"column {column}: {shown(value)} is not text; expected text")


def parse_score(values: Values) -> float | None:
    """Returns the score of a row; true and false are taken for 1 and 0."""
    value = values.get("score")
    if value is None:
        return None
    score = float(value) if isinstance(value, bool) else _number(value)
    if score is None or not -_ROUNDING <= score <= 1 + _ROUNDING:
        raise BadRow(f"column score: {shown(value)}; expected a number from 0 to 1")
    return min(max(score, 0.0), 1.0)


def parse_amount(values: Values, column: str) -> float | None:
    """Returns the amount of money or time in an optional column."""
    value = values.get(column)
    if value is None:
        return None
    amount = _number(value)
    if amount is None or not 0 <= amount < math.inf:
        raise BadRow(f"column {column}: {shown(value)}; expected a number from 0 up")
    if amount > _MOST:
        raise BadRow(f"column {column}: {shown(value)}; expected at most {_MOST:g} for one call")
    return amount


def parse_count(values: Values, column: str) -> int | None:
    """Returns the whole number in an optional column."""
    value = values.get(column)
    if value is None:
        return None
    count = _number(value)
    if count is None or not 0 <= count < 2**53 or count != int(count):
        raise BadRow(f"column {column}: {shown(value)}; expected a whole number from 0 up")
    return int(count)


def _parse_flag(values: Values, column: str) -> bool | None:
    value = values.get(column)
    if value is None or isinstance(value, bool):
        return value
    raise BadRow(f"column {column}: {shown(value)}; expected true or false")


def _parse_propensity(values: Values) -> float | None:
    value = values.get("propensity")
    if value is None:
        return None
    propensity = _number(value)
    if propensity is None or not 0 < propensity <= 1:
        raise BadRow(f"column propensity: {shown(value)}; expected a number above 0, at most 1")
    return propensity


def _number(value: object) -> float | None:
    """Returns the value as a float; None for what is no number (a bool is none, NaN is one)."""
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        return None
    try:
        return float(value)
    except (OverflowError, ValueError):
        return math.inf  # a whole number too large for a float


def _parse_messages(values: Values) -> tuple[Message, ...] | None:
    value = values.get("messages")
    if value is None:
        return None
    messages = _parse_json(value)
    try:
        if not isinstance(messages, Sequence):
            raise InvalidRequest("messages: expected a list of at least one chat message")
        return Query.from_messages(messages).messages
    except InvalidRequest as error:
        raise BadRow(f"column messages: {shown(value)}: {error}") from error


def _parse_logs(values: Values, column: str) -> tuple[float, ...] | None:
    return _parse_numbers(values, column, -math.inf, 0.0, "natural logs, up to 0")


def _parse_amounts(values: Values, column: str) -> tuple[float, ...] | None:
    return _parse_numbers(values, column, 0.0, math.inf, "numbers from 0 up")


def _parse_numbers(
    values: Values, column: str, lowest: float, highest: float, allowed: str
) -> tuple[float, ...] | None:
    """Returns one number a token, within the bounds."""
    value = values.get(column)
    if value is None:
        return None
    numbers = _parse_json(value)
    if not isinstance(numbers, list | tuple):
        raise BadRow(f"column {column}: {shown(value)}; expected a list of {allowed}")
    parsed = []
    for position, item in enumerate(numbers):
        number = _number(item)
        if number is None or not math.isfinite(number) or not lowest - _ROUNDING <= number <= highest + _ROUNDING:
            raise BadRow(f"column {column}: {shown(item)} at position {position}; expected {allowed}")
        parsed.append(min(max(number, lowest), highest))
    return tuple(parsed)


def _parse_json(value: object) -> object:
    """Returns what a cell of text holds as JSON; anything else, and text that is not JSON, as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value
