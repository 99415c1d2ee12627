"""Traces and a router trained on them, made once for all tests of this folder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from penstock.training import Dataset, Fitted, Split, build_dataset, fit, split_queries, write_traces
from penstock.training.generate import generate_traces

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What most tests start from."""

    traces: Path
    grades: Path  # the same without the answers, which take the longest to learn from
    dataset: Dataset
    split: Split
    fitted: Fitted

    @property
    def test(self) -> Dataset:
        return self.dataset.take(self.split.test)

    @property
    def learned(self) -> Dataset:
        return self.dataset.take(self.split.learned)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A router trained on 260 generated queries with answers."""
    rows = generate_traces(n_queries=260, seed=3)
    folder = tmp_path_factory.mktemp("traces")
    traces, grades = folder / "demo.jsonl", folder / "grades.jsonl"
    write_traces(rows, traces)
    write_traces([replace(row, response=None) for row in rows], grades)
    dataset = build_dataset(rows)
    split = split_queries(dataset, seed=0)
    fitted = fit(dataset, split, seed=0)
    return Trained(traces=traces, grades=grades, dataset=dataset, split=split, fitted=fitted)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real traces; a test that asks for it is skipped where there is none."""
    if not SHARED.is_dir():
        pytest.skip("the real traces (../shared/data) are not on this machine")
    return SHARED
