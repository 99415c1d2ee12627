"""The backends that one collecting run asks, and the run itself."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable
from typing import Protocol

from ...backends import Backend, BackendSpec, ConfigError, create_backend
from ...backends.retries import Retries
from ...router import Config
from ..graders import Ask
from ..progress import Progress
from .asker import Asker


class Crew:
    """The backends of one run, each made once, when it is first needed."""

    def __init__(self, config: Config, *, retries: Retries, most_at_once: int | None) -> None:
        self.judges: dict[str, Asker] = {}
        self._config = config
        self._retries = retries
        self._most_at_once = most_at_once
        self._made: dict[str, tuple[Backend, asyncio.Semaphore]] = {}
        self._rng = random.Random()  # of waiting times only

    def asker(self, spec: BackendSpec) -> Asker:
        """Returns a way to ask a backend, whose costs are counted apart from others'."""
        if spec.name not in self._made:
            most = min(spec.limits.concurrency, self._most_at_once or spec.limits.concurrency)
            self._made[spec.name] = create_backend(spec), asyncio.Semaphore(most)
        backend, slots = self._made[spec.name]
        return Asker(backend, slots=slots, retries=self._retries, rng=self._rng)

    def judge(self, name: str) -> Ask:
        """Returns a way to ask a backend for grades."""
        if name not in self._config.backends:
            raise ConfigError(
                f"grader judge:{name}: unknown backend; expected one of {', '.join(self._config.backends)}"
            )
        if name not in self.judges:
            self.judges[name] = self.asker(self._config.backends[name])
        return self.judges[name].ask

    async def aclose(self) -> None:
        """Closes every backend that was made."""
        for backend, _ in self._made.values():
            await backend.aclose()


class Collecting(Protocol):
    """Something that asks backends one thing after another."""

    on_done: Callable[[], None]

    @property
    def n_jobs(self) -> int:
        """How many things there are to ask."""
        ...

    async def run(self) -> None:
        """Asks them."""
        ...


def run_collector(collector: Collecting, crew: Crew, progress: Progress, *, name: str = "collecting") -> bool:
    """Collects; returns whether it was interrupted."""
    done = progress.over(itertools.repeat(None), name=name, total=collector.n_jobs)
    next(done)  # a loop that shows one more at every turn; this one begins it

    async def run() -> None:
        try:
            await collector.run()
        finally:
            await crew.aclose()

    collector.on_done = lambda: next(done)
    try:
        asyncio.run(run())
    except KeyboardInterrupt:
        return True
    finally:
        done.close()  # type: ignore[attr-defined]  # every Progress makes a generator, which clears its bar
    return False
