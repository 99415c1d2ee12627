"""The demonstration traces: repeatable, really computed, and worth learning from."""

import ast
import datetime
import io
import itertools
import math
import operator
import random
import re
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest

from penstock.training.dataset import build_dataset
from penstock.training.errors import TraceError
from penstock.training.generate import IMITATIONS, generate_traces, main
from penstock.training.questions import KINDS, LEVELS, Question, make_question
from penstock.training.split import split_queries
from penstock.training.traces import Trace, read_traces

OPERATIONS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.floordiv,
    ast.Mod: operator.mod,
}


def calculate(node: ast.expr) -> int:
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -calculate(node.operand)
    assert isinstance(node, ast.BinOp)
    return OPERATIONS[type(node.op)](calculate(node.left), calculate(node.right))


def value_of(expression: str) -> int:
    return calculate(ast.parse(expression.strip().replace("×", "*").replace("mod", "%"), mode="eval").body)


def questions(kind: str, n: int = 60) -> list[Question]:
    return [make_question(random.Random(f"{kind} {n}"), kind=kind, level=n % 5 + 1) for n in range(n)]


def is_false(step: str) -> bool:
    left, _, right = step.partition(" = ")
    return value_of(left) != int(right)


@pytest.fixture(scope="module")
def traces() -> list[Trace]:
    return generate_traces(n_queries=400, seed=0)


@pytest.mark.parametrize("kind", KINDS)
def test_wrong_answers_differ_from_the_right_one(kind: str) -> None:
    for question in questions(kind):
        assert question.wrong
        assert all(solution.answer != question.right.answer for solution in question.wrong)


@pytest.mark.parametrize("kind", ["arithmetic", "units", "word problem", "numbers", "code"])
def test_the_working_of_right_answers_is_true_in_every_step(kind: str) -> None:
    for question in questions(kind):
        assert not any(is_false(step) for step in question.right.steps)


@pytest.mark.parametrize("kind", ["arithmetic", "units", "word problem", "numbers"])
def test_a_check_of_the_working_finds_some_wrong_answers_and_not_others(kind: str) -> None:
    found = [any(map(is_false, solution.steps)) for question in questions(kind) for solution in question.wrong]
    assert sum(found) > len(found) / 4
    if kind in ("units", "word problem"):  # those that were misread
        assert not all(found)


def test_arithmetic_is_worked_out_as_written() -> None:
    for question in questions("arithmetic"):
        expression = max(re.findall(r"[-+*×() \d]+", question.text), key=len)
        assert value_of(expression) == int(question.right.answer)


def test_programs_print_what_is_said() -> None:
    for question in questions("code"):
        lines = [line for line in question.text.splitlines() if re.match(r" +|\w+ = \d|for |print", line)]
        lines = [line for line in lines if not line.strip().endswith((".", "!"))]
        printed = io.StringIO()
        with redirect_stdout(printed):
            exec("\n".join(lines), {})
        assert printed.getvalue().strip() == question.right.answer


def test_orders_follow_from_the_clues_alone() -> None:
    for question in questions("logic", 40):
        clues = re.findall(r"(\w+) (?:is taller than|finished before|is older than) (\w+)\.", question.text)
        people = sorted({person for clue in clues for person in clue})
        if len(people) > 6:
            continue
        orders = [
            order
            for order in itertools.permutations(people)
            if all(order.index(left) < order.index(right) for left, right in clues)
        ]
        assert len(orders) == 1
        number = re.search(r"number (\d)", question.text)
        is_last = re.search(r"Who is (shortest|last|youngest)", question.text)
        place = int(number[1]) - 1 if number else -1 if is_last else 0
        assert orders[0][place] == question.right.answer


def test_dates_agree_with_the_calendar() -> None:
    n_checked = 0
    for question in questions("dates"):
        found = re.findall(r"\d{4}-\d\d-\d\d", question.text)
        days = re.search(r"(\d+) days", question.text)
        start = datetime.date.fromisoformat(found[0])
        if len(found) == 2:
            assert str((datetime.date.fromisoformat(found[1]) - start).days) == question.right.answer
        elif days is not None:
            end = start + datetime.timedelta(days=int(days[1]))
            assert question.right.answer in (end.isoformat(), end.strftime("%A"))
        n_checked += 1
    assert n_checked == 60


def test_divisors_and_remainders_are_right() -> None:
    for question in questions("numbers"):
        a, b = map(int, re.findall(r"\d+", question.text.replace("^2", ""))[:2])
        if "gcd" in question.text or "greatest" in question.text:
            expected = math.gcd(a, b)
        elif "squared" in question.text or "remains" in question.text:
            expected = a * a % b
        else:
            expected = sum(map(int, str(a * b)))
        assert int(question.right.answer) == expected


