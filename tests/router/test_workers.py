"""`penstock serve --workers N`: several processes behind one port."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from penstock.router.cli import main

from .serving import HELLO, MODELS, PATIENCE_S, write_models
from .test_server_command import ask, started, started_by, url_in

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it finds the workers in /proc")

IN_FLIGHT = 'penstock_backend_in_flight{backend="small"}'


def workers_of(pid: int) -> list[int]:
    """Returns the processes that were started to serve."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            command = path.with_name("cmdline").read_bytes()
        except OSError:
            continue
        if parent == pid and b"spawn_main" in command:
            found.append(int(path.parent.name))
    return found


def wait_until_gone(pids: list[int]) -> None:
    end = time.monotonic() + PATIENCE_S
    while any(Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids):
        assert time.monotonic() < end
        time.sleep(0.02)


def wait_until_taken(url: str, asked: Sequence[Future[Any]]) -> None:
    """Waits until `small` is being asked for every request that is not answered yet."""
    end = time.monotonic() + PATIENCE_S
    while metrics(url).get(IN_FLIGHT, 0.0) + sum(one.done() for one in asked) < len(asked):
        assert time.monotonic() < end
        time.sleep(0.02)


def metrics(url: str) -> dict[str, float]:
    """Returns what the sidecar counts, by name and labels."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=PATIENCE_S) as reply:
        rows = [row.rsplit(" ", 1) for row in reply.read().decode().splitlines() if row[0] != "#"]
    return {name: float(value) for name, value in rows}


def test_workers_share_the_port_and_a_key_s_limits_and_let_requests_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = MODELS.replace('answer: "It is 391."', 'answer: "It is 391.", latency_s: 1') + "keys: {file: keys.db}\n"
    models = write_models(tmp_path, slow)
    assert main(["keys", "create", "me", "--rpm", "100000", "--models", str(models)]) == 0
    holder = capsys.readouterr().out.strip()
    assert main(["keys", "create", "other", "--rpm", "6", "--models", str(models)]) == 0
    limited = capsys.readouterr().out.strip()

    with started(tmp_path, "--workers", "2") as (process, line):
        url = url_in(line)
        assert line.rstrip().endswith("2 workers")
        pids = workers_of(process.pid)
        assert len(pids) == 2

        def status(number: int) -> int:
            request = urllib.request.Request(f"{url}/v1/models", headers={"x-api-key": limited})
            try:
                with urllib.request.urlopen(request, timeout=PATIENCE_S) as reply:
                    return int(reply.status)
            except urllib.error.HTTPError as error:
                return error.code

        minute = time.time() // 60
        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(status, range(16)))
        if time.time() // 60 == minute:  # else the count has begun anew
            assert sorted(statuses) == [200] * 6 + [429] * 10

        def answer() -> str:
            body = json.dumps({"model": "small", "messages": HELLO}).encode()
            request = urllib.request.Request(
                f"{url}/v1/chat/completions", data=body, headers={"x-api-key": holder, "content-type": "json"}
            )
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as reply:
                return str(json.load(reply)["choices"][0]["message"]["content"])

        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(answer) for _ in range(8)]
            wait_until_taken(url, asked)
            process.terminate()
            assert [one.result() for one in asked] == ["It is 391."] * 8
        assert process.wait(PATIENCE_S) == 0
    wait_until_gone(pids)


def test_a_scrape_tells_the_sum_of_all_workers_also_of_one_that_was_killed(tmp_path: Path) -> None:
    models = write_models(tmp_path)
    script = tmp_path / "script.py"
    script.write_text(f"""
from penstock.router import ledger, workers
from penstock.router.cli import main

workers._TOO_SOON_S = 0.0  # one that is killed at once is replaced too
ledger._PATIENCE_S = {PATIENCE_S}  # a busy machine is no reason for a scrape to fail

if __name__ == "__main__":
    raise SystemExit(main(["serve", "--models", {str(models)!r}, "--port", "0", "--workers", "2"]))
