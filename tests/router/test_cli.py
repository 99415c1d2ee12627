from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import penstock.router
from penstock.router.cli import COMMANDS, main

from .pieces import write_models

SOURCES = str(Path(penstock.router.__file__).parents[2])
COMMAND = [sys.executable, "-m", "penstock"]


def environment(**changes: str) -> dict[str, str]:
    """Returns an environment in which a fresh interpreter finds the package as this one does."""
    return {**os.environ, "PYTHONPATH": SOURCES, **changes}


def in_a_process(
    words: Sequence[str | bytes], folder: Path, *, stdin: bytes = b"", **changes: str
) -> subprocess.CompletedProcess[bytes]:
    """Returns how the command ends in a process of its own."""
    return subprocess.run(
        [*COMMAND, *words],
        cwd=folder,
        env=environment(**changes),
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
    )


def is_one_line(text: str, *, beginning: str) -> bool:
    """Returns whether a text is one whole line that begins so."""
    return text.startswith(beginning) and text.count("\n") == 1 and text.endswith("\n")


# Streams that are closed


@pytest.mark.parametrize(
    ("closed", "said", "code"),
    [
        (">&-", (b"", b"[path small, "), 0),
        ("2>&-", (b"ok\n", b""), 0),
        ("<&-", (b"", b"penstock: error: query: empty; expected a question\n"), 1),
    ],
)
def test_a_closed_stream_is_no_traceback(tmp_path: Path, closed: str, said: tuple[bytes, bytes], code: int) -> None:
    write_models(tmp_path, "backends: {small: {type: fake, answer: ok}}")
    query = "-" if closed == "<&-" else "hello"
    ended = subprocess.run(
        ["sh", "-c", f'exec "$0" -m penstock ask {query} {closed}', sys.executable],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (ended.stdout, ended.stderr[: len(said[1])], ended.returncode) == (*said, code)
    assert b"Traceback" not in ended.stderr


@pytest.mark.parametrize(("encoding", "shown"), [("ascii", rb"caf\xe9\ud800"), ("utf-8", b"caf\xc3\xa9\\ud800")])
def test_an_answer_is_shown_as_far_as_the_terminal_can(tmp_path: Path, encoding: str, shown: bytes) -> None:
    write_models(tmp_path, 'backends: {small: {type: fake, answer: "café\\ud800"}}')
    ended = in_a_process(["ask", "hello"], tmp_path, PYTHONIOENCODING=encoding)
    assert (ended.stdout, ended.returncode) == (shown + b"\n", 0)


# Help


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: penstock {name} ")
    assert f"example:\n  penstock {name}" in shown


def test_help_lists_every_command_with_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    for name, (summary, _) in COMMANDS.items():
        assert name in shown
        assert summary.split()[0] in shown


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert is_one_line(capsys.readouterr().out, beginning="penstock ")


# Wrong use


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "penstock: error: the following arguments are required: COMMAND"),
        (["raute"], "penstock: error: argument COMMAND: invalid choice: 'raute' (choose from "),
        (["--verbose"], "penstock: error: "),
        (["route"], "penstock route: error: the following arguments are required: query"),
        (["ask"], "penstock ask: error: the following arguments are required: query"),
        (["route", "hello", "--polcy", "auto"], "penstock route: error: unrecognized arguments: --polcy"),
        (["route", "hello", "--lam"], "penstock route: error: argument --lam: expected one argument"),
        (["route", "hello", "--lam", "much"], "penstock route: error: argument --lam: expected a number of 0 or more"),
        (
            ["route", "hello", "--min-quality", "80"],
            "penstock route: error: argument --min-quality: expected a number from",
        ),
        (["ask", "hello", "--max-tokens", "0"], "penstock ask: error: argument --max-tokens: expected a whole number"),
        (["ask", "hello", "--max-tokens", "-5"], "penstock ask: error: argument --max-tokens: expected a whole number"),
    ],
)
def test_wrong_use_is_told_in_one_line_and_exits_with_2(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert is_one_line(told.err, beginning=said)
    assert "--help`" in told.err


# Failures


def test_a_failure_is_told_in_one_line_and_exits_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path / "absent.yaml")]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert is_one_line(told.err, beginning=f"penstock: error: {tmp_path / 'absent.yaml'}: cannot be read: ")


