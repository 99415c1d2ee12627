"""Every backend asked every prompt, the answers graded, the traces appended to a file, each answer once."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from ..backends import AuthenticationFailed, BackendError, Completion, Query
from .collecting.asker import Asker
from .collecting.tally import Tally
from .collecting.trace_file import Key, TraceFile
from .errors import TraceError
from .graders import Grader
from .prompts import Prompt
from .rows import Trace

_MOST_FAILURES_IN_A_ROW = 20  # each after all its retries: the backend is down, and the others need not wait for it
_MOST = 1e9  # infinity, which JSON cannot hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One answer that is wanted."""

    prompt: Prompt
    backend: str
    draw: int
    recorded: Trace | None = None  # the answer is there already, without a score
    draft: Trace | None = None  # the answer to check

    @property
    def key(self) -> Key:
        """What the answer is found by."""
        return self.prompt.query_id, self.backend, self.draw


class Collector:
    """Asks what is not there yet. `run` may be cancelled: what has arrived by then is written.

    Args:
        askers: the backends to ask, by name.
        judges: those that graders ask; what they cost is told apart but counts towards `max_cost_usd`.
        grader_of: the grader for a prompt.
        params: fields of every request, such as `temperature`; a `seed` is raised by the number of the draw.
        max_at_once: of calls to one backend, where its own limit allows more.
        drafters: whose recorded answers the backends are given to check, one after the other; none: they are asked
            the prompts as they are.
        on_done: called after each answer, whatever became of it.
    """

    def __init__(
        self,
        prompts: Sequence[Prompt],
        askers: Mapping[str, Asker],
        out: TraceFile,
        *,
        grader_of: Callable[[Prompt], Grader],
        judges: Mapping[str, Asker] | None = None,
        draws: int = 1,
        params: Mapping[str, object] | None = None,
        max_at_once: int | None = None,
        max_cost_usd: float | None = None,
        drafters: Sequence[str] = (),
        on_done: Callable[[], None] = lambda: None,
    ) -> None:
        self.tallies = {name: Tally(backend=name) for name in askers}
        self._askers = askers
        self._judges = judges or {}
        self._out = out
        self._grader_of = grader_of
        self._params = dict(params or {})
        self._max_at_once = max_at_once
        self._max_cost_usd = max_cost_usd
        self.on_done = on_done
        self._failures_in_a_row = dict.fromkeys(askers, 0)
        rows = out.rows(prompts, with_texts_of=drafters)
        self._jobs = {
            name: self._unchecked(name, prompts, drafters, rows)
            if drafters
            else self._missing(name, prompts, draws, rows)
            for name in askers
        }

    @property
    def n_jobs(self) -> int:
        """The number of answers to ask or to grade."""
        return sum(map(len, self._jobs.values()))

    @property
    def judge_cost_usd(self) -> float:
        """What grading has cost so far."""
        return sum(judge.spent_usd for judge in self._judges.values())

    @property
    def spent_usd(self) -> float:
        """What this run has cost so far, grading included."""
        return self.judge_cost_usd + sum(asker.spent_usd for asker in self._askers.values())

    @property
    def is_spent(self) -> bool:
        """Whether nothing more is asked because the money is spent."""
        return self._max_cost_usd is not None and self.spent_usd >= self._max_cost_usd

    async def run(self) -> None:
        """Asks, grades and writes until nothing is left, or the money is spent.

        Raises:
            TraceError: the disk takes no more.
        """
        workers = [
            asyncio.create_task(self._work(name, jobs))
            for name, listed in self._jobs.items()
            for jobs in [iter(listed)]  # shared by the backend's workers
            for _ in range(min(self._n_at_once(name), len(listed)))
        ]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            self._count()

    def _missing(self, name: str, prompts: Sequence[Prompt], draws: int, rows: Mapping[Key, Trace]) -> list[Job]:
        """Returns what one backend is still to be asked or graded for: all first draws, then all second ones, ..."""
        return self._to_do(
            name,
            [
                Job(prompt=prompt, backend=name, draw=draw, recorded=rows.get((prompt.query_id, name, draw)))
                for draw in range(draws)
                for prompt in prompts
            ],
        )

    def _unchecked(
        self, name: str, prompts: Sequence[Prompt], drafters: Sequence[str], rows: Mapping[Key, Trace]
    ) -> list[Job]:
        """Returns what one backend is still to check or to be graded for: all answers of the first drafter, then all of
        the second, ... Each is a draw of its own.
        """
        checked: dict[tuple[str, str], Trace] = {}  # by query and drafter
        taken: dict[str, set[int]] = {}  # draws by query; where a check failed, they have gaps
        for trace in rows.values():
            if trace.backend == name:
                checked[trace.query_id, trace.draft_of] = trace
                taken.setdefault(trace.query_id, set()).add(trace.draw)
        jobs = []
        for drafter in dict.fromkeys(drafters):  # named twice, one is checked once
            for prompt in prompts:
                draft = rows.get((prompt.query_id, drafter, 0))
                if draft is None or draft.response is None:
                    continue
                used = taken.setdefault(prompt.query_id, set())
                recorded = checked.get((prompt.query_id, drafter))
                draw = recorded.draw if recorded else next(draw for draw in count() if draw not in used)
                used.add(draw)
                jobs.append(Job(prompt=prompt, backend=name, draw=draw, recorded=recorded, draft=draft))
        return self._to_do(name, jobs)

    def _to_do(self, name: str, jobs: Sequence[Job]) -> list[Job]:
        """Returns the jobs that are not done, the others counted."""
        tally = self.tallies[name]
        for job in jobs:
            if job.recorded is not None:
                tally.n_skipped += 1
                if job.recorded.score is not None:
                    tally.score(job.recorded.score)
        left = [job for job in jobs if job.recorded is None or job.recorded.score is None]
        tally.n_left = sum(job.recorded is None for job in left)
        return left

    def _n_at_once(self, name: str) -> int:
        most = self._askers[name].spec.limits.concurrency
        return most if self._max_at_once is None else min(most, self._max_at_once)

    async def _work(self, name: str, jobs: Iterator[Job]) -> None:
        tally = self.tallies[name]
        for job in jobs:
            if self.is_spent or tally.given_up:
                return
            if job.recorded is None:
                await self._ask(job)
            else:
                await self._grade_again(job, job.recorded)
            self.on_done()

    async def _ask(self, job: Job) -> None:
        """Asks, grades and writes one answer; it is written even if its grading fails or is cancelled."""
        tally = self.tallies[job.backend]
        try:
            completion = await self._askers[job.backend].ask(self._query(job))
        except BackendError as error:
            self._note_failure(job, error)
            return
        self._failures_in_a_row[job.backend] = 0
        tally.n_left -= 1
        tally.n_asked += 1
        tally.n_estimated += completion.usage.is_estimated
        score: float | None = None
        try:
            score = await self._score(job, completion)
        finally:
            self._out.append(replace(trace_of(job, completion), score=score))

    async def _grade_again(self, job: Job, recorded: Trace) -> None:
        """Grades an answer that an earlier run wrote without a score."""
        score = await self._score(job, Completion(text=recorded.response or "", logprobs=recorded.logprobs))
        if score is not None:
            self._out.grade(job.key, score)

    async def _score(self, job: Job, completion: Completion) -> float | None:
        """Returns the score of an answer; None where it cannot be graded, which is counted."""
        tally = self.tallies[job.backend]
        try:
            score = await self._grader_of(job.prompt).grade(job.prompt, completion)
        except (BackendError, TraceError) as error:
            tally.n_ungraded += 1
            tally.note(f"{job.prompt.query_id}: not graded: {error}")
            return None
        except asyncio.CancelledError:
            tally.n_ungraded += 1
            raise
        tally.score(score)
        return score

    def _query(self, job: Job) -> Query:
        seed, params = self._params.get("seed"), self._params
        if job.draw and isinstance(seed, int):
            params = {**params, "seed": seed + job.draw}  # or all draws were the same
        query = job.prompt.as_query(params)
        return query if job.draft is None else replace(query, draft=job.draft.response)

    def _note_failure(self, job: Job, error: BackendError) -> None:
        tally = self.tallies[job.backend]
        tally.n_left -= 1
        tally.n_failed += 1
        tally.note(f"{job.prompt.query_id}: {str(error).removeprefix(f'{job.backend}: ')}")
        if isinstance(error, AuthenticationFailed):
            tally.given_up = "the key is refused"
        if error.retryable:  # a refusal is about one prompt
            self._failures_in_a_row[job.backend] += 1
        if self._failures_in_a_row[job.backend] >= _MOST_FAILURES_IN_A_ROW:
            tally.given_up = f"{_MOST_FAILURES_IN_A_ROW} prompts in a row failed"

    def _count(self) -> None:
        for name, asker in self._askers.items():
            self.tallies[name].cost_usd = asker.spent_usd
            self.tallies[name].n_retries = asker.n_retries


