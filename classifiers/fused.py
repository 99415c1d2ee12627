"""One product for all that reads a query linearly: a large one takes little longer than a small."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from .features import QueryFeatures
from .ridge import LinearMap
from .sparse import Float32Array


@runtime_checkable
class Reader(Protocol):
    """Part of a fitted value that begins with `dense @ weights + offset`, and looks for that in `query.products`.

    A `LinearMap`, which reads terms too, finds what both come to.
    """

    def on_dense(self) -> tuple[Float32Array, Float32Array]:
        """Returns weights, (at most n_dense, k), of the first columns, and the offset, (k,)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Fused:
    """The weights of several readers side by side, those that read terms before the others."""

    dense_weights: Float32Array  # (n_dense, k of all)
    term_weights: Float32Array  # (n_terms, k of those that read terms)
    offset: Float32Array  # (k of all,)
    places: tuple[tuple[int, slice], ...]  # by reader

    def read(self, query: QueryFeatures) -> None:
        """Puts into `query.products` what each of the readers will ask for."""
        product = query.dense.dot(self.dense_weights)
        product += self.offset
        n_of_terms = self.term_weights.shape[1]
        if n_of_terms and len(query.columns):
            product[:n_of_terms] += query.weights.dot(self.term_weights.take(query.columns, axis=0))
        products = query.products
        for reader, place in self.places:
            products[reader] = product[place]


def fuse(*values: Any, n_dense: int, n_terms: int) -> tuple[Fused, tuple[Any, ...]]:
    """Returns the readers among the parts of fitted values, and these values with their terms kept there alone."""
    terms, views = _side_by_side(values, n_terms)
    values = _with(values, views)
    of_terms = {id(view) for view in views.values()}
    readers = sorted(_readers_in(values), key=lambda reader: id(reader) not in of_terms)  # those of terms first
    places: dict[int, slice] = {}
    known: dict[object, slice] = {}  # readers that are the same share a place
    weights, offsets, end = [np.empty((n_dense, 0), dtype=np.float32)], [np.empty(0, dtype=np.float32)], 0
    for reader in readers:
        own, offset = reader.on_dense()
        if len(own) > n_dense:  # it reads something else
            continue
        key = id(reader) if id(reader) in of_terms else (own.tobytes(), offset.tobytes())
        if key not in known:
            known[key] = slice(end, end := end + len(offset))
            weights.append(np.pad(own, ((0, n_dense - len(own)), (0, 0))))
            offsets.append(offset)
        places[id(reader)] = known[key]
    fused = Fused(
        dense_weights=np.asfortranarray(np.concatenate(weights, axis=1)),  # by columns: quicker for one query
        term_weights=terms,
        offset=np.concatenate(offsets),
        places=tuple(places.items()),
    )
    return fused, values


def _side_by_side(values: tuple[Any, ...], n_terms: int) -> tuple[Float32Array, dict[int, LinearMap]]:
    """Returns the term weights of all linear maps in one table, and in the place of each one that looks into it."""
    maps = {
        id(reader): reader
        for reader in _readers_in(values)
        if isinstance(reader, LinearMap) and len(reader.term_weights) == n_terms > 0
    }
    terms = np.concatenate([np.empty((n_terms, 0), np.float32), *(each.term_weights for each in maps.values())], axis=1)
    views, end = {}, 0
    for key, each in maps.items():
        views[key] = replace(each, term_weights=terms[:, end : end + len(each.intercept)])
        end += len(each.intercept)
    return terms, views


def _readers_in(value: Any) -> Iterator[Reader]:
    if isinstance(value, Reader):
        yield value
    else:
        for _, part in _parts(value):
            yield from _readers_in(part)


def _with(value: Any, others: Mapping[int, Any]) -> Any:
    """Returns a fitted value with other readers in the places of some; what holds none of these stays as it is."""
    if id(value) in others:
        return others[id(value)]
    changed = {name: new for name, part in _parts(value) if (new := _with(part, others)) is not part}
    if not changed:
        return value
    if isinstance(value, tuple):
        return tuple(changed.get(str(place), part) for place, part in enumerate(value))
    return replace(value, **changed)


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, tuple):
        yield from ((str(place), part) for place, part in enumerate(value))
    elif is_dataclass(value):
        yield from ((field.name, getattr(value, field.name)) for field in fields(value) if field.init)
