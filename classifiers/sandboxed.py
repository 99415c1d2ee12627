"""The process that `sandbox` starts: limits itself for good, then runs the program it is given on standard input.

Run as a script; uses the standard library alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import io
import json
import os
import platform
import resource
import signal
import struct
import sys

_CPU_S = 2
_MEMORY_BYTES = 512 * 2**20

# What a process needs to compute, to write to open files and to end: read, write, close, fstat, lseek, mmap, mprotect,
# munmap, brk, rt_sigaction, rt_sigprocmask, rt_sigreturn, mremap, madvise, getpid, nanosleep, clock_nanosleep,
# clock_gettime, gettimeofday, futex, sched_yield, sigaltstack, getrandom, restart_syscall, exit, exit_group. Neither
# opening files nor sockets nor starting processes or threads is among them.
_CALLS = {
    "x86_64": (0xC000003E, (0, 1, 3, 5, 8, 9, 10, 11, 12, 13, 14, 15, 25, 28, 39, 35, 230, 228, 96, 202, 24, 131, 318,
                            219, 60, 231)),
    "aarch64": (0xC00000B7, (63, 64, 57, 80, 62, 222, 226, 215, 214, 134, 135, 139, 216, 233, 172, 101, 115, 113, 169,
                             98, 124, 132, 278, 128, 93, 94)),
}  # fmt: skip
_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER, _DEATH_SIGNAL = 38, 22, 2, 1  # of prctl
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06  # of the filter's machine
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x80000000

# Loaded before files can be opened no more: what programs of a page or two import.
_MODULES = (
    "abc", "array", "base64", "bisect", "calendar", "cmath", "collections", "collections.abc", "contextlib", "copy",
    "csv", "dataclasses", "datetime", "decimal", "enum", "fractions", "functools", "hashlib", "heapq", "html",
    "itertools", "json", "math", "numbers", "operator", "queue", "random", "re", "statistics", "string", "textwrap",
    "time", "traceback", "types", "typing", "unicodedata", "uuid",
)  # fmt: skip
# Raised by programs that need a file, a module or an input that is not there: no fault of theirs.
_NOT_GIVEN = (ImportError, OSError, EOFError)


def main() -> None:
    """Reads the task, limits the process, runs the program and its checks, and writes what came of them."""
    task = json.load(sys.stdin)
    for name in _MODULES:
        __import__(name)
    confine()
    os.write(1, b"ready\n")
    scope: dict[str, object] = {"__name__": "program"}
    with contextlib.redirect_stdout(io.StringIO()):
        runs = _attempt(task["program"], scope)
        passed = [_attempt(check, scope) for check in task["checks"]] if runs else None
        if runs is False:
            passed = [False] * len(task["checks"])
    known = None if passed is None or None in passed else passed
    os.write(1, json.dumps({"runs": runs, "passed": known}).encode())
    os._exit(0)


def confine() -> None:
    """Takes from this process all but computing, for good; ends it where that cannot be done."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    for limit, value in (
        (resource.RLIMIT_CPU, _CPU_S),
        (resource.RLIMIT_AS, _MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    architecture, calls = _CALLS.get(platform.machine(), (0, ()))
    steps = [(_LOAD, 0, 0, 4), (_JUMP_IF_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, 0)]
    steps += [(_JUMP_IF_EQUAL, len(calls) - place, 0, call) for place, call in enumerate(calls)]
    steps += [(_RETURN, 0, 0, _REFUSE), (_RETURN, 0, 0, _ALLOW)]
    machine = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(steps), ctypes.addressof(machine)))
    if not calls or libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) or libc.prctl(_SECCOMP, _FILTER, program, 0, 0):
        os._exit(3)


def _attempt(source: str, scope: dict[str, object]) -> bool | None:
    """Returns whether a piece of code runs to its end; None where it needs what it is not given."""
    try:
        exec(compile(source, "<answer>", "exec"), scope)  # what this process is for
    except _NOT_GIVEN:
        return None
    except BaseException:  # noqa: BLE001  # whatever a stranger's code raises, SystemExit among it
        return False
    return True


if __name__ == "__main__":
    main()