def test_word_jobs_are_done_in_order() -> None:
    jobs: dict[str, Callable[[str], str]] = {
        "write it backwards": lambda text: text[::-1],
        "keep every other letter": lambda text: text[::2],
        "put its letters in alphabetical order": lambda text: "".join(sorted(text)),
    }
    for question in questions("strings"):
        match = re.search(r"(?:word|With) '(\w+)'|a word, (\w+)\.", question.text)
        assert match is not None
        text = match[1] or match[2]
        for job in sorted((job for job in jobs if job in question.text), key=question.text.index):
            text = jobs[job](text)
        assert text == question.right.answer


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        assert main(["--n", "40", "--seed", "7", "--out", str(tmp_path / f"{name}.jsonl")]) == 0
    assert main(["--n", "40", "--seed", "8", "--out", str(tmp_path / "c.jsonl")]) == 0
    a, b, c = ((tmp_path / f"{name}.jsonl").read_bytes() for name in "abc")
    assert a == b
    assert a != c
    assert "160 rows, 40 queries at small, mid, lrm@low, lrm@high" in capsys.readouterr().out


def test_more_queries_begin_with_the_same_ones() -> None:
    assert generate_traces(n_queries=30, seed=1)[: 4 * 10] == generate_traces(n_queries=10, seed=1)


def test_the_file_is_read_back_as_it_was_made(tmp_path: Path) -> None:
    main(["--n", "20", "--out", str(tmp_path / "demo.jsonl")])
    read = read_traces([tmp_path / "demo.jsonl"])
    assert read.rows == tuple(generate_traces(n_queries=20, seed=0))
    assert read.notes == ()


def test_no_two_questions_are_twins(traces: list[Trace]) -> None:
    split = split_queries(build_dataset(traces), seed=0)
    assert len(split.train) + len(split.val) + len(split.test) == 400
    assert len({trace.query for trace in traces}) == 400


def test_stronger_backends_are_right_more_often_and_cost_more(traces: list[Trace]) -> None:
    dataset = build_dataset(traces, backends=["small", "mid", "lrm@low", "lrm@high"])
    quality, cost_usd = dataset.quality.mean(axis=0), dataset.cost_usd.mean(axis=0)
    assert (np.diff(quality) > 0.05).all()
    assert (np.diff(cost_usd) > 0).all()
    assert 0.3 < quality[0] < quality[-1] < 1.0


def test_errors_go_together_across_backends(traces: list[Trace]) -> None:
    quality = build_dataset(traces, backends=["small", "mid", "lrm@low"]).quality
    correlations = np.asarray(np.corrcoef(quality.T))
    assert correlations[np.triu_indices(3, k=1)].min() > 0.2


def test_every_kind_is_sometimes_right_and_sometimes_wrong(traces: list[Trace]) -> None:
    for kind in KINDS:
        scores = [trace.score for trace in traces if trace.task == kind and trace.backend == "mid"]
        assert 0 < np.mean(np.array(scores, dtype=float)) < 1


def test_wrong_answers_are_less_sure_but_not_always(traces: list[Trace]) -> None:
    for backend in ("small", "mid"):
        rows = [trace for trace in traces if trace.backend == backend and trace.logprobs]
        right = [np.mean(trace.logprobs or ()) for trace in rows if trace.score == 1]
        wrong = [np.mean(trace.logprobs or ()) for trace in rows if trace.score == 0]
        assert np.median(wrong) < np.median(right)
        assert np.max(wrong) > np.median(right)


def test_reasoning_is_told_of_reasoning_backends_alone(traces: list[Trace]) -> None:
    for trace in traces:
        assert bool(trace.reasoning_tokens) == trace.backend.startswith("lrm")
        assert (trace.output_tokens or 0) > (trace.reasoning_tokens or 0)
        assert (trace.logprobs is None) == trace.backend.startswith("lrm")


def test_right_responses_end_in_the_answer() -> None:
    seen = 0
    for trace in generate_traces(n_queries=50, seed=3):
        if trace.score == 1 and trace.task == "logic":
            assert trace.response is not None
            seen += bool(re.search(r"[Aa]nswer(: | is )[A-Z]\w+", trace.response))
    assert seen > 5


def test_every_level_and_backend_is_there(traces: list[Trace]) -> None:
    assert {trace.backend for trace in traces} == set(IMITATIONS)
    assert LEVELS == (1, 2, 3, 4, 5)


@pytest.mark.parametrize("n", [0, -3])
def test_no_queries_are_refused(n: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TraceError, match="expected at least 1"):
        generate_traces(n_queries=n)
    assert main(["--n", str(n), "--out", str(tmp_path / "demo.jsonl")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert not list(tmp_path.iterdir())
