"""One product for all that reads the dense vector of a query linearly: a large one takes little longer than a small."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from .features import QueryFeatures
from .sparse import Float32Array


@runtime_checkable
class DenseReader(Protocol):
    """Part of a fitted value that begins with `dense @ weights + offset`, and looks for that in `query.products`."""

    def on_dense(self) -> tuple[Float32Array, Float32Array]:
        """Returns weights, (at most n_dense, k), of the first columns, and the offset, (k,)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Fused:
    """The weights of several readers side by side."""

    weights: Float32Array  # (n_dense, k of all)
    offset: Float32Array  # (k of all,)
    places: tuple[tuple[int, slice], ...]  # by reader

    @classmethod
    def of(cls, *values: Any, n_dense: int) -> Fused:
        """Returns the readers among the parts of these fitted values; those that are the same stand there once."""
        readers = [reader for value in values for reader in _readers_in(value)]
        columns: dict[tuple[bytes, bytes], slice] = {}
        places, weights, offsets, end = [], [], [], 0
        for reader in readers:
            own, offset = reader.on_dense()
            key = own.tobytes(), offset.tobytes()
            if key not in columns:
                columns[key] = slice(end, end := end + len(offset))
                weights.append(np.pad(own, ((0, n_dense - len(own)), (0, 0))))
                offsets.append(offset)
            places.append((id(reader), columns[key]))
        none = np.empty((n_dense, 0), dtype=np.float32)
        return cls(
            weights=np.asfortranarray(np.concatenate([none, *weights], axis=1)),  # the quicker order for one query
            offset=np.concatenate([none[0], *offsets]),
            places=tuple(places),
        )

    def read(self, query: QueryFeatures) -> None:
        """Puts into `query.products` what each of the readers will ask for."""
        product = query.dense.dot(self.weights)
        product += self.offset
        products = query.products
        for reader, place in self.places:
            products[reader] = product[place]


def _readers_in(value: Any) -> Iterator[DenseReader]:
    if isinstance(value, DenseReader):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _readers_in(item)
    elif is_dataclass(value):
        for field in fields(value):
            if field.init:
                yield from _readers_in(getattr(value, field.name))
