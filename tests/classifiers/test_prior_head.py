"""What few labels tell of backends, beside what public traces tell of texts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from penstock.classifiers import Featurizer
from penstock.classifiers.logistic import sigmoid
from penstock.classifiers.prior_head import PriorHead, expected_ability, fit_abilities
from penstock.classifiers.public_prior import load_prior
from penstock.classifiers.ridge import FloatArray

EASY, HARD = "What is the capital of France?", "Find the sum of all real $x$ with $x^4 - 3x^2 + x = 1$, and prove it."
ABILITY = np.array([-1.0, 0.0, 1.5])


def graded(
    n: int, *, slope: float = 0.5, ability: FloatArray = ABILITY, seed: int = 0
) -> tuple[FloatArray, FloatArray]:
    """Returns scores, (n, n_backends), of queries whose difficulty, (n,), matters by that much."""
    rng = np.random.default_rng(seed)
    difficulty = rng.standard_normal(n)
    chance = sigmoid(ability - slope * difficulty[:, None])
    return (rng.random(chance.shape) < chance).astype(float), difficulty


def test_without_a_label_backends_are_as_able_as_expected_and_mind_difficulty() -> None:
    belief = fit_abilities(np.full((5, 2), np.nan), np.zeros(5), np.array([-0.5, 0.5]), "ab")
    assert belief.ability == pytest.approx([-0.5, 0.5])
    assert (belief.slope > 0.3).all()


def test_many_labels_have_the_last_word() -> None:
    quality, difficulty = graded(4000, slope=-0.4)
    belief = fit_abilities(quality, difficulty, np.array([3.0, 0.0, -3.0]), "abc")
    chance = sigmoid(belief.ability / np.sqrt(1 + np.pi / 8 * belief.variance))
    assert chance == pytest.approx(quality.mean(axis=0), abs=0.03)
    assert belief.slope == pytest.approx(np.full(3, -0.4), abs=0.15)


def test_few_labels_move_the_ability_part_of_the_way() -> None:
    quality = np.ones((4, 1))
    ability = [fit_abilities(quality[:n], np.zeros(n), np.zeros(1), "a").ability[0] for n in (1, 2, 4)]
    assert 0.0 < ability[0] < ability[1] < ability[2] < 4.0


def test_labels_of_one_query_tell_less_of_the_level_than_labels_of_many() -> None:
    once = fit_abilities(np.zeros((1, 12)), np.zeros(1), np.zeros(12), range(12)).ability.mean()
    often = fit_abilities(np.where(np.eye(12), 0.0, np.nan), np.zeros(12), np.zeros(12), range(12)).ability.mean()
    assert often < once - 0.2


def test_a_backend_that_was_hardly_asked_borrows_from_those_that_were() -> None:
    quality, difficulty = graded(300, ability=np.array([2.0, 2.0, 2.0]))
    quality[2:, 2] = np.nan
    quality[:2, 2] = 0.0
    belief = fit_abilities(quality, difficulty, np.zeros(3), "abc")
    assert 0.5 < belief.ability[2] < belief.ability[0]
    assert belief.variance[2] > belief.variance[0]


def test_an_effort_that_was_hardly_asked_goes_by_its_siblings_more_than_by_other_models() -> None:
    quality = np.array([[1.0, 0.0, np.nan]] * 40)
    kin, strangers = (fit_abilities(quality, np.zeros(40), np.zeros(3), models).ability for models in ("aba", "abc"))
    assert kin[2] > strangers[2] + 0.3


def test_dearer_backends_are_expected_to_be_abler_and_unknown_costs_tell_nothing() -> None:
    cost = np.array([[1e-4, 1e-3, np.nan, 0.0], [1e-4, np.nan, np.nan, 0.0]])
    cheap, dear, unknown, free = expected_ability(cost)
    assert dear - cheap == pytest.approx(0.25 * np.log(10))
    assert unknown == 0.0
    assert np.isfinite(free)
    assert free < cheap
    assert (expected_ability(np.full((3, 2), np.nan)) == 0).all()


def test_difficulty_is_the_public_one_whatever_scale_the_features_have() -> None:
    texts = [EASY, HARD, "Who wrote it?", "Compute 12 * 31 - 7.", "Prove that there are infinitely many primes."]
    _, features = Featurizer().fit_transform(texts)
    quality = np.full((5, 1), 0.5)
    predicted = PriorHead().fit(features, quality, np.arange(5)).predictor_.predict(features)[:, 0]
    difficulty = np.array([load_prior().difficulty_of(text) for text in texts])
    assert (np.argsort(-predicted) == np.argsort(difficulty)).all()


def test_another_public_difficulty_can_be_brought_along() -> None:
    _, features = Featurizer().fit_transform([EASY, HARD])
    flat = replace(load_prior(), weights=np.zeros_like(load_prior().weights))
    predicted = PriorHead(prior=flat).fit(features, np.full((2, 1), 0.5), np.arange(2)).predictor_.predict(features)
    assert predicted[0] == predicted[1]


def test_ten_labels_are_enough_where_costs_tell_who_is_able() -> None:
    """The mean score of so few is no guide; what is normal, corrected by them, is a better one."""
    errors: dict[str, list[float]] = {"prior": [], "mean": []}
    truth = sigmoid(ABILITY)
    _, features = Featurizer().fit_transform([EASY] * 10)
    for seed in range(40):
        quality, _ = graded(10, slope=0.0, seed=seed)
        head = PriorHead(cost_usd=np.tile(np.exp(ABILITY / 0.25) * 1e-3, (10, 1))).fit(features, quality, np.arange(10))
        errors["prior"].append(float(((head.predictor_.predict(features)[0] - truth) ** 2).mean()))
        errors["mean"].append(float(((quality.mean(axis=0) - truth) ** 2).mean()))
    assert np.mean(errors["prior"]) < 0.6 * np.mean(errors["mean"])
