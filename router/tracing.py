"""OpenTelemetry traces: a span for every request, and one in it for every call to a backend.

The attributes are those of the semantic conventions for generative AI, https://opentelemetry.io/docs/specs/semconv/gen-ai/,
and `penstock.*` for what these have no name for. The packages of the extra `otel` are imported here and only where
traces are wanted.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..backends import BackendSpec, Chunk, Completion, ConfigError, Original, Query
from .answer import Answer, AnswerChunk
from .caller import NEVER, Calls
from .errors import BrokenOff
from .run import Run
from .tally import Entry

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

_CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_OF_REQUESTS = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "penstock"}
_PARAMS = ("temperature", "top_p", "max_tokens", "frequency_penalty", "presence_penalty", "seed")


class Tracing:
    """Traces what routers do. `provider` is the application's own; without one it is the global one.

    Spans hold nothing that was asked or answered unless `with_content`.
    """

    def __init__(self, provider: TracerProvider | None = None, *, with_content: bool = False) -> None:
        from opentelemetry import trace

        self._provider = provider
        self._tracer = trace.get_tracer("penstock", tracer_provider=provider)
        self._with_content = with_content

    def traced(self, run: Run) -> TracedRun:
        """Returns a run that leaves spans."""
        return TracedRun(run=run, tracer=self._tracer, with_content=self._with_content)

    def see_refusal(self, trace_id: str, kind: str, *, policy: str | None) -> None:
        """Leaves a span of a request that was turned away before any call."""
        from opentelemetry.trace import StatusCode

        told = {**_OF_REQUESTS, "penstock.trace_id": trace_id, "error.type": kind}
        if policy is not None:
            told["gen_ai.request.model"] = policy
        with self._tracer.start_as_current_span("chat", attributes=told) as span:
            span.set_status(StatusCode.ERROR, kind)

    def close(self) -> None:
        """Sends what was not sent yet, where the provider was given; may be called twice."""
        if self._provider is not None:
            self._provider.shutdown()


def open_tracing() -> Tracing:
    """Returns tracing that exports over OTLP and HTTP, as the standard OTEL_* environment variables say.

    Raises:
        ConfigError: the extra `otel` is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ConfigError("--otel: OpenTelemetry is not installed; pip install 'penstock[otel]'") from error
    name = {} if os.environ.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: "penstock"}
    provider = TracerProvider(resource=Resource.create(name))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider, with_content=os.environ.get(_CONTENT, "").lower() in ("true", "1"))


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedRun:
    """A run with a span around it, and one around every call that it makes."""

    run: Run
    tracer: Tracer
    with_content: bool

    async def answer(self) -> Answer:
        """Returns the answer."""
        with self._span() as (span, run):
            answer = await run.answer()
            _tell_answer(span, answer)
            return answer

    async def chunks(self) -> AsyncGenerator[AnswerChunk, None]:
        """Yields the answer as it comes."""
        with self._span() as (span, run):
            async with aclosing(run.chunks()) as chunks:
                async for chunk in chunks:
                    if chunk.answer is not None:
                        _tell_answer(span, chunk.answer)
                    yield chunk

    @contextmanager
    def _span(self) -> Iterator[tuple[Span, Run]]:
        """Yields the span of the request, and the run whose calls have spans in it."""
        from opentelemetry.trace import SpanKind, set_span_in_context

        query, decision = self.run.query, self.run.decision
        attributes: dict[str, Any] = {
            **_OF_REQUESTS,
            "gen_ai.request.model": decision.policy.name,
            "penstock.policy": decision.policy.name,
            "penstock.reason": decision.reason,
            "penstock.trace_id": query.id,
        }
        kind = SpanKind.INTERNAL if query.original is None else SpanKind.SERVER
        name = f"chat {decision.policy.name}"
        parent = _context_in(query.original)
        with _ended(self.tracer.start_span(name, context=parent, kind=kind, attributes=attributes)) as span:
            context = set_span_in_context(span, parent)
            callers = {
                name: TracedCaller(
                    caller=caller,
                    spec=self.run.pool.specs[name],
                    tracer=self.tracer,
                    context=context,
                    with_content=self.with_content,
                )
                for name, caller in self.run.callers.items()
            }
            yield span, replace(self.run, callers=callers)


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedCaller:
    """A backend whose calls leave spans and tell the provider which trace they belong to."""

    caller: Calls
    spec: BackendSpec
    tracer: Tracer
    context: Context
    with_content: bool

    async def complete(self, query: Query, *, deadline: float = NEVER, entry: Entry | None = None) -> Completion:
        """Returns the whole completion."""
        with self._span(query) as (span, query):
            completion = await self.caller.complete(query, deadline=deadline, entry=entry)
            self._tell(span, completion)
            return completion

    async def stream(
        self, query: Query, *, deadline: float = NEVER, entry: Entry | None = None
    ) -> AsyncGenerator[Chunk, None]:
        """Yields pieces as they come."""
        with self._span(query) as (span, query):
            async with aclosing(self.caller.stream(query, deadline=deadline, entry=entry)) as chunks:
                async for chunk in chunks:
                    if chunk.completion is not None:
                        self._tell(span, chunk.completion)
                    yield chunk

    @contextmanager
    def _span(self, query: Query) -> Iterator[tuple[Span, Query]]:
        """Yields the span of a call, and the query with the headers that name it."""
        from opentelemetry.trace import SpanKind, set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        model = self.spec.model or self.spec.name
        span = self.tracer.start_span(
            f"chat {model}", context=self.context, kind=SpanKind.CLIENT, attributes=self._asked(query, model)
        )
        with _ended(span):
            headers: dict[str, str] = {}
            TraceContextTextMapPropagator().inject(headers, set_span_in_context(span, self.context))
            yield span, replace(query, trace_headers=headers)

    def _asked(self, query: Query, model: str) -> dict[str, Any]:
        address = urlsplit(self.spec.base_url or "")
        told: dict[str, Any] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": self.spec.type,
            "gen_ai.request.model": model,
            "penstock.backend": self.spec.name,
        }
        if address.hostname:
            told["server.address"] = address.hostname
            told["server.port"] = address.port or (443 if address.scheme == "https" else 80)
        for name in _PARAMS:
            if isinstance(value := query.params.get(name), int | float):
                told[f"gen_ai.request.{name}"] = value
        if self.with_content:
            told["gen_ai.input.messages"] = json.dumps([_parts(message) for message in query.messages], default=str)
        return told

    def _tell(self, span: Span, completion: Completion) -> None:
        usage = completion.usage
        told: dict[str, Any] = {
            "gen_ai.response.finish_reasons": (completion.finish_reason,),
            "gen_ai.usage.input_tokens": usage.input_tokens,
            "gen_ai.usage.output_tokens": usage.output_tokens,
            "gen_ai.usage.cache_read.input_tokens": usage.cached_input_tokens,
            "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
        }
        if completion.model:
            told["gen_ai.response.model"] = completion.model
        if completion.first_token_s is not None:
            told["gen_ai.response.time_to_first_chunk"] = completion.first_token_s
        if self.with_content:
            part = {"type": "text", "content": completion.text}
            message = {"role": "assistant", "parts": [part], "finish_reason": completion.finish_reason}
            told["gen_ai.output.messages"] = json.dumps([message])
        span.set_attributes(told)


