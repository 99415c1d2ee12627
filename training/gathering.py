"""Rows of traces put together: equal ones once, contradictions refused, feedback where it belongs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path

from ..backends import Message
from .errors import BadRow, TraceError
from .preferences import (
    LogComparison,
    Placed,
    average,
    is_log_comparison,
    is_preference,
    parse_log_comparison,
    parse_preference,
)
from .readers import KNOWN_COLUMNS, RawRow, place_of
from .rows import (
    COLUMNS,
    Trace,
    Values,
    Verdict,
    parse_count,
    parse_name,
    parse_score,
    parse_trace,
    parse_verdict,
    shown,
)

_MESSAGES_KEPT = 5
_ALIKE = 0.75  # names of columns, as `difflib` measures it: `splt` and `split`, not `prompt` and `group`

COLUMNS_ON_OTHERS = ("score", "judged", "winner", "other_backend")  # by which `is_about_another` tells

Place = tuple[int, int]  # number of the file, line
Key = tuple[str, str, int]  # query_id, backend, draw


@dataclass(slots=True, kw_only=True)
class _Query:
    """What all rows of one query have to agree on."""

    text: str
    messages: tuple[Message, ...] | None
    split: str
    group: str
    place: Place  # of the row that said so first


@dataclass(slots=True, kw_only=True)
class Gathering:
    """Takes rows one after another; after `finish`, `rows` and `notes` are complete.

    Raises:
        TraceError: a row is wrong or contradicts an earlier one, unless `skip_bad_rows`; or none is left.
    """

    files: list[Path]
    skip_bad_rows: bool
    is_for_texts: bool = True  # rows of a log without content are of no use; else they have the query ''
    refused: set[str] = field(default_factory=set)  # requests of a log that asked nobody
    rows: list[Trace] = field(default_factory=list)
    n_skipped: int = 0
    skipped: list[str] = field(default_factory=list)  # what was wrong with the first few
    _places: dict[Key, tuple[int, Place]] = field(default_factory=dict)  # index in `rows`, where it came from
    _unanswered: set[tuple[str, str, int | None]] = field(default_factory=set)  # calls without an answer, by their step
    _queries: dict[str, _Query] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)  # one object for all equal names
    _sides: list[Placed[Place]] = field(default_factory=list)  # of preferences
    _feedback: dict[Key, tuple[float, Place]] = field(default_factory=dict)
    _verdicts: dict[Key, dict[str, tuple[Verdict, Place]]] = field(default_factory=dict)  # of judges by name
    _comparisons: list[tuple[LogComparison, Place]] = field(default_factory=list)
    _columns: set[str] = field(default_factory=set)  # that some row has
    _is_log: bool = False  # rows of a running router's log are among them, of which the oldest may have been removed
    _n_without_content: int = 0
    _n_orphans: int = 0  # feedback on rows of a log that are not there
    _n_preferences: int = 0
    _n_duplicates: int = 0
    _n_graded_later: int = 0

    def take(self, raw: RawRow, *, file: int) -> None:
        """Adds one row of the file with that number."""
        place = (file, raw.line)
        with self._skipping_bad_rows(place):
            if raw.problem:
                raise BadRow(raw.problem)
            self._columns.update(raw.values)
            self._is_log |= raw.values.get("final") is not None  # no other row has this column
            if is_preference(raw.values):
                self._take_preference(raw.values, place)
            elif is_log_comparison(raw.values):
                self._comparisons.append((parse_log_comparison(raw.values), place))
            elif raw.values.get("judged") is not None:
                self._take_verdict(raw.values, place)
            elif _is_feedback(raw.values):
                self._take_feedback(raw.values, place)
            elif _is_without_content(raw.values):
                self._take_without_content(raw.values, place)
            else:
                self._add(parse_trace(raw.values), place)

    def finish(self) -> None:
        """Adds what can be known only after the last row."""
        for side in average(self._sides):
            with self._skipping_bad_rows(side.place):
                self._add(side.trace, side.place)
        for key, (score, place) in self._feedback.items():
            with self._skipping_bad_rows(place):
                self._grade(key, score)
        self._grade_by_comparisons()
        for key, given in self._verdicts.items():
            self._attach(key, given)
        if not self.rows and self._n_without_content:
            raise TraceError(
                f"all {self._n_without_content} rows are of a trace log without content; expected queries, which the"
                " running router writes with `traces: {content: on}` in models.yaml"
            )
        if not self.rows and self.n_skipped:
            raise TraceError(f"no usable row: all {self.n_skipped} are bad, the first one: {self.skipped[0]}")
        if not self.rows:
            names = ", ".join(map(str, self.files[:3])) + (", ..." if len(self.files) > 3 else "")
            raise TraceError(f"{names}: no rows; expected one for every query and backend")

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what was skipped, dropped or converted."""
        notes = [f"Column {shown(name)} is not read; did you mean {meant}?" for name, meant in self._slips()]
        if self.n_skipped:
            notes.append(f"Bad rows skipped: {self.n_skipped}; the first one: {self.skipped[0]}.")
        if self._n_duplicates:
            notes.append(f"Rows that repeat an earlier row in every column, dropped: {self._n_duplicates}.")
        if self._n_graded_later:
            notes.append(f"Rows graded by a later row or by feedback: {self._n_graded_later}.")
        if self._comparisons:
            notes.append(
                "Comparisons of the trace log converted into scores of either answer (winner 1, loser 0, tie 0.5 each,"
                f" averaged), where it had none: {len(self._comparisons)}."
            )
        if self._n_orphans:
            notes.append(f"Feedback on answers without a row of their own, left out: {self._n_orphans}.")
        if self._n_without_content:
            notes.append(f"Rows of the trace log without content, left out: {self._n_without_content}.")
        if self._n_preferences:
            notes.append(
                f"Pairwise preferences converted into scores of either backend "
                f"(winner 1, loser 0, tie 0.5 each, averaged): {self._n_preferences}."
            )
        return tuple(notes)

    def _slips(self) -> Iterator[tuple[str, str]]:
        """Yields columns that are not read, and what they look like and nobody has: a `splt` would cost the test."""
        absent = [column for column in KNOWN_COLUMNS if column not in self._columns]
        for name in sorted(self._columns.difference(KNOWN_COLUMNS)):
            plain = name.strip().lower()
            begun = [column for column in absent if column.startswith(f"{plain}_")]
            if meant := begun or get_close_matches(plain, absent, n=1, cutoff=_ALIKE):
                yield name, meant[0]

    @contextmanager
    def _skipping_bad_rows(self, place: Place) -> Iterator[None]:
        try:
            yield
        except BadRow as error:
            message = f"{self._where(place)}: {error}"
            if not self.skip_bad_rows:
                raise TraceError(message) from error
            self.n_skipped += 1
            if len(self.skipped) < _MESSAGES_KEPT:
                self.skipped.append(message)

    def _take_preference(self, values: Values, place: Place) -> None:
        preference = parse_preference(values)
        self._agree(preference.a, place)
        self._sides += (Placed(trace=preference.a, place=place), Placed(trace=preference.b, place=place))
        self._n_preferences += 1

    def _take_feedback(self, values: Values, place: Place) -> None:
        key = (parse_name(values, "query_id"), parse_name(values, "backend"), parse_count(values, "draw") or 0)
        score = parse_score(values)
        assert score is not None  # that is what makes it feedback
        self._feedback[key] = (score, place)

    def _take_verdict(self, values: Values, place: Place) -> None:
        if values.get("verdict") is None and values.get("final") is not None:
            # Of a log: the judge failed, or said neither yes nor no, or was not listened to, and was paid all the same.
            if not self.is_for_texts:
                self._take_without_content({**values, "given_up": True}, place)
            return
        key = (parse_name(values, "query_id"), parse_name(values, "judged"), parse_count(values, "draw") or 0)
        verdict = parse_verdict(values)
        self._verdicts.setdefault(key, {})[verdict.judge] = (verdict, place)

    def _attach(self, key: Key, given: Mapping[str, tuple[Verdict, Place]]) -> None:
        """Puts what judges said of an answer to it; the last verdict of each counts."""
        index, _ = self._places.get(key, (None, None))
        if index is not None:
            self.rows[index] = replace(self.rows[index], verdicts=tuple(verdict for verdict, _ in given.values()))
        elif self._is_log:
            self._n_orphans += 1
        for _, place in given.values() if index is None and not self._is_log else ():
            with self._skipping_bad_rows(place):
                raise BadRow(
                    f"column judged: no other row has query_id {shown(key[0])}, backend {shown(key[1])} and draw"
                    f" {key[2]}; expected the answer that the verdict is on"
                )

    def _take_without_content(self, values: Values, place: Place) -> None:
        if values.get("backend") is None:
            self.refused.add(parse_name(values, "query_id"))
        if self.is_for_texts:
            self._n_without_content += 1
        elif values.get("backend") is not None:
            self._add(replace(parse_trace({**values, "query": "-"}), query=""), place)

    def _add(self, trace: Trace, place: Place) -> None:
        trace = self._shared(trace, self._agree(trace, place))
        if trace.final is not None and not trace.is_answer:
            self._add_unanswered(trace)
            return
        key = (trace.query_id, trace.backend, trace.draw)
        index, earlier = self._places.setdefault(key, (len(self.rows), place))
        if index == len(self.rows):
            self.rows.append(trace)
        elif self.rows[index] == trace:
            self._n_duplicates += 1
        elif self.rows[index] == replace(trace, score=None):
            self.rows[index] = trace
            self._n_graded_later += 1
        else:
            different = [name for name in COLUMNS if getattr(trace, name) != getattr(self.rows[index], name)]
            raise BadRow(
                f"column {different[0]}: {shown(getattr(trace, different[0]))} where {self._where(earlier)} has "
                f"{shown(getattr(self.rows[index], different[0]))} for the same query_id {shown(trace.query_id)}, "
                f"backend {shown(trace.backend)} and draw {trace.draw}; expected one row each, "
                f"or repeated samples numbered in column draw"
            )

    def _add_unanswered(self, trace: Trace) -> None:
        """Adds a call of a log that no answer came of; the same backend may have answered in another call."""
        key = (trace.query_id, trace.backend, trace.step)
        if key in self._unanswered:
            self._n_duplicates += 1
        else:
            self._unanswered.add(key)
            self.rows.append(trace)

    def _grade(self, key: Key, score: float) -> None:
        index, _ = self._places.get(key, (None, None))
        if index is None and self._is_log:
            self._n_orphans += 1
            return
        if index is None:
            raise BadRow(
                f"column query: missing, and no other row has query_id {shown(key[0])}, backend {shown(key[1])} "
                f"and draw {key[2]}; expected text, or feedback on a row that is there"
            )
        if self.rows[index].score not in (None, score):
            raise BadRow(
                f"column score: feedback {score} for query_id {shown(key[0])}, backend {shown(key[1])}, "
                f"which has score {self.rows[index].score} already; expected one score"
            )
        self.rows[index] = replace(self.rows[index], score=score)
        self._n_graded_later += 1

    def _grade_by_comparisons(self) -> None:
        """Grades answers that were compared and have no score; both have to be answers to the same query."""
        scores: dict[int, list[float]] = {}
        for comparison, place in self._comparisons:
            with self._skipping_bad_rows(place):
                sides = [self._places[key][0] for side in comparison.sides if (key := (*side, 0)) in self._places]
                if len(sides) < len(comparison.sides):
                    self._n_orphans += 1
                    continue
                texts = [self.rows[index].query for index in sides]
                if texts[0] != texts[1]:
                    raise BadRow(f"compares answers to two queries, {shown(texts[0])} and {shown(texts[1])}")
                for index, score in zip(sides, comparison.scores, strict=True):
                    scores.setdefault(index, []).append(score)
        for index, given in scores.items():
            if self.rows[index].score is None:
                self.rows[index] = replace(self.rows[index], score=sum(given) / len(given))

    def _agree(self, trace: Trace, place: Place) -> _Query:
        """Returns what is known of the trace's query, which the trace must not contradict."""
        known = self._queries.get(trace.query_id)
        if known is None:
            known = _Query(text=trace.query, messages=trace.messages, split=trace.split, group=trace.group, place=place)
            self._queries[trace.query_id] = known
            return known
        here = (trace.query, trace.messages, trace.split, trace.group)
        there = (known.text, known.messages, known.split, known.group)
        if here == there:
            return known
        for column, new, old in zip(("query", "messages", "split", "group"), here, there, strict=True):
            if new and old and new != old:
                raise BadRow(
                    f"column {column}: {shown(new)} where {self._where(known.place)} has {shown(old)} for the same "
                    f"query_id {shown(trace.query_id)}; expected the same in every row of a query"
                )
        known.messages = known.messages or trace.messages
        known.split = known.split or trace.split
        known.group = known.group or trace.group
        return known

    def _shared(self, trace: Trace, known: _Query) -> Trace:
        """Returns the trace with its texts replaced by equal ones that other rows hold already."""
        one = self._names.setdefault
        return replace(
            trace,
            query_id=one(trace.query_id, trace.query_id),
            query=known.text,
            backend=one(trace.backend, trace.backend),
            task=one(trace.task, trace.task),
            dataset=one(trace.dataset, trace.dataset),
            split=one(trace.split, trace.split),
            group=one(trace.group, trace.group),
        )

    def _where(self, place: Place) -> str:
        file, line = place
        return place_of(self.files[file], line)


def _is_without_content(values: Values) -> bool:
    """Returns whether a row of a running router's log holds no query."""
    return values.get("final") is not None and values.get("query") is None and values.get("messages") is None


def is_about_another(values: Values) -> bool:
    """Returns whether a row has no query of its own: it grades, judges or compares answers of other rows."""
    return values.get("judged") is not None or is_log_comparison(values) or _is_feedback(values)


def _is_feedback(values: Values) -> bool:
    """Returns whether a row only grades another one: a score, and no query."""
    return values.get("score") is not None and "query" not in values and "messages" not in values
