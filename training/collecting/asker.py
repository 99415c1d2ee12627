"""Asking one backend with patience: so many calls at once, and again after failures that may pass."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace

from ...backends import Backend, BackendError, BackendSpec, Completion, Query, cost_usd
from ...backends.retries import Retries


class Asker:
    """One backend as its askers share it."""

    def __init__(
        self,
        backend: Backend,
        *,
        slots: asyncio.Semaphore,
        retries: Retries,
        rng: random.Random,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.spec = backend.spec
        self.n_retries = 0
        self.spent_usd = 0.0
        self._backend = backend
        self._slots = slots
        self._retries = retries
        self._rng = rng
        self._sleep = sleep
        self._rests_until = 0.0  # in the event loop's time

    async def ask(self, query: Query) -> Completion:
        """Returns the completion, with its cost where that can be known.

        Raises:
            BackendError: the last of so many failures, or one that asking again would not mend.
        """
        n_failures = 0
        while True:
            await self._rest()
            try:
                async with self._slots:
                    completion = await self._backend.complete(query)
            except BackendError as error:
                n_failures += 1
                delay_s = self._retries.delay_s(n_failures, error, self._rng)
                if delay_s is None:
                    raise
                self.n_retries += 1
                if error.retry_after_s:  # that goes for the others, too
                    now = asyncio.get_running_loop().time()
                    self._rests_until = max(self._rests_until, now + error.retry_after_s)
                await self._sleep(delay_s)
                continue
            priced = with_cost(completion, self.spec)
            self.spent_usd += priced.cost_usd or 0.0
            return priced

    async def _rest(self) -> None:
        wait_s = self._rests_until - asyncio.get_running_loop().time()
        if wait_s > 0:
            await self._sleep(wait_s + self._rng.uniform(0.0, self._retries.first_s))


def with_cost(completion: Completion, spec: BackendSpec) -> Completion:
    """Returns the completion with its cost: its own, or that of its usage where its backend has a price."""
    if completion.cost_usd is not None or spec.price is None:
        return completion
    return replace(completion, cost_usd=cost_usd(completion.usage, spec.price))
