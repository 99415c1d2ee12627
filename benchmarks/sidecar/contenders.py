"""The servers that are compared: the sidecar, and the peers that are installed where the command looks."""

from __future__ import annotations

import json
import shutil
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .process import Server

QUESTION = "How many weeks does Mara need to save 340 dollars if she earns 17 dollars in a week?"
_MODELS = """
version: 1
artefact: {artefact}
policies:
  auto: {{objective: utility, lam: 20}}
  once: {{objective: utility, lam: 20, max_calls: 1}}
backends:
"""
_BACKEND = """
  {name}:
    type: openai
    model: mock
    base_url: http://127.0.0.1:{port}/v1
    tier: {tier}
    price: {{input: {input}, output: {output}}}
    limits: {{concurrency: 256}}
"""
_PRICES = {"small": ("small", 0.04, 0.10), "mid": ("mid", 0.40, 1.60), "lrm@high": ("lrm", 1.10, 4.40)}


class Missing(Exception):
    """A peer is not installed; the text says how to get it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A server, and how it is asked."""

    name: str
    command: Sequence[str]
    port: int
    model: str
    path: str = "/v1/chat/completions"
    headers: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    questions: Sequence[str] = (QUESTION,)

    def start(self, folder: Path) -> Server:
        """Returns the server, started."""
        return Server(self.command, port=self.port, log=folder / f"{self.name}.log", environment=self.environment)

    def requests(self, *, is_stream: bool = False) -> list[bytes]:
        """Returns one request a question, as they go over the wire."""
        return [self._request(question, is_stream) for question in self.questions]

    def _request(self, question: str, is_stream: bool) -> bytes:
        told = {"model": self.model, "messages": [{"role": "user", "content": question}]}
        body = json.dumps(told | ({"stream": True} if is_stream else {})).encode()
        headers = {
            "host": f"127.0.0.1:{self.port}",
            "authorization": "Bearer sk-benchmark",
            "content-type": "application/json",
            "user-agent": "penstock-benchmark",
            "accept": "*/*",
            "content-length": str(len(body)),
            **self.headers,
        }
        lines = [f"POST {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def upstream(questions: Path) -> Contender:
    """Returns the mock itself, to be asked directly; it knows the answers in a file."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.sidecar.upstream", "--port", str(port), "--answers", str(questions)]
    return Contender(name="direct", command=command, port=port, model="mock")


def sidecars(folder: Path, port: int, artefact: Path, questions: Path) -> list[Contender]:
    """Returns the sidecar with a backend named, with the choice left to it, and with all of its cascade."""
    models = folder / "models.yaml"
    backends = "".join(
        _BACKEND.format(name=name.partition("@")[0], port=port, tier=tier, input=read, output=written)
        + ("    efforts: [high]\n" if "@" in name else "")
        for name, (tier, read, written) in _PRICES.items()
    )
    models.write_text(_MODELS.format(artefact=artefact) + backends, encoding="utf-8")

    def served(name: str, model: str, questions: Sequence[str]) -> Contender:
        port = free_port()
        command = [sys.executable, "-m", "penstock.router.cli", "serve", "--models", str(models), "--port", str(port)]
        return Contender(name=name, command=command, port=port, model=model, questions=questions)

    asked = list(json.loads(questions.read_text(encoding="utf-8")))
    return [
        served("penstock", "small", (QUESTION,)),
        served("penstock, routed", "once", asked),
        served("penstock, cascade", "auto", asked),
    ]


def litellm(folder: Path, port: int, place: Path) -> Contender:
    """Returns LiteLLM's proxy, from a virtual environment in `place`."""
    program = _program(place / "bin" / "litellm", f"python -m venv {place}; {place}/bin/pip install 'litellm[proxy]'")
    settings = folder / "litellm.yaml"
    backend = {"model": "openai/mock", "api_base": f"http://127.0.0.1:{port}/v1", "api_key": "sk-benchmark"}
    settings.write_text(json.dumps({"model_list": [{"model_name": "small", "litellm_params": backend}]}))
    own = free_port()
    command = [program, "--config", str(settings), "--host", "127.0.0.1", "--port", str(own), "--telemetry", "False"]
    environment = {
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
        "LITELLM_LOG": "ERROR",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    return Contender(name="LiteLLM", command=command, port=own, model="small", environment=environment)


def portkey(folder: Path, port: int, place: Path) -> Contender:
    """Returns Portkey's gateway, from `node_modules` in `place`."""
    script = place / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    _program(script, f"npm install --prefix {place} @portkey-ai/gateway")
    own = free_port()
    command = [shutil.which("node") or "node", str(script), f"--port={own}", "--headless"]
    upstream = f"http://127.0.0.1:{port}/v1"
    headers = {"x-portkey-provider": "openai", "x-portkey-custom-host": upstream}
    environment = {"TRUSTED_CUSTOM_HOSTS": "127.0.0.1", "NODE_ENV": "production"}
    return Contender(name="Portkey", command=command, port=own, model="mock", headers=headers, environment=environment)


def routellm(folder: Path, port: int, place: Path) -> Contender:
    """Returns RouteLLM's server with its random router, from a virtual environment in `place`."""
    how = f"python -m venv {place}; {place}/bin/pip install torch --index-url <CPU builds>, then 'routellm[serve]'"
    program = _program(place / "bin" / "python", how)
    _program(next(place.glob("lib/*/site-packages/routellm"), place / "routellm"), how)
    own = free_port()
    upstream = f"http://127.0.0.1:{port}/v1"
    command = [program, "-m", "routellm.openai_server", "--port", str(own), "--routers", "random"]
    command += ["--base-url", upstream, "--api-key", "sk-benchmark"]
    command += ["--strong-model", "openai/mock", "--weak-model", "openai/mock"]
    environment = {"OPENAI_API_KEY": "sk-benchmark", "OPENAI_BASE_URL": upstream, "TOKENIZERS_PARALLELISM": "false"}
    model = "router-random-0.5"
    return Contender(name="RouteLLM", command=command, port=own, model=model, environment=environment)


PEERS: Mapping[str, Callable[[Path, int, Path], Contender]] = {
    "litellm": litellm,
    "portkey": portkey,
    "routellm": routellm,
}


def free_port() -> int:
    """Returns a port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _program(path: Path, how: str) -> str:
    if not path.exists():
        raise Missing(f"not installed: {how}")
    return str(path)
