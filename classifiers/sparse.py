"""Term matrices: mostly zeros, multiplied from both sides many times while a ridge is fitted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]
IntArray = NDArray[np.int64]

# A column with more non-zeros than this share of the rows is kept dense: one BLAS call beats many gathers.
_DENSE_SHARE = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class CsrMatrix:
    """A sparse matrix by rows: the entries of row i are `columns[indptr[i]:indptr[i + 1]]` and their `values`."""

    indptr: IntArray  # (n_rows + 1,)
    columns: IntArray  # (n_entries,), ascending within a row
    values: Float32Array  # (n_entries,)
    n_columns: int

    @property
    def n_rows(self) -> int:
        return len(self.indptr) - 1

    def take(self, rows: IntArray) -> CsrMatrix:
        """Returns the chosen rows, in the order given."""
        lengths = (self.indptr[1:] - self.indptr[:-1])[rows]
        indptr = np.concatenate([[0], np.cumsum(lengths)])
        entries = np.repeat(self.indptr[:-1][rows] - indptr[:-1], lengths) + np.arange(indptr[-1])
        return CsrMatrix(
            indptr=indptr, columns=self.columns[entries], values=self.values[entries], n_columns=self.n_columns
        )

    def between(self, first: int, end: int) -> CsrMatrix:
        """Returns the matrix of the same shape with the entries of the columns from `first` to before `end` alone."""
        is_kept = (self.columns >= first) & (self.columns < end)
        ends = np.concatenate([[0], np.cumsum(is_kept)])[self.indptr]
        return CsrMatrix(
            indptr=ends, columns=self.columns[is_kept], values=self.values[is_kept], n_columns=self.n_columns
        )

    def transpose(self) -> CsrMatrix:
        """Returns the transposed matrix, again by rows."""
        order = np.argsort(self.columns, kind="stable")
        rows = np.repeat(np.arange(self.n_rows), np.diff(self.indptr))
        counts = np.bincount(self.columns, minlength=self.n_columns)
        return CsrMatrix(
            indptr=np.concatenate([[0], np.cumsum(counts)]),
            columns=rows[order],
            values=self.values[order],
            n_columns=self.n_rows,
        )

    def dot(self, dense: Float32Array) -> Float32Array:
        """Returns this matrix times a dense one, (n_columns, k) -> (n_rows, k).

        Output by output: what is gathered is small enough to stay near the processor.
        """
        out = np.zeros((self.n_rows, dense.shape[1]), dtype=np.float32)
        filled = np.flatnonzero(np.diff(self.indptr))
        if len(filled):
            for place, column in enumerate(np.ascontiguousarray(dense.T)):
                products = column.take(self.columns)
                products *= self.values
                out[filled, place] = np.add.reduceat(products, self.indptr[filled])
        return out


class TermOperator:
    """A fixed sparse matrix, laid out for fast products with it and with its transpose.

    The few columns that hold most of the entries (term frequencies follow Zipf's law) stand in a dense block.
    """

    def __init__(self, matrix: CsrMatrix) -> None:
        counts = np.bincount(matrix.columns, minlength=matrix.n_columns)
        is_dense = counts > max(_DENSE_SHARE * matrix.n_rows, 8)
        self.n_rows, self.n_columns = matrix.n_rows, matrix.n_columns
        self._frequent = np.flatnonzero(is_dense)
        self._rare = np.flatnonzero(~is_dense)
        place = np.empty(matrix.n_columns, dtype=np.int64)
        place[self._frequent] = np.arange(len(self._frequent))
        place[self._rare] = np.arange(len(self._rare))

        rows = np.repeat(np.arange(matrix.n_rows), np.diff(matrix.indptr))
        goes_dense = is_dense[matrix.columns]
        self._block = np.zeros((matrix.n_rows, len(self._frequent)), dtype=np.float32)
        self._block[rows[goes_dense], place[matrix.columns[goes_dense]]] = matrix.values[goes_dense]

        rest = ~goes_dense
        per_row = np.bincount(rows[rest], minlength=matrix.n_rows)
        self._rows = CsrMatrix(
            indptr=np.concatenate([[0], np.cumsum(per_row)]),
            columns=place[matrix.columns[rest]],
            values=matrix.values[rest],
            n_columns=len(self._rare),
        )
        self._columns = self._rows.transpose()

    def dot(self, dense: Float32Array) -> Float32Array:
        """Returns matrix @ dense, (n_columns, k) -> (n_rows, k)."""
        return self._block @ dense[self._frequent] + self._rows.dot(dense[self._rare])

    def dot_transposed(self, dense: Float32Array) -> Float32Array:
        """Returns matrix.T @ dense, (n_rows, k) -> (n_columns, k)."""
        out = np.empty((self.n_columns, dense.shape[1]), dtype=np.float32)
        out[self._frequent] = self._block.T @ dense
        out[self._rare] = self._columns.dot(dense)
        return out
