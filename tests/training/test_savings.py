"""What a log tells of choices that were not made."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from penstock.backends import FakeBackend, Query
from penstock.router import Policy, Pool, Router
from penstock.router.cli import main
from penstock.router.config import read_config
from penstock.router.settings import open_pool
from penstock.training import TraceError
from penstock.training.log import read_log
from penstock.training.savings import Savings, savings

MODELS = """
policies:
  auto: {objective: cheapest_above, quality: 0.6}
  best: {objective: utility, lam: 0}
backends:
  small: {type: fake, tier: small, price: {input: 0.1, output: 0.4}}
  lrm: {type: fake, tier: lrm, price: {input: 2, output: 8}}
"""
N, SHARE = 500, 0.25


def simulate(folder: Path, *, content: bool = True, seed: int = 0, share: float = SHARE) -> tuple[Path, float, float]:
    """Returns a log of a router that sends short queries to `small` and long ones to `lrm`, and the true mean score
    and cost of always asking `lrm`.
    """
    rng = np.random.default_rng(seed)
    lines, scores, costs = [], [], []
    for number in range(N):
        difficulty = rng.uniform()
        served, other = ("lrm", "small") if difficulty > 0.7 else ("small", "lrm")
        outcome = {
            "small": (float(rng.uniform() > difficulty), 0.0001),
            "lrm": (float(rng.uniform() > 0.3 * difficulty), 0.001 * (1 + 3 * difficulty)),
        }
        text = f"Question {number}"
        calls = [(served, 0, True, 1.0)]
        if rng.uniform() < share:
            calls.append((other, None, False, share))
        for backend, step, is_final, propensity in calls:
            record: dict[str, Any] = {
                "query_id": f"t{number}",
                "backend": backend,
                "policy": "auto",
                "step": step,
                "final": is_final,
                "propensity": propensity,
                "cost_usd": outcome[backend][1],
                "error": None,
            }
            if content:
                record |= {"messages": [{"role": "user", "content": text}], "response": "an answer"}
            lines.append(record)
            if not is_final or rng.uniform() < 0.5:  # users grade half of what they get
                lines.append({"query_id": f"t{number}", "backend": backend, "score": outcome[backend][0]})
        scores.append(outcome["lrm"][0])
        costs.append(outcome["lrm"][1])
    lines.append({"query_id": "refused", "backend": None, "policy": None, "final": False, "error": "overloaded"})
    folder.mkdir(exist_ok=True)
    (folder / "traces.jsonl").write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    return folder, float(np.mean(scores)), float(np.mean(costs))


def pool_of(folder: Path) -> Pool:
    """Returns a cold pool over the two backends."""
    (folder / "models.yaml").write_text(MODELS)
    return open_pool(read_config(folder / "models.yaml"))


def holds(found: Savings, name: str, score: float, cost_usd: float) -> tuple[bool, bool]:
    """Returns whether the intervals of a choice hold the truth."""
    choice = next(choice for choice in found.choices if choice.name == name)
    assert choice.score is not None
    estimates = (choice.score.best, score), (choice.cost_usd.best, cost_usd)
    return tuple(interval.low <= truth <= interval.high for interval, truth in estimates)  # type: ignore[return-value]  # two


@pytest.mark.parametrize("content", [True, False])
def test_the_truth_of_what_was_not_asked_is_within_the_intervals(tmp_path: Path, content: bool) -> None:
    pool, n_logs = pool_of(tmp_path), 6
    hits = np.zeros(2)
    for seed in range(n_logs):
        log, score, cost = simulate(tmp_path / "log", content=content, seed=seed)
        hits += holds(savings(read_log([log]), pool), "always lrm", score, cost)
    assert (hits >= n_logs - 1).all()  # two misses of 95 % intervals in six happen in one of 30 experiments


def test_what_was_served_is_known_and_held_against_the_best(tmp_path: Path) -> None:
    log, _, cost = simulate(tmp_path / "log")
    found = savings(read_log([log]), pool_of(tmp_path))
    served = found.choices[0]
    assert (found.n_requests, found.n_unanswered, found.reference) == (N, 1, "always lrm")
    assert served.name == "served"
    assert served.cost_usd.best.value == served.cost_usd.inverse.value
    assert served.cost_usd.evidence == N
    assert served.saving is not None
    assert served.gain is not None
    assert served.saving.low < 1 - served.cost_usd.best.value / cost < served.saving.high
    assert served.gain.high < 0.05


def test_a_policy_is_replayed_where_the_log_holds_every_call_that_it_makes(tmp_path: Path) -> None:
    log, *_ = simulate(tmp_path / "log")
    pool = pool_of(tmp_path)
    found = savings(read_log([log]), pool, policies=[Policy(name="dear", allow=("lrm",))], against="small")
    dear, always = (next(c for c in found.choices if c.name == name) for name in ("policy dear", "always lrm"))
    assert found.reference == "always small"
    assert dear.score is not None
    assert always.score is not None
    for ours, theirs in ((dear.score, always.score), (dear.cost_usd, always.cost_usd)):
        assert ours.evidence == theirs.evidence
        assert ours.best.value == pytest.approx(theirs.best.value)


def test_a_policy_is_replayed_as_it_would_judge_a_conversation(tmp_path: Path) -> None:
    log, *_ = simulate(tmp_path / "log")
    traces = log / "traces.jsonl"
    said = [("user", "Hi."), ("assistant", "Here are 12 proofs that sqrt(2) is irrational. " * 90), ("user", "Thanks!")]
    messages = [{"role": role, "content": text} for role, text in said]
    rows = [orjson.loads(line) for line in traces.read_bytes().splitlines()]
    rows = [row | {"messages": messages} if "messages" in row else row for row in rows]
    traces.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    pool, query = pool_of(tmp_path), Query.from_messages(messages)
    judged, all_of_it = pool.estimate_query(query).quality[0], pool.estimate(query.text).quality[0]
    policy = Policy(name="bar", objective="cheapest_above", quality=(judged + all_of_it) / 2, max_calls=1)
    wanted = pool.decide(query, policy).backend
    found = {choice.name: choice for choice in savings(read_log([log]), pool, policies=[policy]).choices}
    assert found["policy bar"].cost_usd.inverse == found[f"always {wanted}"].cost_usd.inverse


def test_policies_that_cannot_be_replayed_as_some_queries_are_missing_are_told_of(tmp_path: Path) -> None:
    log, *_ = simulate(tmp_path / "log")
    traces = log / "traces.jsonl"
    rows = [orjson.loads(line) for line in traces.read_bytes().splitlines()]
    rows = [row | {"messages": None} if "messages" in row and row["query_id"] == "t3" else row for row in rows]
    traces.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    found = savings(read_log([log]), pool_of(tmp_path), policies=[Policy(name="dear", allow=("lrm",))])
    assert "policy dear" not in {choice.name for choice in found.choices}
    assert (
        "The log holds no query of 1 of the requests, so there is no model, and no policy can be replayed."
        in found.notes
    )


def test_without_shadow_calls_there_is_nothing_to_hold_it_against(tmp_path: Path) -> None:
    log, *_ = simulate(tmp_path / "log", share=0.0)
    found = savings(read_log([log]), pool_of(tmp_path))
    always = next(choice for choice in found.choices if choice.name == "always lrm")
    assert always.cost_usd.support < 0.5  # the hard ones alone
    with pytest.raises(TraceError, match="the log holds no answer of 'huge'; expected one of small, lrm"):
        savings(read_log([log]), pool_of(tmp_path), against="huge")


def test_the_command_tells_it_with_intervals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, *_ = simulate(tmp_path / "log")
    pool_of(tmp_path)
    words = ["savings", str(log), "--models", str(tmp_path / "models.yaml"), "--policy", "best", "--quiet"]
    assert main([*words]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{N} requests answered, 1 not; ")
    assert "saved against always lrm: 0." in said
    assert main([*words, "--json"]) == 0
    told = orjson.loads(capsys.readouterr().out)
    assert set(told["choices"]) == {"served", "always small", "always lrm", "policy best"}
    assert main([*words, "--policy", "worst"]) == 1
    assert "--policy: unknown 'worst'; expected one of auto, best" in capsys.readouterr().err


def test_evaluate_leaves_out_what_the_router_learned_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, *_ = simulate(tmp_path / "log")
    folder = str(tmp_path / "artefact")
    assert main(["train", str(log), "--out", folder, "--classifier", "mean", "--no-report", "--quiet"]) == 0
    capsys.readouterr()
    assert main(["evaluate", folder, str(log), "--json", "--quiet"]) == 0
    told = orjson.loads(capsys.readouterr().out)["savings"]
    assert told["requests"] < N
    [note] = [note for note in told["notes"] if "left out" in note]
    assert note == f"Of the log, {N - told['requests']:,} graded requests are left out that training on it learns from."
    assert main(["evaluate", folder, str(log), "--split", "all", "--json", "--quiet"]) == 0
    assert orjson.loads(capsys.readouterr().out)["savings"]["requests"] == N


def test_leaving_every_request_out_is_refused(tmp_path: Path) -> None:
    log = read_log([simulate(tmp_path / "log")[0]])
    with pytest.raises(TraceError, match="no request that was not learned from"):
        log.without([request.query_id for request in log.requests])


def test_the_log_of_a_router_with_shadow_calls_is_read_as_it_is(tmp_path: Path) -> None:
    text = MODELS + "traces: {folder: log}\nshadow: {share: 1, max_usd_per_day: 10}\n"
    (tmp_path / "models.yaml").write_text(text)

    async def run() -> None:
        backends = {"small": FakeBackend(answer="no"), "lrm": FakeBackend(lambda query: query.text)}
        router = Router.from_config(tmp_path / "models.yaml", backends=backends)
        router.live_on(asyncio.get_running_loop())
        for number in range(40):
            answer = await router.answer(Query.from_text(f"Say {number}"), "auto")
            router.feedback(answer.trace_id, 0.5)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            router.feedback(answer.trace_id, 1.0, backend="lrm" if answer.backend == "small" else "small")
        await router.aclose()

    asyncio.run(run())
    found = savings(read_log([tmp_path / "log"]), pool_of(tmp_path))
    served, *others = found.choices
    assert (found.n_requests, found.n_graded, found.n_shadow_calls) == (40, 80, 40)
    assert served.score is not None
    assert served.score.best.value == 0.5
    assert {choice.cost_usd.evidence for choice in others} == {40.0}


def test_calls_that_came_to_no_answer_are_paid_for_and_tell_nothing_of_a_backend(tmp_path: Path) -> None:
    call = {"policy": "auto", "propensity": 1.0, "error": None, "query_id": "t"}
    said = {"messages": [{"role": "user", "content": "Why?"}], "final": False}
    broken_off = {"backend": "lrm", "cost_usd": 0.0625, "given_up": True}
    lines: list[dict[str, Any]] = [
        call | said | broken_off | {"step": 0},  # held back, and given up
        call | said | {"backend": "small", "step": 1, "final": True, "cost_usd": 0.5, "response": "So."},
        call | said | {"backend": "small", "step": 2, "cost_usd": 0.25, "given_up": True},  # hedged
        call | {"backend": "lrm", "step": 3, "final": False, "cost_usd": 0.125, "judged": "small", "verdict": None},
        call | {"backend": "lrm", "step": 4, "final": False, "cost_usd": 1.0, "judged": "small", "verdict": 0.5},
    ]
    (tmp_path / "traces.jsonl").write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    log = read_log([tmp_path])
    [request] = log.requests
    assert request.cost_usd == 0.0625 + 0.5 + 0.25 + 0.125 + 1.0
    assert request.find("lrm") is None
    assert {choice.name for choice in savings(log, pool_of(tmp_path)).choices} == {"served", "always small"}


def test_a_log_without_an_answered_request_is_refused(tmp_path: Path) -> None:
    (tmp_path / "traces.jsonl").write_text('{"query_id": "q", "query": "Why?", "backend": "small", "score": 1}\n')
    with pytest.raises(TraceError, match="no answered request; expected the log of a running router"):
        read_log([tmp_path])
