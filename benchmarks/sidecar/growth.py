"""Asks the sidecar very often, and watches its memory."""

from __future__ import annotations

from .contenders import Contender
from .measure import MANY, Asker
from .process import Server

_N_STEPS = 10
_LONG_S = 3600.0


def print_growth(asker: Asker, contender: Contender, server: Server, *, n_requests: int) -> float:
    """Prints the resident memory after every tenth of the requests; returns the MB gained after the first tenth."""
    memory = []
    for step in range(1, _N_STEPS + 1):
        asker.ask(contender, n_connections=MANY, seconds=_LONG_S, n_most=n_requests // _N_STEPS)
        memory.append(server.memory_mb())
        print(f"{contender.name}: {memory[-1]:7.1f} MB after {step * n_requests // _N_STEPS} requests", flush=True)
    gained = memory[-1] - memory[0]
    print(f"{contender.name}: {gained:+.1f} MB since the first {n_requests // _N_STEPS}")
    return gained