""")
    answers = 'penstock_answers_total{policy="auto",backend="small"}'
    seconds = 'penstock_request_seconds_count{path="/v1/chat/completions"}'
    with started_by([sys.executable, str(script)]) as (process, line), ThreadPoolExecutor(4) as pool:
        url = url_in(line)

        def load(n: int) -> None:
            list(pool.map(lambda _: ask(url, "/v1/chat/completions", {"messages": HELLO}), range(n)))

        def scrape() -> tuple[float, float, float]:
            """Returns what whichever worker accepts says of answers, requests and workers."""
            told = metrics(url)
            return told.get(answers, 0.0), told.get(seconds, 0.0), told["penstock_workers"]

        told = [(0.0, 0.0, 0.0)]

        def settle(n: int, *, workers: int) -> None:
            """Waits until the sums of so many workers are so many."""
            end = time.monotonic() + PATIENCE_S
            while told[-1] != (n, n, workers):
                assert time.monotonic() < end, told[-1]
                told.append(scrape())

        load(40)
        settle(40, workers=2)
        os.kill(workers_of(process.pid)[0], signal.SIGKILL)
        settle(40, workers=1)
        settle(40, workers=2)
        load(40)
        settle(80, workers=2)
        assert {scrape() for _ in range(20)} == {(80, 80, 2)}  # whichever answers
        seen = [ask(url, "/v1/activity") for _ in range(20)]
        assert {(one["totals"]["requests"], one["workers"]) for one in seen} == {(80, 2)}
        sums = [one[:2] for one in told]
        assert sums == sorted(sums)  # never less than before


def test_who_connects_while_the_last_requests_end_is_refused_and_does_not_wait(tmp_path: Path) -> None:
    write_models(tmp_path, MODELS.replace('answer: "It is 391."', 'answer: "It is 391.", latency_s: 3'))
    with started(tmp_path, "--workers", "2") as (process, line), ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, url_in(line), "/v1/chat/completions", {"model": "small", "messages": HELLO})
        wait_until_taken(url_in(line), [asked])
        process.terminate()
        is_refused = False
        while not is_refused and not asked.done():
            try:
                socket.create_connection(("127.0.0.1", int(url_in(line).rpartition(":")[2])), timeout=1).close()
                time.sleep(0.02)
            except ConnectionRefusedError:
                is_refused = True
        assert is_refused
        assert not asked.done()
        assert asked.result()["model"] == "small"


def test_workers_that_are_being_started_when_the_end_comes_end_too(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("""
import os, signal, socket, time
from penstock.router.workers import run_workers

class Work:
    def __reduce__(self):  # it is on its way to a worker
        os.kill(os.getpid(), signal.SIGTERM)
        return Work, ()

    def __call__(self, listener, tell, teller):
        tell()
        time.sleep(60)

if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", 0)) as listener:
        run_workers(Work(), listener, n=2, on_ready=lambda: print("ready"))
""")
    done = subprocess.run([sys.executable, str(script)], timeout=PATIENCE_S, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b"")


def test_a_worker_that_takes_long_to_start_and_dies_at_once_is_not_replaced_for_ever(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("""
import os, socket, time
from penstock.backends import PenstockError
from penstock.router import workers

workers._TOO_SOON_S = 1.0

def work(listener, tell, teller):
    time.sleep(1.1)
    tell()
    os._exit(0)  # as an interpreter that cleans up may take longer on a busy machine

if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", 0)) as listener:
        try:
            workers.run_workers(work, listener, n=1, on_ready=lambda: print("ready"))
        except PenstockError as error:
            print(error)
""")
    done = subprocess.run([sys.executable, str(script)], timeout=PATIENCE_S, capture_output=True, check=False)
    assert done.stdout == b"ready\na worker ended with exit code 0, as another would\n"


def test_workers_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    write_models(tmp_path)
    with started(tmp_path, "--workers", "2") as (process, line):
        assert ask(url_in(line), "/healthz") == {"status": "ok"}
        pids = workers_of(process.pid)
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE_S)
    wait_until_gone(pids)


def test_a_worker_that_dies_at_once_is_not_replaced_for_ever(tmp_path: Path) -> None:
    write_models(tmp_path)
    with started(tmp_path, "--workers", "2") as (process, _):
        os.kill(workers_of(process.pid)[0], signal.SIGKILL)
        _, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 1
        assert "penstock: error: a worker ended with signal 9" in errors
