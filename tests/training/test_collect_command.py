"""`penstock collect` as a user calls it: words, exit codes, kills and Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import penstock.router
from penstock.router.cli import main
from penstock.training import read_traces

from ..backends.loopback import Asked, Canned, Loopback
from .collecting import SumServer, keys_of, lines_of, sums, write_models, write_rows

SOURCES = str(Path(penstock.router.__file__).parents[2])
FAKES = """\
backends:
  seven: {type: fake, answer: It is 7., price: {input: 1, output: 1}}
  nine: {type: fake, answer: "9", price: {input: 10, output: 10}}
  judge: {type: fake, answer: "Fine. SCORE: 1"}
"""


def arrange(folder: Path, rows: list[dict[str, Any]] | None = None, models: str = FAKES) -> list[str]:
    """Writes prompts and models.yaml and returns the words of the command."""
    (folder / "models.yaml").write_text(models)
    write_rows(folder / "prompts.jsonl", sums(3) if rows is None else rows)
    names = ["prompts.jsonl", "--models", "models.yaml", "--out", "traces.jsonl"]
    words = [name if name.startswith("--") else str(folder / name) for name in names]
    return ["collect", *words, "--backends", "seven,nine"]


def test_every_backend_is_asked_and_the_outcome_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arrange(tmp_path)) == 0
    told = capsys.readouterr()
    assert told.out.splitlines()[1].split()[:8] == ["seven", "3", "0", "0", "0", "0", "0", "0.333"]
    assert "note: grader guessed from the columns: numeric for 3 prompts; --grader says otherwise" in told.out
    assert told.out.splitlines()[-1] == f"traces: {tmp_path / 'traces.jsonl'}"
    rows = read_traces([tmp_path / "traces.jsonl"]).rows
    assert [(row.query_id, row.score) for row in rows if row.backend == "nine"] == [("q0", 0), ("q1", 1), ("q2", 0)]


def test_json_is_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arrange(tmp_path), "--json", "--quiet"]) == 0
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert told.err == ""
    assert [each["asked"] for each in found["backends"]] == [3, 3]
    assert found["cost_usd"] == pytest.approx(sum(row["cost_usd"] for row in lines_of(tmp_path / "traces.jsonl")))


def test_a_limit_takes_the_first_prompts(tmp_path: Path) -> None:
    assert main([*arrange(tmp_path), "--limit", "2", "--quiet"]) == 0
    assert set(keys_of(lines_of(tmp_path / "traces.jsonl"))) == {
        (f"q{i}", name, 0) for i in range(2) for name in ("seven", "nine")
    }


def test_a_judges_reply_of_no_form_leaves_rows_without_score_and_exits_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = arrange(tmp_path)
    assert main([*words, "--grader", "judge:judge", "--quiet"]) == 1
    told = capsys.readouterr().out
    assert "q0: not graded: the judge's reply ends in 'Fine. SCORE: 1'; expected SCORE: ..." in told
    assert "6 are missing or not graded: run the same command again to ask for these only" in told
    models = tmp_path / "models.yaml"
    models.write_text(models.read_text().replace("Fine. SCORE: 1", "SCORE: 0.5"))
    assert main([*words, "--grader", "judge:judge", "--quiet"]) == 0
    assert {row.score for row in read_traces([tmp_path / "traces.jsonl"]).rows} == {0.5}


def test_rows_may_name_graders_of_their_own(tmp_path: Path) -> None:
    rows = [
        {"query_id": "a", "query": "x", "grader": "regex", "pattern": "7"},
        {"query_id": "b", "query": "y", "grader": "exact", "answer": "9"},
        {"query_id": "c", "query": "z", "answer": "7"},
    ]
    assert main([*arrange(tmp_path, rows), "--grader", "numeric", "--quiet"]) == 0
    scores = {(row["query_id"], row["backend"]): row["score"] for row in lines_of(tmp_path / "traces.jsonl")}
    assert [scores[each, "seven"] for each in "abc"] == [1, 0, 1]
    assert [scores[each, "nine"] for each in "abc"] == [0, 1, 0]


def test_a_row_may_not_run_code_that_nobody_allowed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.py").write_text("def grade(text, row):\n    return len(text) / 10\n")
    name = f"python:{tmp_path / 'mine.py'}:grade"
    words = arrange(tmp_path, [{"query_id": "a", "query": "x", "grader": name}])
    assert main([*words, "--quiet"]) == 1
    assert "runs code, which a row alone may not ask for; add --grader python:" in capsys.readouterr().err
    assert not (tmp_path / "traces.jsonl").exists()
    assert main([*words, "--grader", name, "--quiet"]) == 0
    assert [row["score"] for row in lines_of(tmp_path / "traces.jsonl")] == [0.8, 0.1]


@pytest.mark.parametrize(
    ("rows", "more", "said"),
    [
        ([{"query": "x", "answer": "1"}, {"query": "y"}, {"query": "z"}], ["--grader", "exact"],
         "prompts.jsonl, line 2: column answer: missing; grader exact compares with it (and 1 more prompts"),
        ([{"query": "x"}], [], "prompts.jsonl, line 1: column answer: missing, and no column grader"),
        ([{"query": "x", "answer": "y"}], ["--grader", "numeric"], "line 1: column answer: 'y' holds no number"),
        ([{"query": "x"}], ["--grader", "judge:absent"], "grader judge:absent: unknown backend; expected one of seven"),
        ([{"query": "x", "grader": "exakt"}], [], "grader: unknown 'exakt'; expected one of exact, numeric"),
        ([], [], "prompts.jsonl: no prompt"),
        ([{"query": "x", "answer": "y"}], ["--backends", "sevn"], "--backends: unknown 'sevn'; expected some of seven"),
        ([{"query": "x", "answer": "y"}], ["--out", "t.csv"], "t.csv: traces are appended as JSON lines"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_told_before_anything_is_asked(
    tmp_path: Path, rows: list[dict[str, Any]], more: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arrange(tmp_path, rows), *more, "--quiet"]) == 1
    told = capsys.readouterr()
    assert said in told.err
    assert told.err.count("\n") == 1
    assert not (tmp_path / "traces.jsonl").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--params", "[1]"], "argument --params: expected a JSON object, got '[1]'"),
        (["--params", '{"model": "x"}'], "argument --params: model is not for you to set"),
        (["--draws", "0"], "argument --draws: expected a whole number of 1 or more"),
        (["--retries", "-1"], "argument --retries: expected "),
        (["--max-cost-usd", "free"], "argument --max-cost-usd: expected US dollars above 0"),
        (["--backends", ","], "argument --backends: expected names of backends"),
    ],
)
def test_wrong_use_exits_with_2(
    tmp_path: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arrange(tmp_path), *words]) == 2
    assert said in capsys.readouterr().err


def test_spent_money_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arrange(tmp_path), "--max-cost-usd", "0.0000001", "--concurrency", "1", "--quiet"]) == 0
    told = capsys.readouterr().out
    assert "note: stopped: $" in told
    assert len(lines_of(tmp_path / "traces.jsonl")) < 6
    assert main([*arrange(tmp_path), "--quiet"]) == 0
    assert set(keys_of(lines_of(tmp_path / "traces.jsonl")).values()) == {1}
    assert len(lines_of(tmp_path / "traces.jsonl")) == 6


def test_draws_without_temperature_are_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arrange(tmp_path), "--draws", "2", "--quiet"]) == 0
    assert "note: no temperature in --params: draws may all be alike" in capsys.readouterr().out
    assert len(lines_of(tmp_path / "traces.jsonl")) == 12


# As a process


async def start(folder: Path) -> asyncio.subprocess.Process:
    names = [folder / "prompts.jsonl", "--models", folder / "models.yaml", "--out", folder / "traces.jsonl"]
    return await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "penstock", "collect", *map(str, names), "--quiet"],
        env={**os.environ, "PYTHONPATH": SOURCES},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def until(fact: Callable[[], bool], process: asyncio.subprocess.Process) -> None:
    """Waits until something is so, for as long as the process lives."""
    async with asyncio.timeout(30):
        while not fact() and process.returncode is None:
            await asyncio.sleep(0.005)


def n_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def hangs_after(n: int) -> Callable[[Asked], Canned | None]:
    """Returns a way to answer n requests and keep the others waiting."""
    n_asked = 0

    def fail(asked: Asked) -> Canned | None:
        nonlocal n_asked
        n_asked += 1
        return None if n_asked <= n else Canned(body=b"{", ending="hang")

    return fail


@pytest.mark.skipif(os.name == "nt", reason="signals are different there")
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT], ids=["kill -9", "Ctrl-C"])
def test_a_run_that_is_stopped_goes_on_without_asking_twice_or_losing_a_row(
    tmp_path: Path, sign: signal.Signals
) -> None:
    write_rows(tmp_path / "prompts.jsonl", sums(50))
    path = tmp_path / "traces.jsonl"
    first, second = SumServer(hangs_after(60)), SumServer()

    async def run() -> tuple[int, str, int]:
        async with Loopback(first) as loopback:
            write_models(tmp_path, loopback.url, total_s=60)
            process = await start(tmp_path)
            await until(lambda: n_lines(path) == 60 and len(loopback.asked) > 60, process)
            process.send_signal(sign)
            _, told = await process.communicate()
        stopped = process.returncode
        assert stopped is not None
        assert sum(keys_of(lines_of(path)).values()) == 60
        async with Loopback(second) as loopback:
            write_models(tmp_path, loopback.url)
            process = await start(tmp_path)
            await process.communicate()
        assert process.returncode is not None
        return stopped, told.decode(), process.returncode

    stopped, told, resumed = asyncio.run(run())
    assert resumed == 0
    assert stopped == (130 if sign == signal.SIGINT else -signal.SIGKILL)
    assert told == ("penstock: interrupted; run the same command again to go on from here\n" if stopped == 130 else "")
    assert keys_of(lines_of(path)) == {(f"q{i}", name, 0): 1 for i in range(50) for name in ("small", "large")}
    assert set((first.served + second.served).values()) == {1}


@pytest.mark.skipif(os.name == "nt", reason="signals are different there")
def test_kills_at_any_moment_cost_the_calls_in_flight_at_most(tmp_path: Path) -> None:
    write_rows(tmp_path / "prompts.jsonl", sums(150))
    path, server, kills = tmp_path / "traces.jsonl", SumServer(), (40, 110, 200)

    async def run() -> int:
        async with Loopback(server) as loopback:
            write_models(tmp_path, loopback.url, concurrency=4)
            for n_wanted in kills:
                process = await start(tmp_path)
                await until(lambda wanted=n_wanted: n_lines(path) >= wanted, process)  # type: ignore[misc]
                assert process.returncode is None  # or nothing would be killed
                process.kill()
                await process.communicate()
            process = await start(tmp_path)
            await process.communicate()
        assert process.returncode is not None
        return process.returncode

    assert asyncio.run(run()) == 0
    assert keys_of(lines_of(path)) == {(f"q{i}", name, 0): 1 for i in range(150) for name in ("small", "large")}
    assert 0 <= server.served.total() - 300 <= len(kills) * 2 * 4


REFEREED = """\
backends:
  seven: {type: fake, answer: It is 7., price: {input: 1, output: 1}}
  nine: {type: fake, answer: "9", price: {input: 10, output: 10}}
  referee: {type: fake, answer: "No.", price: {input: 1, output: 1}}
"""


def test_a_judge_is_asked_of_every_answer_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*arrange(tmp_path, models=REFEREED), "--judge", "referee"]
    assert main(words) == 0
    assert "note: referee judged 6 answers for $0.0" in capsys.readouterr().out
    rows = read_traces([tmp_path / "traces.jsonl"]).rows
    assert [verdict.judge for row in rows for verdict in row.verdicts] == ["referee"] * 6
    assert all(verdict.right < 0.1 and verdict.cost_usd for row in rows for verdict in row.verdicts)
    assert main(words) == 0
    assert "note: referee judged 0 answers" in capsys.readouterr().out
    assert len(lines_of(tmp_path / "traces.jsonl")) == 12


def test_a_judge_who_says_neither_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arrange(tmp_path), "--judge", "judge"]) == 0
    assert "of 6 it said neither yes nor no" in capsys.readouterr().out
    assert not any(row.verdicts for row in read_traces([tmp_path / "traces.jsonl"]).rows)


def test_an_unknown_judge_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arrange(tmp_path), "--judge", "nobody"]) == 1
    assert "--judge: unknown 'nobody'; expected one of seven, nine, judge" in capsys.readouterr().err
