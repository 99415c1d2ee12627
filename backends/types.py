"""What goes to a backend and what comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from .errors import InvalidRequest
from .quick import maker, quick
from .spec import BackendSpec
from .sse import Event

Message = Mapping[str, Any]  # one chat message in the OpenAI form: role, content, tool_calls, ...


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """A request in the words it came in, for a backend that speaks its format."""

    format: str  # chat (OpenAI's chat completions), messages (Anthropic's) or responses (OpenAI's)
    body: Mapping[str, Any]  # without `model`, `stream` and what is for Penstock
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case
    unsayable: tuple[str, ...] = ()  # what no other format can say, such as `tools[0]: type 'bash_20250124'`


make_original = maker(Original)


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One request: chat messages in the OpenAI form plus the caller's other fields, untouched.

    `params` holds fields of a chat completion request besides `model`, `messages` and `stream`
    (`temperature`, `max_tokens`, `tools`, `response_format`, ...). `id` is the `query_id` of a trace,
    by which `replay` finds its recorded answers. `original` is set where the request came over HTTP: the rest
    is then its translation, by which it is judged and which backends of another format are sent. `minds` says of the
    assistant's messages, in their order, which `BackendSpec.mind` has had the thinking in them; "" where that is not
    known, and none at all where nothing is.
    """

    messages: tuple[Message, ...]
    params: Mapping[str, Any] = field(default_factory=dict)
    id: str = ""
    original: Original | None = None
    trace_headers: Mapping[str, str] | None = None  # by which the provider is told of the trace that the call is in
    reasoning_budget: int | None = None  # the most tokens to reason with, where the backend can be told
    minds: tuple[str, ...] = ()
    draft: str | None = None  # another backend's answer, for one that checks drafts
    # The text of every message in order; images leave none. It is read many times on the way of a request.
    text: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        text = "\n".join([text for message in self.messages if (text := text_of(message))])
        object.__setattr__(self, "text", text)

    @classmethod
    def from_text(cls, text: str, *, id: str = "") -> Query:
        """Returns the query of one user message.

        >>> Query.from_text("2 + 2?").text
        '2 + 2?'
        """
        return make_query(messages=({"role": "user", "content": text},), id=id)

    @classmethod
    def from_messages(
        cls,
        messages: Sequence[Message],
        *,
        params: Mapping[str, Any] | None = None,
        id: str = "",
        original: Original | None = None,
    ) -> Query:
        """Returns the query of a conversation.

        Raises:
            InvalidRequest: there is no message, or one is not an object with a `role` and content of a known kind.
        """
        # A list, mostly; to ask for a protocol takes several times as long, here and below.
        is_list = type(messages) is list or (isinstance(messages, Sequence) and not isinstance(messages, (str, bytes)))
        if not is_list or not messages:
            raise InvalidRequest("messages: expected a list of at least one chat message")
        for position, message in enumerate(messages):
            is_object = type(message) is dict or isinstance(message, Mapping)
            if not is_object or not isinstance(message.get("role"), str):
                raise InvalidRequest(f"messages[{position}]: expected an object with a `role`")
            content = message.get("content")
            if content is None or isinstance(content, str):
                continue
            if not isinstance(content, (list, tuple)):
                raise InvalidRequest(f"messages[{position}].content: expected text or a list of parts")
            for place, part in enumerate(content):
                if not isinstance(part, str | Mapping):
                    raise InvalidRequest(f"messages[{position}].content[{place}]: expected text or an object")
        return make_query(messages=tuple(messages), params=dict(params or {}), id=id, original=original)

    def is_foreign(self, place: int, mind: str) -> bool:
        """Returns whether the assistant's message of this number is known to be of another mind."""
        return place < len(self.minds) and self.minds[place] not in ("", mind)

    def original_in(self, format: str) -> Original | None:
        """Returns the request in the words it came in, where these are of a format; else None."""
        return self.original if self.original is not None and self.original.format == format else None


make_query = maker(Query)


def text_of(message: Message) -> str:
    """Returns the text of one chat message, whether its content is a string or a list of parts, or it is a refusal."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if not content:
        refusal = message.get("refusal")
        return refusal if isinstance(refusal, str) else ""
    parts = (part if isinstance(part, str) else part.get("text") or part.get("refusal") for part in content)
    return "\n".join(part for part in parts if isinstance(part, str) and part)


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one call.

    Input read from the provider's cache and input written to it are two parts of the input; what is kept for an hour is
    part of the latter. Reasoning is part of the output.
    """

    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    is_estimated: bool = False  # the provider did not say; counted from the text


make_usage = maker(Usage)


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What a backend returned for one query."""

    text: str
    reasoning: str = ""
    tool_calls: tuple[Mapping[str, Any], ...] = ()  # OpenAI form: id, type, function{name, arguments}
    finish_reason: str = "stop"  # stop | length | tool_calls | content_filter
    is_refusal: bool = False  # the model declined in so many words, which are the text; then `content_filter`
    usage: Usage = Usage()
    logprobs: tuple[float, ...] | None = None  # natural log, one per answer token, no reasoning
    reasoning_logprobs: tuple[float, ...] | None = None  # likewise of the reasoning's tokens; few backends tell them
    entropies: tuple[float, ...] | None = None  # nats, of what could have stood in place of each answer token
    margins: tuple[float, ...] | None = None  # log-probability there of the likeliest token less the second's
    tokens: tuple[str, ...] | None = None  # the answer tokens that `logprobs` belong to
    model: str = ""  # as the provider names it
    latency_s: float = 0.0
    first_token_s: float | None = None
    cost_usd: float | None = None  # where it is known better than from usage and price (replay)
    body: Mapping[str, Any] | None = None  # the whole reply in the provider's words, where the query's are its format


make_completion = maker(Completion)


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """One piece of a streamed completion. The last one, and only that, carries the whole `completion`."""

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[Mapping[str, Any], ...] = ()  # deltas in the OpenAI form, with `index`
    is_refusal: bool = False  # as in the completion
    events: tuple[Event, ...] = ()  # the same in the provider's words, where the query's are its format
    logprobs: tuple[float, ...] = ()  # natural log, of the tokens since the last piece: the answer's, if it has text
    entropies: tuple[float, ...] = ()  # of the same tokens, where known; likewise the next
    margins: tuple[float, ...] = ()
    completion: Completion | None = None


make_chunk = maker(Chunk)


@runtime_checkable
class Backend(Protocol):
    """One routable option. Built as `Type(spec)`; safe to share among the tasks of one event loop.

    Both ways of asking raise `BackendError` and nothing else. Cancelling the task, or closing the
    stream, ends the call upstream too.
    """

    spec: BackendSpec

    async def complete(self, query: Query) -> Completion:
        """Returns the whole completion."""
        ...

    def stream(self, query: Query) -> AsyncIterator[Chunk]:
        """Yields pieces as they come and ends with the one that carries the `completion`."""
        ...

    async def aclose(self) -> None:
        """Frees connections and threads; may be called twice."""
        ...
