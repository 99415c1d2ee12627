from __future__ import annotations

import math

import numpy as np
import pytest

from penstock.training.evaluation import FloatArray
from penstock.training.off_policy import Estimated, Logged, difference, estimate, resample, saving

N, SHARE = 600, 0.15


def simulated(seed: int, *, model: str) -> tuple[Logged, float]:
    """Returns the log of a router that serves easy requests cheaply, and the true mean score of always asking the dear
    backend: where it was served that is seen for certain, else with the chance SHARE.
    """
    rng = np.random.default_rng(seed)
    difficulty = rng.uniform(size=N)
    chance = 0.95 - 0.5 * difficulty**2
    score = (rng.uniform(size=N) < chance).astype(float)
    served_dear = difficulty > 0.8
    is_seen = served_dear | (rng.uniform(size=N) < SHARE)
    models: dict[str, FloatArray | None] = {"right": chance, "wrong": np.full(N, 0.3), "none": None}
    logged = Logged(
        propensity=np.where(is_seen, np.where(served_dear, 1.0, SHARE), math.nan),
        value=np.where(is_seen, score, math.nan),
        model=models[model],
    )
    return logged, 0.95 - 0.5 / 3


def estimated_of(logged: Logged) -> Estimated:
    """Returns the estimates of one quantity."""
    return estimate(logged, resample({"it": logged}, n_resamples=300)["it"])


@pytest.mark.parametrize("model", ["right", "wrong", "none"])
def test_the_intervals_hold_the_truth_as_often_as_they_promise(model: str) -> None:
    hits = {"inverse": 0, "normalised": 0, "doubly_robust": 0}
    n_logs = 60
    for seed in range(n_logs):
        logged, truth = simulated(seed, model=model)
        estimated = estimated_of(logged)
        for name in hits:
            interval = getattr(estimated, name)
            hits[name] += interval is not None and interval.low <= truth <= interval.high
    if model == "none":
        assert hits.pop("doubly_robust") == 0
    # Of 60 intervals of 95 %, fewer than 52 hold the truth in one of 500 experiments.
    assert min(hits.values()) >= 52


def test_what_was_seen_alone_would_mislead() -> None:
    logged, truth = simulated(0, model="none")
    assert np.nanmean(logged.value) < truth - 0.1  # hard requests are seen more often
    assert abs(estimated_of(logged).normalised.value - truth) < 0.1


def test_a_good_model_narrows_the_interval() -> None:
    widths = {"right": 0.0, "wrong": 0.0, "inverse": 0.0}
    for seed in range(8):
        for model in ("right", "wrong"):
            found = estimated_of(simulated(seed, model=model)[0])
            assert found.best is found.doubly_robust
            widths[model] += found.best.high - found.best.low
        widths["inverse"] += found.inverse.high - found.inverse.low
    assert widths["right"] < widths["wrong"] < widths["inverse"]


def test_what_is_seen_for_certain_is_its_plain_mean() -> None:
    value = np.array([0.0, 1.0, 1.0, 1.0])
    found = estimated_of(Logged(propensity=np.ones(4), value=value, model=np.zeros(4)))
    assert found.inverse.value == found.normalised.value == found.best.value == 0.75
    assert (found.evidence, found.support) == (4.0, 1.0)


def test_evidence_is_counted_in_requests_that_weigh_the_same() -> None:
    logged = Logged(propensity=np.array([1.0, 0.5, 0.1, np.nan]), value=np.array([1.0, 1.0, np.nan, np.nan]))
    found = estimated_of(logged)
    assert found.evidence == pytest.approx(9 / 5)
    assert found.support == pytest.approx(3 / 4)


def test_nothing_seen_is_no_estimate() -> None:
    nothing = np.full(5, np.nan)
    found = estimated_of(Logged(propensity=nothing, value=nothing))
    assert math.isnan(found.best.value)
    assert (found.evidence, found.support) == (0.0, 0.0)


def test_saving_and_difference_compare_the_same_requests() -> None:
    ours = Logged(propensity=np.ones(50), value=np.full(50, 0.25))
    theirs = Logged(propensity=np.full(50, 0.5), value=np.linspace(0.9, 1.1, 50))
    free = Logged(propensity=np.ones(50), value=np.zeros(50))
    sums = resample({"ours": ours, "theirs": theirs, "free": free})
    assert saving(sums["ours"], sums["theirs"]).value == pytest.approx(0.75)
    assert difference(sums["ours"], sums["theirs"]).value == pytest.approx(-0.75)
    assert math.isnan(saving(sums["ours"], sums["free"]).value)
    same = difference(sums["theirs"], sums["theirs"])
    assert (same.low, same.high) == (0.0, 0.0)
