"""Any endpoint that speaks OpenAI's chat completions: hosted, vLLM, SGLang, Ollama, llama.cpp, ..."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

from .assembly import Assembly
from .errors import BackendError, ConfigError
from .network import NetworkBackend
from .openai_reply import OpenAIReader
from .options import check_options, name_list, option, read_base_url, read_key, text_mapping
from .spec import BackendSpec
from .thinking import ThinkSplitter
from .thoughts import REASONING_BACK, own_reasoning, reasoning_wanted
from .types import Query

logger = logging.getLogger(__name__)

DEFAULT_BASE_URL = "https://api.openai.com/v1"
THINKING = ("tagged", "starts_inside", "untagged")

# Models of these names take `max_completion_tokens` only; everything else understands `max_tokens`.
_NEW_LIMIT = re.compile(r"(?:^|/)(?:o\d|gpt-[5-9])", re.IGNORECASE)
# What may be left out, should the provider refuse it: what we add ourselves, and what only tunes the sampling.
_OURS = ("logprobs", "top_logprobs", "stream_options")
_N_ALTERNATIVES = 5  # tokens told for each place: what every server that tells any is known to allow
_SAMPLING = ("temperature", "top_p", "presence_penalty", "frequency_penalty")
_REFUSAL = re.compile(
    r"not (?:currently )?(?:be )?(?:support|allow|permit|available|enabled)|unsupported|unrecogni[sz]ed|unknown"
    r"|unexpected|extra (?:inputs|fields)|deprecated|cannot both",
    re.IGNORECASE,
)
# What is said by a server that tells fewer alternatives to a token than we ask for.
_TOO_MANY = re.compile(r"logprobs\b.*(?:greater|less|most|between|exceed|max|range)", re.IGNORECASE | re.DOTALL)


class OpenAIBackend(NetworkBackend):
    """Asks `{base_url}/chat/completions`.

    The query's params are sent untouched, but for four things: `model`, and `reasoning_effort` where it has one, are
    the backend's own; the limit on output is capped by `limits.max_output_tokens` and named as the model wants it;
    `drop_params` are left out; and a sampling field (such as `temperature`) or one of ours (such as `logprobs`) that
    the provider expressly refuses is left out from then on.
    """

    OPTIONS: Mapping[str, str] = {
        "extra_body": "fields added to every request, over those of the query",
        "headers": "HTTP headers added to every request",
        "api_key_header": "header that carries the key bare, such as `api-key`, in place of `Authorization: Bearer`",
        "drop_params": "request fields that are never sent to this backend",
        "budget_field": "field that tells the provider the most reasoning tokens, such as `thinking_budget` or, within"
        " an object, `reasoning.max_tokens`",
        "reasoning_back": "which reasoning of earlier answers is sent back: own (default; of the same model, or of"
        " nobody knows whom), all, none, required (all, and empty beside tool calls that have none)",
        "thinking": "what `<think>` means in an answer: tagged (default), starts_inside (the chat template has"
        " written the opening tag), untagged (nothing)",
    }
    path = "/chat/completions"

    def __init__(self, spec: BackendSpec) -> None:
        check_options(spec, self.OPTIONS)
        key = read_key(spec)
        key_header = option(spec, "api_key_header", str, expected="a header's name")
        headers = text_mapping(spec, "headers")
        if key:
            headers |= {key_header: key} if key_header else {"authorization": f"Bearer {key}"}
        super().__init__(spec, read_base_url(spec, DEFAULT_BASE_URL, path=self.path), headers, key=key)
        self._extra_body = dict(option(spec, "extra_body", Mapping, expected="request fields", default={}))
        self._dropped = name_list(spec, "drop_params")
        self._thinking = option(spec, "thinking", str, expected="text", default="tagged")
        if self._thinking not in THINKING:
            expected = ", ".join(THINKING)
            raise ConfigError(f"backends.{spec.name}.thinking: unknown {self._thinking!r}; expected one of {expected}")
        self._budget_path = option(spec, "budget_field", str, expected="a field's name", default="").split(".")
        if self._budget_path != [""] and not all(self._budget_path):
            raise ConfigError(f"backends.{spec.name}.budget_field: expected names with dots between, such as a.b")
        self._reasoning_back = option(spec, "reasoning_back", str, expected="text", default="own")
        if self._reasoning_back not in REASONING_BACK:
            raise ConfigError(
                f"backends.{spec.name}.reasoning_back: unknown {self._reasoning_back!r}; expected one of"
                f" {', '.join(REASONING_BACK)}"
            )
        self._wants_new_limit = bool(_NEW_LIMIT.search(spec.model))

    def _payload(self, query: Query, *, is_stream: bool) -> dict[str, Any]:
        spec = self.spec
        messages = own_reasoning(query, spec.mind, self._reasoning_back)
        payload = {**query.params, "model": spec.model, "messages": messages}
        if spec.effort is not None:
            payload["reasoning_effort"] = spec.effort
        self._set_limit(payload)
        if query.reasoning_budget is not None and self._budget_path != [""]:
            _put(payload, self._budget_path, query.reasoning_budget)
        if spec.supports is not None and "logprobs" in spec.supports and "logprobs" not in payload | self._extra_body:
            payload["logprobs"] = True
            payload.setdefault("top_logprobs", _N_ALTERNATIVES)
        payload.pop("stream", None)
        options = payload.pop("stream_options", None) or {}
        if is_stream:
            payload |= {"stream": True, "stream_options": {**options, "include_usage": True}}
        for field in (*self._dropped, *self._refused):
            payload.pop(field, None)
        if payload.get("logprobs") is not True:
            payload.pop("top_logprobs", None)
        return payload | self._extra_body

    def _set_limit(self, payload: dict[str, Any]) -> None:
        """Names the limit on output tokens as the model wants it, and caps it."""
        given = [payload.pop(field, None) for field in ("max_completion_tokens", "max_tokens")]
        limits = [limit for limit in (*given, self.spec.limits.max_output_tokens) if limit is not None]
        if limits:
            field = "max_completion_tokens" if self._wants_new_limit else "max_tokens"
            # A limit that is no number is passed on for the provider to refuse.
            payload[field] = min(limits) if all(isinstance(limit, int) for limit in limits) else limits[0]

    def _reader(self) -> OpenAIReader:
        if self._thinking == "untagged":
            return OpenAIReader(Assembly())
        return OpenAIReader(Assembly(ThinkSplitter(starts_inside=self._thinking == "starts_inside")))

    def _adapted(self, error: BackendError, query: Query, payload: Mapping[str, Any]) -> Query | None:
        """Learns from a refusal that names a field: reasoning, `logprobs`, a sampling field, or the limit."""
        said = error.provider_message
        if error.status not in (400, 403, 422, 500, 501):
            return None
        is_own = "top_logprobs" in payload and "top_logprobs" not in {**query.params, **self._extra_body}
        if is_own and _TOO_MANY.search(said):
            self._leave_out("top_logprobs", error)
            return query
        wanted = reasoning_wanted(said)
        # Learned once: a provider that wants first one and then the other is not understood.
        if wanted is not None and self._reasoning_back == "own":
            logger.warning("%s: reasoning_back is %s from now on: %s", self.spec.name, wanted, said)
            self._reasoning_back = wanted
            return query
        return query if _REFUSAL.search(said) and self._has_learned(said, error, query, payload) else None

    def _has_learned(self, said: str, error: BackendError, query: Query, payload: Mapping[str, Any]) -> bool:
        own = {field for field in (*_OURS, *_SAMPLING) if field in _SAMPLING or field not in query.params}
        if query.original is not None and query.original.format != self.spec.format:
            own.add("top_k")  # which Anthropic's API knows and OpenAI's does not
            if self.spec.effort is None:
                own.add("reasoning_effort")  # our translation of a wish to think, which this model cannot
        sent = [field for field in payload if field not in self._extra_body and re.search(rf"\b{field}\b", said)]
        if "max_tokens" in sent and "max_completion_tokens" in said:
            self._wants_new_limit = True
            return True
        for field in sent:
            if field in own:
                self._leave_out(field, error)
                return True
        return False


def _put(payload: dict[str, Any], path: Sequence[str], value: int) -> None:
    """Sets a field within a payload, in copies of the objects around it; one that is smaller already stays."""
    *outer, field = path
    for name in outer:
        inner = payload.get(name)
        payload[name] = payload = dict(inner) if isinstance(inner, Mapping) else {}
    given = payload.get(field)
    payload[field] = min(given, value) if isinstance(given, int) else value
