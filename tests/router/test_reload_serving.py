"""`penstock serve` under load while models.yaml changes: SIGHUP, `--watch`, and several workers."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from penstock.router.commands.serve import tell

from .serving import HELLO, MODELS, PATIENCE_S, write_models
from .test_server_command import ENVIRONMENT, ask, started, url_in

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGHUP")

SLOW = MODELS.replace('"It is 391."', '"It is 391.", latency_s: 0.02')
OTHER = SLOW.replace("It is 391.", "391, I think.")
WRONG = SLOW.replace("lam: 20", "lamb: 20")


def said(url: str) -> str:
    """Returns what `small` answers; anything but an answer raises."""
    reply = ask(url, "/v1/chat/completions", {"messages": HELLO, "model": "small"})
    return str(reply["choices"][0]["message"]["content"])


def streamed(url: str) -> str:
    body = json.dumps({"messages": HELLO, "model": "small", "stream": True}).encode()
    with urllib.request.urlopen(f"{url}/v1/chat/completions", data=body, timeout=PATIENCE_S) as reply:
        events = [line[6:] for line in reply.read().decode().splitlines() if line.startswith("data: ")]
    assert events.pop() == "[DONE]"
    return "".join(
        str(choice["delta"].get("content") or "") for event in events for choice in json.loads(event)["choices"]
    )


@contextmanager
def under_load(url: str) -> Iterator[Counter[str]]:
    """Counts the answers that four clients get in the meantime; every request has to get one."""
    seen: Counter[str] = Counter()
    is_over = threading.Event()

    def work(get: Callable[[str], str]) -> None:
        while not is_over.is_set():
            seen[get(url)] += 1

    with ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(work, get) for get in (said, said, streamed, streamed)]
        try:
            yield seen
        finally:
            is_over.set()
        for client in clients:
            client.result()


def next_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_no_request_is_lost_while_models_yaml_is_reloaded_again_and_again(tmp_path: Path) -> None:
    models = write_models(tmp_path, SLOW)
    with started(tmp_path) as (process, line):
        url = url_in(line)
        with under_load(url) as seen:
            for text in (OTHER, SLOW) * 5:
                time.sleep(0.05)
                write_models(tmp_path, text)
                process.send_signal(signal.SIGHUP)
                assert next_line(process) == f"penstock has reloaded {models}: backends changed: small\n"
                expected = "391, I think." if text is OTHER else "It is 391."
                assert said(url) == expected
        assert set(seen) == {"It is 391.", "391, I think."}
        process.terminate()
        _, errors = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, errors) == (0, "")


def test_a_wrong_file_is_told_and_what_ran_before_goes_on(tmp_path: Path) -> None:
    models = write_models(tmp_path, SLOW)
    with started(tmp_path) as (process, line):
        url = url_in(line)
        with under_load(url) as seen:
            write_models(tmp_path, WRONG)
            process.send_signal(signal.SIGHUP)
            assert process.stderr is not None
            told = process.stderr.readline()
            assert told.startswith(
                f"ERROR: {models} was not reloaded, all goes on as before: models.yaml: policies.auto"
            )
            assert "lamb" in told
            assert said(url) == "It is 391."
        assert set(seen) == {"It is 391."}


def test_a_watched_file_is_reloaded_when_it_changes(tmp_path: Path) -> None:
    models = write_models(tmp_path, SLOW)
    with started(tmp_path, "--watch") as (process, line):
        write_models(tmp_path, OTHER)
        assert next_line(process) == f"penstock has reloaded {models}: backends changed: small\n"
        assert said(url_in(line)) == "391, I think."


def test_every_worker_reloads_at_the_signal_of_the_first_process(tmp_path: Path) -> None:
    write_models(tmp_path, SLOW)
    with started(tmp_path, "--workers", "2") as (process, line):
        url = url_in(line)
        with under_load(url):
            write_models(tmp_path, OTHER)
            process.send_signal(signal.SIGHUP)
            assert all("backends changed: small" in next_line(process) for _ in range(2))
            with ThreadPoolExecutor(4) as pool:
                assert set(pool.map(said, [url] * 40)) == {"391, I think."}
        process.terminate()
        _, errors = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, errors) == (0, "")


class Left(io.StringIO):
    """Standard output that nobody reads any more."""

    def flush(self) -> None:
        """Refuses."""
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


def test_what_nobody_reads_at_standard_output_is_logged_and_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sys.stdout", Left())
    tell("penstock has reloaded models.yaml: nothing has changed")
    assert [record.getMessage() for record in caplog.records] == [
        "penstock has reloaded models.yaml: nothing has changed; standard output: [Errno 32] Broken pipe"
    ]


def test_workers_that_share_an_output_do_not_tear_each_others_lines() -> None:
    line = "penstock has reloaded models.yaml: nothing has changed"
    code = f"from penstock.router.commands.serve import tell\nfor _ in range(2000): tell({line!r})"
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, encoding="utf-8") as output:
        workers = [
            subprocess.Popen([sys.executable, "-u", "-c", code], stdout=write_end, env=ENVIRONMENT) for _ in "ab"
        ]
        os.close(write_end)
        assert Counter(output.read().splitlines()) == {line: 4000}
    assert [worker.wait(PATIENCE_S) for worker in workers] == [0, 0]
