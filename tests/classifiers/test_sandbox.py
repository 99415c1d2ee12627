"""What code of strangers can do in the sandbox: compute, and nothing else."""

from __future__ import annotations

import math
import os
import platform
import resource
import sys
from pathlib import Path

import pytest

from penstock.backends import Completion, Query
from penstock.classifiers import read_signals, signal_names
from penstock.classifiers.sandbox import Verdict, run_python
from penstock.classifiers.signals.code_tests import checks_in

can_run = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"),
    reason="elsewhere nothing is run",
)

BROKEN = Verdict(runs=False, passed=())
UNTOLD = Verdict(runs=None, passed=None)


@can_run
def test_each_check_is_told_apart() -> None:
    program = "def double(x):\n    return 2 * x"
    checks = ("assert double(2) == 4", "assert double(2) == 5", "assert triple(2) == 6")
    assert run_python(program, checks) == Verdict(runs=True, passed=(True, False, False))


@can_run
def test_the_standard_library_is_there() -> None:
    program = "import math, re, itertools, heapq\nfrom dataclasses import dataclass\nassert math.gcd(4, 6) == 2"
    assert run_python(program) == Verdict(runs=True, passed=())


@can_run
@pytest.mark.parametrize(
    "program",
    [
        "open('/etc/passwd').read()",
        "open('/proc/self/environ').read()",
        "import os\nopen(f'/proc/{os.getppid()}/environ').read()",
        "import os\nos.listdir('/')",
        "open('/tmp/penstock-was-here', 'w')",
        "import os\nos.mkdir('/tmp/penstock-was-here')",
        "import _socket\n_socket.socket()",
        "import socket\nsocket.create_connection(('127.0.0.1', 80))",
        "import os\nwhile True: os.fork()",
        "import os\nos.execv('/bin/sh', ['sh'])",
        "import os\nos.kill(os.getppid(), 9)",
        "import numpy",
        "input()",
    ],
)
def test_what_needs_more_than_computing_is_refused_and_tells_nothing(program: str) -> None:
    assert run_python(program) == UNTOLD
    assert not Path("/tmp/penstock-was-here").exists()


@can_run
@pytest.mark.parametrize(
    "program",
    [
        "import os\nwhile True: os.write(1, b'x' * 60000)",
        "x = bytearray(10 ** 10)",
        "x = []\nwhile True: x.append(bytearray(10 ** 6))",
        "def f(): f()\nf()",
        "import _thread\n_thread.start_new_thread(print, ())",
        "import ctypes\nctypes.string_at(0)",
        "raise SystemExit",
        "def f(:",
        "import os\nos._exit(0)",
        "1 / 0",
    ],
)
def test_what_breaks_is_told_to_be_broken(program: str) -> None:
    assert run_python(program) == BROKEN


@can_run
@pytest.mark.parametrize("program", ["while True: pass", "import time\ntime.sleep(60)"])
def test_what_does_not_end_is_ended(program: str) -> None:
    assert run_python(program, ("assert True",), seconds=1.5) == Verdict(runs=False, passed=(False,))


@can_run
def test_the_environment_of_the_parent_is_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_SECRET", "hush")
    assert os.environ["PENSTOCK_SECRET"] == "hush"
    assert run_python("import os\nassert 'PENSTOCK_SECRET' not in os.environ") == Verdict(runs=True, passed=())


def test_where_a_process_cannot_be_held_in_nothing_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert run_python("only = 'asked here'") is None


@can_run
def test_half_a_surrogate_pair_breaks_the_program_and_not_its_reader() -> None:
    assert run_python("x = '\ud800'") == BROKEN


@can_run
def test_a_program_is_run_where_more_than_1024_files_are_open() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[1] != resource.RLIM_INFINITY and before[1] < 2048:
        pytest.skip("so many files are not allowed here")
    held: list[int] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (2048, before[1]))
        while not held or held[-1] < 1100:
            held.append(os.open(os.devnull, os.O_RDONLY))
        assert run_python("many = 'files'") == Verdict(runs=True, passed=())
    finally:
        for each in held:
            os.close(each)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@can_run
def test_where_no_process_can_be_started_nothing_is_told_of_code() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    said = Completion(text="```python\nfew = 'files'\n```")
    assert not math.isnan(code_tests(WRONG, run_code=True)[0])  # all modules are loaded
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
        told = code_tests(said, run_code=True)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert all(map(math.isnan, told))
    assert not math.isnan(code_tests(said, run_code=True)[0])


def test_a_program_of_many_pages_is_not_run() -> None:
    assert run_python("x = 1\n" * 20_000) is None


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Write f.\nassert f(1) == 2\n", ("assert f(1) == 2",)),
        ("Write f.\n>>> f(1)\n2\n>>> f([1, 2])\n[2, 3]", ("assert (f(1)) == (2)", "assert (f([1, 2])) == ([2, 3])")),
        ("Example: `f(2)` should return `4`.", ("assert (f(2)) == (4)",)),
        ("f('a', 1) => 'b'", ("assert (f('a', 1)) == ('b')",)),
        ("f(2) -> something", ()),
        ("f(x) = x + 1", ()),
        ("What is (2 + 2) = 4?", ()),
        ("assert f(1) ==", ()),
    ],
)
def test_the_tests_in_a_question_are_found(question: str, expected: tuple[str, ...]) -> None:
    assert checks_in(question) == expected


DOUBLE = Query.from_text("Write a Python function double(x).\nassert double(2) == 4\nassert double(0) == 0")
WRONG = Completion(text="```python\ndef double(x):\n    return x * x + x - 2\n```")


def code_tests(completion: Completion, *, run_code: bool) -> list[float]:
    values = read_signals(DOUBLE, completion, run_code=run_code)
    return [
        float(value)
        for name, value in zip(signal_names(), values, strict=True)
        if name in ("code_tests.runs", "code_tests.share_passed")
    ]


@can_run
def test_an_answer_that_fails_a_test_is_found_out() -> None:
    assert code_tests(WRONG, run_code=True) == [1.0, 0.5]


def test_nothing_is_run_unless_that_is_allowed() -> None:
    assert all(value != value for value in code_tests(WRONG, run_code=False))
