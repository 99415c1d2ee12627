"""What each thing that is seen of a query, and each head, contributes to its estimates: told by leaving it out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from .blend import Blend
from .efforts import EffortCurves
from .features import QueryFeatures
from .heads import Predictor
from .joined import Joined
from .ridge import FloatArray
from .surface import SURFACE_NAMES


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """How much higher the estimated quality of every backend is than without one thing."""

    kind: str  # `feature`: a surface feature, set to its mean; `words`: terms; `head`: a part of the blend
    name: str  # of the feature or head; `words` or `frame`: whose terms
    quality: FloatArray  # (n_backends,)


_HEAD_OF = {
    "LinearPlusKnn": "stack",
    "LinearMap": "linear",
    "LogisticMap": "irt",
}  # what the parts of a blend came from


def ablations(predictor: Predictor, query: QueryFeatures) -> Iterator[tuple[str, str, Predictor, QueryFeatures]]:
    """Yields kind and name of each thing that can be left out, and what predicts, from what, without it.

    Features that are at their mean, and terms of a kind that the query has none of, are passed over: without them
    nothing changes.
    """
    for place, name in enumerate(SURFACE_NAMES, start=query.embedding_dim):
        if query.dense[place]:
            dense = query.dense.copy()
            dense[place] = 0.0  # standardised
            yield "feature", name, predictor, query.but(dense=dense)
    n = query.n_words
    if n:
        yield "words", "words", predictor, query.but(columns=query.columns[n:], weights=query.weights[n:], n_words=0)
    if n < len(query.columns):
        yield "words", "frame", predictor, query.but(columns=query.columns[:n], weights=query.weights[:n])
    for name, without in _without_heads(predictor):
        yield "head", name, without, query


def _without_heads(predictor: Predictor) -> Iterator[tuple[str, Predictor]]:
    """Yields each part of a blend with the blend that weighs it 0."""
    if isinstance(predictor, Joined | EffortCurves):
        for name, others in _without_heads(predictor.others):
            yield name, replace(predictor, others=others)
    elif isinstance(predictor, Blend):
        for place, part in enumerate(predictor.parts):
            weights = np.where(np.arange(len(predictor.weights)) == place, 0.0, predictor.weights)
            yield _HEAD_OF.get(type(part).__name__, type(part).__name__), replace(predictor, weights=weights)
        if predictor.forest is not None:
            yield "trees", replace(predictor, forest=None)
