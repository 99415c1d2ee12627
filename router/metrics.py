"""What the sidecar tells Prometheus: counters and histograms in its text format.

Written by hand, since it is this little: every label has few values, all of them from models.yaml or from our own code.
"""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

from .circuit import CIRCUIT_STATES
from .exchange import Exchange, MadeCall
from .figures import Figures, Rows
from .gate import GateState

WORKERS = "penstock_workers"
CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0)
_SHORT_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1)


class Counter:
    """Sums that only grow, one for each combination of labels."""

    def __init__(self, name: str, meaning: str, *labels: str) -> None:
        self._head = _head(name, meaning, "counter")
        self.name, self._labels = name, labels
        self.totals: dict[tuple[str, ...], float] = defaultdict(float)  # by values of the labels in their order

    def rows(self) -> dict[tuple[str, ...], list[float]]:
        """Returns the total for each combination of labels."""
        return {values: [total] for values, total in self.totals.items()}

    def lines(self, rows: Rows) -> Iterator[str]:
        """Yields the lines that tell such rows."""
        yield from self._head
        for values, (total,) in rows.items():
            yield f"{self.name}{_shown(self._labels, values)} {total!r}"


class Histogram:
    """How often a time was how long, with one label at most."""

    def __init__(self, name: str, meaning: str, *labels: str, bounds: Sequence[float] = _SECONDS) -> None:
        self._head = _head(name, meaning, "histogram")
        self.name, self._labels, self._bounds = name, labels, bounds
        # How many times fell below each bound and above the one before it, how many above all, and the times' sum.
        self._rows: dict[tuple[str, ...], list[float]] = defaultdict(lambda: [0] * (len(bounds) + 2))

    def see(self, seconds: float, *values: str) -> None:
        """Counts a time."""
        row = self._rows[values]
        row[bisect.bisect_left(self._bounds, seconds)] += 1
        row[-1] += seconds

    def rows(self) -> dict[tuple[str, ...], list[float]]:
        """Returns the counts, and then the sum, for each combination of labels."""
        return {values: [*row] for values, row in self._rows.items()}

    def lines(self, rows: Rows) -> Iterator[str]:
        """Yields the lines that tell such rows."""
        yield from self._head
        for values, (*counts, seconds) in rows.items():
            total: float = 0
            for bound, count in zip((*map(str, self._bounds), "+Inf"), counts, strict=True):
                total += count
                yield f"{self.name}_bucket{_shown((*self._labels, 'le'), (*values, bound))} {total!r}"
            yield f"{self.name}_sum{_shown(self._labels, values)} {seconds!r}"
            yield f"{self.name}_count{_shown(self._labels, values)} {total!r}"


class Gauge:
    """What is so at the moment it is looked at: `read` gives the value for each combination of labels.

    Where several processes serve, theirs are added up, so that it has to be something that there can be more of.
    """

    def __init__(
        self, name: str, meaning: str, *labels: str, read: Callable[[], Mapping[tuple[str, ...], float]]
    ) -> None:
        self._head = _head(name, meaning, "gauge")
        self.name, self._labels, self._read = name, labels, read

    def rows(self) -> dict[tuple[str, ...], list[float]]:
        """Returns the value now for each combination of labels."""
        return {values: [value] for values, value in self._read().items()}

    def lines(self, rows: Rows) -> Iterator[str]:
        """Yields the lines that tell such rows."""
        yield from self._head
        for values, (value,) in rows.items():
            yield f"{self.name}{_shown(self._labels, values)} {value!r}"


