"""The boldest trade-off within a margin."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.classifiers.trade_offs import TradeOffs

LAMS = np.array([10.0, 20.0, 40.0, 80.0])


def trade_offs(*lag: float, error: float = 0.0, dearer: float = 0.0) -> TradeOffs:
    """Returns trade-offs with these lags, all dearer by so much."""
    cost = np.array([0.8, 0.6, 0.4, 0.2]) + dearer
    return TradeOffs(best="large", lams=LAMS, lag=np.array(lag), lag_error=np.full(4, error), cost=cost)


@pytest.mark.parametrize(("margin", "lam"), [(0.005, 10), (0.01, 20), (0.05, 40), (0.2, 80)])
def test_the_greatest_lam_within_the_margin_is_taken(margin: float, lam: float) -> None:
    assert trade_offs(-0.01, 0.01, 0.03, 0.2).lam_within(margin) == lam


def test_a_standard_error_is_to_spare() -> None:
    assert trade_offs(0.0, 0.01, 0.02, 0.03, error=0.005).lam_within(0.022) == 20


def test_luck_behind_the_first_loss_does_not_count() -> None:
    assert trade_offs(0.0, 0.04, 0.0, 0.0).lam_within(0.01) == 10


def test_where_nothing_is_sure_the_least_lam_that_saves_is_taken() -> None:
    found = trade_offs(-0.01, 0.0, 0.01, 0.03, error=0.05)
    assert found.lam_within(0.02) == 10
    assert trade_offs(-0.01, 0.0, 0.01, 0.03, error=0.05, dearer=0.5).lam_within(0.02) == 40


def test_where_everything_loses_too_much_there_is_no_lam() -> None:
    assert trade_offs(0.1, 0.2, 0.3, 0.4).lam_within(0.05) is None


def test_what_costs_no_less_than_the_best_backend_saves_nothing() -> None:
    assert trade_offs(-0.1, -0.1, -0.1, -0.1, dearer=0.8).lam_within(0.05) is None
    assert trade_offs(-0.1, -0.1, 0.3, 0.4, dearer=0.4).lam_within(0.05) is None
