"""What each package offers: `__all__` is sorted, is what the package re-exports, and is documented."""

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path
from types import ModuleType

import pytest

PACKAGES = ("backends", "classifiers", "router", "training")


def package(name: str) -> ModuleType:
    """Returns one of the four packages."""
    return importlib.import_module(f"penstock.{name}")


def in_order(names: list[str]) -> list[str]:
    """Returns names as the linter sorts them: constants, classes, functions."""

    def rank(name: str) -> tuple[int, str]:
        return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)

    return sorted(names, key=rank)


def imported(module: ModuleType) -> list[str]:
    """Returns the public names that a package's `__init__.py` imports from its own modules."""
    assert module.__file__ is not None
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    return [
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
        if not (alias.asname or alias.name).startswith("_")
    ]


def classes_of(module: ModuleType) -> list[type]:
    """Returns the public classes of a package."""
    return [value for name in module.__all__ if inspect.isclass(value := getattr(module, name))]


@pytest.mark.parametrize("name", PACKAGES)
def test_all_is_sorted_and_names_nothing_twice(name: str) -> None:
    names = list(package(name).__all__)
    assert names
    assert names == in_order(names)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", PACKAGES)
def test_all_is_what_the_package_re_exports(name: str) -> None:
    module = package(name)
    assert sorted(module.__all__) == sorted(imported(module))


@pytest.mark.parametrize("name", PACKAGES)
def test_every_public_name_exists(name: str) -> None:
    module = package(name)
    assert [wanted for wanted in module.__all__ if getattr(module, wanted, None) is None] == []


@pytest.mark.parametrize("name", PACKAGES)
def test_a_name_that_is_not_there_is_an_attribute_error(name: str) -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        getattr(package(name), "no_such_name")  # noqa: B009  # the point of the test


@pytest.mark.parametrize("name", PACKAGES)
def test_every_package_class_and_function_has_a_docstring(name: str) -> None:
    module = package(name)
    offered = {wanted: getattr(module, wanted) for wanted in module.__all__}
    bare = [
        wanted
        for wanted, value in offered.items()
        if (inspect.isclass(value) or inspect.isroutine(value)) and not own_docstring(value)
    ]
    assert module.__doc__
    assert bare == []


@pytest.mark.parametrize("name", PACKAGES)
def test_every_public_method_and_property_has_a_docstring(name: str) -> None:
    bare = [
        f"{owner.__name__}.{wanted}"
        for owner in classes_of(package(name))
        for wanted, value in vars(owner).items()
        if not wanted.startswith("_") and is_method(value) and not inspect.getdoc(value)
    ]
    assert bare == []


def is_method(value: object) -> bool:
    """Returns whether an attribute of a class is a method or a property."""
    return inspect.isroutine(value) or isinstance(value, property | classmethod | staticmethod)


def own_docstring(value: object) -> str:
    """Returns what somebody wrote of a class or function; dataclasses make one up, which does not count."""
    text = inspect.getdoc(value) or ""
    return "" if inspect.isclass(value) and text.startswith(f"{value.__name__}(") else text
