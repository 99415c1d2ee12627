"""Asking another backend too, in the background, so that the trace log can tell what would have happened."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from ..backends import BackendError, Completion, PenstockError, Query
from .answer import Answer
from .caller import Caller
from .fleet import Fleet
from .gate import LocalGate
from .keys.limits import day_of
from .keys.store import Claim, Store
from .logbook import Logbook
from .pool import Pool
from .records import GAVE_WAY, ShadowCall
from .shadow_share import ShadowShare

logger = logging.getLogger(__name__)


class Shadow:
    """Makes a call for a random share of the answered requests; runs on the loop that the backends live on.

    Only backends that the decision might have chosen are asked, so no wish, no key and no limit is overstepped. The
    chance with which each was asked stands in its record. Whatever fails is recorded and told nobody. A call gives way
    as soon as a request has to wait for its backend.

    `clock` gives seconds since 1970.
    """

    def __init__(
        self,
        share: ShadowShare,
        *,
        pool: Pool,
        fleet: Fleet,
        logbook: Logbook,
        store: Store,
        rng: random.Random | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._share = share
        self._pool = pool
        self._fleet = fleet
        self._logbook = logbook
        self._purse = _Purse(store=store, most=share.max_usd_per_day, clock=clock)
        self._rng = rng or random.Random()
        self._n_calls = 0

    def see_answer(self, query: Query, answer: Answer) -> None:
        """Begins a call, if chance, load and budget will have it."""
        if self._rng.random() >= self._share.share or self._n_calls >= self._share.concurrency:
            return
        # Nothing from here on depends on the draw above, so the chance of each is what it is said to be.
        names = self._candidates(answer)
        if not names:
            return
        name = self._rng.choice(names)
        estimates = answer.decision.estimates
        expected = float(estimates.cost_usd[estimates.backends.index(name)])
        claim = self._purse.reserve(expected if math.isfinite(expected) else 0.0)
        if claim is None:
            return
        self._n_calls += 1
        self._fleet.callers()  # built, if they are not yet
        crew = self._fleet.crew  # whoever takes over meanwhile: this call goes on
        task = self._fleet.spawn(
            self._call(query, answer, crew.callers[name], crew.gates[name], self._share.share / len(names), claim)
        )
        task.add_done_callback(self._ended)

    def _ended(self, _: asyncio.Task[None]) -> None:
        self._n_calls -= 1

    def _candidates(self, answer: Answer) -> list[str]:
        """Returns the backends that might have been asked and were not, and have nothing better to do."""
        asked = {step.backend for step in answer.steps if not step.judged}
        gates = self._fleet.crew.gates
        return [
            name
            for name in answer.decision.outlook.backends
            if name not in asked
            and (not self._share.backends or name in self._share.backends)
            and name in gates  # it may have gone since the decision
            and gates[name].has_room()
        ]

    async def _call(
        self, query: Query, answer: Answer, caller: Caller, gate: LocalGate, propensity: float, claim: Claim
    ) -> None:
        name = caller.name
        task = asyncio.current_task()
        assert task is not None  # this is a coroutine
        completion: Completion | None = None
        error: str | None = None
        try:
            async with gate.guest(task.cancel):
                completion = await caller.backend.complete(query)
        except BackendError as failure:
            error = type(failure).__name__
            logger.info("shadow: %s", failure)
        except asyncio.CancelledError:
            error = GAVE_WAY
            raise
        except Exception as failure:  # noqa: BLE001  # whatever a backend of a third party does, nobody waits for it
            error = type(failure).__name__
            logger.warning("shadow: %s: %s", name, error)
        finally:
            cost = 0.0 if completion is None else self._pool.charge(name, completion)
            if error == GAVE_WAY:
                cost = claim.amount  # what a provider charges for a call that is broken off, nobody says
            self._purse.settle(claim, cost)
            call = ShadowCall(
                backend=name, propensity=propensity, completion=completion, error=error, cost_usd=cost,
                confidence=self._confidence(query, answer, name, completion),
            )  # fmt: skip
            self._logbook.see_shadow(query, answer, call)

    def _confidence(self, query: Query, answer: Answer, name: str, completion: Completion | None) -> float:
        if completion is None:
            return 0.0
        return self._pool.confidence(query, completion, backend=name, estimate=answer.decision.expected(name))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Purse:
    """What may be spent in a day, counted where keys are, so that restarts and other workers know of it."""

    store: Store
    most: float
    clock: Callable[[], float]

    def reserve(self, expected_usd: float) -> Claim | None:
        """Returns what was set aside for a call, None where the day's budget does not hold it."""
        now = self.clock()
        label, ends_at = day_of(now)
        claim = Claim(counter=f"shadow:usd:{label}", amount=expected_usd, expires_at=ends_at, limit=self.most)
        try:
            (spent,) = self.store.charge([claim], now=now)
            if spent + expected_usd <= self.most:
                return claim
            if spent < self.most:  # it was counted, so it is given back
                self.settle(claim, 0.0)
        except PenstockError as error:
            logger.warning("shadow: no call, since its budget cannot be looked up: %s", error)
        return None

    def settle(self, claim: Claim, cost_usd: float) -> None:
        """Puts what a call cost in the place of what was set aside for it."""
        try:
            self.store.charge([replace(claim, amount=cost_usd - claim.amount, limit=math.inf)], now=self.clock())
        except PenstockError as error:
            logger.warning("shadow: what a call cost is not counted: %s", error)
