"""What graded answers in words teach, and what the cascade makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from penstock.backends import BackendSpec, Completion, FakeBackend
from penstock.classifiers import Trained
from penstock.classifiers.meaning import InWords, Meaning
from penstock.router import Config, Policy, Pool, Router
from penstock.training import Dataset, Replayer, build_dataset, fit, split_queries
from penstock.training.fit_meaning import Pairs, fit_meaning, pairs_of

from .in_words import traces_in_words

POLICY = Policy(name="auto", lam=40.0)


@dataclass(frozen=True)
class Answered:
    """A router that learned from answers in words, and others to try it on."""

    trained: Trained
    test: Dataset

    @property
    def meaning(self) -> Meaning:
        assert self.trained.escalation.meaning is not None
        return self.trained.escalation.meaning


@pytest.fixture(scope="module")
def in_words() -> Answered:
    """Trained on 200 questions."""
    dataset = build_dataset(traces_in_words(260, seed=4))
    split = split_queries(dataset, seed=0)
    return Answered(fit(dataset, split, classifier="mean", seed=0).trained, dataset.take(split.test))


def pairs(answered: Answered) -> Pairs:
    """Returns the pairs of answers to test queries."""
    test = answered.test
    expected, folds = np.full(test.quality.shape, 0.7), np.arange(test.n_queries) % 5
    is_compared = np.zeros(test.quality.shape, dtype=np.bool_)

    def read_words(question: str, texts: Sequence[str]) -> list[InWords | None]:
        return [answered.trained.model.read_words(question, text) for text in texts]

    return pairs_of(test, expected, folds, read_words, is_compared=is_compared)


def test_two_right_answers_mean_the_same_and_a_wrong_one_does_not(in_words: Answered) -> None:
    found = pairs(in_words)
    odds = in_words.meaning.log_odds(found.alike)
    assert (odds[found.n_right == 2] > 0).mean() > 0.95
    assert (odds[found.n_right == 1] < 0).mean() > 0.95
    assert in_words.meaning.power > 0.8


def test_that_wrong_answers_fall_together_is_learned(in_words: Answered) -> None:
    found = pairs(in_words)
    n_right = np.where((found.n_right == 2) & (found.folds == 0), 0, found.n_right)  # as if they were wrong
    often = fit_meaning(replace(found, n_right=n_right))
    assert often is not None
    assert often.collision[0] > in_words.meaning.collision[0]


def test_nothing_is_learned_where_likeness_tells_nothing(in_words: Answered) -> None:
    found = pairs(in_words)
    shuffled = np.random.default_rng(0).permutation(found.n_right)
    assert fit_meaning(replace(found, n_right=shuffled)) is None


def test_nothing_is_learned_where_likeness_tells_only_what_is_known() -> None:
    rng = np.random.default_rng(1)
    easy = rng.choice([0.3, 0.9], 2000)  # to easy questions answers are right, and alike
    found = Pairs(
        alike=easy[:, None] + rng.normal(0, 0.1, (2000, 5)),
        n_right=rng.binomial(2, easy),
        expected=np.stack([easy, easy], axis=1),
        folds=np.arange(2000) % 5,
    )
    assert fit_meaning(found) is None
    assert fit_meaning(replace(found, expected=np.full((2000, 2), 0.6))) is not None


def test_nothing_is_learned_from_a_handful_of_pairs(in_words: Answered) -> None:
    found = pairs(in_words)
    assert fit_meaning(found.take(np.arange(len(found.folds)) < 40)) is None


def test_answers_with_a_final_answer_are_left_to_that(demo) -> None:  # type: ignore[no-untyped-def]
    assert demo.fitted.trained.escalation.comparable > 0.9
    assert demo.fitted.trained.escalation.meaning is None


def test_agreement_on_meaning_saves_where_nothing_else_can_be_compared(in_words: Answered) -> None:
    alone = replace(in_words.trained, escalation=replace(in_words.trained.escalation, meaning=None))
    known, unknown = (Replayer(Pool({}, each), in_words.test).outcome(POLICY) for each in (in_words.trained, alone))
    utility, without = ((each.score - POLICY.lam * each.cost_usd).mean() for each in (known, unknown))
    assert utility > without + 0.05
    assert 1.5 < known.n_calls.mean() < 3


def test_replay_of_a_live_run_with_answers_in_words_takes_the_same_path(in_words: Answered, tmp_path) -> None:  # type: ignore[no-untyped-def]
    test = in_words.test.take(np.arange(20))
    specs = {name: BackendSpec(name=name, type="fake") for name in test.backends}
    recorded: dict[tuple[str, str], Completion] = {}
    for row, text in enumerate(test.texts):
        for column, name in enumerate(test.backends):
            completion = test.completion(row, column)
            assert completion is not None
            recorded[name, text] = completion
    backends = {
        name: FakeBackend(each, answer=lambda query, name=name: recorded[name, query.text])  # type: ignore[misc]
        for name, each in specs.items()
    }
    config = Config(
        path=tmp_path / "models.yaml", backends=specs, policies={"auto": POLICY}, default_policy="auto", artefact=None
    )
    replayed = {item.query: item.outcome for item in Replayer(Pool({}, in_words.trained), test).run(POLICY)}
    with Router(config, Pool(specs, in_words.trained), backends=backends) as router:
        answers = [router.ask(text) for text in test.texts]
    assert [answer.path for answer in answers] == [replayed[row].path for row in range(20)]
    assert [answer.confidence for answer in answers] == pytest.approx([replayed[r].step.confidence for r in range(20)])
    assert {len(answer.steps) for answer in answers} >= {2, 3}
