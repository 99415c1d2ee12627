"""What the page shows, as JSON: requests, sums over them, and how the backends are; only what the key may see."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import parse_qs

import numpy as np

from ...backends import InvalidRequest, Query
from ...backends.types import text_of
from ..content import Content, content_columns
from ..decision import plain
from ..exchange import MadeCall
from ..figures import Figures
from ..gate import GateState
from ..keys import Key, permitted
from ..metrics import WORKERS
from ..model_list import model_names
from ..router import Router
from .recent import Recent, Request, totals_for

_MOST_SIGNS = 200  # of a query
_MOST_DIGITS = 18


def activity(
    recent: Recent, figures: Figures, router: Router, key: Key, *, after: int, started_at: float, now: float
) -> dict[str, Any]:
    """Returns what a key may see; of the requests, those with a number above `after`. `figures` are of all workers."""
    requests = recent.requests_for(key)
    totals = totals_for(key, figures)
    config = permitted(router.config, key)
    return {
        "now": now,
        "started_at": started_at,  # numbers begin again when it changes
        "workers": figures.states[WORKERS,][0],
        "sees_all": key.sees_all,
        "key": key.name,
        "is_trained": not router.pool.is_cold,
        "default_policy": router.config.default_policy,
        "models": model_names(config),
        "totals": {**asdict(totals), "saved_usd": totals.best_cost_usd - totals.cost_usd},
        "backends": _backends(requests, router, key),
        "requests": [_told(request, key) for request in requests if request.number > after],
    }


def beginning_of(query: Query, content: Content) -> str:
    """Returns how the user's last message begins, as it may be written to the trace log; nothing where it may not."""
    messages = content_columns(content, query, None).get("messages")
    if not messages:
        return ""
    said = next((text_of(message) for message in reversed(messages) if message.get("role") == "user"), "")
    return " ".join(said[: 2 * _MOST_SIGNS].split())[:_MOST_SIGNS]


def read_after(query_string: bytes) -> int:
    """Returns the number in `after=12`, 0 without one.

    Raises:
        InvalidRequest: it is no number.
    """
    (text, *_) = parse_qs(query_string.decode("latin-1")).get("after", ["0"])
    if not (text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS):
        raise InvalidRequest(f"after: expected the number of a request, got {text!r:.80}")
    return int(text)


def _told(request: Request, key: Key) -> dict[str, Any]:
    exchange, decision = request.exchange, request.exchange.decision
    told = {
        "number": request.number,
        "began_at": exchange.began_at,
        "key": request.key.name,
        "trace_id": exchange.trace_id,
        "endpoint": exchange.path,
        "status": exchange.status,
        "model": exchange.model,
        "is_stream": exchange.is_stream,
        "text": exchange.text,
        "error": exchange.error,
        "latency_s": exchange.latency_s,
        "cost_usd": exchange.cost_usd,
        "calls": [_told_call(call) for call in exchange.calls],
        "chosen": exchange.chosen,
    }
    if decision is None:
        return told
    estimates = decision.estimates
    return told | {
        "policy": decision.policy.name,
        "reason": decision.reason,
        "difficulty": plain(estimates.difficulty),
        "best_cost_usd": exchange.best_cost_usd,
        "estimates": {
            name: {"quality": plain(quality), "cost_usd": plain(cost)}
            for name, quality, cost in zip(estimates.backends, estimates.quality, estimates.cost_usd, strict=True)
            if key.may_see(name)
        },
    }


def _told_call(call: MadeCall) -> dict[str, Any]:
    return {
        "backend": call.backend,
        "error": call.error,
        "confidence": plain(call.confidence),
        "cost_usd": call.cost_usd,
        "latency_s": call.latency_s,
        "input_tokens": call.usage.input_tokens,
        "output_tokens": call.usage.output_tokens,
        "draft_of": call.draft_of,
        "judged": call.judged,
    }


def _backends(requests: Sequence[Request], router: Router, key: Key) -> list[dict[str, Any]]:
    """Returns how every backend is that a key may use, from its requests alone."""
    calls: defaultdict[str, list[MadeCall]] = defaultdict(list)
    answered: Counter[str] = Counter()
    for exchange in (request.exchange for request in requests):
        for call in exchange.calls:
            calls[call.backend].append(call)
        if exchange.chosen is not None:
            answered[exchange.calls[exchange.chosen].backend] += 1
    return [
        {
            "name": name,
            "type": spec.type,
            "tier": spec.tier,
            "answered": answered[name],
            **_health(calls[name]),
            **_state(state, is_whole=key.sees_all),
        }
        for (name, spec), state in zip(router.config.backends.items(), router.gates().values(), strict=True)
        if key.may_see(name)
    ]


def _state(state: GateState, *, is_whole: bool) -> dict[str, Any]:
    """Returns the state of a gate; how busy others keep a backend is for those who may see their requests."""
    busy = {"in_flight": state.in_flight, "waiting": state.waiting, "concurrency": state.concurrency}
    return {"circuit": state.circuit, "refusal": state.refusal} | (busy if is_whole else dict.fromkeys(busy))


def _health(calls: Sequence[MadeCall]) -> dict[str, Any]:
    """Returns how the latest calls to one backend went."""
    latencies = [call.latency_s for call in calls if call.error is None]
    median, slow = np.quantile(latencies, (0.5, 0.95)).tolist() if latencies else (None, None)
    return {
        "calls": len(calls),
        "failed": sum(call.error is not None for call in calls),
        "last_error": next((call.error for call in reversed(calls) if call.error), None),
        "latency_s": {"median": median, "p95": slow},
        "cost_usd": sum(call.cost_usd for call in calls),
    }