def test_a_command_that_cannot_be_loaded_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(COMMANDS, "route", ("the decision", "penstock.router.commands.absent:RouteCommand"))
    assert main(["route", "hello"]) == 1
    assert is_one_line(capsys.readouterr().err, beginning="penstock: error: command: cannot load ")


def test_what_the_disk_refuses_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Refused:
        def read(self) -> str:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(sys, "stdin", Refused())
    models = write_models(tmp_path, "backends: {small: {type: fake}}")
    assert main(["route", "-", "--models", str(models)]) == 1
    assert is_one_line(capsys.readouterr().err, beginning="penstock: error: ")


# As a process


def test_the_exit_code_reaches_the_shell(tmp_path: Path) -> None:
    write_models(tmp_path, "backends: {small: {type: fake}}")
    assert in_a_process(["check"], tmp_path).returncode == 0
    assert in_a_process(["check", "absent.yaml"], tmp_path).returncode == 1
    assert in_a_process(["check", "--nonsense"], tmp_path).returncode == 2


@pytest.mark.parametrize(("errors", "code"), [("strict", 1), ("surrogateescape", 0)])
def test_standard_input_that_is_no_text_is_no_traceback(tmp_path: Path, errors: str, code: int) -> None:
    write_models(tmp_path, "backends: {small: {type: fake}}")
    ended = in_a_process(["route", "-"], tmp_path, stdin=b"caf\xe9 \xff", PYTHONIOENCODING=f"utf-8:{errors}")
    assert ended.returncode == code
    if code:
        assert is_one_line(ended.stderr.decode(), beginning="penstock: error: query: standard input is not utf-8: ")
    else:
        assert ended.stderr == b""


@pytest.mark.skipif(os.name == "nt", reason="arguments are text there")
def test_an_argument_that_is_no_text_is_no_traceback(tmp_path: Path) -> None:
    write_models(tmp_path, "backends: {small: {type: fake, answer: ok}}")
    ended = in_a_process(["ask", b"caf\xe9", "--json"], tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert b"Traceback" not in ended.stderr


@pytest.mark.skipif(os.name == "nt", reason="signals are different there")
def test_ctrl_c_is_told_in_one_line_and_exits_with_130(tmp_path: Path) -> None:
    write_models(tmp_path, "backends: {slow: {type: fake, answer: never, latency_s: 50, supports: []}}")
    program = (
        "import sys\n"
        "from penstock.backends.fake import FakeBackend\n"
        "complete = FakeBackend.complete\n"
        "def told(self, query):\n"
        "    print('asked', flush=True)\n"
        "    return complete(self, query)\n"
        "FakeBackend.complete = told\n"
        "from penstock.router.cli import main\n"
        "sys.exit(main(['ask', 'hello']))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"asked\n"
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=40)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert told.decode() == "penstock: interrupted\n"


def test_ctrl_c_while_the_packages_load_is_no_traceback(tmp_path: Path) -> None:
    """Nor an exception that a compiled module could choke on: nothing of the loading is undone."""
    program = (
        "import signal, sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'numpy':\n"
        "            try:\n"
        "                signal.raise_signal(signal.SIGINT)\n"
        "            finally:\n"
        "                print('undone')\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "from penstock.__main__ import main\n"
        "sys.exit(main())\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment(), capture_output=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr.decode()) == (130, b"", "penstock: interrupted\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which is Linux's")
def test_a_full_disk_behind_standard_output_is_told_in_words(tmp_path: Path) -> None:
    write_models(tmp_path, "backends: {small: {type: fake}}")
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "penstock", "check"],
            cwd=tmp_path,
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    assert (ended.returncode, ended.stderr.decode()) == (1, "penstock: error: No space left on device\n")


@pytest.mark.skipif(os.name == "nt", reason="pipes are different there")
def test_a_reader_that_has_gone_is_no_traceback(tmp_path: Path) -> None:
    write_models(tmp_path, "backends: {small: {type: fake}}")
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = subprocess.run(
            [*COMMAND, "check"],
            cwd=tmp_path,
            env=environment(),
            stdout=writing,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writing)
    assert ended.returncode == 1
    assert ended.stderr == b""
