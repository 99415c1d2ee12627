"""Measures one server in one round, and puts the rounds of all into a table."""

from __future__ import annotations

import json
import math
import statistics
import sys
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.pool import Pool

from .contenders import Contender
from .load import Load, Outcome, run
from .process import Server

MANY = 16  # connections
_WHOLE, _STREAMED = b'"choices"', b"data: [DONE]"


class BadReplies(Exception):
    """Replies were no good; figures of failures would be worth nothing."""


class Asker:
    """Asks in another process, so that the asking and what is asked do not wait for each other."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def ask(
        self,
        contender: Contender,
        *,
        n_connections: int,
        seconds: float,
        n_most: int | None = None,
        is_stream: bool = False,
    ) -> Outcome:
        """Returns what came of a load.

        Raises:
            BadReplies: there was one, or none was good.
        """
        load = Load(
            port=contender.port,
            requests=contender.requests(is_stream=is_stream),
            n_connections=n_connections,
            seconds=seconds,
            n_most=n_most,
            expected=_STREAMED if is_stream else _WHOLE,
        )
        outcome = self._pool.apply(run, (load,))
        if outcome.n_bad:
            kind = "streams" if is_stream else "replies"
            raise BadReplies(f"{contender.name}: {outcome.n_bad} of {outcome.n_replies} {kind} were bad")
        return outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One server in one round."""

    per_s: float  # requests, on MANY connections
    cpu_us: float  # of the server, a request
    calls: float  # of the provider, a request
    latency_s: float  # on one connection
    streams_per_s: float  # on MANY connections; NaN: it cannot stream
    stream_cpu_us: float  # of the server, a stream of these
    first_byte_s: float  # likewise
    first_alone_s: float  # of one stream after the other
    asking: float  # the greatest share of one core that the asking took


def measure(asker: Asker, contender: Contender, server: Server, direct: Contender, *, seconds: float) -> Round:
    """Returns the figures of one round; `direct` is the mock provider, which tells how often it was asked."""
    asker.ask(contender, n_connections=MANY, seconds=seconds / 10)  # so that connections are open
    cpu_before, calls_before = server.cpu_s(), _calls(direct)
    many = asker.ask(contender, n_connections=MANY, seconds=seconds)
    cpu_s, n_calls = server.cpu_s() - cpu_before, _calls(direct) - calls_before
    one = asker.ask(contender, n_connections=1, seconds=seconds / 2)
    cpu_before = server.cpu_s()
    streams: Outcome | None = None
    alone: Outcome | None = None
    try:
        streams = asker.ask(contender, n_connections=MANY, seconds=seconds, is_stream=True)
        stream_cpu_s = server.cpu_s() - cpu_before
        alone = asker.ask(contender, n_connections=1, seconds=seconds / 2, is_stream=True)
    except BadReplies as error:
        print(error, file=sys.stderr)
        streams = None
    return Round(
        per_s=many.per_s,
        cpu_us=cpu_s / many.n_replies * 1e6,
        calls=n_calls / many.n_replies,
        latency_s=one.latency_s,
        streams_per_s=streams.per_s if streams else math.nan,
        stream_cpu_us=stream_cpu_s / streams.n_replies * 1e6 if streams else math.nan,
        first_byte_s=streams.first_byte_s if streams else math.nan,
        first_alone_s=alone.first_byte_s if alone else math.nan,
        asking=max(many.cpu_share, streams.cpu_share if streams else 0.0),
    )


def _calls(direct: Contender) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{direct.port}/calls", timeout=10) as reply:
        return int(json.load(reply)["calls"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Everything about one server."""

    rounds: Sequence[Round]
    start_s: float  # to the first answer
    memory_mb: float  # resident, after all rounds


_HEADER = (
    f"{'':<18}{'requests/s':>11}{'calls':>7}{'CPU us':>9}{'added ms':>10}{'streams/s':>11}{'CPU us':>9}"
    f"{'of direct':>11}{'1st byte +ms':>14}{'alone +ms':>11}{'memory MB':>11}{'start s':>9}"
)


def table(figures: Mapping[str, Figures], *, direct: str) -> list[str]:
    """Returns the lines of the table; what is added is over `direct` in the same round."""
    lines = [_HEADER]
    floor = figures[direct].rounds
    for name, found in figures.items():
        pairs = list(zip(found.rounds, floor, strict=True))

        def middle(value: Callable[[Round, Round], float], pairs: list[tuple[Round, Round]] = pairs) -> float:
            return statistics.median(value(ours, bare) for ours, bare in pairs)

        lines.append(
            f"{name:<18}"
            f"{middle(lambda ours, _: ours.per_s):>11.0f}"
            f"{middle(lambda ours, _: ours.calls):>7.2f}"
            f"{middle(lambda ours, _: ours.cpu_us):>9.0f}"
            f"{middle(lambda ours, bare: ours.latency_s - bare.latency_s) * 1e3:>10.3f}"
            f"{middle(lambda ours, _: ours.streams_per_s):>11.1f}"
            f"{middle(lambda ours, _: ours.stream_cpu_us):>9.0f}"
            f"{middle(lambda ours, bare: ours.streams_per_s / bare.streams_per_s):>11.3f}"
            f"{middle(lambda ours, bare: ours.first_byte_s - bare.first_byte_s) * 1e3:>14.3f}"
            f"{middle(lambda ours, bare: ours.first_alone_s - bare.first_alone_s) * 1e3:>11.3f}"
            f"{found.memory_mb:>11.0f}"
            f"{found.start_s:>9.2f}"
        )
    return lines
