from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.classifiers.sparse import TermOperator

from .matrices import Matrix, dense_of, sparse_of


@st.composite
def matrices(draw: st.DrawFn) -> Matrix:
    """Draws a matrix with empty rows, empty columns, frequent columns and rare ones."""
    n, m = draw(st.integers(0, 40)), draw(st.integers(0, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    density = draw(st.sampled_from([0.0, 0.05, 0.3, 1.0])) * rng.random(m)
    return np.where(rng.random((n, m)) < density, rng.normal(size=(n, m)), 0).astype(np.float32)


@settings(deadline=None)
@given(matrices(), st.integers(0, 3))
def test_products_equal_dense_ones(dense: Matrix, k: int) -> None:
    n, m = dense.shape
    rng = np.random.default_rng(0)
    right = rng.normal(size=(m, k)).astype(np.float32)
    left = rng.normal(size=(n, k)).astype(np.float32)
    matrix = sparse_of(dense)
    operator = TermOperator(matrix)
    assert matrix.dot(right) == pytest.approx(dense @ right, abs=1e-4)
    assert operator.dot(right) == pytest.approx(dense @ right, abs=1e-4)
    assert operator.dot_transposed(left) == pytest.approx(dense.T @ left, abs=1e-4)


@settings(deadline=None)
@given(matrices(), st.data())
def test_rows_are_taken_in_the_order_given(dense: Matrix, data: st.DataObject) -> None:
    places = st.lists(st.integers(0, len(dense) - 1), max_size=20) if len(dense) else st.just([])
    rows = np.array(data.draw(places), dtype=np.int64)
    assert (dense_of(sparse_of(dense).take(rows)) == dense[rows]).all()


@settings(deadline=None)
@given(matrices())
def test_transposing_is_transposing(dense: Matrix) -> None:
    transposed = sparse_of(dense).transpose()
    assert (dense_of(transposed) == dense.T).all()
    assert all((np.diff(transposed.columns[a:b]) > 0).all() for a, b in pairwise(transposed.indptr))


@given(matrices(), st.integers(0, 12), st.integers(0, 12))
def test_columns_that_are_not_between_are_empty(dense: Matrix, first: int, end: int) -> None:
    kept = dense.copy()
    kept[:, :first] = kept[:, end:] = 0
    between = sparse_of(dense).between(first, end)
    assert dense_of(between).shape == dense.shape
    assert (dense_of(between) == kept).all()
