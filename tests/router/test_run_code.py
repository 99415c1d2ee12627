"""Code in answers is run for judging them only where models.yaml allows it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from penstock.backends import FakeBackend
from penstock.classifiers.sandbox import run_python
from penstock.router import Router

ANSWER = "```python\nprint(6 * 7)\n```"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is run")
@pytest.mark.parametrize(("verify", "n_run"), [("{}", 0), ("{run_code: false}", 0), ("{run_code: true}", 1)])
def test_code_is_run_only_where_that_is_allowed(tmp_path: Path, verify: str, n_run: int) -> None:
    models = tmp_path / "models.yaml"
    models.write_text(f"verify: {verify}\nbackends: {{small: {{type: fake}}}}", encoding="utf-8")
    run_python.cache_clear()
    with Router.from_config(models, backends={"small": FakeBackend(ANSWER)}) as router:
        assert router.ask("Write Python that prints 42.").text == ANSWER
        assert "".join(chunk.text for chunk in router.stream("Write Python that prints 42.")) == ANSWER
    assert run_python.cache_info().misses == n_run
