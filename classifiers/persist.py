"""Frozen dataclasses to named arrays and plain JSON, and back. Nothing that is loaded can run code.

A fitted value is a dataclass whose fields are arrays, numbers, strings, tuples of these, or other fitted values.
Only the classes in FITTED can be rebuilt; a file names them, it cannot bring its own.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backends import resolve
from .errors import ArtefactError

Arrays = dict[str, NDArray[Any]]

FITTED = {
    "LinearMap": "penstock.classifiers.ridge:LinearMap",
    "LogisticMap": "penstock.classifiers.logistic:LogisticMap",
    "EffortCurves": "penstock.classifiers.efforts:EffortCurves",
    "Joined": "penstock.classifiers.joined:Joined",
    "LinearPlusKnn": "penstock.classifiers.stack:LinearPlusKnn",
    "Blend": "penstock.classifiers.blend:Blend",
    "Forest": "penstock.classifiers.trees:Forest",
    "TreeSum": "penstock.classifiers.boosting:TreeSum",
    "Mlp": "penstock.classifiers.mlp:Mlp",
    "FineTuned": "penstock.classifiers.finetuned:FineTuned",
    "SharedSpace": "penstock.classifiers.contrastive:SharedSpace",
    "References": "penstock.classifiers.knn:References",
    "KnnTable": "penstock.classifiers.knn:KnnTable",
    "Calibration": "penstock.classifiers.calibration:Calibration",
    "CostModel": "penstock.classifiers.cost:CostModel",
    "Neighbours": "penstock.classifiers.neighbours:Neighbours",
    "Uncertainty": "penstock.classifiers.uncertainty:Uncertainty",
    "QueryModel": "penstock.classifiers.model:QueryModel",
    "ConfidenceModel": "penstock.classifiers.confidence:ConfidenceModel",
    "Phrasing": "penstock.classifiers.phrasing:Phrasing",
    "EarlyConfidence": "penstock.classifiers.early:EarlyConfidence",
    "Escalation": "penstock.classifiers.escalation:Escalation",
    "HandOver": "penstock.classifiers.handover:HandOver",
    "Jury": "penstock.classifiers.verdict:Jury",
    "Meaning": "penstock.classifiers.meaning:Meaning",
    "Certificate": "penstock.classifiers.certificate:Certificate",
    "TradeOffs": "penstock.classifiers.trade_offs:TradeOffs",
    "Trained": "penstock.classifiers.artefact:Trained",
}


def dump(value: Any, name: str, arrays: Arrays) -> Any:
    """Returns the JSON outline of a fitted value and puts its arrays into `arrays` under dotted names."""
    if isinstance(value, np.ndarray):
        known = next((key for key, array in arrays.items() if _is_same(array, value)), None)  # stored once
        if known is None:
            known, arrays[name] = name, value
        return {"array": known}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kind = type(value).__name__
        if kind not in FITTED:
            raise ArtefactError(f"{name}: a {kind} cannot be saved; add it to FITTED")
        fields = {f.name: dump(getattr(value, f.name), f"{name}.{f.name}", arrays) for f in _saved_fields(value)}
        return {"kind": kind, "fields": fields}
    if isinstance(value, tuple):
        return {"tuple": [dump(item, f"{name}.{place}", arrays) for place, item in enumerate(value)]}
    if isinstance(value, float) and math.isfinite(value):
        return {"value": float(value)}
    if value is None or isinstance(value, bool | int | str):
        return {"value": value}
    raise ArtefactError(f"{name}: {value!r:.80} of type {type(value).__name__} cannot be saved")


def load(outline: Mapping[str, Any], arrays: Arrays) -> Any:
    """Returns the fitted value that `dump` described.

    Raises:
        ArtefactError: the outline names an unknown class, array or field.
    """
    try:
        if "array" in outline:
            return arrays[outline["array"]]
        if "value" in outline:
            return outline["value"]
        if "tuple" in outline:
            return tuple(load(item, arrays) for item in outline["tuple"])
        kind = outline["kind"]
        if kind not in FITTED:
            raise ArtefactError(f"unknown kind of fitted value {kind!r}; expected one of {', '.join(FITTED)}")
        fields = {name: load(field, arrays) for name, field in outline["fields"].items()}
        return resolve(kind, FITTED, what="artefact")(**fields)
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ArtefactError(f"the outline does not match its arrays: {error}") from error


def _is_same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    if one is other or one.dtype != other.dtype or one.shape != other.shape:
        return one is other
    begins_alike = one.ravel()[:8].tobytes() == other.ravel()[:8].tobytes()  # spares comparing millions of weights
    return begins_alike and one.tobytes() == other.tobytes()


def _saved_fields(value: Any) -> list[dataclasses.Field[Any]]:
    return [field for field in dataclasses.fields(value) if field.init]
