"""Reads chat completions in the OpenAI form, in the dialects of those who speak it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from .logprobs import read_logprobs
from .reader import ReplyReader, ReportedFailure
from .sse import Event
from .types import Chunk
from .usage import usage_of_openai

FINISH_REASONS = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "function_call": "tool_calls",
    "max_tokens": "length",
    "model_length": "length",  # Mistral
    "safety": "content_filter",  # Gemini, as are the next two
    "recitation": "content_filter",
    "prohibited_content": "content_filter",
}
FAILED_REASONS = {"abort", "error", "insufficient_system_resource"}  # vLLM, OpenRouter, DeepSeek


class OpenAIReader(ReplyReader):
    """Reads one reply; only the first choice counts."""

    # What stood around the text of an event that brought nothing else: the events of a stream mostly differ in their
    # text alone, and all the rest need not be read again.
    _head = _tail = b""
    _others: frozenset[int] = frozenset()  # further choices that have begun and not ended
    _n_looks = 3  # at most, for those who put something else into every event

    def read_whole(self, body: Mapping[str, Any]) -> Chunk | None:
        """Returns the chunk of a whole reply."""
        _check(body)
        self._read_frame(body)
        choice = _first(body["choices"])
        if choice is None:
            raise ValueError("no choices")
        self.is_complete = True
        return self._read_choice(choice, choice["message"])

    def text_of(self, events: Sequence[Event]) -> str | None:
        """Returns the text of events that differ in it alone from one that was read; None where one does not."""
        head, tail = self._head, self._tail
        if not head:
            return None
        n_head, n_around = len(head), len(head) + len(tail)
        texts = []
        for name, data in events:
            if not (data.startswith(head) and data.endswith(tail)) or len(data) < n_around or name == "error":
                return None
            text = data[n_head : -len(tail)]
            if text.endswith(b"\\"):  # the quotation mark behind it may be part of the text
                return None
            texts.append(text)
        joined = b"".join(texts)
        if b'"' in joined:
            return None
        try:
            found: str = orjson.loads(b'"%b"' % joined)
        except ValueError:  # whoever reads all of each will say of which
            return None
        return found

    def read_event(self, event: Event) -> Chunk | None:
        """Returns the chunk that an event brings."""
        if event.data == b"[DONE]":
            self.is_over = self.is_complete = True
            return None
        body = self.loaded(event.data)
        if event.name == "error":
            raise ReportedFailure(body)
        _check(body)
        self._read_frame(body)
        choices = body.get("choices") or ()  # the last event may bring the usage alone
        choice = _first(choices)
        if choice is None or len(choices) > 1:
            self._see_others(choices)
        if choice is None:
            return None
        delta = choice.get("delta") or {}
        if self._n_looks:
            self._see_around(event.data, body, choice, delta)
        return self._read_choice(choice, delta)

    def _see_around(
        self, data: bytes, body: Mapping[str, Any], choice: Mapping[str, Any], delta: Mapping[str, Any]
    ) -> None:
        """Notes what stands around the text of an event, where it is all that it brings."""
        text = delta.get("content")
        brings_more = any(value for name, value in delta.items() if name not in ("content", "role"))
        ends = any(choice.get(name) for name in ("finish_reason", "logprobs", "error", "usage")) or body.get("usage")
        if not text or not isinstance(text, str) or brings_more or ends or self.assembly.is_mended:
            return
        self._n_looks -= 1
        head, found, tail = data.partition(b'"content":%b' % orjson.dumps(text))
        if found and b'"content":' not in head + tail:
            self._head, self._tail = head + b'"content":"', b'"' + tail

    def _see_others(self, choices: Sequence[Mapping[str, Any]]) -> None:
        """Notes which further choices have begun, for a reply is not complete before they are."""
        for choice in choices:
            if index := choice.get("index"):
                self._others = self._others - {index} if choice.get("finish_reason") else self._others | {index}
        self.is_complete = self.assembly.finish_reason is not None and not self._others

    def _read_frame(self, body: Mapping[str, Any]) -> None:
        """Takes what stands around the choices."""
        assembly = self.assembly
        counts = body.get("usage")
        if counts is None and "x_groq" in body:
            counts = (body["x_groq"] or {}).get("usage")
        if counts is not None:
            assembly.usage = usage_of_openai(counts) or assembly.usage
        if not assembly.model:
            assembly.model = str(body.get("model") or "")
            assembly.reply_id = str(body.get("id") or "")

    def _read_choice(self, choice: Mapping[str, Any], message: Mapping[str, Any]) -> Chunk | None:
        assembly = self.assembly
        if choice.get("error"):
            raise ReportedFailure({"error": choice["error"]})
        if choice.get("usage"):  # Moonshot
            assembly.usage = usage_of_openai(choice["usage"]) or assembly.usage
        reason = choice.get("finish_reason")
        if reason:
            if reason in FAILED_REASONS:
                raise ReportedFailure({"message": f"the provider gave up: {reason}", "type": "server_error"})
            assembly.finish_reason = FINISH_REASONS.get(str(reason).lower(), "stop")
            self.is_complete = not self._others
        if choice.get("logprobs") is not None:
            self._read_logprobs(choice["logprobs"])
        text, reasoning = _content(message.get("content"))
        # One or the other; where a server sends both, they are the same.
        reasoning += message.get("reasoning_content") or message.get("reasoning") or ""
        refusal = message.get("refusal")
        if refusal:
            text += refusal
            assembly.is_refusal = True
        return assembly.add(text, reasoning, message.get("tool_calls") or ())

    def _read_logprobs(self, content: Any) -> None:
        is_empty = isinstance(content, Mapping) and not content.get("content") and not content.get("tokens")
        if not is_empty:
            self.assembly.add_logprobs(read_logprobs(content))


def _check(body: Any) -> None:
    """Raises ReportedFailure where a reply is an error after all."""
    if not isinstance(body, dict):  # as JSON is read; a protocol takes several times as long to ask for
        raise TypeError("not an object")
    if body.get("error") or body.get("object") == "error" or ("choices" not in body and "detail" in body):
        raise ReportedFailure(body)


def _first(choices: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Returns the choice of index 0; streams of several choices mix them."""
    for choice in choices:
        if not choice.get("index"):
            return choice
    return None


def _content(content: Any) -> tuple[str, str]:
    """Returns the text and the reasoning of a content: text, or parts as Mistral sends them."""
    if content is None:
        return "", ""
    if isinstance(content, str):
        return content, ""
    text, reasoning = "", ""
    for part in content:
        if part.get("type") == "thinking":
            reasoning += "".join(_content([inner])[0] for inner in part.get("thinking") or ())
        else:
            text += part.get("text") or ""
    return text, reasoning
