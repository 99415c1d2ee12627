"""A server in a process of its own, and what Linux tells of it: CPU time and memory, children included."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_POLL_S = 0.002


def unwind_at_sigterm() -> None:
    """Makes SIGTERM an exit like any other: servers, which are sessions of their own, would outlive us."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


class Server:
    """A process that serves on a port of 127.0.0.1."""

    def __init__(
        self, command: Sequence[str], *, port: int, log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.port = port
        self._log = log
        self._started = time.monotonic()
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )

    def wait(self, request: bytes, *, patience_s: float = 120.0) -> float:
        """Returns the seconds from the start until a request was answered with 200.

        Raises:
            RuntimeError: the process ended, or too much time has passed.
        """
        end = time.monotonic() + patience_s
        while time.monotonic() < end:
            if self._process.poll() is not None:
                break
            if self._answers(request):
                return time.monotonic() - self._started
            time.sleep(_POLL_S)
        words = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
        raise RuntimeError(f"gives no answer: {' '.join(words):.400}; see {self._log}")

    def _answers(self, request: bytes) -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
            with contextlib.closing(connection):
                connection.connect()
                connection.sock.sendall(request)
                reply = http.client.HTTPResponse(connection.sock, method="POST")
                reply.begin()
                return reply.status == 200 and bool(reply.read())
        return False

    def cpu_s(self) -> float:
        """Returns the CPU seconds that the process and its children have used."""
        return sum(_cpu_s(pid) for pid in _family(self._process.pid))

    def memory_mb(self) -> float:
        """Returns the resident memory of the process and its children."""
        return sum(_resident_mb(pid) for pid in _family(self._process.pid))

    def stop(self) -> None:
        """Ends the process and its children."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=10)
                return


def _family(pid: int) -> list[int]:
    """Returns a process, its children, and theirs."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            children.setdefault(int(_fields(path)[1]), []).append(int(path.parent.name))
    family = [pid]
    for member in family:
        family += children.get(member, [])
    return family


def _fields(path: Path) -> list[str]:
    """Returns the fields behind the name, which may hold anything."""
    return path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


def _cpu_s(pid: int) -> float:
    with contextlib.suppress(OSError):
        return sum(map(int, _fields(Path(f"/proc/{pid}/stat"))[11:15])) * _TICK_S  # and of children that have ended
    return 0.0


def _resident_mb(pid: int) -> float:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    return 0.0
