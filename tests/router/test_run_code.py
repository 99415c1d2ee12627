"""Code in answers is run for judging them only where models.yaml allows it, and somebody judges by it."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest

from penstock.backends import Completion, FakeBackend, Query
from penstock.classifiers import ConfidenceModel
from penstock.classifiers.sandbox import run_python
from penstock.router import Pool, Router
from penstock.router.config import read_config

from .test_pool import trained

ANSWER = "```python\nprint(6 * 7)\n```"
ASKED = "Write Python that prints 42."


@dataclass(frozen=True)
class CodeConfidence:
    """Stands in for a confidence model that reads what comes of running code, or does not."""

    runs_code: bool

    def confidence(
        self, query: Query, completion: Completion, *, backend: str, estimate: float, run_code: bool = False
    ) -> float:
        """Returns the estimate."""
        return estimate


def n_runs(folder: Path, verify: str, *, policy: str = "auto", runs_code: bool = True) -> int:
    """Returns how many programs are run for an answer and the stream of the same one."""
    models = folder / "models.yaml"
    models.write_text(f"verify: {verify}\nbackends: {{small: {{type: fake}}}}", encoding="utf-8")
    config = read_config(models)
    learned = replace(trained(), confidence=cast(ConfidenceModel, CodeConfidence(runs_code)))
    pool = Pool(config.backends, learned, run_code=config.run_code)
    run_python.cache_clear()
    with Router(config, pool, backends={"small": FakeBackend(ANSWER)}) as router:
        assert router.ask(ASKED, policy=policy).text == ANSWER
        assert "".join(chunk.text for chunk in router.stream(ASKED, policy=policy)) == ANSWER
    return run_python.cache_info().misses


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is run")
@pytest.mark.parametrize(("verify", "expected"), [("{}", 0), ("{run_code: false}", 0), ("{run_code: true}", 1)])
def test_code_is_run_only_where_that_is_allowed(tmp_path: Path, verify: str, expected: int) -> None:
    assert n_runs(tmp_path, verify) == expected


def test_no_code_is_run_where_confidence_does_not_go_by_it(tmp_path: Path) -> None:
    assert n_runs(tmp_path, "{run_code: true}", runs_code=False) == 0


def test_no_code_is_run_where_a_backend_is_named_whose_answer_nobody_judges(tmp_path: Path) -> None:
    assert n_runs(tmp_path, "{run_code: true}", policy="small") == 0


def test_no_code_is_run_at_the_cold_start(tmp_path: Path) -> None:
    assert not Pool({}, None, run_code=True).run_code
