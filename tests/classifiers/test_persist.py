from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import orjson
import pytest

from penstock.backends import resolve
from penstock.classifiers import ArtefactError, QueryModel, Trained, no_escalation
from penstock.classifiers.knn import KnnTable, References
from penstock.classifiers.persist import FITTED, Arrays, dump, load
from penstock.classifiers.ridge import LinearMap


def table_of(points: Any) -> KnnTable:
    references = References(
        mean=np.zeros(2, dtype=np.float32), axes=np.eye(2, dtype=np.float32), points=points, rows=np.arange(len(points))
    )
    return KnnTable(references=references, values=points, n_neighbours=3, temperature=0.1)


def test_a_fitted_value_comes_back_as_it_was() -> None:
    value = table_of(np.arange(6, dtype=np.float32).reshape(3, 2))
    arrays: Arrays = {}
    outline = orjson.loads(orjson.dumps(dump(value, "table", arrays)))
    again = load(outline, arrays)
    assert isinstance(again, KnnTable)
    assert (again.n_neighbours, again.temperature) == (3, 0.1)
    assert (again.references.points == value.references.points).all()


def test_an_array_is_stored_once_however_often_it_is_used() -> None:
    points = np.arange(6, dtype=np.float32).reshape(3, 2)
    arrays: Arrays = {}
    dump((table_of(points), table_of(points.copy())), "tables", arrays)
    assert sum(array.shape == (3, 2) for array in arrays.values()) == 1


def test_arrays_that_only_look_alike_are_kept_apart() -> None:
    arrays: Arrays = {}
    zeros = (np.zeros((2, 3)), np.zeros((3, 2)), np.zeros((2, 3), dtype=np.float32), np.array([[-0.0] * 3] * 2))
    assert [place["array"] for place in dump(zeros, "zeros", arrays)["tuple"]] == [f"zeros.{i}" for i in range(4)]


def test_a_whole_router_comes_back(trained: Trained) -> None:
    arrays: Arrays = {}
    again: Trained = load(orjson.loads(orjson.dumps(dump(trained, "router", arrays))), arrays)
    one, other = trained.model.estimate("prove the theorem"), again.model.estimate("prove the theorem")
    assert (one.quality == other.quality).all()
    assert again.model.backends == trained.model.backends


def test_every_kind_that_can_be_saved_is_a_class_of_that_name() -> None:
    for kind in FITTED:
        assert resolve(kind, FITTED, what="kind").__name__ == kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Stranger:
    weights: int = 1


@pytest.mark.parametrize(
    "value", [Stranger(), [1, 2], {"a": 1}, np.int64(3), b"bytes", float("nan"), float("inf"), print, LinearMap]
)
def test_what_cannot_be_loaded_cannot_be_saved(value: Any) -> None:
    with pytest.raises(ArtefactError, match="cannot be saved") as caught:
        dump((value,), "router", {})
    assert "router.0" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "outline",
    [
        {},
        {"kind": "Stranger", "fields": {}},
        {"kind": "os:system", "fields": {"command": {"value": "true"}}},
        {"kind": "subprocess:Popen", "fields": {}},
        {"kind": ["LinearMap"], "fields": {}},
        {"kind": "LinearMap", "fields": {"dense_weights": {"array": "w"}}},
        {"kind": "LinearMap", "fields": {"colour": {"value": 1}}},
        {"kind": "LinearMap"},
        {"kind": "Escalation", "fields": []},
        {"array": "elsewhere"},
        {"array": ["w"]},
        {"tuple": 3},
        {"tuple": [None]},
        {"kind": "QueryModel", "fields": {"encoder": {"value": 3}}},
    ],
)
def test_an_outline_that_does_not_fit_is_refused_in_one_line(outline: Any) -> None:
    with pytest.raises(ArtefactError) as caught:
        load(outline, {"w": np.zeros(2)})
    assert "\n" not in str(caught.value)


def test_an_endlessly_nested_outline_is_refused() -> None:
    outline: dict[str, Any] = {"value": 1}
    for _ in range(5000):
        outline = {"tuple": [outline]}
    with pytest.raises(ArtefactError, match="does not match"):
        load(outline, {})


def test_what_is_computed_on_the_way_is_not_saved(model: QueryModel) -> None:
    outline = dump(model, "model", {})
    assert not [name for name in outline["fields"] if name.startswith("_")]


def test_plain_values_come_back() -> None:
    value = (None, True, 3, 0.25, "x", ())
    assert load(dump(value, "value", {}), {}) == value


def test_an_escalation_comes_back() -> None:
    arrays: Arrays = {}
    again = load(dump(replace(no_escalation(2), comparable=0.5), "e", arrays), arrays)
    assert (again.loading == no_escalation(2).loading).all()
    assert again.comparable == 0.5
