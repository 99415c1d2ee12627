from __future__ import annotations

from typing import Any

import pytest

from penstock.backends import ConfigError, Query
from penstock.router import NoFeasibleBackend, Policy, Wishes, decide
from penstock.router.policy import WISH_NAMES, read_wishes

from .pieces import estimates, outlook, spec

AUTO = Policy(name="auto")


def wish(name: str, value: object) -> object:
    """Returns one wish as it is read."""
    return getattr(read_wishes({name: value}, where="penstock"), name)


def limited(limit: str, value: float) -> Wishes:
    """Returns one limit as a wish."""
    return read_wishes({limit: value}, where="penstock")


def refusal(values: object) -> str:
    """Returns why wishes are refused."""
    with pytest.raises(ConfigError) as caught:
        read_wishes(values, where="penstock")  # type: ignore[arg-type]  # some are no mapping
    return str(caught.value)


# Wishes on a policy


@pytest.mark.parametrize(
    ("limit", "policy_value", "wish_value", "tighter"),
    [
        ("max_cost_usd", 0.01, 0.02, 0.01),
        ("max_cost_usd", 0.02, 0.01, 0.01),
        ("max_latency_s", 3.0, 5.0, 3.0),
        ("max_latency_s", 5.0, 3.0, 3.0),
        ("min_quality", 0.5, 0.7, 0.7),
        ("min_quality", 0.7, 0.5, 0.7),
    ],
)
def test_of_two_limits_the_tighter_holds(limit: str, policy_value: float, wish_value: float, tighter: float) -> None:
    policy = limited(limit, policy_value).on(AUTO)
    assert getattr(limited(limit, wish_value).on(policy), limit) == tighter


@pytest.mark.parametrize("limit", ["max_cost_usd", "max_latency_s", "min_quality"])
def test_a_limit_that_the_policy_does_not_have_is_added(limit: str) -> None:
    assert getattr(limited(limit, 0.5).on(AUTO), limit) == 0.5


@pytest.mark.parametrize("limit", ["max_cost_usd", "max_latency_s", "min_quality"])
def test_a_limit_of_zero_is_a_limit(limit: str) -> None:
    assert getattr(limited(limit, 0.0).on(AUTO), limit) == 0.0


def test_no_wishes_leave_the_policy_as_it_is() -> None:
    assert Wishes().on(AUTO) is AUTO


def test_lam_and_effort_replace_those_of_the_policy() -> None:
    changed = Wishes(lam=3, effort="low").on(Policy(name="auto", lam=20, effort="high"))
    assert (changed.lam, changed.effort) == (3, "low")


def test_allow_is_what_both_allow() -> None:
    policy = Policy(name="auto", allow=("small", "mid"))
    assert Wishes(allow=("mid", "lrm")).on(policy).allow == ("mid",)
    assert Wishes(allow=("lrm",)).on(AUTO).allow == ("lrm",)


def test_deny_is_what_either_denies() -> None:
    assert Wishes(deny=("mid",)).on(Policy(name="auto", deny=("small",))).deny == ("small", "mid")


@pytest.mark.parametrize(
    ("policy_allow", "allow"), [(("small",), ("mid",)), (("small",), ()), ((), ())], ids=["disjoint", "none", "empty"]
)
def test_an_allow_that_leaves_nobody_excludes_everybody(policy_allow: tuple[str, ...], allow: tuple[str, ...]) -> None:
    policy = Wishes(allow=allow).on(Policy(name="auto", allow=policy_allow))
    before = outlook([0.5, 0.7], [0.1, 0.2])
    with pytest.raises(NoFeasibleBackend) as caught:
        decide(
            Query.from_text("hello"),
            estimates([0.5, 0.7], [0.1, 0.2]),
            policy,
            specs={"small": spec("small"), "mid": spec("mid")},
            escalation=before.escalation,
        )
    assert caught.value.excluded == {"small": "allow leaves no backend", "mid": "allow leaves no backend"}
    assert str(caught.value) == "no backend is left: small: allow leaves no backend; mid: allow leaves no backend"


