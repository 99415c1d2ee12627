"""What is learned of answers that have only begun, and that the promised risks hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from penstock.backends import BackendSpec, FakeBackend
from penstock.classifiers.early import EarlyConfidence
from penstock.router import Config, Policy, Pool, Router
from penstock.training import Dataset, Replayer, Trace, build_dataset
from penstock.training.fit_early import GIVE_UP_RISK, RELEASE_RISK, fit_early

N = 400


def planted(*, seed: int, n: int = N) -> tuple[Dataset, np.ndarray, np.ndarray]:
    """Returns answers whose first sum tells most of whether they are right, their estimates, and confidences."""
    rng = np.random.default_rng(seed)
    rows, chances = [], rng.uniform(0, 1, size=(n, 2))
    for number in range(n):
        for column, backend in enumerate(("cheap", "dear")):
            is_right = rng.random() < chances[number, column]
            is_sum_right = rng.random() < (0.9 if is_right else 0.1)
            text = f"First, 2 + {column} = {2 + column if is_sum_right else 9}. Then there is more to say. " * 2
            rows.append(
                Trace(
                    query_id=f"q{number}",
                    query=f"question {number}",
                    backend=backend,
                    score=float(is_right),
                    cost_usd=0.001 * (1 + 9 * column),
                    response=text,
                )
            )
    dataset = build_dataset(rows)
    quality = np.full((n, 2), 0.5)
    noise = rng.normal(scale=0.6, size=(n, 2))
    confidences = 1 / (1 + np.exp(-(3 * (dataset.quality - 0.5) + noise)))
    return dataset, quality, confidences


def fitted(seed: int = 0, n: int = N) -> EarlyConfidence | None:
    dataset, estimates, confidences = planted(seed=seed, n=n)
    return fit_early(dataset, estimates, confidences, np.arange(n) % 5, dataset.query_ids)


def test_thresholds_of_releasing_rise_with_the_confidence_that_is_needed() -> None:
    early = fitted()
    assert early is not None
    assert early.lengths == (32, 64)  # no answer has more signs
    assert (np.diff(early.release) >= 0).all()
    assert early.release[0] < 1
    assert 0 < early.give_up < 0.5


def test_on_other_queries_the_risks_are_kept() -> None:
    early = fitted()
    assert early is not None
    released, given_up = [], []
    needed = 0.6
    for seed in (1, 2, 3):
        dataset, _, confidences = planted(seed=seed)
        for row, column in np.argwhere(np.isfinite(dataset.quality)).tolist():
            completion = dataset.completion(row, column)
            assert completion is not None
            told = [
                early.confidence(
                    dataset.queries[row], completion, checkpoint=place, backend=dataset.backends[column], estimate=0.5
                )
                for place in range(len(early.lengths))
            ]
            released.append(max(told) >= early.release_from(needed) and confidences[row, column] < needed)
            given_up.append(min(told) <= early.give_up and dataset.quality[row, column] == 1)
    assert 0 < np.mean(released) <= RELEASE_RISK
    assert 0 <= np.mean(given_up) <= GIVE_UP_RISK


def test_too_few_answers_teach_nothing_of_beginnings() -> None:
    assert fitted(n=30) is None


def test_short_answers_teach_nothing_of_beginnings() -> None:
    rows = [
        Trace(query_id=f"q{i}", query=f"question {i}", backend="a", score=float(i % 2), cost_usd=0.1, response="short")
        for i in range(200)
    ]
    dataset = build_dataset(rows)
    confidences = np.full((200, 1), 0.5)
    assert fit_early(dataset, confidences, confidences, np.arange(200) % 5, dataset.query_ids) is None


@pytest.fixture(scope="module")
def held(demo: Any) -> tuple[Pool, Dataset]:
    """A pool that releases and gives up a good deal, and queries to replay."""
    trained = demo.fitted.trained
    assert trained.early is not None
    early = replace(trained.early, release=trained.early.needed, give_up=0.45)
    return Pool({}, replace(trained, early=early)), demo.test


def test_a_streamed_replay_releases_and_gives_up_and_otherwise_ends_the_same(held: tuple[Pool, Dataset]) -> None:
    replayer, policy = Replayer(*held), Policy(name="auto", lam=30.0)
    whole = {replayed.query: replayed.outcome for replayed in replayer.run(policy)}
    streamed = list(replayer.run_streamed(policy))
    assert sum(replayed.released_after is not None for replayed in streamed) > 3
    given_up = [step for replayed in streamed for step in replayed.outcome.steps if step.is_given_up]
    assert len(given_up) > 3
    for replayed in streamed:
        steps = replayed.outcome.steps
        assert not replayed.outcome.step.is_given_up
        if replayed.released_after is None and not any(step.is_given_up for step in steps):
            assert replayed.outcome.path == whole[replayed.query].path
            assert replayed.outcome.cost_usd == whole[replayed.query].cost_usd


def test_what_is_given_up_costs_less_than_the_whole(held: tuple[Pool, Dataset]) -> None:
    replayer = Replayer(*held)
    test = replayer.dataset
    for replayed in replayer.run_streamed(Policy(name="auto", lam=30.0)):
        for step in replayed.outcome.steps:
            whole = test.cost_usd[replayed.query, test.backends.index(step.backend)]
            assert 0 < step.cost_usd <= whole
            assert (step.cost_usd < whole) == step.is_given_up


def test_a_streamed_replay_of_a_live_run_takes_the_same_path(held: tuple[Pool, Dataset], tmp_path: Any) -> None:
    pool, test = held
    trained = pool._trained
    test = test.take(np.arange(25))
    specs = {name: BackendSpec(name=name, type="fake") for name in test.backends}
    known = {
        (name, text): test.completion(row, column)
        for row, text in enumerate(test.texts)
        for column, name in enumerate(test.backends)
    }
    backends = {
        name: FakeBackend(spec, answer=lambda query, name=name: known[name, query.text])  # type: ignore[misc]
        for name, spec in specs.items()
    }
    policy = Policy(name="auto", lam=30.0)
    config = Config(
        path=tmp_path / "models.yaml", backends=specs, policies={"auto": policy}, default_policy="auto", artefact=None
    )
    replayed = {item.query: item.outcome for item in Replayer(pool, test).run_streamed(policy)}
    with Router(config, Pool(specs, trained), backends=backends) as router:
        paths = []
        for row, text in enumerate(test.texts):
            *pieces, last = router.stream(text)
            assert last.answer is not None
            paths.append(last.answer.path)
            assert last.answer.path == replayed[row].path
            assert "".join(piece.text for piece in pieces) == last.answer.text
    assert any("~" in path for path in paths)
