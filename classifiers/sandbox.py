"""Code of strangers, run in a process that can compute and nothing else.

The process limits itself (`sandboxed.py`) before it is given anything to run: a list of the few system calls that
computing needs (seccomp), no file, no socket, no other process, little memory and time. Linux on x86-64 and arm64 can
do that; elsewhere nothing is run, and nothing is told.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import orjson

_CHILD = Path(__file__).with_name("sandboxed.py")
_KEPT = 256  # of the latest results: an answer is looked at several times
_MAX_OUTPUT = 65_536  # bytes
_MAX_INPUT = 60_000  # bytes, which a pipe takes at once
_SECONDS = 3.0  # in all, from the start of the process
_READY = b"ready\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of running a program. None: that could not be told, for it needs what it is not given."""

    runs: bool | None  # to its end, without an error
    passed: tuple[bool, ...] | None  # of every check


@lru_cache(maxsize=_KEPT)
def run_python(program: str, checks: tuple[str, ...] = (), *, seconds: float = _SECONDS) -> Verdict | None:
    """Returns what comes of a program, and then of each check, a statement that raises where it fails.

    `seconds` are those of everything together. None where the machine cannot hold the process in, or the program is too
    long.

    Raises:
        OSError: there is no memory, or no descriptor, for another process now.
    """
    if sys.platform != "linux":
        return None
    task = json.dumps({"program": program, "checks": checks}).encode()  # orjson refuses halves of surrogate pairs
    if len(task) > _MAX_INPUT:
        return None
    # Isolated and without site-packages; no environment, no open file, a session of its own.
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", str(_CHILD)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={},
        cwd="/",
        close_fds=True,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        try:
            process.stdin.write(task)
            process.stdin.close()
        except BrokenPipeError:
            pass  # it could not limit itself and has ended
        told = _read(process.stdout.fileno(), time.monotonic() + seconds)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    return _verdict(told, len(checks))


def _read(pipe: int, deadline: float) -> bytes:
    """Returns what the process writes, up to a bound, until it ends or its time is up."""
    told = b""
    poll = select.poll()  # not `select`, which knows descriptors below 1024 only: a busy server has more
    poll.register(pipe, select.POLLIN)
    while len(told) <= _MAX_OUTPUT:
        is_readable = poll.poll(max(deadline - time.monotonic(), 0.0) * 1000)
        piece = os.read(pipe, _MAX_OUTPUT) if is_readable else b""
        if not piece:
            break
        told += piece
    return told


def _verdict(told: bytes, n_checks: int) -> Verdict | None:
    if not told.startswith(_READY):
        return None
    failed = Verdict(runs=False, passed=(False,) * n_checks)
    try:
        found = orjson.loads(told.removeprefix(_READY))
        runs, passed = found["runs"], found["passed"]
    except (orjson.JSONDecodeError, TypeError, KeyError):
        return failed  # it ran out of time or memory, or meddled with what is told
    if passed is None or not isinstance(passed, list) or len(passed) != n_checks:
        return Verdict(runs=None if runs is None else bool(runs), passed=None)
    return Verdict(runs=bool(runs), passed=tuple(bool(each) for each in passed))
