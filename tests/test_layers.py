"""Who may import whom, read from the sources, and whether every name in a table leads somewhere."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import penstock.backends
from penstock.backends import BACKENDS
from penstock.classifiers import ENCODERS, HEADS, SIGNALS
from penstock.classifiers.persist import FITTED
from penstock.router import OBJECTIVES
from penstock.router.cli import COMMANDS
from penstock.training.graders import GRADERS

LAYERS = ("backends", "classifiers", "router", "training")  # each may import itself and what stands before it
ROOT = Path(penstock.backends.__file__).parents[1]

# Whose work is done by other packages' code: the command line loads its subcommands by name.
TABLES = {
    "BACKENDS": BACKENDS,
    "ENCODERS": ENCODERS,
    "HEADS": HEADS,
    "SIGNALS": SIGNALS,
    "OBJECTIVES": OBJECTIVES,
    "GRADERS": GRADERS,
    "FITTED": FITTED,
    "COMMANDS": {name: target for name, (_, target) in COMMANDS.items()},
}
TARGETS = [(table, name, target) for table, entries in TABLES.items() for name, target in entries.items()]


def files_of(layer: str) -> list[Path]:
    """Returns every source file of a package."""
    return sorted((ROOT / layer).rglob("*.py"))


def imports_of(source: str, package: tuple[str, ...]) -> Iterator[tuple[str, bool]]:
    """Yields each module or name that a source imports from this project, in full, and whether relatively.

    Imports inside functions and under TYPE_CHECKING count like any other. `package` is where the source lies.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, False) for alias in node.names if alias.name.split(".")[0] == "penstock")
        elif isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            for alias in node.names:
                yield ".".join((*base, *(node.module or "").split("."), alias.name)).replace("..", "."), True
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "penstock":
            yield from ((f"{node.module}.{alias.name}", False) for alias in node.names)


def imports_in(path: Path) -> list[tuple[str, bool]]:
    """Returns what a file imports from this project."""
    inside = path.relative_to(ROOT).parent.parts
    return list(imports_of(path.read_text(encoding="utf-8"), ("penstock", *inside)))


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from ..router import Pool", [("penstock.router.Pool", True)]),
        ("def f():\n    from ..router.pool import Pool", [("penstock.router.pool.Pool", True)]),
        ("if TYPE_CHECKING:\n    from .. import router", [("penstock.router", True)]),
        ("import penstock.training", [("penstock.training", False)]),
        ("from penstock import training", [("penstock.training", False)]),
        ("from .pool import Pool", [("penstock.backends.pool.Pool", True)]),
        ("import numpy, os.path", []),
    ],
)
def test_imports_are_found_wherever_they_stand(source: str, found: list[tuple[str, bool]]) -> None:
    assert list(imports_of(source, ("penstock", "backends"))) == found


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_imports_itself_and_what_is_left_of_it_only(layer: str) -> None:
    allowed = LAYERS[: LAYERS.index(layer) + 1]
    files = files_of(layer)
    assert files
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in files
        for name, _ in imports_in(path)
        if name.split(".")[1] not in allowed
    ]
    assert wrong == []


@pytest.mark.parametrize("layer", LAYERS)
def test_inside_the_packages_imports_are_relative(layer: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in files_of(layer)
        for name, is_relative in imports_in(path)
        if not is_relative
    ]
    assert wrong == []


def test_there_are_no_other_packages() -> None:
    assert sorted(path.name for path in ROOT.iterdir() if path.is_dir()) == sorted(LAYERS)


@pytest.mark.parametrize("layer", LAYERS)
def test_no_file_is_a_drawer_for_everything(layer: str) -> None:
    assert not {path.name for path in files_of(layer)} & {"utils.py", "common.py", "helpers.py"}


@pytest.mark.parametrize(("table", "name", "target"), TARGETS, ids=[f"{table}-{name}" for table, name, _ in TARGETS])
def test_every_target_of_a_table_exists(table: str, name: str, target: str) -> None:
    module, _, attribute = target.partition(":")
    assert callable(getattr(importlib.import_module(module), attribute))


@pytest.mark.parametrize("table", [table for table in TABLES if table != "COMMANDS"])
def test_a_table_leads_to_its_own_package(table: str) -> None:
    owner = {"BACKENDS": "backends", "OBJECTIVES": "router", "GRADERS": "training"}.get(table, "classifiers")
    assert all(target.startswith(f"penstock.{owner}.") for target in TABLES[table].values())


@pytest.mark.parametrize("name", FITTED)
def test_a_fitted_value_is_saved_under_the_name_of_its_class(name: str) -> None:
    assert FITTED[name].partition(":")[2] == name
