"""Trees asked about one row answer as they do of many."""

import numpy as np
import pytest

from penstock.classifiers.addresses import addresses_of
from penstock.classifiers.boosting import TreeSum


def _trees(n_trees: int, *, depth: int = 3, n_inputs: int = 4) -> TreeSum:
    rng = np.random.default_rng(n_trees)
    return TreeSum(
        columns=rng.integers(0, n_inputs, size=(n_trees, depth)),
        thresholds=rng.choice(np.array([-0.1, 0.3, 1 / 3, 0.7], dtype=np.float32), size=(n_trees, depth)),
        leaves=rng.standard_normal((n_trees, 2**depth, 1)).astype(np.float32),
        base=np.array([0.25]),
    )


@pytest.mark.parametrize(("n_trees", "depth"), [(1, 1), (7, 3), (100, 3), (300, 8)])
def test_addresses_score_rows_as_the_trees_do(n_trees: int, depth: int) -> None:
    trees = _trees(n_trees, depth=depth)
    addresses = addresses_of(trees, 4)
    for row in np.random.default_rng(0).uniform(-0.5, 1.0, size=(50, 4)):
        address = addresses.start
        for ladder, value in zip(addresses.ladders, row.tolist(), strict=True):
            address |= ladder.answer(value)
        expected = trees.predict(row[None].astype(np.float32))[0, 0]
        assert addresses.score(address) == pytest.approx(expected, abs=1e-5)


def test_a_value_that_is_a_threshold_once_rounded_is_not_above_it() -> None:
    trees = TreeSum(
        columns=np.array([[0]]),
        thresholds=np.array([[1 / 3]], dtype=np.float32),  # a little more than a third
        leaves=np.array([[[-1.0], [1.0]]], dtype=np.float32),
        base=np.array([0.0]),
    )
    addresses = addresses_of(trees, 1)
    threshold = float(np.float32(1 / 3))
    scores = [
        addresses.score(addresses.start | addresses.ladders[0].answer(value))
        for value in (threshold + 1e-9, threshold + 1e-7)
    ]
    assert scores == [-1.0, 1.0]


def test_no_trees_are_their_base() -> None:
    addresses = addresses_of(_trees(0), 4)
    assert addresses.score(addresses.start) == 0.25
