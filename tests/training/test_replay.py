"""Replay and evaluation: the cascade over recorded answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from penstock.backends import BackendSpec, FakeBackend, Query
from penstock.router import Config, Policy, Pool, Router
from penstock.router.config import DEFAULT_POLICIES
from penstock.training import Replayer, build_dataset, evaluate, read_traces
from penstock.training.curves import ALWAYS_BEST
from penstock.training.metrics import single_backends
from penstock.training.progress import Silent


@pytest.fixture(scope="module")
def replayer(demo) -> Replayer:  # type: ignore[no-untyped-def]
    return Replayer(Pool({}, demo.fitted.trained), demo.test)


def test_every_query_has_exactly_one_final_step_and_its_money_adds_up(replayer: Replayer) -> None:
    costs = replayer.dataset.cost_usd
    for replayed in replayer.run(Policy(name="auto", lam=30.0)):
        outcome = replayed.outcome
        asked = [replayer.dataset.backends.index(step.backend) for step in outcome.steps]
        assert len(set(asked)) == len(asked) <= 5
        assert outcome.cost_usd == pytest.approx(costs[replayed.query, asked].sum())
        assert outcome.step.confidence == max(step.confidence for step in outcome.steps)


def test_a_huge_lam_asks_only_the_cheapest_and_a_small_one_scores_better(replayer: Replayer) -> None:
    frugal = replayer.outcome(Policy(name="frugal", lam=1e6))
    lavish = replayer.outcome(Policy(name="lavish", lam=0.0))
    assert set(frugal.backend) == {"small"}
    assert lavish.score.mean() > frugal.score.mean() + 0.2
    assert lavish.cost_usd.mean() > frugal.cost_usd.mean()


def test_a_curve_is_the_policy_replayed_at_every_lam(replayer: Replayer) -> None:
    policy, lams = Policy(name="auto"), np.array([0.0, 30.0, 1000.0])
    curve = replayer.curve("cascade", policy, lams, progress=Silent())
    for point, lam in enumerate(lams):
        alone = replayer.outcome(replace(policy, lam=float(lam)))
        np.testing.assert_array_equal(curve.cost_usd[point], alone.cost_usd)
        np.testing.assert_array_equal(curve.score[point], alone.score)
    assert curve.labels == ("lam=0", "lam=30", "lam=1000")


def test_a_backend_without_a_record_is_never_asked(demo) -> None:  # type: ignore[no-untyped-def]
    test = demo.test
    quality = test.quality.copy()
    quality[:, test.backends.index("lrm@high")] = np.nan
    partial = replace(test, quality=quality)
    outcome = Replayer(Pool({}, demo.fitted.trained), partial).outcome(Policy(name="best", lam=0.0))
    assert "lrm@high" not in outcome.backend
    assert np.isfinite(outcome.score).all()


def test_an_evaluation_of_queries_that_some_backends_were_not_asked_notes_it(demo) -> None:  # type: ignore[no-untyped-def]
    asked_all = demo.test.take(np.arange(8))
    quality = asked_all.quality.copy()
    quality[:4, 0] = np.nan
    pool = Pool({}, demo.fitted.trained)
    for part, is_told in ((asked_all, False), (replace(asked_all, quality=quality), True)):
        found = evaluate(
            pool, part, policies=DEFAULT_POLICIES, default_policy="auto", split="test", title="", n_points=2
        )
        assert any("were not asked some queries" in note for note in found.notes) is is_told


def test_replay_of_a_live_run_takes_the_same_path(demo, tmp_path) -> None:  # type: ignore[no-untyped-def]
    test = demo.test.take(np.arange(25))
    pool = Pool({}, demo.fitted.trained)
    recorded = {name: {} for name in test.backends}  # type: dict[str, dict[str, Completion]]
    for row, text in enumerate(test.texts):
        for column, name in enumerate(test.backends):
            completion = test.completion(row, column)
            assert completion is not None
            recorded[name][text] = completion
    backends = {
        name: FakeBackend(
            BackendSpec(name=name, type="fake"), answer=lambda query, name=name: recorded[name][query.text]
        )  # type: ignore[misc]
        for name in test.backends
    }
    specs = {name: BackendSpec(name=name, type="fake") for name in test.backends}
    policy = Policy(name="auto", lam=30.0)
    config = Config(
        path=tmp_path / "models.yaml", backends=specs, policies={"auto": policy}, default_policy="auto", artefact=None
    )
    replayed = {item.query: item.outcome for item in Replayer(pool, test).run(policy)}
    with Router(config, Pool(specs, demo.fitted.trained), backends=backends) as router:
        for row, text in enumerate(test.texts):
            answer = router.ask(text)
            assert answer.path == replayed[row].path
            assert answer.confidence == pytest.approx(replayed[row].step.confidence)
            assert answer.cost_usd == pytest.approx(replayed[row].cost_usd)


def test_evaluation_has_the_cascade_first_and_every_baseline(demo) -> None:  # type: ignore[no-untyped-def]
    evaluation = evaluate(
        Pool({}, demo.fitted.trained),
        demo.test,
        policies=DEFAULT_POLICIES,
        default_policy="auto",
        split="test",
        title="demo",
        train=demo.learned,
        n_points=12,
    )
    assert [curve.name for curve in evaluation.curves] == [
        "cascade",
        "router",
        "always-cheapest",
        "always-best",
        "random mix",
        "mean-score",
        "oracle",
    ]
    assert [outcome.policy for outcome in evaluation.policies] == ["auto", "frugal", "best"]
    assert evaluation.confidences is not None
    assert len(evaluation.confidences.score) == demo.test.n_queries * 4


def test_where_no_answer_was_recorded_there_is_nothing_to_replay_but_routing(demo) -> None:  # type: ignore[no-untyped-def]
    grades = build_dataset(read_traces([demo.grades])).take(demo.split.test)
    pool = Pool({}, demo.fitted.trained)
    found = evaluate(pool, grades, policies=DEFAULT_POLICIES, default_policy="auto", split="test", title="", n_points=3)
    assert [curve.name for curve in found.curves] == ["router"]
    assert found.confidences is None


def test_estimates_are_in_the_order_of_the_dataset_whatever_the_order_of_models_yaml(demo) -> None:  # type: ignore[no-untyped-def]
    specs = {name: BackendSpec(name=name, type="fake") for name in reversed(demo.dataset.backends)}
    one, other = (
        evaluate(pool, demo.test, policies=DEFAULT_POLICIES, default_policy="auto", split="test", title="", n_points=3)
        for pool in (Pool({}, demo.fitted.trained), Pool(specs, demo.fitted.trained))
    )
    np.testing.assert_allclose(one.estimated_quality, other.estimated_quality)
    np.testing.assert_allclose(one.policies[0].score, other.policies[0].score)


def test_decide_is_the_same_alone_and_in_replay(replayer: Replayer) -> None:
    text = replayer.dataset.texts[0]
    policy = Policy(name="auto", lam=30.0)
    alone = replayer.pool.decide(Query.from_text(text), policy)
    first = next(iter(replayer.run(policy))).outcome.steps[0]
    assert alone.backend == first.backend


def test_a_robust_policy_is_replayed_by_the_estimates_that_it_is_served_by(replayer: Replayer) -> None:
    sturdy = Policy(name="auto", lam=30.0, robust=True)
    served = [replayer.pool.decide(query, sturdy).backend for query in replayer.dataset.queries]
    assert [replayed.outcome.steps[0].backend for replayed in replayer.run(sturdy)] == served
    plain = [replayed.outcome.steps[0].backend for replayed in replayer.run(replace(sturdy, robust=False))]
    assert plain != served


def test_answers_to_unfamiliar_queries_are_judged_in_replay_as_live(demo) -> None:  # type: ignore[no-untyped-def]
    pool, test = Pool({}, demo.fitted.trained), demo.test.take(range(12))
    replayer, policy = Replayer(pool, test), Policy(name="p", lam=1e6, when_unsure="cheap")
    replayer.estimates = [replace(each, how_familiar=lambda: 0.0) for each in replayer.estimates]
    differ = 0
    for replayed in replayer.run(policy):
        step, estimates = replayed.outcome.steps[0], replayer.estimates[replayed.query]
        query, column = test.queries[replayed.query], test.backends.index(step.backend)
        answer = test.completion(replayed.query, column)
        judged = [
            pool.confidence(query, answer, backend=step.backend, estimate=float(quality[column]))
            for quality in (estimates.mean_quality, estimates.quality)
        ]
        assert len(replayed.outcome.steps) == 1
        assert step.confidence == pytest.approx(judged[0])
        differ += abs(judged[0] - judged[1]) > 0.01
    assert differ


def test_of_several_draws_every_strategy_is_held_to_the_one_replayed(demo) -> None:  # type: ignore[no-untyped-def]
    test = demo.test.take(range(20))
    rng = np.random.default_rng(0)
    drawn = replace(
        test,
        quality=rng.random(test.quality.shape) * 0.5 + 0.5 * (np.arange(test.n_backends) == 0),
        cost_usd=test.cost_usd * rng.uniform(1, 2, test.cost_usd.shape),
        n_draws=np.full(test.quality.shape, 2),
    )
    answered = drawn.as_answered()
    best = drawn.backends[single_backends(answered.quality, answered.cost_usd).best]
    policy = Policy(name="always", allow=(best,), max_calls=1)
    pool = Pool({}, demo.fitted.trained)
    found = evaluate(
        pool,
        drawn,
        policies={"always": policy},
        default_policy="always",
        split="test",
        title="",
        train=demo.test,
        n_points=2,
    )
    always = next(curve for curve in found.curves if curve.name == ALWAYS_BEST)
    [outcome] = found.policies
    assert (outcome.score == always.score[0]).all()
    assert (outcome.cost_usd == always.cost_usd[0]).all()
