"""A model's efforts share what is known of them, unless the labels say that longer thinking hurts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from penstock.classifiers import Featurizer, create_head
from penstock.classifiers.calibration import no_calibration
from penstock.training import Dataset, Trace, build_dataset, fit, split_queries
from penstock.training.candidates import Candidate
from penstock.training.evaluation import Effort, EffortCurve, FloatArray
from penstock.training.fit_efforts import fit_efforts
from penstock.training.report import render_report
from penstock.training.report_efforts import efforts_lines

from .test_report import made

TOKENS = {"lrm@low": 20, "lrm@medium": 80, "lrm@high": 400, "small": 30}


def graded(rates: Mapping[str, float], n: int, *, few: Mapping[str, int] | None = None, seed: int = 0) -> list[Trace]:
    """Returns traces of backends that are right that often; `few` of them have that many labels only."""
    rng = np.random.default_rng(seed)
    return [
        Trace(
            query_id=f"q{row}",
            query=f"question {row * 7919 % 1000} of {row}",
            backend=backend,
            score=float(rng.random() < rate),
            cost_usd=TOKENS[backend] * 1e-6,
            output_tokens=TOKENS[backend],
        )
        for row in range(n)
        for backend, rate in rates.items()
        if row < (few or {}).get(backend, n)
    ]


def estimated(dataset: Dataset, quality: FloatArray) -> Candidate:
    """Returns a candidate that is said to estimate so out of fold."""
    _, features = Featurizer().fit_transform(dataset.texts)
    head = create_head("mean").fit(features, np.nan_to_num(dataset.quality), np.arange(dataset.n_queries) % 2)
    nothing = no_calibration(dataset.n_backends)
    return Candidate(name="mean", head=head, scores=quality, calibration=nothing, quality=quality, fit_s=0.0)


def noisy(dataset: Dataset, rates: Mapping[str, float], scale: float) -> FloatArray:
    """Returns estimates around the truth."""
    truth = np.array([rates[name] for name in dataset.backends])
    noise = np.random.default_rng(1).normal(scale=scale, size=dataset.quality.shape)
    return np.clip(truth + noise, 0.01, 0.99)


def test_where_longer_thinking_helps_estimates_are_drawn_together() -> None:
    rates = {"lrm@low": 0.6, "lrm@medium": 0.65, "lrm@high": 0.7}
    dataset = build_dataset(graded(rates, 400))
    estimates = noisy(dataset, rates, 0.15)
    shaped = fit_efforts(dataset, estimated(dataset, estimates))
    assert shaped.curves[0].weight > 0.8
    truth = np.array([rates[name] for name in dataset.backends])
    assert np.mean((shaped.quality - truth) ** 2) < 0.8 * np.mean((estimates - truth) ** 2)


def test_where_longer_thinking_hurts_each_effort_goes_by_its_own_results() -> None:
    rates = {"lrm@low": 0.8, "lrm@medium": 0.6, "lrm@high": 0.3}
    dataset = build_dataset(graded(rates, 800))
    estimates = noisy(dataset, rates, 0.05)
    shaped = fit_efforts(dataset, estimated(dataset, estimates))
    assert shaped.curves[0].weight < 0.15
    assert shaped.quality.mean(axis=0) == pytest.approx(estimates.mean(axis=0), abs=0.03)


def test_a_handful_of_labels_does_not_overturn_that_longer_thinking_helps() -> None:
    rates = {"lrm@low": 0.6, "lrm@high": 0.6}
    dataset = build_dataset(graded(rates, 12))
    fallen = np.tile([0.6, 0.5], (12, 1))
    assert fit_efforts(dataset, estimated(dataset, fallen)).curves[0].weight > 0.5


def test_efforts_that_are_free_and_of_unknown_length_are_ordered_by_their_names() -> None:
    rates = {"lrm@high": 0.9, "lrm@low": 0.6, "lrm@medium": 0.7}
    rows = [replace(row, cost_usd=0.0, output_tokens=None) for row in graded(rates, 30)]
    dataset = build_dataset(rows)
    (curve,) = fit_efforts(dataset, estimated(dataset, np.full((30, 3), 0.5))).curves
    assert [effort.backend for effort in curve.efforts] == ["lrm@low", "lrm@medium", "lrm@high"]


def test_efforts_are_ordered_by_what_they_take_and_others_left_alone() -> None:
    rates = {"lrm@high": 0.9, "small": 0.5, "lrm@low": 0.6, "lrm@medium": 0.7}
    dataset = build_dataset(graded(rates, 30))
    shaped = fit_efforts(dataset, estimated(dataset, np.full((30, 4), 0.5)))
    (curve,) = shaped.curves
    assert [effort.backend for effort in curve.efforts] == ["lrm@low", "lrm@medium", "lrm@high"]
    assert [effort.output_tokens for effort in curve.efforts] == [20, 80, 400]
    single = build_dataset([row for row in graded(rates, 30) if row.backend in ("small", "lrm@low")])
    assert fit_efforts(single, estimated(single, np.full((30, 2), 0.5))).curves == ()


def test_a_trained_router_keeps_the_order_of_efforts_where_one_has_few_labels() -> None:
    rates = {"lrm@low": 0.7, "lrm@medium": 0.6, "lrm@high": 0.9, "small": 0.4}  # few labels, and bad luck with them
    dataset = build_dataset(graded(rates, 120, few={"lrm@medium": 12}, seed=3))
    split = split_queries(dataset, seed=0)
    fitted = fit(dataset, split, classifier="linear")
    (curve,) = fitted.efforts
    estimates = np.stack([each.quality for each in fitted.trained.model.estimate_all(dataset.texts)])
    low, medium, high = (dataset.backends.index(effort.backend) for effort in curve.efforts)
    observed = np.nanmean(dataset.quality, axis=0)
    assert curve.weight > 0.5
    assert observed[medium] < observed[low] - 0.1
    assert estimates[:, medium].mean() > estimates[:, low].mean() - 0.02
    assert estimates[:, high].mean() > estimates[:, low].mean() + 0.1


def test_lines_and_report_tell_what_an_effort_costs_and_is_worth() -> None:
    low, high = (
        Effort(backend=name, n_labels=60, output_tokens=n, reasoning_tokens=n - 10, cost_usd=n * 1e-6, quality=score)
        for name, n, score in (("lrm@low", 20.0, 0.6), ("lrm@high", 400.0, 0.9))
    )
    curve = EffortCurve(model="lrm", efforts=(low, high), weight=0.8)
    lines = list(efforts_lines(curve))
    assert lines[0] == "efforts of lrm:"
    assert all(told in lines[2] for told in ("lrm@high", "400 tokens", "0.400 USD a thousand", "score 0.900"))
    assert "drawn 80% of the way" in lines[3]
    page = render_report(replace(made(), efforts=(replace(curve, weight=0.0),)))
    assert "Efforts of lrm: longer thinking hurts where the estimates say so" in page
    assert "lrm@high" not in render_report(made())