def trace_of(job: Job, completion: Completion) -> Trace:
    """Returns the row of an answer, not graded yet."""
    prompt, usage = job.prompt, completion.usage
    return Trace(
        query_id=prompt.query_id,
        query=prompt.query,
        messages=prompt.messages,
        backend=job.backend,
        draw=job.draw,
        draft_of=job.draft.backend if job.draft else "",
        cost_usd=completion.cost_usd,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        latency_s=completion.latency_s,
        response=completion.text.encode("utf-8", "replace").decode(),  # half surrogate pairs fit no file
        logprobs=_bounded(completion.logprobs, -_MOST, 0.0),
        reasoning_logprobs=_bounded(completion.reasoning_logprobs, -_MOST, 0.0),
        entropies=_bounded(completion.entropies, 0.0, _MOST),
        margins=_bounded(completion.margins, 0.0, _MOST),
        task=prompt.task,
        dataset=prompt.dataset,
        split=prompt.split,
        group=prompt.group,
    )


def _bounded(values: Sequence[float] | None, lowest: float, highest: float) -> tuple[float, ...] | None:
    """Returns them as JSON can hold them; None where one is not a number."""
    if values is None or any(math.isnan(value) for value in values):
        return None
    return tuple(min(max(value, lowest), highest) for value in values)
