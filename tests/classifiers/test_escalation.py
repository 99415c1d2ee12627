from __future__ import annotations

import numpy as np
import pytest

from penstock.classifiers import fit_escalation
from penstock.classifiers.ridge import FloatArray

NOBODY = np.nan


def outcomes(correlation: float, n: int = 5000) -> FloatArray:
    """Returns scores of two backends that are each right half of the time and agree as told."""
    rng = np.random.default_rng(0)
    first = rng.random(n) < 0.5
    second = np.where(rng.random(n) < correlation, first, rng.random(n) < 0.5)
    return np.stack([first, second], axis=1).astype(float)


def rescue_of(quality: FloatArray, estimates: FloatArray | None = None) -> FloatArray:
    half = np.full(quality.shape, 0.5) if estimates is None else estimates
    return fit_escalation(quality, half, np.full(quality.shape, NOBODY)).rescue


def test_independent_errors_leave_others_as_they_were() -> None:
    rescue = rescue_of(outcomes(0.0))
    assert rescue[0, 1] == pytest.approx(1.0, abs=0.06)
    assert rescue[1, 0] == pytest.approx(1.0, abs=0.06)


def test_shared_errors_make_a_rescue_rarer() -> None:
    assert rescue_of(outcomes(0.8))[0, 1] == pytest.approx(0.2, abs=0.05)
    assert rescue_of(outcomes(1.0))[0, 1] < 0.05


def test_a_backend_does_not_rescue_itself() -> None:
    assert rescue_of(outcomes(0.5)).diagonal() == pytest.approx([0, 0], abs=0.02)


def test_few_queries_hardly_move_the_belief_in_independence() -> None:
    assert rescue_of(outcomes(1.0, n=4))[0, 1] > 0.6


def test_what_was_not_observed_is_left_out() -> None:
    quality = outcomes(0.8)
    holes = np.random.default_rng(1).random(quality.shape) < 0.5
    assert rescue_of(np.where(holes, NOBODY, quality))[0, 1] == pytest.approx(0.2, abs=0.08)


def test_backends_never_seen_together_count_as_independent() -> None:
    quality = outcomes(1.0)
    quality[::2, 0] = NOBODY
    quality[1::2, 1] = NOBODY
    assert rescue_of(quality)[0, 1] == pytest.approx(1.0)


def test_a_backend_without_any_estimate_counts_as_independent() -> None:
    quality = outcomes(1.0)
    estimates = np.full(quality.shape, 0.5)
    estimates[:, 1] = NOBODY
    rescue = rescue_of(quality, estimates)
    assert np.isfinite(rescue).all()
    assert rescue[0, 1] == pytest.approx(1.0)


def test_power_is_the_share_of_variance_that_confidence_explains() -> None:
    quality = outcomes(0.0)
    confidences = np.stack([quality[:, 0], np.full(len(quality), 0.5)], axis=1)
    power = fit_escalation(quality, np.full(quality.shape, 0.5), confidences).power
    assert power == pytest.approx([1.0, 0.0], abs=0.01)


def test_misleading_confidence_has_no_power() -> None:
    quality = outcomes(0.0)
    assert (fit_escalation(quality, np.full(quality.shape, 0.5), 1 - quality).power == 0).all()


def test_a_handful_of_answers_gives_no_power() -> None:
    quality = outcomes(0.0, n=19)
    assert (fit_escalation(quality, np.full(quality.shape, 0.5), quality).power == 0).all()


def test_backends_that_are_always_right_or_never_give_bounded_figures() -> None:
    quality = np.tile([1.0, 0.0], (50, 1))
    escalation = fit_escalation(quality, quality, quality)
    assert np.isfinite(escalation.rescue).all()
    assert ((escalation.rescue >= 0) & (escalation.rescue <= 1.5)).all()
    assert (escalation.power == 0).all()


def test_what_confidence_cannot_pick_out_is_not_promised() -> None:
    quality = outcomes(0.0)
    estimates = np.full(quality.shape, 0.5)
    guesses = np.random.default_rng(5).random(quality.shape)
    knowing = fit_escalation(quality, estimates, np.clip(quality, 0.01, 0.99)).rescue
    guessing = fit_escalation(quality, estimates, guesses).rescue
    assert knowing[0, 1] == pytest.approx(1.0, abs=0.1)
    assert guessing[0, 1] < 0.2


def test_answers_of_one_backend_only_promise_what_was_estimated() -> None:
    quality = outcomes(0.0)
    confidences = np.stack([quality[:, 0], np.full(len(quality), NOBODY)], axis=1)
    assert fit_escalation(quality, np.full(quality.shape, 0.5), confidences).rescue[0, 1] == pytest.approx(
        1.0, abs=0.06
    )