# Wishes as they come


def test_wishes_are_those_of_the_protocol() -> None:
    assert WISH_NAMES == (
        "lam",
        "min_quality",
        "max_cost_usd",
        "max_latency_s",
        "effort",
        "budget",
        "floor",
        "allow",
        "deny",
        "conversation",
    )


def test_wishes_are_read_from_json() -> None:
    body = {"lam": 5, "min_quality": 0.5, "max_cost_usd": 0.1, "effort": "low", "allow": ["a"], "deny": ["b", "c"]}
    assert read_wishes(body, where="penstock") == Wishes(
        lam=5, min_quality=0.5, max_cost_usd=0.1, effort="low", allow=("a",), deny=("b", "c")
    )


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("lam", "12.5", 12.5),
        ("lam", " 1e2 ", 100.0),
        ("min_quality", "1", 1.0),
        ("max_latency_s", "0", 0.0),
        ("effort", " low ", "low"),
        ("effort", "", None),
        ("budget", "2000", 2000),
        ("budget", 0, 0),
        ("floor", "mid", "mid"),
        ("allow", "a, b,lrm@low", ("a", "b", "lrm@low")),
        ("allow", "a,,", ("a",)),
        ("allow", "", ()),
        ("deny", "a", ("a",)),
        ("conversation", " chat-7 ", "chat-7"),
    ],
)
def test_wishes_may_come_as_the_text_of_a_header(name: str, text: str, value: object) -> None:
    assert wish(name, text) == value


@pytest.mark.parametrize("name", WISH_NAMES)
def test_null_is_no_wish(name: str) -> None:
    assert read_wishes({name: None}, where="penstock") == Wishes()


def test_an_unknown_wish_is_named_with_those_allowed() -> None:
    assert refusal({"max_cost": 1}) == (
        "penstock: unknown wish 'max_cost'; expected one of lam, min_quality, max_cost_usd, max_latency_s, effort,"
        " budget, floor, allow, deny, conversation"
    )


@pytest.mark.parametrize("values", ["lam=1", ["lam"], 5])
def test_wishes_that_are_no_object_are_refused(values: object) -> None:
    assert refusal(values).startswith("penstock: expected an object with some of lam, ")


@pytest.mark.parametrize(
    "value", ["cheap", "", "nan", "inf", "-1", "1e999", -0.5, True, [1], {}, float("nan"), float("inf"), 10**400]
)
@pytest.mark.parametrize("name", ["lam", "max_cost_usd", "max_latency_s"])
def test_a_limit_that_is_no_finite_number_from_zero_is_refused(name: str, value: object) -> None:
    assert refusal({name: value}).startswith(f"penstock.{name}: expected a number of 0 or more, got ")


@pytest.mark.parametrize("value", ["80", 1.01, -0.01, "high"])
def test_a_quality_that_is_no_probability_is_refused(value: object) -> None:
    assert refusal({"min_quality": value}) == f"penstock.min_quality: expected a number from 0 to 1, got {value!r}"


@pytest.mark.parametrize("value", [5, {"a": 1}, ["a", 5], True])
@pytest.mark.parametrize("name", ["allow", "deny"])
def test_names_that_are_no_list_of_names_are_refused(name: str, value: object) -> None:
    assert refusal({name: value}).startswith(f"penstock.{name}: expected a list of backend names, got ")


@pytest.mark.parametrize("value", [5, False, ["low"]])
def test_an_effort_that_is_no_text_is_refused(value: object) -> None:
    assert refusal({"effort": value}).startswith("penstock.effort: expected a name such as low, got ")


@pytest.mark.parametrize(
    "wish",
    [
        {"max_cost_usd": float("nan")},
        {"lam": float("nan")},
        {"lam": float("inf")},
        {"lam": -5.0},
        {"min_quality": 1.5},
        {"max_latency_s": "soon"},
        {"deny": "small"},
        {"effort": 3},
    ],
)
def test_a_wish_made_in_python_is_checked_like_one_that_came_as_json(wish: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="wishes"):
        Wishes(**wish)
