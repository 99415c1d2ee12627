"""From a provider's refusal, in whichever of its many shapes, to one of our errors."""

from __future__ import annotations

import email.utils
import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from typing import Any

import orjson

from .errors import (
    AuthenticationFailed,
    BackendError,
    BackendTimeout,
    ContextTooLong,
    InvalidRequest,
    RateLimited,
    ServerFailed,
)
from .hiding import one_line, redact

MAX_MESSAGE_CHARS = 1000

_CONTEXT = re.compile(
    r"context[ _-]?(?:length|window|size|limit)|maximum context|prompt is too long|input is too long"
    r"|input token count.{0,40}exceeds|reduce the length of the (?:messages|input|prompt)|longer than the model",
    re.IGNORECASE,
)
_UNPAID = re.compile(r"credit balance is too low|insufficient balance", re.IGNORECASE)
_TAG = re.compile(r"<(?:script|style).*?</(?:script|style)>|<[^>]{0,500}>", re.IGNORECASE | re.DOTALL)
_BAD_KEY = re.compile(r"api key not valid|(?:incorrect|invalid) api key", re.IGNORECASE)  # comes as 400 from some

_BY_TYPE: dict[str, type[BackendError]] = {
    "api_error": ServerFailed,
    "authentication_error": AuthenticationFailed,
    "billing_error": AuthenticationFailed,
    "context_length_exceeded": ContextTooLong,
    "exceed_context_size_error": ContextTooLong,
    "insufficient_quota": RateLimited,
    "invalid_api_key": AuthenticationFailed,
    "invalid_request_error": InvalidRequest,
    "badrequesterror": InvalidRequest,
    "not_found_error": InvalidRequest,
    "overloaded_error": ServerFailed,
    "permission_error": AuthenticationFailed,
    "rate_limit_error": RateLimited,
    "rate_limit_exceeded": RateLimited,
    "request_too_large": InvalidRequest,
    "server_error": ServerFailed,
    "timeout_error": BackendTimeout,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What a provider says went wrong, whatever the shape it says it in."""

    message: str
    kinds: tuple[str, ...] = ()  # its `type` and `code`, in lower case
    status: int | None = None  # where the body names one
    body: bytes = b""  # all of it, where it is a JSON object


def read_refusal(body: bytes) -> Refusal:
    """Returns what the body of an error reply says: JSON in any known shape, HTML or plain text."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        text = _TAG.sub(" ", body.decode("utf-8", "replace"))
        return Refusal(message=" ".join(text.split()))
    return replace(refusal_of(content), body=body if isinstance(content, dict) else b"")


def refusal_of(content: Any) -> Refusal:
    """Returns what a decoded error says.

    Known shapes: `{"error": {"message", "type", "code"}}` (OpenAI, Anthropic, llama.cpp),
    `{"error": "..."}` (Ollama), `{"object": "error", "message"}` (vLLM), `{"detail": ...}` (FastAPI),
    `[{"error": ...}]` (Gemini).
    """
    if isinstance(content, list) and content:
        content = content[0]
    if not isinstance(content, Mapping):
        return Refusal(message=_text(content))
    error = content.get("error")
    inner: Mapping[str, Any] = error if isinstance(error, Mapping) else content
    message = error if isinstance(error, str) else inner.get("message") or inner.get("detail") or inner.get("msg")
    if not message:
        message = content.get("message") or content
    codes = (inner.get("type"), inner.get("code"), inner.get("status"))
    numbers = (code for code in codes if isinstance(code, int) or (isinstance(code, str) and code.isdigit()))
    status = next((int(number) for number in numbers if 400 <= int(number) < 600), None)
    kinds = tuple(code.lower() for code in codes if isinstance(code, str))
    return Refusal(message=_text(message), kinds=kinds, status=status)


def failure(
    refusal: Refusal,
    *,
    backend: str,
    status: int | None,
    headers: Mapping[str, str] | None = None,
    secrets: Sequence[str] = (),
    format: str = "",
) -> BackendError:
    """Returns the error that a refusal stands for; `status` is None where the reply began as a success."""
    said = one_line(redact(refusal.message, secrets))
    said = said if len(said) <= MAX_MESSAGE_CHARS else said[:MAX_MESSAGE_CHARS] + "…"
    kind = _kind(refusal, status)
    where = f"HTTP {status}" if status is not None else "the provider reports a failure"
    return kind(
        f"{where}: {said}" if said else where,
        backend=backend,
        status=status if status is not None else refusal.status,
        retry_after_s=retry_after_s(headers or {}),
        provider_message=said,
        body=_redacted(refusal.body, secrets),
        format=format,
    )


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Returns for how long the provider asks to wait, from `retry-after-ms` or `retry-after`; None if it does not.

    >>> retry_after_s({"retry-after": "1.5"})
    1.5
    """
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            seconds = float(value) / scale
        except ValueError:
            seconds = _seconds_until(value, headers.get("date"))
        if math.isfinite(seconds):
            return max(seconds, 0.0)
    return None


def _seconds_until(when: str, now: str | None) -> float:
    """Returns the seconds until an HTTP date, by the server's clock where it tells it; NaN if it is none."""
    try:
        end = email.utils.parsedate_to_datetime(when)
        start_s = email.utils.parsedate_to_datetime(now).timestamp() if now else time.time()
    except (TypeError, ValueError):
        return math.nan
    return (end if end.tzinfo else end.replace(tzinfo=UTC)).timestamp() - start_s


def _kind(refusal: Refusal, status: int | None) -> type[BackendError]:
    """Returns the class of error: a few messages and types say more than the status, which says more than the rest."""
    named = next((_BY_TYPE[kind] for kind in refusal.kinds if kind in _BY_TYPE), None)
    if status is None:
        status = refusal.status
    if named is ContextTooLong:
        return ContextTooLong
    # A too long query comes as 500 from some servers; 429 means tokens per minute, whatever the words.
    if status in (None, 400, 413, 422, 500) and named is not RateLimited and _CONTEXT.search(refusal.message):
        return ContextTooLong
    if status in (None, 400, 402) and (_UNPAID.search(refusal.message) or _BAD_KEY.search(refusal.message)):
        return AuthenticationFailed
    if status is None:
        return named or ServerFailed
    if status in (401, 402, 403):
        return AuthenticationFailed
    if status == 408:
        return BackendTimeout
    if status == 429:
        return RateLimited
    if status in (409, 425) or status >= 500:
        return ServerFailed
    return InvalidRequest


def _redacted(body: bytes, secrets: Sequence[str]) -> bytes:
    text = body.decode("utf-8", "replace")
    clean = redact(text, secrets)
    return body if clean == text else clean.encode()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
