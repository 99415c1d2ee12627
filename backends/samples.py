"""Further samples of one model, each a backend of its own: so a second opinion can be valued before it is bought.

Self-consistency (Wang et al. 2022, arXiv:2203.11171), sample by sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .types import Query

TEMPERATURE = 0.7  # at least, of a further sample: without chance it would say the same again


def sample_name(name: str, draw: int) -> str:
    """Returns what the sample of a backend with this number is called, from 0.

    >>> sample_name("small", 0), sample_name("small", 1)
    ('small', 'small#2')
    """
    return f"{name}#{draw + 1}" if draw else name


def resampled(query: Query, draw: int) -> Query:
    """Returns the query with chance let in, and a seed of its own where one is given."""
    query = replace(query, params=_warmed(query.params, draw))
    original = query.original_in("messages")  # sent as it came, where chat completions are made of `params`
    if original is not None:
        query = replace(query, original=replace(original, body=_warmed(original.body, draw)))
    return query


def _warmed(fields: Mapping[str, Any], draw: int) -> dict[str, Any]:
    warmed = dict(fields)
    temperature, seed = warmed.get("temperature"), warmed.get("seed")
    if temperature is None or (isinstance(temperature, int | float) and temperature < TEMPERATURE):
        warmed["temperature"] = TEMPERATURE
    if isinstance(seed, int):
        warmed["seed"] = seed + draw
    return warmed
