"""Answers in the shape of OpenAI's chat completions, as plain JSON values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..backends import Completion, Usage
from .answer import Answer, AnswerChunk
from .config import Config

TRACE_PREFIX = "chatcmpl-"  # of a reply's `id`, which is otherwise its trace id


def chat_completion(answer: Answer, *, created: int, with_logprobs: bool = True) -> dict[str, Any]:
    """Returns the body of a whole reply; `model` names the backend that answered."""
    completion = answer.completion
    content = completion.text or None if completion.tool_calls else completion.text
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if completion.reasoning:
        message["reasoning_content"] = completion.reasoning
    if completion.tool_calls:
        message["tool_calls"] = list(completion.tool_calls)
    choice = {
        "index": 0,
        "message": message,
        "finish_reason": completion.finish_reason,
        "logprobs": _logprobs(completion) if with_logprobs else None,
    }
    return {
        "id": chat_id(answer.trace_id),
        "object": "chat.completion",
        "created": created,
        "model": answer.backend,
        "choices": [choice],
        "usage": usage_body(completion.usage),
        "penstock": answer.as_dict(),
    }


def chat_chunks(chunk: AnswerChunk, *, id: str, created: int, is_first: bool, with_usage: bool) -> list[dict[str, Any]]:
    """Returns the bodies of the stream events that one piece comes to."""
    delta: dict[str, Any] = {"role": "assistant"} if is_first else {}
    if chunk.text:
        delta["content"] = chunk.text
    if chunk.reasoning:
        delta["reasoning_content"] = chunk.reasoning
    if chunk.tool_calls:
        delta["tool_calls"] = list(chunk.tool_calls)
    bodies = []
    if delta:
        bodies.append(_chunk_body(chunk, delta, None, id=id, created=created))
    if chunk.answer is not None:
        completion = chunk.answer.completion
        bodies.append(_chunk_body(chunk, {}, completion.finish_reason, id=id, created=created))
        if with_usage:
            usage = _chunk_body(chunk, {}, None, id=id, created=created)
            bodies.append(usage | {"choices": [], "usage": usage_body(completion.usage)})
        bodies[-1]["penstock"] = chunk.answer.as_dict()
    return bodies


def chat_id(trace_id: str) -> str:
    """Returns the `id` of a reply."""
    return TRACE_PREFIX + trace_id


def model_list(config: Config, *, created: int) -> dict[str, Any]:
    """Returns the list of what `model` may be: policies first, the default one foremost, then backends."""
    policies = sorted(config.policies, key=lambda name: name != config.default_policy)
    owners = dict.fromkeys(policies, "penstock") | {name: spec.type for name, spec in config.backends.items()}
    data = [{"id": name, "object": "model", "created": created, "owned_by": owner} for name, owner in owners.items()]
    return {"object": "list", "data": data}


def usage_body(usage: Usage) -> dict[str, Any]:
    """Returns the `usage` object of a reply."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_input_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def error_body(message: str, *, kind: str, code: str | None = None) -> dict[str, Any]:
    """Returns the body of an error reply."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _chunk_body(
    chunk: AnswerChunk, delta: Mapping[str, Any], finish: str | None, *, id: str, created: int
) -> dict[str, Any]:
    return {
        "id": id,
        "object": "chat.completion.chunk",
        "created": created,
        "model": chunk.backend,
        "choices": [{"index": 0, "delta": dict(delta), "finish_reason": finish, "logprobs": None}],
    }


def _logprobs(completion: Completion) -> dict[str, Any] | None:
    if completion.logprobs is None or completion.tokens is None:
        return None
    pairs = zip(completion.tokens, completion.logprobs, strict=True)
    return {
        "content": [{"token": token, "logprob": value, "bytes": None, "top_logprobs": []} for token, value in pairs]
    }
