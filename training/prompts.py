"""What `collect` asks: prompts from files, with the columns that graders read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import orjson

from ..backends import Message, Query
from .errors import BadRow, TraceError
from .readers import find_files, place_of, read_rows
from .rows import Values, parse_label, parse_query, parse_text, shown
from .split import PART_OF_MARK

PROMPT_COLUMNS = (
    "query_id",
    "query",
    "messages",
    "grader",
    "answer",
    "choices",
    "pattern",
    "schema",
    "task",
    "dataset",
    "split",
    "group",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One query to ask, and what its answers are graded by."""

    query_id: str
    query: str  # the text by which the query is judged, of all messages where there are several
    messages: tuple[Message, ...] | None = None  # where the query is more than one user message
    grader: str = ""  # "": the row names none
    answers: tuple[str, ...] = ()  # each of them is right
    choices: tuple[str, ...] = ()
    pattern: str | None = None
    schema: Mapping[str, object] | bool | None = None
    task: str = ""
    dataset: str = ""
    split: str = ""
    group: str = ""
    row: Values = field(default_factory=dict)  # as the file has it, for graders of one's own
    where: str = ""  # file and line, for messages

    def as_query(self, params: Mapping[str, object]) -> Query:
        """Returns the request for a backend."""
        messages = self.messages or ({"role": "user", "content": self.query},)
        return Query(messages=messages, params=dict(params), id=self.query_id)


def read_prompts(paths: Sequence[Path], *, leave_out: Path | None = None) -> tuple[Prompt, ...]:
    """Returns the prompts of several files and folders, those that are repeated in every column once.

    Args:
        leave_out: a file that holds no prompts though it lies among them: the one that traces are written to.

    Raises:
        TraceError: a file cannot be read, a row is wrong, an id has two prompts, or there is none.
    """
    prompts: dict[str, Prompt] = {}
    for path in find_files(paths):
        if leave_out is not None and path.resolve() == leave_out.resolve():
            continue
        for prompt in _read_file(path):
            known = prompts.setdefault(prompt.query_id, prompt)
            if replace(known, row={}, where="") != replace(prompt, row={}, where=""):
                raise TraceError(
                    f"{prompt.where}: query_id {shown(prompt.query_id)} is another prompt at {known.where}; "
                    f"expected an id of its own"
                )
    if not prompts:
        raise TraceError(f"{', '.join(map(str, paths))}: no prompt; expected rows with column query or messages")
    return tuple(prompts.values())


def _read_file(path: Path) -> Iterator[Prompt]:
    for raw in read_rows(path, columns=PROMPT_COLUMNS):
        where = place_of(path, raw.line)
        try:
            if raw.problem:
                raise BadRow(raw.problem)
            yield parse_prompt(raw.values, where=where)
        except BadRow as error:
            raise TraceError(f"{where}: {error}") from error


def parse_prompt(values: Values, *, where: str = "") -> Prompt:
    """Returns the prompt that a row holds; without `query_id`, one is made from what is asked.

    Raises:
        BadRow: a column is missing, or holds what is not allowed.
    """
    query, messages = parse_query(values)
    split = parse_text(values, "split") or ""
    if split.strip() and split.strip().lower() not in PART_OF_MARK:
        raise BadRow(f"column split: {shown(split)}; expected {', '.join(PART_OF_MARK)} or nothing")
    return Prompt(
        query_id=parse_label(values, "query_id").strip() or _id_of(query, messages),
        query=query,
        messages=messages,
        grader=(parse_text(values, "grader") or "").strip(),
        answers=_parse_answers(values),
        choices=_parse_choices(values),
        pattern=parse_text(values, "pattern"),
        schema=_parse_schema(values),
        task=parse_text(values, "task") or "",
        dataset=parse_text(values, "dataset") or "",
        split=split,
        group=parse_label(values, "group"),
        row=values,
        where=where,
    )


def _id_of(query: str, messages: tuple[Message, ...] | None) -> str:
    """Returns an id that depends on what is asked alone, so that it stays the same when rows are added."""
    asked = query.encode() if messages is None else orjson.dumps([dict(message) for message in messages])
    return f"query-{hashlib.sha256(asked).hexdigest()[:16]}"


def _parse_answers(values: Values) -> tuple[str, ...]:
    value = values.get("answer")
    if value is None or value == "":
        return ()
    items = value if isinstance(value, list | tuple) else [value]
    answers = []
    for item in items:
        if isinstance(item, bool):
            answers.append("true" if item else "false")
        elif isinstance(item, int | float | str) and str(item).strip():
            answers.append(str(item))
        else:
            raise BadRow(f"column answer: {shown(item)}; expected text or a number, or a list of those that are right")
    return tuple(answers)


def _parse_choices(values: Values) -> tuple[str, ...]:
    value = _as_json(values.get("choices"), column="choices")
    if value is None:
        return ()
    if not isinstance(value, list | tuple) or len(value) < 2:
        raise BadRow(
            f"column choices: {shown(value)}; expected a list of at least two texts, in the order of A, B, ..."
        )
    if not all(isinstance(item, str | int | float) and str(item).strip() for item in value):
        raise BadRow(f"column choices: {shown(value)}; expected a list of texts")
    return tuple(str(item) for item in value)


def _parse_schema(values: Values) -> Mapping[str, object] | bool | None:
    value = _as_json(values.get("schema"), column="schema")
    if value is None or isinstance(value, bool | dict):
        return value
    raise BadRow(f"column schema: {shown(value)}; expected a JSON schema, an object")


def _as_json(value: object, *, column: str) -> object:
    """Returns what a cell of text holds as JSON; anything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise BadRow(f"column {column}: {shown(value)} is not JSON: {error}") from error
