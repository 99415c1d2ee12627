"""Anthropic's Messages API, and those who speak it."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import orjson

from .anthropic_reply import AnthropicReader
from .anthropic_request import has_open_tool_call, request_of
from .assembly import Assembly
from .errors import BackendError, ConfigError, InvalidRequest
from .http import CallClock
from .network import NetworkBackend
from .options import check_options, extended, name_list, option, read_base_url, read_key, text_mapping
from .reader import UNREADABLE
from .spec import BackendSpec
from .thoughts import FOREIGN, is_about_signatures, put_own_blocks
from .types import Query

logger = logging.getLogger(__name__)

DEFAULT_BASE_URL = "https://api.anthropic.com/v1"
API_VERSION = "2023-06-01"
ANSWER_TOKENS = 4096  # `max_tokens` is required; this is for the answer where nobody said, thinking comes on top
MIN_BUDGET_TOKENS = 1024  # the API refuses less
THINKING_MODES = ("budget", "adaptive")

# Tokens of thinking by effort. The largest leaves room for an answer in the 32000 that every thinking model can write.
THINKING_BUDGETS = {
    "none": 0,
    "minimal": 1024,
    "low": 4000,
    "medium": 8000,
    "high": 16000,
    "xhigh": 24000,
    "max": 27000,
}

_VERSION = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
_SAMPLING = ("temperature", "top_p", "top_k")
_FORWARDED = ("anthropic-beta", "anthropic-version")  # headers of a caller who speaks this API
_COUNTED = frozenset(
    {"model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "mcp_servers"}
)
_REFUSAL = re.compile(r"not (?:be )?(?:support|permit|allow)|unsupported|deprecated|cannot both", re.IGNORECASE)


class AnthropicBackend(NetworkBackend):
    """Asks `{base_url}/messages`, translating the query from the OpenAI form and the reply back into it.

    A query that came as a request of this API is sent as it came, with the caller's `anthropic-beta`: `model`,
    `max_tokens` and the effort are set as ever, and thinking that bears no signature, or is known to be another
    model's, is left out. Where the provider refuses a signature, the call is made again without the thinking of earlier
    answers.

    An effort becomes thinking. Models up to Claude 4.5 are given a budget of tokens, `THINKING_BUDGETS[effort]` or
    the effort itself where it is a number, on top of the limit on the answer; later ones think as much as they see
    fit (`adaptive`) and are told the effort by name. In both cases `temperature` and `top_k`, which the API does
    not take together with thinking, are left out. There is no thinking where the API does not allow it: a tool
    that must be called, an output limit too small for it, and (with a budget) an open tool call.

    Log-probabilities are never there.
    """

    OPTIONS: Mapping[str, str] = {
        "extra_body": "fields added to every request, over those of the query",
        "headers": "HTTP headers added to every request, such as `anthropic-beta`",
        "drop_params": "request fields that are never sent to this backend",
        "thinking": "how an effort is put: budget or adaptive; the default goes by the model's name",
    }
    path = "/messages"

    def __init__(self, spec: BackendSpec) -> None:
        check_options(spec, self.OPTIONS)
        key = read_key(spec)
        headers = {"anthropic-version": API_VERSION} | text_mapping(spec, "headers")
        if key:
            headers["x-api-key"] = key
        base_url = read_base_url(spec, DEFAULT_BASE_URL, path=self.path)
        # Anthropic's own clients are given the address without the version.
        has_version = re.search(r"/v\d+/?$", urlsplit(base_url).path)
        super().__init__(spec, base_url if has_version else extended(base_url, "/v1"), headers, key=key)
        self._extra_body = dict(option(spec, "extra_body", Mapping, expected="request fields", default={}))
        self._dropped = name_list(spec, "drop_params")
        self._betas = next((text for name, text in headers.items() if name.lower() == "anthropic-beta"), "")
        self._mode = option(spec, "thinking", str, expected="text", default=_mode_of(spec.model))
        if self._mode not in THINKING_MODES:
            expected = ", ".join(THINKING_MODES)
            raise ConfigError(f"backends.{spec.name}.thinking: unknown {self._mode!r}; expected one of {expected}")
        self._budget_tokens = _budget_of(spec)

    def _payload(self, query: Query, *, is_stream: bool) -> dict[str, Any]:
        original = query.original_in(self.spec.format)
        payload = request_of(query.messages, query.params) if original is None else dict(original.body)
        put_own_blocks(payload, query, self.spec.mind)
        payload["model"] = self.spec.model
        is_callers = original is not None and "thinking" in original.body
        self._put_limit_and_thinking(payload, query)
        if "thinking" in payload and not is_callers:
            for field in ("temperature", "top_k"):
                payload.pop(field, None)
            payload["top_p"] = max(payload.get("top_p") or 1, 0.95)  # all that is allowed
            if payload["top_p"] == 1:
                del payload["top_p"]
        if original is None and isinstance(payload.get("temperature"), int | float):
            payload["temperature"] = min(payload["temperature"], 1)  # where OpenAI's goes up to 2
        if is_stream:
            payload["stream"] = True
        for field in (*self._dropped, *self._refused):
            payload.pop(field, None)
        return payload | self._extra_body

    def _put_limit_and_thinking(self, payload: dict[str, Any], query: Query) -> None:
        """Sets `max_tokens`, which thinking counts towards, and how much to think."""
        cap = self.spec.limits.max_output_tokens
        given = [query.params.get(field) for field in ("max_completion_tokens", "max_tokens")]
        limits = [limit for limit in given if limit is not None]
        wanted = _within(self._wanted_budget(query), query.reasoning_budget)
        budget = wanted or 0
        limit = min(limits) if limits else cap or ANSWER_TOKENS + budget
        payload["max_tokens"] = limit = limit if cap is None else min(limit, cap)
        if "thinking" in payload:
            payload["thinking"] = _thinking_within(payload["thinking"], query.reasoning_budget)
            return
        if wanted is None:
            return
        if not budget:
            payload["thinking"] = {"type": "disabled"}
        elif (payload.get("tool_choice") or {}).get("type") in ("any", "tool"):
            return
        elif self._mode == "adaptive":
            payload["thinking"] = {"type": "adaptive", "display": "summarized"}  # else the reasoning comes empty
            payload["output_config"] = {"effort": _named_effort(budget), **payload.get("output_config", {})}
        else:
            # Halved where it would leave no room for the answer.
            budget = budget if budget < limit else limit // 2
            if budget >= MIN_BUDGET_TOKENS and not has_open_tool_call(query.messages):
                payload["thinking"] = {"type": "enabled", "budget_tokens": budget}

    def _wanted_budget(self, query: Query) -> int | None:
        """Returns the tokens of thinking: the backend's own, else as the caller's effort asks; None for no wish."""
        effort = query.params.get("reasoning_effort")
        if self._budget_tokens is not None or effort is None or query.original_in(self.spec.format) is not None:
            return self._budget_tokens
        if effort not in THINKING_BUDGETS:
            expected = ", ".join(THINKING_BUDGETS)
            raise InvalidRequest(f"reasoning_effort: unknown {effort!r:.80}; expected one of {expected}")
        return THINKING_BUDGETS[effort]

    async def count_tokens(self, query: Query) -> int:
        """Returns how many tokens of input the provider counts in a query that came as a request of this API.

        Raises:
            BackendError: as for `complete`.
        """
        payload = self._checked_payload(query, is_stream=False)
        counted = {field: value for field, value in payload.items() if field in _COUNTED}
        async with self._connections.slots:
            clock = CallClock(self.spec.timeout, waits_for_first_token=False)
            headers = self._headers_of(query)
            path = self.path + "/count_tokens"
            async with self._connections.post(path, self._encoded(counted), clock, headers=headers) as reply:
                received = await reply.body()
        try:
            return int(orjson.loads(received)["input_tokens"])
        except UNREADABLE as error:
            raise self._unreadable(error, received) from error

    def _headers_of(self, query: Query) -> dict[str, str]:
        original = query.original_in(self.spec.format)
        if original is None:
            return {}
        headers = {name: original.headers[name] for name in _FORWARDED if name in original.headers}
        betas = [self._betas, headers.get("anthropic-beta", "")]
        return headers | ({"anthropic-beta": ",".join(filter(None, betas))} if any(betas) else {})

    def _reader(self) -> AnthropicReader:
        return AnthropicReader(Assembly())

    def _adapted(self, error: BackendError, query: Query, payload: Mapping[str, Any]) -> Query | None:
        """Forgets what was thought before, or learns from a refusal of a sampling field or of the way of thinking."""
        said = error.provider_message
        if error.status != 400:
            return None
        if is_about_signatures(said, payload):
            logger.info("%s: asked again without the thinking of earlier answers: %s", self.spec.name, said)
            return replace(query, minds=(FOREIGN,) * len(payload["messages"]))
        return query if _REFUSAL.search(said) and self._has_learned(said, error, query, payload) else None

    def _has_learned(self, said: str, error: BackendError, query: Query, payload: Mapping[str, Any]) -> bool:
        if "adaptive" in said and (payload.get("thinking") or {}).get("type") == "enabled":
            self._mode = "adaptive"
            original = query.original_in(self.spec.format)
            given = (query.params, self._extra_body, {} if original is None else original.body)
            return not any("thinking" in fields for fields in given)
        sent = [field for field in _SAMPLING if field in payload and field not in self._extra_body]
        # The last one named: of `temperature` and `top_p`, which exclude each other, temperature stays.
        named = [field for field in sent if re.search(rf"\b{field}\b", said)]
        if named:
            self._leave_out(named[-1], error)
        return bool(named)


def _within(wanted: int | None, most: int | None) -> int | None:
    """Returns a wish for tokens of thinking within a budget; 0 where that is less than the API allows."""
    if wanted is None or most is None or wanted <= most:
        return wanted
    return most if most >= MIN_BUDGET_TOKENS else 0


def _thinking_within(thinking: Any, most: int | None) -> Any:
    """Returns the caller's own field `thinking` within a budget."""
    given = thinking.get("budget_tokens") if isinstance(thinking, Mapping) else None
    if most is None or not isinstance(given, int) or given <= most:
        return thinking
    budget = _within(given, most)
    return {**thinking, "budget_tokens": budget} if budget else {"type": "disabled"}


