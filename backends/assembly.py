"""Puts a completion together from its pieces, so that a stream and a whole reply cannot differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from .lenient import Halves, whole
from .logprobs import TokenLogprob, align, alternatives_of
from .thinking import ThinkSplitter
from .types import Chunk, Completion, Query, Usage, make_chunk, make_completion
from .usage import estimated_usage

_ID_CHARACTERS = 30  # of a reply's id in that of a call that has none; OpenAI, which may get it later, takes 40 in all


class Assembly:
    """The completion so far. What a provider sends goes in, chunks for the caller come out.

    Text passes through `splitter`, if there is one, to take `<think>` out. Readers set the plain
    attributes as they learn them.
    """

    def __init__(self, splitter: ThinkSplitter | None = None) -> None:
        self._splitter = splitter
        self._halves: tuple[Halves, Halves] | None = None  # of the text and of the reasoning
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: dict[int, _Call] = {}
        self._logprobs: list[TokenLogprob] | None = []
        self._fresh: list[TokenLogprob] = []  # that no chunk has told yet
        self.finish_reason: str | None = None
        self.is_refusal = False  # the model declined in so many words
        self.usage: Usage | None = None
        self.model = ""
        self.reply_id = ""

    @property
    def has_split(self) -> bool:
        """Whether thinking was taken out of the text, which then is not what the provider sent."""
        return self._splitter is not None and self._splitter.has_split

    @property
    def is_mended(self) -> bool:
        """Whether there may be halves of characters in what comes."""
        return self._halves is not None

    def mend(self) -> None:
        """Notes that from now on there may be halves of characters in texts."""
        self._halves = self._halves or (Halves(), Halves())

    def add(self, text: str = "", reasoning: str = "", tool_calls: Sequence[Mapping[str, Any]] = ()) -> Chunk | None:
        """Takes what one event brought and returns the chunk for it; None where nothing is certain yet.

        Raises:
            TypeError: it is no text.
        """
        if not (isinstance(text, str) and isinstance(reasoning, str)):
            raise TypeError("text of another type")
        if self._halves is not None:
            text, reasoning = self._halves[0].feed(text), self._halves[1].feed(reasoning)
        if text and self._splitter is not None:
            thought, text = self._splitter.feed(text)
            reasoning += thought
        return self._chunk(text, reasoning, tuple([self._add_call(delta) for delta in tool_calls]))

    def add_logprobs(self, tokens: list[TokenLogprob] | None) -> None:
        """Takes the log-probabilities that one event brought; None means that some are missing."""
        if tokens is None:
            self._logprobs = None
        elif self._logprobs is not None:
            self._logprobs += tokens
            self._fresh += tokens

    def end(self) -> Chunk | None:
        """Returns the chunk for what was held back."""
        if self._splitter is None and self._halves is None:
            return None
        text, reasoning = ("", "") if self._halves is None else (self._halves[0].close(), self._halves[1].close())
        if self._splitter is not None:
            thought, answer = self._splitter.feed(text) if text else ("", "")
            thought_last, answer_last = self._splitter.close()
            reasoning, text = reasoning + thought + thought_last, answer + answer_last
        return self._chunk(text, reasoning, ())

    def completion(
        self,
        query: Query,
        *,
        latency_s: float,
        first_token_s: float | None,
        body: Mapping[str, Any] | None = None,
    ) -> Completion:
        """Returns the completion, with the usage estimated where the provider did not report it."""
        text = "".join(self._text)
        calls = tuple([self._calls[index].as_message() for index in sorted(self._calls)]) if self._calls else ()
        tokens = align(self._logprobs, text) if self._logprobs else None
        entropies, margins = alternatives_of(tokens or ()) or (None, None)
        reason = "content_filter" if self.is_refusal else self.finish_reason or "stop"
        completion = make_completion(
            text=text,
            reasoning="".join(self._reasoning),
            tool_calls=calls,
            finish_reason="tool_calls" if calls and reason == "stop" else reason,
            is_refusal=self.is_refusal,
            logprobs=tuple(token.logprob for token in tokens) if tokens else None,
            entropies=entropies,
            margins=margins,
            tokens=tuple(token.text for token in tokens) if tokens else None,
            model=self.model,
            latency_s=latency_s,
            first_token_s=first_token_s,
            usage=self.usage or Usage(),
            body=body,
        )
        return completion if self.usage else replace(completion, usage=estimated_usage(query, completion))

    def _chunk(self, text: str, reasoning: str, tool_calls: tuple[Mapping[str, Any], ...]) -> Chunk | None:
        if not text and not reasoning and not tool_calls:
            return None
        if text:
            self._text.append(text)
        if reasoning:
            self._reasoning.append(reasoning)
        if not self._fresh:
            return make_chunk(text=text, reasoning=reasoning, tool_calls=tool_calls, is_refusal=self.is_refusal)
        # As in the completion, those of the reasoning are not told.
        tokens, self._fresh = [] if reasoning else self._fresh, []
        entropies, margins = alternatives_of(tokens) or ((), ())
        return make_chunk(
            text=text,
            reasoning=reasoning,
            tool_calls=tool_calls,
            is_refusal=self.is_refusal,
            logprobs=tuple([token.logprob for token in tokens]),
            entropies=entropies,
            margins=margins,
        )

    def _add_call(self, delta: Mapping[str, Any]) -> Mapping[str, Any]:
        """Takes one delta of a tool call and returns it in the OpenAI form, with the index it belongs to."""
        function = delta.get("function") or {}
        name, id = function.get("name") or "", str(delta.get("id") or "")
        if not isinstance(name, str):
            raise TypeError("a tool's name of another type")
        arguments = function.get("arguments")
        if arguments is None:
            arguments = ""
        elif not isinstance(arguments, str):  # some servers send the object itself
            arguments = orjson.dumps(arguments).decode()
        elif self._halves is not None:
            arguments = whole(arguments)
        index = self._index_of(delta.get("index"), id, name)
        call = self._calls.get(index)
        if call is not None:
            call.arguments.append(arguments)
            return {"index": index, "function": {"arguments": arguments}}
        call = self._calls[index] = _Call(id or f"call_{self.reply_id[-_ID_CHARACTERS:]}_{index}", name, [arguments])
        return {
            "index": index,
            "id": call.id,
            "type": "function",
            "function": {"name": name, "arguments": arguments},
        }

    def _index_of(self, index: Any, id: str, name: str) -> int:
        """Returns the index of the call that a delta belongs to.

        Servers leave the index out, or give every call the same one. Another id together with a name
        begins another call; an id alone does not, since some make up a new one for every delta.
        """
        last = max(self._calls, default=-1)
        known = next((known for known, call in self._calls.items() if id and call.id == id), None)
        if known is not None:
            return known
        if isinstance(index, int) and (index not in self._calls or not (id and name)):
            return index
        return last + 1 if name or last < 0 else last


class _Call:
    """One tool call under way."""

    __slots__ = ("arguments", "id", "name")

    def __init__(self, id: str, name: str, arguments: list[str]) -> None:
        self.id = id
        self.name = name
        self.arguments = arguments

    def as_message(self) -> Mapping[str, Any]:
        """Returns the call as a chat message holds it."""
        arguments = "".join(self.arguments)
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": arguments}}
