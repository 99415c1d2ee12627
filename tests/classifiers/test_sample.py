from __future__ import annotations

import numpy as np

from penstock.classifiers.sample import sample


def test_no_backend_is_left_out_however_many_there_are() -> None:
    rows = sample(9000, 3000)
    assert len(np.unique(rows)) == 3000
    assert np.bincount(rows % 9).min() > 250


def test_few_rows_are_all_taken() -> None:
    assert sample(5, 5).tolist() == [0, 1, 2, 3, 4]


def test_the_same_rows_are_taken_every_time() -> None:
    assert np.array_equal(sample(100, 10), sample(100, 10))
    assert (np.diff(sample(100, 10)) > 0).all()
