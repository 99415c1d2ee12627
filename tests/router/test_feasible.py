from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from penstock.backends import CAPABILITIES, BackendSpec, Limits, Original, Query
from penstock.router import Policy
from penstock.router.feasible import needed_capabilities, wanted_tokens, why_excluded

from .pieces import estimates, spec

NAN = float("nan")
IMAGE = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]}


def excluded(
    *specs: BackendSpec, params: dict[str, Any] | None = None, cost: float = 0.01, latency: float = 1.0, **policy: Any
) -> dict[str, str]:
    """Returns who is excluded, of backends with quality 0.5, and why."""
    query = Query.from_messages([{"role": "user", "content": "hello"}], params=params or {})
    n = len(specs)
    expected = estimates([0.5] * n, [cost] * n, latency_s=[latency] * n, backends=[one.name for one in specs])
    return why_excluded(
        {one.name: one for one in specs},
        expected,
        Policy(name="auto", **policy),
        needed=needed_capabilities(query),
        max_tokens=wanted_tokens(query),
    )


A, B = spec("a"), spec("b")
LOW, HIGH = spec("lrm@low", effort="low"), spec("lrm@high", effort="high")


# Wishes of the policy


def test_a_policy_without_limits_excludes_nobody() -> None:
    assert excluded(A, B) == {}


@pytest.mark.parametrize(
    ("policy", "reasons"),
    [
        ({"allow": ("a",)}, {"b": "not in allow"}),
        ({"deny": ("a",)}, {"a": "in deny"}),
        ({"allow": ("a",), "deny": ("a",)}, {"a": "in deny", "b": "not in allow"}),
        (
            {"max_cost_usd": 0.005},
            dict.fromkeys("ab", "expected cost $0.010000 is above max_cost_usd $0.005000"),
        ),
        ({"max_latency_s": 0.5}, dict.fromkeys("ab", "expected latency 1.00 s is above max_latency_s 0.5")),
        ({"min_quality": 0.6}, dict.fromkeys("ab", "estimated quality 0.50 is below min_quality 0.6")),
    ],
)
def test_each_wish_says_why_it_excludes(policy: dict[str, Any], reasons: dict[str, str]) -> None:
    assert excluded(A, B, **policy) == reasons


@pytest.mark.parametrize("policy", [{"max_cost_usd": 0.01}, {"max_latency_s": 1.0}, {"min_quality": 0.5}])
def test_who_just_meets_a_limit_stays(policy: dict[str, Any]) -> None:
    assert excluded(A, **policy) == {}


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ({"max_cost_usd": 0.019}, "one call in ten may cost more than $0.020000, above max_cost_usd $0.019000"),
        ({"max_latency_s": 2.9}, "one call in ten may take longer than 3.00 s, above max_latency_s 2.9"),
        ({"max_cost_usd": 0.021, "max_latency_s": 3.1}, None),
    ],
)
def test_a_limit_holds_for_nine_calls_in_ten_where_that_is_known(policy: dict[str, Any], reason: str | None) -> None:
    known = estimates([0.5, 0.5], [0.01, 0.01], latency_s=[1.0, 1.0], backends=["a", "b"])
    known = replace(known, tails=np.array([[2.0, NAN], [3.0, NAN]]))
    found = why_excluded({}, known, Policy(name="auto", **policy), needed=frozenset(), max_tokens=0)
    assert found == ({} if reason is None else {"a": reason})


def test_an_effort_excludes_the_other_efforts_but_not_who_has_none() -> None:
    assert excluded(A, LOW, HIGH, effort="low") == {"lrm@high": "effort high is not low"}


def test_an_unknown_cost_excludes_nobody() -> None:
    assert excluded(A, cost=NAN, max_cost_usd=0.0001) == {}


def test_an_unknown_latency_excludes_nobody() -> None:
    assert excluded(A, latency=NAN, max_latency_s=0.1) == {}


def test_a_backend_that_models_yaml_does_not_describe_is_judged_by_its_estimates_alone() -> None:
    query = Query.from_messages([IMAGE])
    found = why_excluded(
        {},
        estimates([0.5], [0.1], backends=["learned"]),
        Policy(name="auto", effort="low"),
        needed=needed_capabilities(query),
        max_tokens=10,
    )
    assert found == {}


# What the query needs


@pytest.mark.parametrize(
    ("params", "needed"),
    [
        ({}, set()),
        ({"tools": []}, set()),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, {"tools"}),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, {"json_schema"}),
        ({"response_format": {"type": "json_object"}}, {"json_schema"}),
        ({"response_format": {"type": "text"}}, set()),
        ({"response_format": "json"}, set()),
        ({"logprobs": False, "n": 1}, set()),
        ({"logprobs": True, "n": 2}, {"logprobs", "n"}),
    ],
)
def test_tools_and_schemas_are_needed_where_they_are_asked_for(params: dict[str, Any], needed: set[str]) -> None:
    query = Query.from_messages([{"role": "user", "content": "hello"}], params=params)
    assert needed_capabilities(query) == needed


@pytest.mark.parametrize("kind", ["image_url", "image", "input_image"])
def test_an_image_anywhere_in_the_conversation_needs_vision(kind: str) -> None:
    seen = {"role": "user", "content": [{"type": "text", "text": "look"}, {"type": kind}]}
    query = Query.from_messages([seen, {"role": "assistant", "content": "nice"}, {"role": "user", "content": "why?"}])
    assert needed_capabilities(query) == {"vision"}


