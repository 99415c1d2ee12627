"""Hard wishes: which backends may be asked at all, and why the others may not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..backends import TIERS, BackendSpec, Original, Query
from ..backends.usage import IMAGE_PARTS
from ..classifiers import Estimates
from .policy import NOBODY, Policy

_NOTHING: frozenset[str] = frozenset()


def needed_capabilities(query: Query) -> frozenset[str]:
    """Returns the capabilities without which a backend cannot answer this query."""
    needed = set()
    if query.params.get("tools"):
        needed.add("tools")
    response_format = query.params.get("response_format")
    if (
        response_format is not None
        and isinstance(response_format, Mapping)
        and response_format.get("type") in ("json_schema", "json_object")
    ):
        needed.add("json_schema")
    for message in query.messages:
        content = message.get("content")
        if not isinstance(content, str) and _has_image(content):
            needed.add("vision")
            break
    if query.params.get("logprobs"):
        needed.add("logprobs")
    if query.params.get("n") not in (None, 1):
        needed.add("n")
    return frozenset(needed) if needed else _NOTHING


def wanted_tokens(query: Query) -> int:
    """Returns how long an answer the caller wants room for, 0 where that is not said or is no number."""
    for field in ("max_completion_tokens", "max_tokens"):
        limit = query.params.get(field)
        if isinstance(limit, int) and limit > 0:
            return limit
    return 0


def has_limits(policy: Policy) -> bool:
    """Returns whether the policy excludes anybody by itself."""
    return bool(
        policy.allow
        or policy.deny
        or policy.effort
        or policy.budget is not None
        or policy.floor
        or policy.max_cost_usd is not None
        or policy.max_latency_s is not None
        or policy.min_quality is not None
    )


def why_excluded(
    specs: Mapping[str, BackendSpec],
    estimates: Estimates,
    policy: Policy,
    *,
    needed: frozenset[str],
    max_tokens: int,
    original: Original | None = None,
    unavailable: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Returns, for each backend that may not be asked, the wish that excludes it; of those that fulfil every wish, why
    it is `unavailable`.
    """
    limited = has_limits(policy)
    excluded: dict[str, str] = {}
    for place, name in enumerate(estimates.backends):
        spec = specs.get(name)
        reason = _policy_reason(name, spec, estimates, place, policy) if limited else ""
        if not reason and spec is not None:
            reason = _query_reason(spec, estimates.input_tokens, needed, max_tokens, original)
        if not reason and unavailable:
            reason = unavailable.get(name, "")
        if reason:
            excluded[name] = reason
    return excluded


def _policy_reason(name: str, spec: BackendSpec | None, estimates: Estimates, place: int, policy: Policy) -> str:
    """Returns the wish of the policy that excludes this backend, or ''. What is not known excludes nobody."""
    if NOBODY in policy.deny:
        return "allow leaves no backend"
    if policy.allow and name not in policy.allow:
        return "not in allow"
    if name in policy.deny:
        return "in deny"
    if policy.effort and spec is not None and spec.effort is not None and spec.effort != policy.effort:
        return f"effort {spec.effort} is not {policy.effort}"
    if spec is not None and policy.floor and TIERS.index(spec.tier) < TIERS.index(policy.floor):
        by = f" of rule {policy.floor_rule}" if policy.floor_rule else ""
        return f"tier {spec.tier} is below the floor {policy.floor}{by}"
    if spec is not None and policy.budget is not None and not spec.heeds_budget:
        # It reasons as long as it likes, and what it writes is mostly reasoning.
        tokens = float(estimates.output_tokens[place])
        if tokens > policy.budget:
            return f"expected to write {tokens:.0f} tokens, and cannot be held to a budget of {policy.budget}"
    if policy.max_cost_usd is not None and estimates.high_cost_usd(place) > policy.max_cost_usd:
        cost, limit = float(estimates.cost_usd[place]), f"max_cost_usd ${policy.max_cost_usd:.6f}"
        if cost > policy.max_cost_usd:
            return f"expected cost ${cost:.6f} is above {limit}"
        return f"one call in ten may cost more than ${estimates.high_cost_usd(place):.6f}, above {limit}"
    if policy.max_latency_s is not None and estimates.high_latency_s(place) > policy.max_latency_s:
        latency, limit = float(estimates.latency_s[place]), f"max_latency_s {policy.max_latency_s:g}"
        if latency > policy.max_latency_s:
            return f"expected latency {latency:.2f} s is above {limit}"
        return f"one call in ten may take longer than {estimates.high_latency_s(place):.2f} s, above {limit}"
    quality = float(estimates.quality[place])
    if policy.min_quality is not None and quality < policy.min_quality:
        return f"estimated quality {quality:.2f} is below min_quality {policy.min_quality:g}"
    return ""


def _query_reason(
    spec: BackendSpec, input_tokens: int, needed: frozenset[str], max_tokens: int, original: Original | None
) -> str:
    """Returns what this backend lacks for the query, or ''."""
    missing = spec.lacking(needed) if needed else needed
    if missing:
        return f"does not support {', '.join(sorted(missing))}"
    if original is not None and original.unsayable and original.format != spec.format:
        return f"cannot be told {', '.join(original.unsayable)}"
    window, longest = spec.limits.context_tokens, spec.limits.max_output_tokens
    if window is not None:
        n_tokens = input_tokens + (max_tokens if longest is None else min(max_tokens, longest))
        if n_tokens > window:
            return f"about {n_tokens} tokens do not fit its context of {window}"
    return ""


def _has_image(content: Any) -> bool:
    if not isinstance(content, list | tuple):
        return False
    return any(isinstance(part, Mapping) and part.get("type") in IMAGE_PARTS for part in content)
