"""What is loaded by what, seen from a fresh interpreter: the sidecar starts quickly and stays small."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import penstock.router

SOURCES = str(Path(penstock.router.__file__).parents[2])
HEAVY = {
    "torch", "transformers", "sklearn", "scipy", "aiohttp", "duckdb", "pygal", "tokenizers", "yaml", "genai_prices",
    "uvicorn",
}  # fmt: skip


def loaded_by(program: str) -> set[str]:
    """Returns the modules that a fresh interpreter has after a program."""
    code = f"import sys\n{program}\nprint('loaded:', *sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": SOURCES},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return set(ended.stdout.rpartition("loaded:")[2].split())


def command(*words: str) -> str:
    """Returns the program that runs the command line."""
    return f"from penstock.router.cli import main\nassert main({list(words)!r}) == 0"


@pytest.mark.parametrize(
    "program",
    [
        "import penstock.router",
        "import penstock.backends",
        "import penstock.classifiers",
        command("--help"),
        command("route", "--help"),
        command("ask", "--help"),
        command("check", "--help"),
    ],
    ids=["router", "backends", "classifiers", "--help", "route --help", "ask --help", "check --help"],
)
def test_nothing_heavy_is_loaded_before_it_is_needed(program: str) -> None:
    loaded = loaded_by(program)
    assert "penstock.backends" in loaded
    assert not loaded & HEAVY
    assert "penstock.training" not in loaded


def test_importing_the_router_loads_no_package_metadata_and_no_test_double() -> None:
    loaded = loaded_by("import penstock.router")
    assert not loaded & {"importlib.metadata", "penstock.backends.fake", "penstock.backends.prices"}


def test_importing_the_training_code_loads_no_model_library() -> None:
    assert not loaded_by("import penstock.training") & {"torch", "transformers", "sklearn", "scipy"}


def test_what_is_loaded_late_is_what_it_says_it_is() -> None:
    loaded = loaded_by("from penstock.backends import FakeBackend\nfrom penstock.classifiers import create_encoder")
    assert {"penstock.backends.fake", "penstock.classifiers.encoders"} <= loaded
