"""Judges: what their verdicts teach, and whether they are asked for one."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import httpx
import numpy as np
import orjson
import pytest

from penstock.backends import BackendSpec, Completion, FakeBackend, Query, ServerFailed
from penstock.classifiers import Trained, load_artefact, save_artefact
from penstock.classifiers.verdict import Jury
from penstock.router import Config, Policy, Pool, Router, Wishes
from penstock.router.cli import main
from penstock.router.server import Sidecar
from penstock.router.sink import JsonlSink
from penstock.training import Dataset, Replayer, Trace, build_dataset, fit, read_traces, split_queries, write_traces
from penstock.training.dataset import recorded_verdict
from penstock.training.log import read_log
from penstock.training.replay import Replayed
from penstock.training.rows import Verdict

from ..router.serving import serving
from .in_words import traces_in_words

POLICY = Policy(name="auto", lam=40.0, judge="referee")
FEE_USD = 0.00005


def judged(rows: list[Trace], accuracy: float, *, seed: int = 1, fee_usd: float = FEE_USD) -> list[Trace]:
    """Returns the rows with the verdicts of a referee who is right so often."""
    rng = random.Random(seed)
    found = []
    for row in rows:
        is_seen = rng.random() < accuracy
        right = 0.9 if (row.score == 1) == is_seen else 0.1
        found.append(replace(row, verdicts=(Verdict(judge="referee", right=right, cost_usd=fee_usd),)))
    return found


@dataclass(frozen=True)
class Refereed:
    """A router that learned from judged answers, and others to try it on."""

    trained: Trained
    test: Dataset

    @property
    def jury(self) -> Jury:
        assert self.trained.escalation.jury is not None
        return self.trained.escalation.jury

    def replay(self, policy: Policy = POLICY) -> list[Replayed]:
        return list(Replayer(Pool({}, self.trained), self.test).run(policy))

    def utility(self, policy: Policy = POLICY) -> float:
        found = Replayer(Pool({}, self.trained), self.test).outcome(policy)
        return float((found.score - policy.lam * found.cost_usd).mean())


def refereed(accuracy: float, **changes: float) -> Refereed:
    """Returns a router that learned from a referee who is right so often, agreement on meaning apart."""
    dataset = build_dataset(judged(traces_in_words(220, seed=4), accuracy, **changes))  # type: ignore[arg-type]  # a fee
    split = split_queries(dataset, seed=0)
    trained = fit(dataset, split, classifier="mean", seed=0).trained
    return Refereed(replace(trained, escalation=replace(trained.escalation, meaning=None)), dataset.take(split.test))


@pytest.fixture(scope="module")
def good() -> Refereed:
    return refereed(0.9)


def verdicts_in(found: list[Replayed]) -> int:
    """Returns how many verdicts were asked for."""
    return sum(step.judged is not None for each in found for step in each.outcome.steps)


def test_what_a_judge_tells_is_learned_as_it_is(good: Refereed) -> None:
    if_right, if_wrong = good.jury.hits[0]
    assert if_right == pytest.approx(0.9, abs=0.05)
    assert if_wrong == pytest.approx(0.1, abs=0.06)
    assert good.jury.odds("referee", 0.9) == pytest.approx(9, rel=0.5)
    assert good.jury.odds("referee", 0.1) == pytest.approx(1 / 9, rel=0.5)
    assert good.jury.mean_cost_usd[0] == pytest.approx(FEE_USD)


def test_a_judge_who_tells_nothing_is_not_listened_to() -> None:
    assert refereed(0.5).trained.escalation.jury is None


def test_a_verdict_is_bought_where_it_pays(good: Refereed) -> None:
    assert verdicts_in(good.replay()) > len(good.replay()) / 2
    assert good.utility() > good.utility(replace(POLICY, judge="")) + 0.02


def test_no_verdict_is_bought_that_costs_more_than_it_brings() -> None:
    dear = refereed(0.9, fee_usd=0.01)
    assert dear.jury.mean_cost_usd[0] == pytest.approx(0.01)
    assert verdicts_in(dear.replay()) == 0


def test_no_verdict_is_bought_that_changes_nothing(good: Refereed) -> None:
    assert verdicts_in(good.replay(replace(POLICY, max_calls=1))) == 0
    assert verdicts_in(good.replay(replace(POLICY, allow=("small",), max_calls=5))) == 0


def test_no_verdict_is_asked_for_without_a_judge_in_the_policy(good: Refereed) -> None:
    assert verdicts_in(good.replay(replace(POLICY, judge=""))) == 0
    assert verdicts_in(good.replay(replace(POLICY, judge="nobody"))) == 0


def test_verdicts_are_paid_for_and_stand_in_the_path(good: Refereed) -> None:
    costs = dict(zip(good.test.backends, good.test.cost_usd[0], strict=True))
    for each in good.replay():
        answers = [step for step in each.outcome.steps if step.judged is None]
        fees = [step.cost_usd for step in each.outcome.steps if step.judged is not None]
        assert each.outcome.cost_usd == pytest.approx(sum(costs[step.backend] for step in answers) + sum(fees))
        assert each.outcome.path.count("referee?") == len(fees)
        assert each.outcome.step.judged is None


def test_a_verdict_whose_cost_was_not_recorded_is_charged_as_expected(good: Refereed) -> None:
    test = good.test
    answers = test.answers.copy()
    for place, trace in np.ndenumerate(answers):
        answers[place] = replace(trace, verdicts=tuple(replace(each, cost_usd=None) for each in trace.verdicts))
    found = Refereed(good.trained, replace(test, answers=answers)).replay()
    costs = [step.cost_usd for each in found for step in each.outcome.steps if step.judged is not None]
    assert verdicts_in(good.replay()) == len(costs) > 0
    assert costs == pytest.approx([FEE_USD] * len(costs))


def test_verdicts_are_read_from_rows_of_their_own(tmp_path: Path) -> None:
    rows = judged(traces_in_words(5, seed=0), 1.0)
    write_traces(rows, tmp_path / "t.jsonl")
    written = [orjson.loads(line) for line in (tmp_path / "t.jsonl").read_bytes().splitlines()]
    assert {"judged", "verdict"} <= written[1].keys()
    assert len(written) == 2 * len(rows)
    assert read_traces([tmp_path / "t.jsonl"]).rows == tuple(rows)


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_verdicts_are_read_from_tables_too(name: str, tmp_path: Path) -> None:
    rows = judged(traces_in_words(5, seed=0), 1.0)
    write_traces(rows, tmp_path / "t.jsonl")
    with duckdb.connect() as connection:
        table = connection.read_json(str(tmp_path / "t.jsonl"))
        (table.write_csv if name.endswith("csv") else table.write_parquet)(str(tmp_path / name))
    assert [row.verdicts for row in read_traces([tmp_path / name]).rows] == [row.verdicts for row in rows]


BAD = {
    '{"query_id": "1", "backend": "referee", "judged": "a", "verdict": 1.5}': "column verdict: 1.5; expected a number",
    '{"query_id": "1", "backend": "referee", "judged": "b", "verdict": 1}': "column judged: no other row has",
    '{"query_id": "1", "judged": "a", "verdict": 1}': "column backend: missing",
}


@pytest.mark.parametrize("row", BAD)
def test_a_verdict_that_cannot_be_is_refused(row: str, tmp_path: Path) -> None:
    answer = '{"query_id": "1", "query": "2 + 2?", "backend": "a", "score": 1}\n'
    (tmp_path / "t.jsonl").write_text(answer + row + "\n")
    with pytest.raises(Exception, match="line 2") as caught:
        read_traces([tmp_path / "t.jsonl"])
    assert BAD[row] in str(caught.value)


# Live


def routers(good: Refereed, tmp_path: Path, judge: Callable[[Query], object]) -> Router:
    """Returns a router over the recorded answers, with a referee."""
    names = (*good.test.backends, "referee")
    specs = {name: BackendSpec(name=name, type="fake") for name in names}
    recorded = {
        (name, text): good.test.completion(row, column)
        for row, text in enumerate(good.test.texts)
        for column, name in enumerate(good.test.backends)
    }
    backends = {
        name: FakeBackend(specs[name], answer=lambda query, name=name: recorded[name, query.text])  # type: ignore[misc]
        for name in good.test.backends
    }
    policies = {"auto": replace(POLICY, allow=good.test.backends)}
    config = Config(
        path=tmp_path / "models.yaml", backends=specs, policies=policies, default_policy="auto", artefact=None
    )
    backends["referee"] = FakeBackend(specs["referee"], answer=judge)  # type: ignore[arg-type]  # a completion or an error
    return Router(config, Pool(specs, good.trained), backends=backends, sink=JsonlSink(tmp_path / "log"))


def by_record(good: Refereed) -> Callable[[Query], Completion]:
    """Returns the referee who says what was recorded of an answer."""

    def judge(query: Query) -> Completion:
        for row, text in enumerate(good.test.texts):
            for trace in good.test.answers[row]:
                if f"\n{text}\n" in query.text and f"\n{trace.response}\n" in query.text:
                    return recorded_verdict(trace, "referee") or Completion(text="?")
        raise AssertionError(query.text)

    return judge


def test_a_live_run_asks_for_the_same_verdicts_as_its_replay_and_logs_them(good: Refereed, tmp_path: Path) -> None:
    replayed = good.replay()[:20]
    with routers(good, tmp_path, by_record(good)) as router:
        answers = [router.ask(good.test.texts[each.query]) for each in replayed]
    assert [answer.path for answer in answers] == [each.outcome.path for each in replayed]
    assert [a.confidence for a in answers] == pytest.approx([each.outcome.step.confidence for each in replayed])
    assert [a.cost_usd for a in answers] == pytest.approx([each.outcome.cost_usd for each in replayed])
    logged = [orjson.loads(line) for line in (tmp_path / "log" / "traces.jsonl").read_bytes().splitlines()]
    assert sum(row["cost_usd"] for row in logged) == pytest.approx(sum(answer.cost_usd for answer in answers))
    rows = read_log([tmp_path / "log"]).requests
    assert sum(request.cost_usd for request in rows) == pytest.approx(sum(answer.cost_usd for answer in answers))
    n_verdicts = sum(len(call.verdicts) for request in rows for call in request.calls)
    assert n_verdicts == sum(step.judged is not None for answer in answers for step in answer.steps) > 5


def test_where_no_verdict_was_given_none_is_logged_nor_read_back(good: Refereed, tmp_path: Path) -> None:
    with routers(good, tmp_path, lambda _: Completion(text="Hard to say.")) as router:
        for text in good.test.texts[:5]:
            router.ask(text)
    logged = [orjson.loads(line) for line in (tmp_path / "log" / "traces.jsonl").read_bytes().splitlines()]
    assert {row["verdict"] for row in logged if "judged" in row} == {None}
    calls = [call for request in read_log([tmp_path / "log"]).requests for call in request.calls]
    assert calls
    assert not any(call.verdicts for call in calls)


@pytest.mark.parametrize("says", [ServerFailed("down"), Completion(text="Hard to say.")])
def test_a_judge_who_fails_fails_no_request(good: Refereed, tmp_path: Path, says: object) -> None:
    with routers(good, tmp_path, lambda _: says) as router:
        answers = [router.ask(text) for text in good.test.texts[:20]]
    seen = [step for answer in answers for step in answer.steps if step.judged is not None]
    assert len(seen) > 1
    assert all(answer.text and answer.outcome.step.judged is None for answer in answers)
    assert max(answer.path.count("referee?") for answer in answers) == 1  # and is not asked again


def test_a_judge_whom_the_caller_does_not_want_is_not_asked(good: Refereed, tmp_path: Path) -> None:
    with routers(good, tmp_path, lambda _: Completion(text="yes")) as router:
        for wishes in (Wishes(deny=("referee",)), Wishes(allow=("small", "mid", "lrm"))):
            assert "referee" not in router.ask(good.test.texts[0], wishes=wishes).path
        assert "referee?" in " ".join(router.ask(text).path for text in good.test.texts[:5])


def test_route_tells_of_the_judge(good: Refereed, tmp_path: Path) -> None:
    with routers(good, tmp_path, lambda _: Completion(text="yes")) as router:
        told = router.route(good.test.texts[0]).explain()
    assert "referee may be asked whether an answer is right, for $0.000050: it says yes of 9" in told


def test_check_tells_of_a_judge_of_whom_nothing_is_known(
    good: Refereed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_artefact(good.trained, tmp_path / "artefact", training_data_sha256="", seed=0, metrics={})
    assert load_artefact(tmp_path / "artefact")[0].escalation.jury is not None
    backends = "".join(f"  {name}: {{type: fake}}\n" for name in (*good.test.backends, "referee"))
    for judge, is_told in (("referee", False), ("small", True)):
        models = f"artefact: artefact\npolicies: {{auto: {{judge: {judge}}}}}\nbackends:\n{backends}"
        (tmp_path / "models.yaml").write_text(models)
        assert main(["check", str(tmp_path / "models.yaml")]) == 0
        assert ("no trace tells what verdicts of small are worth" in capsys.readouterr().out) is is_told


def test_a_streamed_answer_waits_for_its_verdict(good: Refereed, tmp_path: Path) -> None:
    with routers(good, tmp_path, by_record(good)) as router:
        for text in good.test.texts[:8]:
            *pieces, last = router.stream(text)
            assert last.answer is not None
            assert "".join(piece.text for piece in pieces) == last.answer.text
            assert last.answer.path == router.ask(text).path


def test_the_sidecar_tells_of_verdicts_and_takes_none_for_an_escalation(good: Refereed, tmp_path: Path) -> None:
    body = {"model": "auto", "messages": [{"role": "user", "content": good.test.texts[0]}]}
    with (
        routers(good, tmp_path, lambda _: Completion(text="yes")) as router,
        serving(Sidecar(router)) as url,
    ):
        told = httpx.post(f"{url}/v1/chat/completions", json=body).json()["penstock"]
        seen = httpx.get(f"{url}/v1/activity").json()
        metrics = httpx.get(f"{url}/metrics").text
    answering, judge = told["steps"]
    assert told["path"] == f"{answering['backend']}>referee?"
    assert (answering["judged"], judge["judged"]) == (None, answering["backend"])
    assert [call["judged"] for call in seen["requests"][0]["calls"]] == [None, answering["backend"]]
    assert seen["totals"]["escalated"] == 0
    assert 'penstock_moves_total{kind="escalate"}' not in metrics
    assert 'penstock_calls_total{backend="referee",result="ok"} 1' in metrics


def test_replay_writes_whose_answer_a_call_judged(good: Refereed, tmp_path: Path) -> None:
    save_artefact(good.trained, tmp_path / "artefact", training_data_sha256="", seed=0, metrics={})
    write_traces(judged(traces_in_words(40, seed=9), 0.9), tmp_path / "t.jsonl")
    backends = "".join(f"  {name}: {{type: fake}}\n" for name in (*good.test.backends, "referee"))
    models = f"policies: {{auto: {{lam: 40, judge: referee, deny: [referee]}}}}\nbackends:\n{backends}"
    (tmp_path / "models.yaml").write_text(models)
    names = ("artefact", "t.jsonl", "models.yaml", "calls.csv")
    artefact, traces, config, out = (str(tmp_path / name) for name in names)
    assert main(["replay", artefact, traces, "--models", config, "--out", out, "--split", "all", "--quiet"]) == 0
    with (tmp_path / "calls.csv").open() as file:
        calls = list(csv.DictReader(file))
    verdicts = [call for call in calls if call["judged"]]
    assert verdicts
    assert {call["backend"] for call in verdicts} == {"referee"}
    assert {call["judged"] for call in verdicts} <= set(good.test.backends)
    assert not any(call["backend"] == "referee" for call in calls if not call["judged"])
