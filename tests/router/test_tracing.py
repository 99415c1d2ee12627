"""Spans of requests and of the calls in them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.backends import FakeBackend, ServerFailed
from penstock.router import AllBackendsFailed, Router
from penstock.router.server import Sidecar
from penstock.router.tracing import Tracing

from ..backends.loopback import Loopback, json_reply
from .serving import HELLO, BreakingBackend, acall, chat, make_judging_router, write_models

trace = pytest.importorskip("opentelemetry.sdk.trace", reason="the extra `otel` is not installed")
export = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


class Collected:
    """A tracer provider that keeps its spans."""

    def __init__(self) -> None:
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor

        self._exporter = export.InMemorySpanExporter()
        self.provider = trace.TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    @property
    def spans(self) -> list[Any]:
        """The spans that have ended, in that order."""
        return list(self._exporter.get_finished_spans())

    def one(self, **attributes: str) -> Any:
        """Returns the one span with these attributes, dots as underscores."""
        wanted = {name.replace("__", "."): value for name, value in attributes.items()}
        (found,) = [span for span in self.spans if wanted.items() <= dict(span.attributes).items()]
        return found


@pytest.fixture
def collected() -> Iterator[Collected]:
    collected = Collected()
    yield collected
    collected.provider.shutdown()


def traced(router: Router, collected: Collected, **options: bool) -> Router:
    """Returns the router with its spans kept."""
    router._tracing = Tracing(collected.provider, **options)
    return router


def judging(folder: Path, collected: Collected, **options: bool) -> Router:
    """Returns a router whose first backend is wrong and whose second is right."""
    backends = {"small": FakeBackend(answer="wrong SECRET"), "lrm": FakeBackend(answer="right SECRET")}
    return traced(make_judging_router(folder, backends), collected, **options)


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_request_is_a_span_with_one_in_it_for_every_call(
    tmp_path: Path, collected: Collected, is_stream: bool
) -> None:
    assert chat(Sidecar(judging(tmp_path, collected)), stream=is_stream).status == 200
    request = collected.one(penstock__policy="auto")
    assert (request.name, request.kind.name, request.parent) == ("chat auto", "SERVER", None)
    assert request.attributes["penstock.path"] == "small>lrm"
    assert request.attributes["penstock.cost_usd"] > 0
    assert 0 < request.attributes["penstock.confidence"] <= 1
    calls = [span for span in collected.spans if span is not request]
    assert [call.attributes["penstock.backend"] for call in calls] == ["small", "lrm"]
    for call in calls:
        assert call.parent.span_id == request.context.span_id
        assert call.kind.name == "CLIENT"
        assert call.attributes["gen_ai.operation.name"] == "chat"
        assert call.attributes["gen_ai.response.finish_reasons"] == ("stop",)
    tokens = [call.attributes["gen_ai.usage.output_tokens"] for call in calls]
    assert request.attributes["gen_ai.usage.output_tokens"] == sum(tokens) > 0


def test_nothing_that_was_said_is_in_a_span(tmp_path: Path, collected: Collected) -> None:
    chat(Sidecar(judging(tmp_path, collected)))
    told = " ".join(span.to_json() for span in collected.spans)
    assert "SECRET" not in told
    assert "17 * 23" not in told


def test_what_was_said_is_in_the_calls_where_that_is_asked_for(tmp_path: Path, collected: Collected) -> None:
    chat(Sidecar(judging(tmp_path, collected, with_content=True)))
    call = collected.one(penstock__backend="small")
    (asked,) = json.loads(call.attributes["gen_ai.input.messages"])
    assert asked == {"role": "user", "parts": [{"type": "text", "content": "What is 17 * 23?"}]}
    (answered,) = json.loads(call.attributes["gen_ai.output.messages"])
    assert answered["parts"] == [{"type": "text", "content": "wrong SECRET"}]


def test_failures_are_told_by_their_kind(tmp_path: Path, collected: Collected) -> None:
    down = {name: FakeBackend(answer=ServerFailed("SECRET", backend=name)) for name in ("small", "lrm")}
    with (
        traced(make_judging_router(tmp_path, down), collected) as router,
        pytest.raises(AllBackendsFailed),
    ):
        router.ask("17 * 23?")
    assert collected.one(penstock__policy="auto").attributes["error.type"] == "AllBackendsFailed"
    assert collected.one(penstock__backend="lrm").attributes["error.type"] == "ServerFailed"
    assert {span.status.status_code.name for span in collected.spans} == {"ERROR"}
    assert "SECRET" not in " ".join(span.to_json() for span in collected.spans)


def test_a_request_that_is_refused_before_a_decision_leaves_a_span_too(tmp_path: Path, collected: Collected) -> None:
    got = chat(Sidecar(judging(tmp_path, collected)), model="SECRET")
    assert got.status == 404
    (span,) = collected.spans
    assert (span.name, span.status.status_code.name) == ("chat", "ERROR")
    assert span.attributes["penstock.trace_id"] == got.headers["x-penstock-trace-id"]
    assert "SECRET" not in span.to_json()


def test_a_stream_that_breaks_ends_its_spans(tmp_path: Path, collected: Collected) -> None:
    models = write_models(tmp_path)
    with traced(Router.from_config(models, backends={"small": BreakingBackend()}), collected) as router:
        chat(Sidecar(router), model="small", stream=True)
    assert [span.attributes["error.type"] for span in collected.spans] == ["ServerFailed"] * 2


def test_in_the_sdk_a_request_is_part_of_the_span_that_the_caller_is_in(tmp_path: Path, collected: Collected) -> None:
    tracer = collected.provider.get_tracer("application")
    with judging(tmp_path, collected) as router, tracer.start_as_current_span("job") as job:
        router.ask("17 * 23?")
        list(router.stream("17 * 23?"))
    requests = [span for span in collected.spans if span.name == "chat auto"]
    assert [(span.kind.name, span.parent.span_id) for span in requests] == [
        ("INTERNAL", job.get_span_context().span_id)
    ] * 2


def test_the_trace_of_the_client_goes_on_to_the_provider(tmp_path: Path, collected: Collected) -> None:
    async def run() -> Any:
        message = {"role": "assistant", "content": "391"}
        reply = json_reply({"model": "m-1", "choices": [{"message": message, "finish_reason": "stop"}]})
        async with Loopback(reply) as provider:
            spec = f"{{type: openai, model: m, base_url: '{provider.url}', price: {{input: 1, output: 1}}}}"
            models = f"backends: {{small: {spec}}}"
            async with traced(Router.from_config(write_models(tmp_path, models)), collected) as router:
                headers = {"traceparent": PARENT, "baggage": "user=anna"}
                got = await acall(Sidecar(router), "/v1/chat/completions", {"messages": HELLO}, headers=headers)
                assert got.status == 200
            return provider.asked[0].headers

    headers = asyncio.run(run())
    call, request = collected.spans
    assert f"{request.context.trace_id:032x}" == TRACE
    assert request.parent.span_id == 0xB7AD6B7169203331
    assert headers["traceparent"] == f"00-{TRACE}-{call.context.span_id:016x}-01"
    assert "baggage" not in headers
    assert call.attributes["gen_ai.response.model"] == "m-1"
    assert call.attributes["gen_ai.request.model"] == "m"


def test_without_tracing_nothing_of_it_is_imported(tmp_path: Path) -> None:
    models = write_models(tmp_path)
    program = (
        "import sys, penstock.router.cli as cli\n"
        f"cli.main(['ask', 'x', '--models', {str(models)!r}])\n"
        "import penstock.router.commands.serve\n"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0