def test_parts_without_an_image_need_no_vision() -> None:
    query = Query.from_messages([{"role": "user", "content": [{"type": "text", "text": "look"}, "image"]}])
    assert needed_capabilities(query) == frozenset()


def test_who_lacks_what_the_query_needs_is_excluded() -> None:
    able = spec("able", supports=frozenset({"tools", "json_schema"}))
    half = spec("half", supports=frozenset({"tools"}))
    params = {"tools": [{}], "response_format": {"type": "json_schema"}}
    bare = spec("bare", supports=frozenset())
    assert excluded(able, half, bare, params=params) == {
        "half": "does not support json_schema",
        "bare": "does not support json_schema, tools",
    }


def test_what_a_backend_supports_is_unknown_and_allowed_until_it_is_said() -> None:
    params = {"tools": [{}], "response_format": {"type": "json_schema"}, "logprobs": True}
    assert excluded(spec("unsaid", type="openai"), params=params) == {}


@pytest.mark.parametrize(
    ("kind", "params", "lacks"),
    [
        ("anthropic", {"logprobs": True}, "logprobs"),
        ("anthropic", {"n": 2}, "n"),
        ("local", {"response_format": {"type": "json_schema"}}, "json_schema"),
        ("fake", {"n": 2}, "n"),
    ],
)
def test_what_a_type_never_does_excludes_it_whatever_is_said(kind: str, params: dict[str, Any], lacks: str) -> None:
    said = spec("said", type=kind, supports=frozenset(CAPABILITIES))
    assert excluded(said, params=params) == {"said": f"does not support {lacks}"}


def test_several_answers_need_no_word_in_supports() -> None:
    assert excluded(spec("gpt", type="openai", supports=frozenset()), params={"n": 2}) == {}


def test_what_only_one_format_can_say_excludes_backends_of_others() -> None:
    original = Original(format="messages", body={}, unsayable=("tools[0]: type 'bash_20250124'",))
    specs = {kind: spec(kind, type=kind) for kind in ("anthropic", "openai", "local")}
    found = why_excluded(
        specs,
        estimates([0.5] * 3, [0.1] * 3, backends=tuple(specs)),
        Policy(name="p"),
        needed=frozenset(),
        max_tokens=0,
        original=original,
    )
    assert found == dict.fromkeys(("openai", "local"), "cannot be told tools[0]: type 'bash_20250124'")


# Whether the query fits


def test_a_query_that_does_not_fit_the_context_is_excluded() -> None:
    tight = spec("tight", limits=Limits(context_tokens=9))
    assert excluded(tight, A) == {"tight": "about 10 tokens do not fit its context of 9"}


def test_a_query_that_just_fits_stays() -> None:
    assert excluded(spec("tight", limits=Limits(context_tokens=10))) == {}


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_the_answer_that_is_asked_for_has_to_fit_too(field: str) -> None:
    tight = spec("tight", limits=Limits(context_tokens=100))
    assert excluded(tight, params={field: 91}) == {"tight": "about 101 tokens do not fit its context of 100"}
    assert excluded(tight, params={field: 90}) == {}


def test_a_longer_answer_than_a_backend_gives_does_not_have_to_fit() -> None:
    capped = spec("capped", limits=Limits(context_tokens=100, max_output_tokens=50))
    assert excluded(capped, params={"max_tokens": 5000}) == {}


@pytest.mark.parametrize("value", [None, "many", [5], -5, 1.5, float("nan"), float("inf"), {}])
def test_a_limit_that_is_no_number_of_tokens_is_left_to_the_provider(value: object) -> None:
    query = Query.from_messages([{"role": "user", "content": "hello"}], params={"max_tokens": value})
    assert wanted_tokens(query) == 0


def test_the_first_reason_is_the_policys() -> None:
    tight = spec("tight", limits=Limits(context_tokens=1))
    assert excluded(tight, deny=("tight",)) == {"tight": "in deny"}


# A budget for the reasoning, and a floor


@pytest.mark.parametrize("kind", ["openai", "fake"])
def test_who_reasons_and_cannot_be_told_is_excluded_by_what_it_is_expected_to_write(kind: str) -> None:
    reasoner = spec("lrm", type=kind, tier="lrm")
    told = {"lrm": "expected to write 100 tokens, and cannot be held to a budget of 99"}
    assert excluded(A, reasoner, budget=99) == told
    assert excluded(A, reasoner, budget=100) == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "anthropic", "tier": "lrm"},
        {"type": "local", "effort": "high"},
        {"type": "openai", "tier": "lrm", "options": {"budget_field": "thinking_budget"}},
        {"type": "openai", "tier": "mid"},
    ],
)
def test_who_does_not_reason_or_can_be_told_is_asked_under_any_budget(changes: dict[str, Any]) -> None:
    assert excluded(spec("a", **changes), budget=0) == {}


def test_a_floor_excludes_the_tiers_below_it() -> None:
    tiers = [spec(tier, tier=tier) for tier in ("small", "mid", "lrm")]
    assert excluded(*tiers, floor="small") == {}
    assert excluded(*tiers, floor="lrm") == {
        "small": "tier small is below the floor lrm",
        "mid": "tier mid is below the floor lrm",
    }
