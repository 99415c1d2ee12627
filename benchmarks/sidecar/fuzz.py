"""Sends a sidecar requests made from its own description, right and wrong ones, and looks for failures of its own.

    python -m benchmarks.sidecar.fuzz [--examples 20000] [--seed 0]

`GET /openapi.json` tells the paths and the schemas of their bodies. Values that fit these are drawn at random; some are
then left out, or exchanged for anything at all. What must come back: a status below 500, or one that says of a provider
that it failed; JSON, or a stream of events that ends properly. And there must be no traceback in the log. The backends
are a double and a provider that repeats the question.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import sys
import tempfile
import urllib.request
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .contenders import free_port
from .process import Server, unwind_at_sigterm

_MODELS = """
policies:
  auto: {{objective: utility, lam: 20}}
backends:
  small: {{type: fake, tier: small, answer: "It is 391."}}
  gpt: {{type: openai, model: m, base_url: "{url}", tier: mid, price: {{input: 1, output: 2}}, {common}}}
  claude: {{type: anthropic, model: m, base_url: "{url}", tier: lrm, price: {{input: 1, output: 2}}, {common}}}
"""
_COMMON = "retries: 0, breaker: {failures: 0}, timeout: {total_s: 5}"
_NAMES = ("auto", "small", "gpt", "claude")
_TEXTS = ("", "a", "What is 17 * 23?", "größer", "\ud83d\ude00", "\udc80", "\x00", "{}", "[1", "x" * 5000, "auto")
_NUMBERS = (0, 1, -1, 0.5, 2**31, 2**63, 1e308, -0.0, 17)
_HEADERS = ("x-penstock-lam", "x-penstock-allow", "x-penstock-effort", "x-penstock-budget", "anthropic-version")
_PROVIDERS = ("upstream_failed", "upstream_timeout", "upstream_unreachable", "overloaded")
_WRONG = 0.3  # of requests, how many are spoilt


class Bodies:
    """Draws values that fit schemas, and spoils some."""

    def __init__(self, description: Mapping[str, Any], rng: random.Random) -> None:
        self._description = description
        self._rng = rng

    def fitting(self, schema: Mapping[str, Any], *, name: str = "") -> Any:
        """Returns a value that fits a schema."""
        rng = self._rng
        if "$ref" in schema:
            *_, found = schema["$ref"].split("/")
            return self.fitting(self._description["components"]["schemas"][found])
        if "enum" in schema:
            return rng.choice(schema["enum"])
        if "anyOf" in schema:
            return self.fitting(rng.choice(schema["anyOf"]), name=name)
        kind = schema.get("type")
        if kind == "object":
            required, fields = schema.get("required", ()), schema.get("properties", {})
            given = {field: inner for field, inner in fields.items() if field in required or rng.random() < 0.3}
            return {field: self.fitting(inner, name=field) for field, inner in given.items()}
        if kind == "array":
            return [self.fitting(schema["items"]) for _ in range(rng.randint(schema.get("minItems", 0), 3))]
        if kind == "string":
            return rng.choice(_NAMES) if name in ("model", "allow", "deny") else rng.choice(_TEXTS[1:5])
        if kind == "boolean":
            return rng.random() < 0.5
        low, high = schema.get("minimum", 0), schema.get("maximum", 100)
        return rng.randint(low, high) if kind == "integer" else rng.uniform(low, high)

    def spoilt(self, value: Any) -> Any:
        """Returns a value with something in it exchanged, left out or added."""
        rng = self._rng
        if isinstance(value, dict) and value and rng.random() < 0.8:
            field = rng.choice(list(value))
            choice = rng.random()
            if choice < 0.2:
                return {name: inner for name, inner in value.items() if name != field}
            if choice < 0.3:
                return value | {rng.choice(_TEXTS[:7]): self._anything()}
            return value | {field: self.spoilt(value[field])}
        if isinstance(value, list) and value and rng.random() < 0.7:
            place = rng.randrange(len(value))
            return [*value[:place], self.spoilt(value[place]), *value[place + 1 :]]
        return self._anything()

    def _anything(self, depth: int = 0) -> Any:
        rng = self._rng
        kind = rng.randrange(6 if depth < 3 else 4)
        if kind == 4:
            return [self._anything(depth + 1) for _ in range(rng.randint(0, 3))]
        if kind == 5:
            return {rng.choice(_TEXTS): self._anything(depth + 1) for _ in range(rng.randint(0, 3))}
        return (None, rng.random() < 0.5, rng.choice(_NUMBERS), rng.choice(_TEXTS))[kind]


def _fault_of(status: int, kind: str, content: bytes, path: str) -> str:
    """Returns what is wrong with a reply; empty where nothing is."""
    if kind.startswith("text/event-stream"):
        return "" if content.endswith(b"\n\n") else "a stream that was cut"
    if kind.startswith("text/plain"):
        return "" if path == "/metrics" else "text in the place of JSON"
    try:
        told = json.loads(content) if content else None
    except ValueError:
        return "no JSON"
    if status < 500:
        return ""
    error = told.get("error", {}) if isinstance(told, dict) else {}
    is_theirs = error.get("code") in _PROVIDERS or "upstream" in str(error) or status in (502, 503, 504)
    return "" if is_theirs and status != 500 else "a failure of our own"


def fuzz(folder: Path, *, n: int, seed: int) -> bool:
    """Returns whether nothing was wrong, having printed what came."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.sidecar.faulty", "--share", "0", "--port", str(port)]
    provider = Server(command, port=port, log=folder / "provider.log")
    models = folder / "models.yaml"
    models.write_text(_MODELS.format(url=f"http://127.0.0.1:{port}/v1", common=_COMMON), encoding="utf-8")
    port = free_port()
    command = [sys.executable, "-m", "penstock", "serve", "--models", str(models), "--port", str(port)]
    sidecar = Server(command, port=port, log=folder / "sidecar.log")
    rng, statuses, wrong = random.Random(seed), Counter[str](), list[str]()
    try:
        provider.wait(b"GET /ledger HTTP/1.1\r\n\r\n")
        sidecar.wait(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/openapi.json", timeout=20) as reply:
            description = json.load(reply)
        bodies = Bodies(description, rng)
        operations = [
            (path, method, operation)
            for path, methods in description["paths"].items()
            for method, operation in methods.items()
        ]
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for _ in range(n):
            path, method, operation = rng.choices(
                operations, weights=["requestBody" in o or 0.1 for *_, o in operations]
            )[0]
            content = b""
            if "requestBody" in operation:
                body = bodies.fitting(operation["requestBody"]["content"]["application/json"]["schema"])
                body = bodies.spoilt(body) if rng.random() < _WRONG else body
                content = json.dumps(body).encode("utf-8", "surrogatepass")
                content = content[: rng.randrange(len(content))] if rng.random() < 0.02 else content
            headers = {rng.choice(_HEADERS): rng.choice(("1", "small", "x", "-1"))} if rng.random() < 0.1 else {}
            target = path.replace("{id}", rng.choice((*_NAMES, "none")))
            try:
                client.request(method.upper(), target, content, {"host": "localhost", **headers})
                answer = client.getresponse()
                came = answer.read()
            except (OSError, http.client.HTTPException) as error:
                wrong.append(f"{method} {target} {content!r:.500}: {type(error).__name__}: {error}")
                client.close()
                continue
            statuses[f"{target if target in description['paths'] else path} {answer.status}"] += 1
            fault = _fault_of(answer.status, answer.headers.get("content-type", ""), came, path)
            if fault:
                wrong.append(f"{method} {target} {content!r:.500}: {fault}: {answer.status} {came!r:.300}")
        client.close()
    finally:
        sidecar.stop()
        provider.stop()
    log = (folder / "sidecar.log").read_text(encoding="utf-8", errors="replace")
    if "Traceback" in log:
        wrong.append(log[log.index("Traceback") :][:2000])
    for name, count in sorted(statuses.items()):
        print(f"{count:7} {name}")
    print(f"{statuses.total()} requests, {len(wrong)} failures of our own")
    print("\n".join(wrong[:10]), file=sys.stderr)
    return not wrong and statuses.total() == n


def main() -> int:
    """Returns the exit code: 1 where something was wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--examples", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    unwind_at_sigterm()
    with tempfile.TemporaryDirectory() as folder:
        return 0 if fuzz(Path(folder), n=options.examples, seed=options.seed) else 1


if __name__ == "__main__":
    sys.exit(main())
