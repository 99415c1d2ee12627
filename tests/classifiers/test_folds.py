from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from penstock.classifiers import FitError, assign_folds
from penstock.classifiers.heads import fill_missing
from penstock.classifiers.ridge import FloatArray


@given(st.lists(st.sampled_from("abcdefghijkl"), min_size=30, max_size=60), st.integers(0, 5))
def test_a_group_stays_in_one_fold(groups: list[str], seed: int) -> None:
    if len(set(groups)) < 3:
        return
    folds = assign_folds(groups, n_folds=3, seed=seed)
    for group in set(groups):
        assert len({fold for fold, name in zip(folds, groups, strict=True) if name == group}) == 1
    assert set(folds) == {0, 1, 2}


def test_the_order_of_queries_does_not_move_a_group() -> None:
    groups = [f"g{i}" for i in range(20)]
    forth = dict(zip(groups, assign_folds(groups, n_folds=4, seed=1), strict=True))
    back = dict(zip(groups[::-1], assign_folds(groups[::-1], n_folds=4, seed=1), strict=True))
    assert forth == back


def test_another_seed_gives_other_folds() -> None:
    groups = range(40)
    assert (assign_folds(groups, n_folds=4, seed=0) != assign_folds(groups, n_folds=4, seed=1)).any()


def test_one_huge_query_among_many_takes_no_memory_for_the_others() -> None:
    groups = [*map(str, range(3000)), "x" * 10_000_000]  # as a fixed-width array: 120 GB
    assert len(assign_folds(groups, n_folds=5, seed=0)) == 3001


@pytest.mark.parametrize(
    ("n_groups", "n_folds", "message"),
    [(3, 5, "3 distinct queries are too few for 5 folds"), (9, 1, "expected at least 2, got 1")],
)
def test_impossible_folds_are_refused(n_groups: int, n_folds: int, message: str) -> None:
    with pytest.raises(FitError, match=message):
        assign_folds(range(n_groups), n_folds=n_folds, seed=0)


@given(arrays(np.float64, (7, 3), elements=st.one_of(st.floats(0, 1), st.just(np.nan))))
def test_filling_keeps_what_was_observed_and_stays_in_its_range(values: FloatArray) -> None:
    observed = np.isfinite(values)
    if not observed.any():
        return
    filled = fill_missing(values)
    assert np.isfinite(filled).all()
    assert (filled[observed] == values[observed]).all()
    assert filled.min() >= np.nanmin(values)
    assert filled.max() <= np.nanmax(values)


def test_filling_a_whole_matrix_changes_nothing() -> None:
    values = np.random.default_rng(0).random((5, 2))
    assert (fill_missing(values) == values).all()


def test_a_query_that_others_got_right_is_filled_above_the_mean() -> None:
    values = np.array([[1.0, 1.0, np.nan], [0.0, 0.0, np.nan], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    filled = fill_missing(values)
    assert filled[0, 2] > 0.5 > filled[1, 2]


def test_an_empty_row_is_filled_with_the_means() -> None:
    filled = fill_missing(np.array([[0.2, 0.6], [0.4, 0.8], [np.nan, np.nan]]))
    assert filled[2] == pytest.approx([0.3, 0.7])