@contextmanager
def _ended(span: Span) -> Iterator[Span]:
    """A context that ends a span; of an error it tells the kind only, since its words may quote what was asked.

    The span is not made the current one: between the pieces of a stream, others run.
    """
    from opentelemetry.trace import StatusCode

    try:
        yield span
    except BaseException as error:
        is_broken_off = isinstance(error, GeneratorExit | asyncio.CancelledError)
        kind = BrokenOff.__name__ if is_broken_off else type(error).__name__
        span.set_attribute("error.type", kind)
        span.set_status(StatusCode.ERROR, kind)
        raise
    finally:
        span.end()


def _tell_answer(span: Span, answer: Answer) -> None:
    usages = [step.completion.usage for step in answer.steps if step.completion is not None]
    told: dict[str, Any] = {
        "gen_ai.response.model": answer.backend,
        "gen_ai.response.finish_reasons": (answer.completion.finish_reason,),
        "gen_ai.usage.input_tokens": sum(usage.input_tokens for usage in usages),
        "gen_ai.usage.output_tokens": sum(usage.output_tokens for usage in usages),
        "penstock.backend": answer.backend,
        "penstock.path": answer.path,
        "penstock.calls": len(answer.steps),
        "penstock.cost_usd": answer.cost_usd,
        "penstock.best_cost_usd": answer.best_cost_usd,
        "penstock.confidence": answer.confidence,
        "penstock.trace_id": answer.trace_id,
    }
    span.set_attributes({name: value for name, value in told.items() if value == value})  # NaN: not judged


def _context_in(original: Original | None) -> Context | None:
    """Returns the context that a client's headers name, None for the one that the caller is in."""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    if original is None or "traceparent" not in original.headers:
        return None
    return TraceContextTextMapPropagator().extract(original.headers)


def _parts(message: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a message in the form of the conventions."""
    content = message.get("content")
    texts = [content] if isinstance(content, str) else [part.get("text") for part in content or () if "text" in part]
    return {"role": message["role"], "parts": [{"type": "text", "content": text} for text in texts]}
