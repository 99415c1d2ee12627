"""The recipe of the public confidence, on answers with a known truth."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.classifiers.public_confidence import PUBLIC_SIGNALS
from penstock.training.prior.answers import PublicAnswers, fit_public_confidence

TELLING, MANNER, ABSENT = (PUBLIC_SIGNALS.index(name) for name in PUBLIC_SIGNALS[:3])


def planted_answers(*, seed: int, level: float) -> PublicAnswers:
    """Returns the answers of a weak and of a strong backend, in two manners; one signal tells right ones."""
    rng = np.random.default_rng(seed)
    owner = np.repeat([0, 1], 800)
    telling = rng.normal(size=len(owner))
    values = np.full((len(owner), len(PUBLIC_SIGNALS)), np.nan)
    values[:, TELLING] = 5 + 2 * telling
    values[:, MANNER] = owner + rng.normal(size=len(owner))
    chance = 1 / (1 + np.exp(-(level + 2.0 * owner - 1.0 + 0.8 * telling)))
    return PublicAnswers(
        values=values,
        estimates=np.full(len(owner), 0.6),
        labels=(rng.random(len(owner)) < chance).astype(float),
        backend_of=owner,
    )


@pytest.fixture(scope="module")
def weights() -> np.ndarray:
    return fit_public_confidence(
        [planted_answers(seed=seed, level=level) for seed, level in ((0, -1.0), (1, 1.5))]
    ).weights


def test_a_signal_weighs_what_it_tells_of_the_answers_of_one_backend(weights: np.ndarray) -> None:
    assert weights[TELLING] == pytest.approx(0.8, abs=0.15)


def test_a_manner_of_the_better_backend_is_no_sign_of_a_right_answer(weights: np.ndarray) -> None:
    assert abs(weights[MANNER]) < 0.12


def test_a_signal_that_never_applies_weighs_nothing(weights: np.ndarray) -> None:
    assert weights[ABSENT] == 0.0
