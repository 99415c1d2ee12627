"""A judge asked of every answer in a file of traces whether it is right; its verdicts appended, each once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence

from ...backends import BackendError, Query
from ...classifiers.verdict import read_verdict, verdict_query
from ..rows import Trace, Verdict
from .asker import Asker
from .trace_file import TraceFile


class Judging:
    """Asks what is not there yet. `run` may be cancelled: what has arrived by then is written."""

    def __init__(
        self,
        rows: Sequence[Trace],
        judge: Asker,
        out: TraceFile,
        *,
        max_at_once: int | None = None,
        max_cost_usd: float | None = None,
    ) -> None:
        self.on_done: Callable[[], None] = lambda: None
        self.n_judged = self.n_failed = self.n_unclear = 0
        self._judge = judge
        self._out = out
        self._max_at_once = max_at_once or judge.spec.limits.concurrency
        self._max_cost_usd = max_cost_usd
        self._jobs = [
            row for row in rows if row.response and judge.spec.name not in {verdict.judge for verdict in row.verdicts}
        ]

    @property
    def n_jobs(self) -> int:
        """The number of answers to judge."""
        return len(self._jobs)

    @property
    def note(self) -> str:
        """What came of it, in a sentence."""
        said = f"{self._judge.spec.name} judged {self.n_judged} answers for ${self._judge.spent_usd:.6f}"
        if self.n_unclear:
            said += f"; of {self.n_unclear} it said neither yes nor no"
        return said + (f"; of {self.n_failed} it could not be asked" if self.n_failed else "")

    async def run(self) -> None:
        """Asks and writes until nothing is left, or the money is spent.

        Raises:
            TraceError: the disk takes no more.
        """
        jobs = iter(self._jobs)
        most = min(self._max_at_once, self._judge.spec.limits.concurrency, max(self.n_jobs, 1))
        async with asyncio.TaskGroup() as group:
            for _ in range(most):
                group.create_task(self._work(jobs))

    async def _work(self, jobs: Iterator[Trace]) -> None:
        for row in jobs:
            if self._max_cost_usd is not None and self._judge.spent_usd >= self._max_cost_usd:
                return
            await self._ask(row)
            self.on_done()

    async def _ask(self, row: Trace) -> None:
        query = Query(messages=row.messages or ({"role": "user", "content": row.query},), id=row.query_id)
        spec = self._judge.spec
        try:
            completion = await self._judge.ask(
                verdict_query(query, row.response or "", with_logprobs="logprobs" in (spec.supports or ()))
            )
        except BackendError:
            self.n_failed += 1
            return
        right = read_verdict(completion)
        if right is None:
            self.n_unclear += 1
            return
        self.n_judged += 1
        self._out.judge(row, Verdict(judge=spec.name, right=right, cost_usd=completion.cost_usd))
