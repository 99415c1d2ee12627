"""Frozen dataclasses that are quick to make are dataclasses like others."""

from __future__ import annotations

import copy
import inspect
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace

import pytest

from penstock.backends import Chunk, Completion, Query, Usage
from penstock.backends.quick import maker, quick


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One of each kind of field."""

    name: str
    number: int = 7
    tags: list[str] = field(default_factory=list)
    label: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", f"{self.name} {self.number}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """As `dataclass` makes it."""

    name: str
    number: int = 7
    tags: list[str] = field(default_factory=list)
    label: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", f"{self.name} {self.number}")


def test_has_the_fields_defaults_and_words_of_a_dataclass() -> None:
    place = Place(name="here")
    assert (place.name, place.number, place.tags, place.label) == ("here", 7, [], "here 7")
    assert repr(place) == repr(Plain(name="here")).replace("Plain", "Place")
    assert place == Place(name="here", number=7)
    assert place != Place(name="there")
    assert type(place) is Place
    assert isinstance(place, Place)


def test_makes_a_default_anew_each_time() -> None:
    Place(name="here").tags.append("x")
    assert Place(name="here").tags == []


def test_stays_frozen() -> None:
    place = Place(name="here")
    with pytest.raises(FrozenInstanceError):
        place.name = "there"  # type: ignore[misc]  # that is the point
    with pytest.raises((AttributeError, TypeError)):  # the latter is what Python 3.11 makes of the former
        place.other = 1  # type: ignore[attr-defined]  # likewise
    assert not hasattr(place, "__dict__")


def test_refuses_what_is_missing_or_unknown_as_a_dataclass_does() -> None:
    for wrong in ({}, {"name": "x", "other": 1}, {"name": "x", "label": "y"}):
        with pytest.raises(TypeError) as ours:
            Place(**wrong)  # type: ignore[arg-type]  # that is the point
        with pytest.raises(TypeError) as theirs:
            Plain(**wrong)  # type: ignore[arg-type]  # likewise
        assert str(ours.value) == str(theirs.value).replace("Plain", "Place")
    with pytest.raises(TypeError):
        Place("here")  # type: ignore[misc]  # likewise


def test_is_replaced_copied_and_pickled() -> None:
    place = replace(Place(name="here"), number=8)
    assert (place.number, place.label) == (8, "here 8")
    assert copy.copy(place) == copy.deepcopy(place) == place
    assert pickle.loads(pickle.dumps(place)) == place
    assert hash(Chunk(text="a")) == hash(Chunk(text="a"))


def test_signature_is_that_of_the_dataclass() -> None:
    ours, theirs = inspect.signature(Place), inspect.signature(Plain)
    assert list(ours.parameters) == list(theirs.parameters)
    assert {each.kind for each in ours.parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize("kind", [Chunk, Completion, Query, Usage])
def test_every_default_of_what_requests_are_made_of_is_kept(kind: type) -> None:
    parameters = inspect.signature(kind).parameters
    for each in fields(kind):
        if each.init:
            has_default = parameters[each.name].default is not inspect.Parameter.empty
            assert has_default == (each.default is not each.default_factory), each.name


def test_a_maker_makes_what_the_class_does() -> None:
    make_place = maker(Place)
    place = make_place(name="here", number=8)
    assert type(place) is Place
    assert place == Place(name="here", number=8)
    assert (place.label, make_place(name="there").tags) == ("here 8", [])
    with pytest.raises(FrozenInstanceError):
        place.name = "there"  # type: ignore[misc]  # that is the point
    with pytest.raises(TypeError, match=r"make_Place\(\) missing 1 required keyword-only argument: 'name'"):
        make_place()  # type: ignore[call-arg]  # likewise
