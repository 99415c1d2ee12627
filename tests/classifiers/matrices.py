"""Sparse matrices from dense ones and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from penstock.classifiers.sparse import CsrMatrix

Matrix = NDArray[np.float32]


def sparse_of(dense: Matrix) -> CsrMatrix:
    rows, columns = np.nonzero(dense)
    counts = np.bincount(rows, minlength=len(dense))
    return CsrMatrix(
        indptr=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        columns=columns.astype(np.int64),
        values=dense[rows, columns],
        n_columns=dense.shape[1],
    )


def dense_of(matrix: CsrMatrix) -> Matrix:
    out = np.zeros((matrix.n_rows, matrix.n_columns), dtype=np.float32)
    rows = np.repeat(np.arange(matrix.n_rows), np.diff(matrix.indptr))
    out[rows, matrix.columns] = matrix.values
    return out
