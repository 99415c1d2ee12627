from __future__ import annotations

import numpy as np
import pytest

from penstock.backends import BackendSpec, Price
from penstock.backends.spec import Tier
from penstock.classifiers import PriorModel

PRICE = Price(usd_per_1m_input=1.0, usd_per_1m_output=4.0)


def spec(tier: Tier, effort: str | None = None, price: Price | None = PRICE) -> BackendSpec:
    return BackendSpec(name=f"{tier}@{effort}", type="fake", tier=tier, effort=effort, price=price)


def test_a_higher_tier_is_better_slower_and_dearer() -> None:
    estimates = PriorModel(specs=(spec("small"), spec("mid"), spec("lrm"))).estimate("What is 17 * 23?")
    assert estimates.backends == ("small@None", "mid@None", "lrm@None")
    assert estimates.source == "cold start"
    for values in (estimates.quality, estimates.cost_usd, estimates.latency_s, estimates.output_tokens):
        assert (np.diff(values) > 0).all()


def test_more_effort_is_better_and_dearer() -> None:
    efforts = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
    estimates = PriorModel(specs=tuple(spec("lrm", effort) for effort in efforts)).estimate("?")
    assert (np.diff(estimates.quality) > 0).all()
    assert (np.diff(estimates.cost_usd) > 0).all()
    assert ((estimates.quality > 0) & (estimates.quality < 1)).all()


def test_without_a_price_the_cost_is_unknown() -> None:
    estimates = PriorModel(specs=(spec("small", price=None), spec("small"))).estimate("?")
    assert np.isnan(estimates.cost_usd).tolist() == [True, False]


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("", 1, 1),
        ("word " * 100, 100, 150),
        ("漢字" * 100, 100, 250),
        ("\ud800" * 10, 1, 20),
        ("x" * 10_000_000, 2e6, 3e6),
    ],
)
def test_a_longer_query_has_more_tokens(text: str, low: float, high: float) -> None:
    assert low <= PriorModel(specs=(spec("small"),)).estimate(text).input_tokens <= high


def test_many_queries_are_estimated_as_one_by_one() -> None:
    prior = PriorModel(specs=(spec("small"), spec("lrm", "high")))
    short, long = prior.estimate_all(["short", "long " * 1000])
    assert (short.cost_usd == prior.estimate("short").cost_usd).all()
    assert (long.cost_usd > short.cost_usd).all()


def test_difficulty_is_how_rarely_one_backend_of_the_pool_is_right() -> None:
    estimates = PriorModel(specs=(spec("small"),)).estimate("?")
    assert estimates.difficulty == pytest.approx(1 - estimates.quality[0])