def _mode_of(model: str) -> str:
    """Returns how a model is told to think, by the version in its name.

    >>> _mode_of("claude-haiku-4-5-20251001"), _mode_of("claude-opus-4-6"), _mode_of("claude-3-7-sonnet-20250219")
    ('budget', 'adaptive', 'budget')
    """
    match = _VERSION.search(model)
    version = (int(match[1]), int(match[2] or 0)) if match else (0, 0)
    return "adaptive" if version >= (4, 6) else "budget"


def _named_effort(budget_tokens: int) -> str:
    """Returns the effort, as adaptive thinking names it, whose budget is nearest."""
    names = ("low", "medium", "high", "xhigh", "max")
    return min(names, key=lambda name: abs(THINKING_BUDGETS[name] - budget_tokens))


def _budget_of(spec: BackendSpec) -> int | None:
    """Returns the tokens of thinking for the effort of `spec`; None where it has no effort."""
    effort = spec.effort
    if effort is None:
        return None
    if effort in THINKING_BUDGETS:
        return THINKING_BUDGETS[effort]
    if effort.isdecimal() and int(effort) >= MIN_BUDGET_TOKENS:
        return int(effort)
    expected = ", ".join(THINKING_BUDGETS)
    raise ConfigError(
        f"backends.{spec.name}.efforts: unknown {effort!r}; expected one of {expected}, or a number of tokens"
        f" from {MIN_BUDGET_TOKENS}"
    )
