"""What is left of routing where a task, or long queries, were not learned from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from penstock.router.cli import main
from penstock.training import Dataset, Split, Trace, build_dataset, split_queries
from penstock.training.shift import ShiftedSlice, measure_shift

COST_USD = {"small": 0.001, "large": 0.01}


def made(tasks: tuple[str, ...] = ("fruit", "rivers"), n: int = 800) -> tuple[Dataset, Split]:
    """Returns queries of which words, other ones in every task, tell whether the small backend gets them right."""
    rng = np.random.default_rng(5)
    words = {"fruit": ("apples", "quinces"), "rivers": ("orinoco", "danube")}
    rows = []
    for number in range(n):
        task, is_easy = tasks[number % len(tasks)], bool(rng.random() < 0.5)
        text = f"Tell {number} things of {words[task][is_easy]}" + " please" * int(rng.integers(0, 9))
        for backend, share in (("small", 0.95 if is_easy else 0.05), ("large", 0.9)):
            rows.append(
                Trace(
                    query_id=str(number),
                    query=text,
                    backend=backend,
                    score=float(rng.random() < share),
                    cost_usd=COST_USD[backend],
                    task=task,
                )
            )
    dataset = build_dataset(rows)
    return dataset, split_queries(dataset, seed=0)


@pytest.fixture(scope="module", name="slices")
def slices_of_two_tasks() -> dict[str, ShiftedSlice]:
    found, notes = measure_shift(*made())
    assert notes == ()
    return {part.name: part for part in found}


def test_every_task_is_left_out_and_all_are_told_together_first(slices: dict[str, ShiftedSlice]) -> None:
    first, second, *tasks = slices
    assert (first, second, sorted(tasks)) == ("2 tasks, each left out", "the longest quarter", ["fruit", "rivers"])
    assert slices["fruit"].n_queries + slices["rivers"].n_queries == slices["2 tasks, each left out"].n_queries


def test_words_of_a_task_that_was_not_learned_from_tell_nothing(slices: dict[str, ShiftedSlice]) -> None:
    for name in ("2 tasks, each left out", "fruit", "rivers"):
        part = slices[name]
        assert part.gap_closed.value > 0.5
        assert part.gap_closed_unseen.value < 0.2
        assert part.aiq_difference.high < 0
        assert part.aiq_difference.value == pytest.approx(part.aiq_unseen.value - part.aiq.value)


def test_length_that_tells_nothing_costs_nothing(slices: dict[str, ShiftedSlice]) -> None:
    part = slices["the longest quarter"]
    assert part.gap_closed_unseen.value > 0.3
    assert part.aiq_difference.low <= 0 <= part.aiq_difference.high


def test_twins_make_no_interval_narrower(slices: dict[str, ShiftedSlice]) -> None:
    dataset, split = made()
    twice = dataset.take(np.concatenate([np.arange(dataset.n_queries), split.test]))
    test = np.concatenate([split.test, np.arange(dataset.n_queries, twice.n_queries)])
    doubled, _ = measure_shift(twice, replace(split, test=test))
    for part in doubled:
        alone, beside = slices[part.name].aiq_difference, part.aiq_difference
        assert beside.high - beside.low > 0.85 * (alone.high - alone.low)  # it would be 0.71 of it


def test_with_one_task_it_is_said_that_none_can_be_left_out() -> None:
    found, notes = measure_shift(*made(("fruit",), n=300))
    assert [part.name for part in found] == ["the longest quarter"]
    assert notes == ("No task can be left out: the traces tell fewer than two apart (columns `task`, `dataset`).",)


def test_what_the_budget_leaves_no_time_for_is_named() -> None:
    found, notes = measure_shift(*made(n=300), budget_s=0)
    assert found == ()
    assert notes == ("The budget of 0 s left no time to leave out the longest quarter, fruit, rivers.",)


def test_the_command_puts_it_into_json_and_report_and_needs_a_test_split(demo, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    folder, figures, report = tmp_path / "artefact", tmp_path / "figures.json", tmp_path / "report.html"
    words = [str(demo.grades), "--quiet"]
    assert main(["train", *words, "--out", str(folder), "--classifier", "mean", "--no-report"]) == 0
    assert main(["evaluate", str(folder), *words, "--split", "all", "--shift"]) == 1
    assert "--shift: with --split all" in capsys.readouterr().err
    assert main(["evaluate", str(folder), *words, "--shift", "--json", str(figures), "--report", str(report)]) == 0
    parts = json.loads(figures.read_text())["shift"]
    assert {"the longest quarter"} < {part["name"] for part in parts}
    assert all(part["aiq_difference"]["low"] <= part["aiq_difference"]["high"] for part in parts)
    assert "Unlike what was learned from" in report.read_text(encoding="utf-8")
