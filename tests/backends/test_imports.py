from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import penstock.backends

SOURCES = Path(penstock.backends.__file__).parents[1]


def loaded_by(statement: str) -> set[str]:
    """Returns the modules that a fresh interpreter has after a statement."""
    code = f"import sys; sys.path.insert(0, {str(SOURCES.parent)!r}); {statement}; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(result.stdout.split())


def test_importing_backends_loads_no_client_and_no_model_library() -> None:
    loaded = loaded_by("import penstock.backends")
    assert not loaded & {"aiohttp", "httpx", "httpx2", "torch", "transformers", "genai_prices", "duckdb"}


def test_importing_a_network_backend_loads_no_model_library() -> None:
    loaded = loaded_by("import penstock.backends.openai, penstock.backends.anthropic, penstock.backends.replay")
    assert not loaded & {"torch", "transformers", "genai_prices", "duckdb", "pydantic"}
