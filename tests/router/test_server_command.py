"""`penstock serve`, as a process of its own."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from penstock.router.cli import main
from penstock.router.commands.serve import listen

from .serving import HELLO, MODELS, PATIENCE_S, write_models

SOURCES = Path(__file__).resolve().parents[2] / ".src"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(SOURCES)}


def command_of(folder: Path, *options: str) -> list[str]:
    models = str(folder / "models.yaml")
    return [sys.executable, "-W", "error", "-m", "penstock", "serve", "--models", models, *options]


@contextlib.contextmanager
def started(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Yields the process once it listens, and the line it prints then."""
    with started_by(command_of(folder, "--port", "0", *options)) as (process, line):
        yield process, line


@contextlib.contextmanager
def started_by(command: Sequence[str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Yields what a command starts once it prints a line, and the line."""
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline()
        finally:
            if process.poll() is None:
                process.kill()


def url_in(line: str) -> str:
    found = re.search(r"http://\S+\d", line)
    assert found, line
    return found[0]


def ask(url: str, path: str, body: Any = None) -> Any:
    content = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(url + path, data=content, timeout=PATIENCE_S) as reply:
        return json.load(reply)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_a_signal_and_ends_well(tmp_path: Path, number: signal.Signals) -> None:
    write_models(tmp_path)
    with started(tmp_path) as (process, line):
        url = url_in(line)
        assert url.startswith("http://127.0.0.1:")
        assert ask(url, "/healthz") == {"status": "ok"}
        assert ask(url, "/readyz") == {"status": "ready"}
        assert ask(url, "/v1/chat/completions", {"messages": HELLO})["model"] == "small"
        process.send_signal(number)
        rest, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, rest, errors) == (0, "", "")


def test_the_line_names_policies_backends_and_the_cold_start(tmp_path: Path) -> None:
    write_models(tmp_path)
    with started(tmp_path) as (process, line):
        process.terminate()
        process.wait(PATIENCE_S)
    assert "policies auto (default), best; backends small, lrm; cold start" in line


def test_a_call_under_way_is_finished_before_the_end(tmp_path: Path) -> None:
    write_models(tmp_path, MODELS.replace('answer: "It is 391."', 'answer: "It is 391.", latency_s: 1'))
    with started(tmp_path) as (process, line):
        port = int(url_in(line).rpartition(":")[2])
        body = json.dumps({"messages": HELLO}).encode()
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % len(body)
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as client:
            client.sendall(head + body)
            ask(url_in(line), "/healthz")  # by then the call is under way
            process.terminate()
            received = b""
            while piece := client.recv(65536):
                received += piece
        assert received.startswith(b"HTTP/1.1 200 ")
        assert b"It is 391." in received
        assert process.wait(PATIENCE_S) == 0


def test_sigterm_under_load_loses_no_request_that_it_took(tmp_path: Path) -> None:
    limits = "limits: {concurrency: 4}"
    write_models(tmp_path, MODELS.replace('answer: "It is 391."', f'answer: "It is 391.", latency_s: 0.2, {limits}'))
    with started(tmp_path) as (process, line):
        port = int(url_in(line).rpartition(":")[2])
        clients = [socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) for _ in range(16)]
        for number, client in enumerate(clients):  # the last of them wait for their turn
            body = json.dumps({"messages": HELLO, "stream": number % 2 == 0, "model": "small"}).encode()
            head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n" % len(body)
            client.sendall(head + body)
        ask(url_in(line), "/healthz")
        process.terminate()
        for number, client in enumerate(clients):
            received = b""
            with client:
                while piece := client.recv(65536):
                    received += piece
            assert received.count(b"HTTP/1.1 ") == 1
            assert received.startswith(b"HTTP/1.1 200 ")
            assert received.count(b"391.") == 1
            assert (b"data: [DONE]" in received) == (number % 2 == 0)
        assert process.wait(PATIENCE_S) == 0


def test_a_port_in_use_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = write_models(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "--models", str(models), "--port", str(port)]) == 1
    said, error = capsys.readouterr()
    assert (said, error.count("\n")) == ("", 1)
    assert f"cannot listen on 127.0.0.1, port {port}: " in error


def test_a_missing_key_is_told_before_anything_listens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ABSENT_KEY", raising=False)
    far = "  far: {type: openai, model: m, price: {input: 1, output: 1}, api_key_env: ABSENT_KEY}\n"
    assert main(["serve", "--models", str(write_models(tmp_path, MODELS + far)), "--port", "0"]) == 1
    said, error = capsys.readouterr()
    assert (said, error.count("\n")) == ("", 1)
    assert "ABSENT_KEY" in error


def test_a_configuration_that_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--models", str(tmp_path / "models.yaml")]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "models.yaml: cannot be read" in error


@pytest.mark.parametrize("port", ["x", "-1", "65536"])
def test_a_port_that_is_none_is_wrong_use(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", f"--port={port}"]) == 2
    assert "expected a number from 0 to 65535" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "penstock.invalid"])
def test_without_keys_an_address_that_others_reach_is_refused_with_what_to_do(
    host: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--models", str(write_models(tmp_path)), "--host", host, "--port", "0"]) == 1
    said, error = capsys.readouterr()
    assert (said, error.count("\n")) == ("", 1)
    assert error.startswith(f"penstock: error: --host {host}: others can reach it, and no API keys are configured")
    assert "keys: {file: penstock-keys.db}" in error
    assert "penstock keys create NAME" in error


def test_without_keys_an_open_address_can_be_insisted_on_and_is_warned_of(tmp_path: Path) -> None:
    write_models(tmp_path)
    with started(tmp_path, "--host", "0.0.0.0", "--insecure-no-keys") as (process, line):
        assert "penstock listens on http://0.0.0.0:" in line
        process.terminate()
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert errors == ("penstock: warning: whoever reaches 0.0.0.0 spends your money; no API keys are configured\n")


def test_with_keys_an_open_address_serves_their_holders_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = write_models(tmp_path, MODELS + "keys: {file: keys.db}\n")
    with started(tmp_path, "--host", "0.0.0.0") as (process, line):
        url = url_in(line).replace("0.0.0.0", "127.0.0.1")
        assert ask(url, "/healthz") == {"status": "ok"}
        with pytest.raises(urllib.error.HTTPError, match="401"):
            ask(url, "/v1/models")
        assert main(["keys", "create", "me", "--models", str(models)]) == 0
        key = capsys.readouterr().out.strip()
        request = urllib.request.Request(f"{url}/v1/models", headers={"x-api-key": key})
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as reply:
            assert reply.status == 200
        process.terminate()
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert errors == "penstock: warning: nobody has a key yet; make one with `penstock keys create NAME`\n"


def test_serving_needs_none_of_the_heavy_packages(tmp_path: Path) -> None:
    text = MODELS + "  far: {type: openai, model: m, price: {input: 1, output: 1}, base_url: 'http://127.0.0.1:1/v1'}\n"
    script = f"""
import sys
import threading
from penstock.router import Router
from penstock.router.commands.serve import ServeCommand
from penstock.router.server import Sidecar
router = Router.from_config({str(write_models(tmp_path, text))!r})
router.backends()
assert router.ask("Why?", policy="small").text == "It is 391."
Sidecar(router)
router.close()
print(sorted({{"torch", "transformers", "sklearn", "duckdb", "pygal"}} & sys.modules.keys()))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_asyncio_is_told_that_the_socket_is_tcp(host: str) -> None:
    """Else it leaves Nagle's algorithm on, and replies wait for acknowledgements."""
    with listen(host, 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


class Collector(http.server.BaseHTTPRequestHandler):
    """Takes what OpenTelemetry sends."""

    def do_POST(self) -> None:
        """Keeps the path and the body."""
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.taken.append((self.path, body))  # type: ignore[attr-defined]  # of the test's own server
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


def test_it_writes_an_access_log_and_sends_traces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("opentelemetry.sdk", reason="the extra `otel` is not installed")
    write_models(tmp_path)
    with http.server.HTTPServer(("127.0.0.1", 0), Collector) as collector:
        collector.taken = []  # type: ignore[attr-defined]  # as above
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{collector.server_address[1]}"
        monkeypatch.setitem(ENVIRONMENT, "OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        log = tmp_path / "access.jsonl"
        with started(tmp_path, "--otel", "--access-log", str(log)) as (process, line):
            ask(url_in(line), "/v1/chat/completions", {"messages": HELLO})
            process.terminate()
            _, errors = process.communicate(timeout=PATIENCE_S)
        collector.shutdown()
    assert (process.returncode, errors) == (0, "")
    assert json.loads(log.read_text(encoding="utf-8"))["backend"] == "small"
    (path, body), *_ = collector.taken  # type: ignore[attr-defined]  # as above
    assert path == "/v1/traces"
    assert b"chat auto" in body
