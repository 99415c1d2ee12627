"""Collecting: each answer asked for once, whatever fails on the way."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from penstock.backends import (
    AuthenticationFailed,
    Backend,
    BackendSpec,
    BackendUnreachable,
    Completion,
    FakeBackend,
    InvalidRequest,
    Limits,
    Query,
    Usage,
    create_backend,
)
from penstock.backends.retries import Retries
from penstock.router import read_config
from penstock.router.cli import main
from penstock.training import TraceError, read_traces
from penstock.training.collect import Collector
from penstock.training.collecting.asker import Asker
from penstock.training.collecting.trace_file import open_trace_file
from penstock.training.graders import Grader, create_grader
from penstock.training.graders.numeric import NumericGrader
from penstock.training.prompts import Prompt

from ..backends.loopback import Asked, Canned, Loopback
from .collecting import (
    SumServer,
    answer_to,
    fails_at_random,
    keys_of,
    lines_of,
    prompts_of,
    rows_in,
    sums,
    write_models,
    write_rows,
)

QUICK = Retries(most=2, first_s=0.001, longest_s=0.01)


def nobody(name: str) -> Callable[[Query], Awaitable[Completion]]:
    raise AssertionError(name)


def asker(backend: Backend, retries: Retries = QUICK) -> Asker:
    most = backend.spec.limits.concurrency
    return Asker(backend, slots=asyncio.Semaphore(most), retries=retries, rng=random.Random(0))


def collect(
    path: Path,
    *backends: Backend,
    n: int = 5,
    grader: Grader | None = None,
    draws: int = 1,
    params: dict[str, object] | None = None,
    max_at_once: int | None = None,
    max_cost_usd: float | None = None,
    is_cancelled_when: Callable[[], bool] | None = None,
) -> Collector:
    """Collects n sums from backends into a file and returns the collector."""
    used = grader or NumericGrader("", nobody)

    async def run() -> None:
        task = asyncio.create_task(collector.run())
        while is_cancelled_when is not None and not task.done():
            await asyncio.sleep(0.001)
            if is_cancelled_when():
                task.cancel()
        await task

    with open_trace_file(path) as out:
        collector = Collector(
            prompts_of(sums(n)),
            {backend.spec.name: asker(backend) for backend in backends},
            out,
            grader_of=lambda prompt: used,
            draws=draws,
            params=params,
            max_at_once=max_at_once,
            max_cost_usd=max_cost_usd,
        )
        try:
            asyncio.run(run())
        except asyncio.CancelledError:
            assert is_cancelled_when is not None
    return collector


# A server that fails at random


def test_every_answer_comes_once_from_a_server_that_fails_at_random(tmp_path: Path) -> None:
    fail, n_hung_up = fails_at_random(7), 0

    def fail_and_count(asked: Asked) -> Canned | None:
        nonlocal n_hung_up
        try:
            return fail(asked)
        except ConnectionResetError:
            n_hung_up += 1
            raise

    server, path = SumServer(fail_and_count), tmp_path / "traces.jsonl"
    grader = NumericGrader("", nobody)

    async def run() -> Collector:
        async with Loopback(server) as loopback:
            backends = [
                create_backend(spec) for spec in read_config(write_models(tmp_path, loopback.url)).backends.values()
            ]
            with open_trace_file(path) as out:
                collector = Collector(
                    prompts_of(sums(40)),
                    {each.spec.name: asker(each, Retries(most=30, first_s=0.002, longest_s=0.01)) for each in backends},
                    out,
                    grader_of=lambda prompt: grader,
                    draws=2,
                    params={"seed": 100},
                )
                await collector.run()
            for each in backends:
                await each.aclose()
            # Where a server hangs up on a kept connection, the client asks anew without a word.
            n_more = len(loopback.asked) - 160 - sum(tally.n_retries for tally in collector.tallies.values())
            assert 0 <= n_more <= n_hung_up
        return collector

    collector = asyncio.run(run())
    assert all(tally.n_failed == tally.n_left == 0 < tally.n_retries for tally in collector.tallies.values())
    rows = lines_of(path)
    wanted = [(i, name, draw) for i in range(40) for name in ("small", "large") for draw in (0, 1)]
    assert keys_of(rows) == {(f"q{i}", name, draw): 1 for i, name, draw in wanted}
    assert server.served == {(name, sums(40)[i]["query"], 100 + draw): 1 for i, name, draw in wanted}


@pytest.mark.parametrize("seed", [1, 2])
def test_runs_without_retries_complete_each_other(
    tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    server = SumServer(fails_at_random(seed))
    prompts, out = write_rows(tmp_path / "prompts.jsonl", sums(30)), tmp_path / "traces.jsonl"

    async def run() -> list[int]:
        codes: list[int] = []
        async with Loopback(server) as loopback:
            models = write_models(tmp_path, loopback.url)
            words = ["collect", str(prompts), "--models", str(models), "--out", str(out), "--quiet", "--retries", "0"]
            while not codes or (codes[-1] and len(codes) < 40):
                before = server.served.total()
                codes.append(await asyncio.to_thread(main, [*words, "--json"]))
                told = json.loads(capsys.readouterr().out)
                assert sum(each["asked"] for each in told["backends"]) == server.served.total() - before
                assert sum(each["asked"] + each["skipped"] + each["failed"] for each in told["backends"]) == 60
                assert (codes[-1] == 1) == any(each["failed"] for each in told["backends"])
        return codes

    codes = asyncio.run(run())
    assert codes[-1] == 0
    assert len(codes) > 2
    assert server.served.total() == len(server.served) == len(lines_of(out)) == 60
    assert set(keys_of(lines_of(out)).values()) == {1}


def test_what_was_collected_trains_a_router(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server = SumServer()
    prompts, out = write_rows(tmp_path / "prompts.jsonl", sums(60)), tmp_path / "traces.jsonl"

    async def run() -> int:
        async with Loopback(server) as loopback:
            models = write_models(tmp_path, loopback.url)
            words = ["collect", str(prompts), "--models", str(models), "--out", str(out), "--grader", "numeric"]
            return await asyncio.to_thread(main, [*words, "--quiet"])

    assert asyncio.run(run()) == 0
    rows = read_traces([out]).rows
    assert {row.score for row in rows if row.backend == "large"} == {1.0}
    assert {row.score for row in rows if row.backend == "small"} == {0.0, 1.0}
    assert {row.cost_usd for row in rows} == {30e-6, 300e-6}
    assert all(row.latency_s and row.response and row.input_tokens == 10 for row in rows)
    artefact = tmp_path / "artefact"
    models = str(tmp_path / "models.yaml")
    assert main(["train", str(out), "--models", models, "--out", str(artefact), "--no-report", "--quiet"]) == 0
    assert (artefact / "weights.safetensors").is_file()


# Once


def test_what_is_there_is_not_asked_again(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    collect(path, FakeBackend(answer_to), n=3)
    backend = FakeBackend(answer_to)
    tally = collect(path, backend, n=5, draws=2).tallies["fake"]
    assert len(backend.queries) == 7
    assert (tally.n_asked, tally.n_skipped, tally.n_left) == (7, 3, 0)
    assert tally.mean_score == 1
    assert keys_of(lines_of(path)) == {(f"q{i}", "fake", draw): 1 for i in range(5) for draw in (0, 1)}


def test_a_failure_is_not_written_and_asked_again_by_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    refusing = FakeBackend(lambda query: InvalidRequest("no") if query.id == "q1" else answer_to(query))
    tally = collect(path, refusing, n=3).tallies["fake"]
    assert (tally.n_asked, tally.n_failed) == (2, 1)
    assert tally.reasons == ["q1: no"]
    assert len(refusing.queries) == 3  # asking again would not help
    backend = FakeBackend(answer_to)
    collect(path, backend, n=3)
    assert [query.id for query in backend.queries] == ["q1"]


def test_failures_that_may_pass_are_asked_again(tmp_path: Path) -> None:
    n_calls = 0

    def answer(query: Query) -> Completion | BackendUnreachable:
        nonlocal n_calls
        n_calls += 1
        return BackendUnreachable("down") if n_calls < 3 else answer_to(query)

    collector = collect(tmp_path / "traces.jsonl", FakeBackend(answer), n=1)
    tally = collector.tallies["fake"]
    assert (tally.n_asked, tally.n_failed, tally.n_retries) == (1, 0, 2)


# Limits


def test_never_more_calls_at_once_than_allowed(tmp_path: Path) -> None:
    n_open = most_open = 0

    async def answer(query: Query) -> Completion:
        nonlocal n_open, most_open
        n_open += 1
        most_open = max(most_open, n_open)
        await asyncio.sleep(0.001)
        n_open -= 1
        return answer_to(query)

    spec = BackendSpec(name="fake", type="fake", limits=Limits(concurrency=3))
    collect(tmp_path / "a.jsonl", FakeBackend(spec, answer=answer), n=20)
    assert most_open == 3
    most_open = 0
    collect(tmp_path / "b.jsonl", FakeBackend(spec, answer=answer), n=20, max_at_once=2)
    assert most_open == 2


def test_a_refused_key_ends_the_asking_of_that_backend_only(tmp_path: Path) -> None:
    spec = BackendSpec(name="locked", type="fake", limits=Limits(concurrency=2))
    locked = FakeBackend(spec, answer=AuthenticationFailed("bad key"))
    collector = collect(tmp_path / "traces.jsonl", locked, FakeBackend(answer_to), n=10)
    assert collector.tallies["fake"].n_asked == 10
    tally = collector.tallies["locked"]
    assert tally.given_up == "the key is refused"
    assert tally.n_failed == len(locked.queries) <= 2
    assert tally.n_failed + tally.n_left == 10


def test_a_backend_that_is_down_is_given_up(tmp_path: Path) -> None:
    spec = BackendSpec(name="down", type="fake", limits=Limits(concurrency=1))
    tally = collect(tmp_path / "traces.jsonl", FakeBackend(spec, answer=BackendUnreachable("refused")), n=50).tallies[
        "down"
    ]
    assert (tally.n_failed, tally.n_left) == (20, 30)
    assert tally.given_up == "20 prompts in a row failed"


def test_nothing_more_is_asked_once_the_money_is_spent(tmp_path: Path) -> None:
    spec = BackendSpec(name="fake", type="fake", limits=Limits(concurrency=1))
    collector = collect(tmp_path / "traces.jsonl", FakeBackend(spec, answer=answer_to), n=10, max_cost_usd=0.0035)
    tally = collector.tallies["fake"]
    assert (tally.n_asked, tally.n_left, tally.n_failed) == (4, 6, 0)
    assert collector.spent_usd == pytest.approx(0.004)
    assert collector.is_spent
    assert len(lines_of(tmp_path / "traces.jsonl")) == 4


# Draws


def test_draws_differ_in_their_seed_only(tmp_path: Path) -> None:
    spec = BackendSpec(name="fake", type="fake", limits=Limits(concurrency=1))
    backend = FakeBackend(spec, answer=answer_to)
    collect(tmp_path / "traces.jsonl", backend, n=2, draws=2, params={"temperature": 0.7, "seed": 5})
    assert [(query.id, query.params["seed"]) for query in backend.queries] == [
        ("q0", 5),
        ("q1", 5),
        ("q0", 6),
        ("q1", 6),
    ]
    assert {query.params["temperature"] for query in backend.queries} == {0.7}


# Grading


class Waiting:
    """Never comes to a grade."""

    def __init__(self) -> None:
        self.n_waiting = 0

    def check(self, prompt: Prompt) -> None: ...

    async def grade(self, prompt: Prompt, completion: Completion) -> float:
        self.n_waiting += 1
        await asyncio.sleep(60)
        raise AssertionError("waited for too long")


def test_an_answer_whose_grading_is_cancelled_is_kept_and_graded_later(tmp_path: Path) -> None:
    path, waiting = tmp_path / "traces.jsonl", Waiting()
    collect(path, FakeBackend(answer_to), grader=waiting, is_cancelled_when=lambda: waiting.n_waiting == 5)
    assert [row.get("score") for row in lines_of(path)] == [None] * 5
    unused = FakeBackend(answer_to)
    tally = collect(path, unused).tallies["fake"]
    assert unused.queries == []
    assert (tally.n_skipped, tally.n_asked, tally.mean_score) == (5, 0, 1)
    assert {row.score for row in read_traces([path]).rows} == {1}
    assert set(rows_in(path)) == {(f"q{i}", "fake", 0) for i in range(5)}
    n_lines = len(lines_of(path))
    collect(path, unused)
    assert len(lines_of(path)) == n_lines


class Refusing:
    """Cannot grade."""

    def check(self, prompt: Prompt) -> None: ...

    async def grade(self, prompt: Prompt, completion: Completion) -> float:
        raise TraceError("no idea")


def test_an_answer_that_cannot_be_graded_is_kept_and_told(tmp_path: Path) -> None:
    tally = collect(tmp_path / "traces.jsonl", FakeBackend(answer_to), n=2, grader=Refusing()).tallies["fake"]
    assert (tally.n_asked, tally.n_failed, tally.n_ungraded, tally.mean_score) == (2, 0, 2, None)
    assert "q0: not graded: no idea" in tally.reasons
    assert len(lines_of(tmp_path / "traces.jsonl")) == 2


def test_a_judge_is_asked_with_retries_and_its_cost_told_apart(tmp_path: Path) -> None:
    n_calls = 0

    def judged(query: Query) -> Completion | BackendUnreachable:
        nonlocal n_calls
        n_calls += 1
        return BackendUnreachable("down") if n_calls % 2 else Completion(text="SCORE: 0.5", cost_usd=0.01)

    judge = asker(FakeBackend(BackendSpec(name="judge", type="fake"), answer=judged))
    grader = create_grader("judge:judge", lambda name: judge.ask)
    with open_trace_file(tmp_path / "traces.jsonl") as out:
        collector = Collector(
            prompts_of(sums(3)),
            {"fake": asker(FakeBackend(answer_to))},
            out,
            grader_of=lambda prompt: grader,
            judges={"judge": judge},
        )
        asyncio.run(collector.run())
    assert collector.judge_cost_usd == pytest.approx(0.03)
    assert collector.tallies["fake"].cost_usd == pytest.approx(0.003)
    assert collector.spent_usd == pytest.approx(0.033)
    assert collector.tallies["fake"].mean_score == 0.5


# Rows


def test_strange_completions_make_rows_that_can_be_read(tmp_path: Path) -> None:
    completions = {
        "q0": Completion(
            text="half \ud800 a pair",
            logprobs=(0.0, float("-inf")),
            entropies=(-1e-9, 0.5),
            margins=(float("inf"), 2.0),
        ),
        "q1": Completion(text="", logprobs=(float("nan"),), entropies=(float("nan"),)),
        "q2": Completion(text="7\n\u2028\0", usage=Usage(is_estimated=True), logprobs=(1e-9,)),
    }
    path = tmp_path / "traces.jsonl"
    tally = collect(path, FakeBackend(lambda query: completions[query.id]), n=3).tallies["fake"]
    assert tally.n_estimated == 1
    rows = {row.query_id: row for row in read_traces([path]).rows}
    assert rows["q0"].response == "half ? a pair"
    assert rows["q0"].logprobs == (0.0, -1e9)
    assert (rows["q0"].entropies, rows["q0"].margins) == ((0.0, 0.5), (1e9, 2.0))
    assert (rows["q1"].logprobs, rows["q1"].entropies) == (None, None)
    assert rows["q1"].score == 0
    assert rows["q2"].response == "7\n\u2028\0"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is always full")
def test_a_disk_that_takes_no_more_ends_the_run(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    path.symlink_to("/dev/full")
    backend = FakeBackend(BackendSpec(name="fake", type="fake", limits=Limits(concurrency=1)), answer=answer_to)
    with pytest.raises(TraceError, match=r"traces.jsonl: cannot be written: No space left on device"):
        collect(path, backend)
    assert len(backend.queries) == 1