class Metrics:
    """An observer that counts everything of one sidecar, on its event loop.

    `gates` gives the state of its backends, `digests` the SHA-256 of models.yaml and of the artefact's manifest.
    """

    def __init__(
        self,
        gates: Callable[[], Mapping[str, GateState]] = dict,
        digests: Callable[[], tuple[str, str]] = lambda: ("", ""),
    ) -> None:
        self.requests = Counter(
            "penstock_requests_total", "Requests by path and status; 499: the client left.", "path", "status"
        )
        self.latency = Histogram("penstock_request_seconds", "From a request's head to its reply's end.", "path")
        self.first_piece = Histogram("penstock_first_piece_seconds", "To the first piece of a streamed answer.")
        self.decision = Histogram("penstock_decision_seconds", "To decide whom to ask.", bounds=_SHORT_SECONDS)
        self.call = Histogram("penstock_call_seconds", "Calls that gave an answer, by backend.", "backend")
        self.answers = Counter("penstock_answers_total", "Answers by who gave them.", "policy", "backend")
        self.calls = Counter("penstock_calls_total", "Calls to backends by how they ended.", "backend", "result")
        self.moves = Counter("penstock_moves_total", "Further calls for one request: escalate or fall_back.", "kind")
        self.tokens = Counter("penstock_tokens_total", "Tokens; cached is part of input.", "backend", "kind")
        self.cost = Counter("penstock_cost_usd_total", "What calls cost.", "backend")
        self.cost_of_best = Counter(
            "penstock_best_cost_usd_total", "What the best backend for each query cost, or was expected to."
        )
        self.in_flight = Gauge(
            "penstock_backend_in_flight",
            "Calls under way.",
            "backend",
            read=lambda: {(name,): gate.in_flight for name, gate in gates().items()},
        )
        self.waiting = Gauge(
            "penstock_backend_waiting",
            "Calls that wait for their turn.",
            "backend",
            read=lambda: {(name,): gate.waiting for name, gate in gates().items()},
        )
        self.circuit = Gauge(
            "penstock_backend_circuit",
            "Workers by the state that their circuit breaker of a backend is in.",
            "backend",
            "state",
            read=lambda: {
                (name, state): int(gate.circuit == state) for name, gate in gates().items() for state in CIRCUIT_STATES
            },
        )

        self.workers = Gauge(WORKERS, "Processes that serve.", read=lambda: {(): 1})
        self.reloads = Counter("penstock_reloads_total", "Readings anew of models.yaml: ok or failed.", "result")
        for result in ("ok", "failed"):
            self.reloads.totals[(result,)] = 0  # so that the first one shows as a rise
        self.config = Gauge(
            "penstock_config_info",
            "Workers by the SHA-256 of models.yaml, and of the artefact's manifest, that they use.",
            "models_yaml",
            "artefact",
            read=lambda: {digests(): 1},
        )

    def see(self, exchange: Exchange) -> None:
        """Counts a request, its answer, and every call that was made for it."""
        self.requests.totals[exchange.path, str(exchange.status)] += 1
        self.latency.see(exchange.latency_s, exchange.path)
        if exchange.first_piece_s is not None:
            self.first_piece.see(exchange.first_piece_s)
        calls = exchange.calls
        if exchange.chosen is not None and exchange.decision is not None:
            self.answers.totals[exchange.decision.policy.name, calls[exchange.chosen].backend] += 1
            self.cost_of_best.totals[()] += exchange.best_cost_usd
        if len(calls) > 1:
            in_turn = [call for call in calls if not (call.is_beside or call.judged)]
            for call in in_turn[:-1]:
                self.moves.totals[("fall_back" if call.error else "escalate",)] += 1
        for call in calls:
            self._see_call(call)

    def _see_call(self, call: MadeCall) -> None:
        backend = call.backend
        self.calls.totals[backend, call.error or ("given_up" if call.is_given_up else "ok")] += 1
        if call.cost_usd:
            self.cost.totals[(backend,)] += call.cost_usd
        if call.error is not None:
            return
        self.call.see(call.latency_s, backend)
        usage, tokens = call.usage, self.tokens.totals
        if usage.input_tokens:
            tokens[backend, "input"] += usage.input_tokens
        if usage.cached_input_tokens:
            tokens[backend, "cached_input"] += usage.cached_input_tokens
        if usage.cache_write_tokens:
            tokens[backend, "cache_write"] += usage.cache_write_tokens
        if usage.output_tokens:
            tokens[backend, "output"] += usage.output_tokens
        if usage.reasoning_tokens:
            tokens[backend, "reasoning"] += usage.reasoning_tokens

    def figures(self) -> Figures:
        """Returns everything as it is now, to be added to that of other processes."""
        sums: dict[tuple[str, ...], list[float]] = {}
        states: dict[tuple[str, ...], list[float]] = {}
        for family in self._families():
            kind = states if isinstance(family, Gauge) else sums
            kind.update({(family.name, *values): row for values, row in family.rows().items()})
        return Figures(sums=sums, states=states)

    def text(self, figures: Figures) -> bytes:
        """Returns such figures as `GET /metrics` replies."""
        rows: defaultdict[str, dict[tuple[str, ...], Sequence[float]]] = defaultdict(dict)
        for (name, *values), row in (*figures.sums.items(), *figures.states.items()):
            rows[name][tuple(values)] = row
        return "".join(f"{line}\n" for family in self._families() for line in family.lines(rows[family.name])).encode()

    def _families(self) -> list[Counter | Histogram | Gauge]:
        return [value for value in vars(self).values() if isinstance(value, Counter | Histogram | Gauge)]


def _head(name: str, meaning: str, kind: str) -> tuple[str, str]:
    return f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"


def _shown(labels: Sequence[str], values: Sequence[str]) -> str:
    """Returns labels as they stand behind a name.

    >>> _shown(("path", "status"), ("/v1/models", "200"))
    '{path="/v1/models",status="200"}'
    """
    if not labels:
        return ""
    pairs = ",".join(f'{label}="{_escaped(value)}"' for label, value in zip(labels, values, strict=True))
    return f"{{{pairs}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
