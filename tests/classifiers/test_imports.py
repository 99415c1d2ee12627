from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import penstock.classifiers

PACKAGE = Path(penstock.classifiers.__file__).parent
HEAVY = {"torch", "transformers", "sklearn", "scipy", "pandas"}


def loaded_by(statement: str) -> set[str]:
    """Returns the modules that a fresh interpreter has after a statement."""
    code = f"import sys; sys.path.insert(0, {str(PACKAGE.parents[1])!r}); {statement}; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(result.stdout.split())


def test_importing_classifiers_loads_no_model_library() -> None:
    assert not loaded_by("import penstock.classifiers") & (HEAVY | {"tokenizers", "safetensors"})


def test_every_name_together_loads_no_model_library() -> None:
    loaded = loaded_by("from penstock.classifiers import *; create_encoder('static'); signal_names()")
    assert "penstock.classifiers.heads" in loaded
    assert not loaded & HEAVY


def test_all_is_the_public_names() -> None:
    names = penstock.classifiers.__all__
    assert sorted(set(names)) == sorted(names)
    for name in names:
        assert getattr(penstock.classifiers, name).__class__ is not None
    shown = {name for name in vars(penstock.classifiers) if not name.startswith("_")}
    modules = {path.stem for path in PACKAGE.iterdir()}
    assert shown - modules - {"TYPE_CHECKING"} <= set(names)


def test_a_name_that_is_not_there_is_no_attribute() -> None:
    assert not hasattr(penstock.classifiers, "RandomForest")
