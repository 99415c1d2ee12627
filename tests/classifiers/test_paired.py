"""Figures of the same queries, held against each other."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.classifiers.paired import paired_gap


def test_the_gap_is_told_in_standard_errors_of_its_mean() -> None:
    higher, lower = np.array([1.0, 2.0, 4.0, np.nan, 3.0]), np.array([0.0, 2.0, 1.0, 5.0, np.nan])
    gap = np.array([1.0, 0.0, 3.0])
    assert paired_gap(higher, lower) == pytest.approx(gap.mean() / (gap.std() / np.sqrt(3)))


def test_twins_are_no_further_evidence() -> None:
    higher, lower = np.random.default_rng(0).random((2, 40)) + np.array([[0.2], [0.0]])
    twins = np.random.default_rng(1).permutation(np.repeat(np.arange(40), 3))
    beside = paired_gap(higher[twins], lower[twins], twins)
    assert beside == pytest.approx(paired_gap(higher, lower))
    assert paired_gap(higher[twins], lower[twins]) > 1.5 * beside


@pytest.mark.parametrize("values", [[], [np.nan, np.nan], [0.5, 0.5]])
def test_without_anything_that_varies_there_is_no_gap(values: list[float]) -> None:
    assert paired_gap(np.array(values), np.zeros(len(values))) == 0.0
