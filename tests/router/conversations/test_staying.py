"""Who is asked next in a conversation: caches are worth money, and tiers do not drop among tools."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.backends import BackendSpec, Price, Query
from penstock.classifiers import no_escalation
from penstock.router import Decision, NoFeasibleBackend, Policy, decide
from penstock.router.conversations import NO_PAST, Past

from ..pieces import estimates, spec

TOKENS = 100_000
PRICES = {"small": (0.1, 0.05), "mid": (1.0, 0.1), "lrm": (2.0, 0.5)}


def specs(**changes: Any) -> dict[str, BackendSpec]:
    """Returns three backends with prices of input and cached input."""
    return {
        name: spec(
            name,
            tier=name,
            price=Price(usd_per_1m_input=plain, usd_per_1m_output=0, usd_per_1m_cached_input=cached),
            **changes.get(name, {}),
        )
        for name, (plain, cached) in PRICES.items()
    }


def decided(quality: list[float], past: Past = NO_PAST, *, lam: float = 1.0, **options: Any) -> Decision:
    """Returns the decision on a conversation of TOKENS; the expected cost is that of its input."""
    cost = [plain * TOKENS / 1e6 for plain, _ in PRICES.values()]
    return decide(
        Query.from_text("hello"),
        estimates(quality, cost, input_tokens=TOKENS),
        Policy(name="auto", lam=lam, deny=options.pop("deny", ())),
        specs=specs(),
        escalation=no_escalation(3),
        past=past,
        **options,
    )


def after(last: str, n_tokens: int = TOKENS, **rest: Any) -> Past:
    return Past(key="k", last=last, cached_tokens={last: n_tokens}, **rest)


def test_a_conversation_stays_where_its_cache_is_worth_more_than_the_switch_gains() -> None:
    quality = [0.5, 0.60, 0.61]
    assert decided(quality).backend == "mid"
    made = decided(quality, after("lrm"))
    assert made.backend == "lrm"
    assert made.reason.endswith("; stays with lrm, whose cache saves $0.150000")


def test_a_conversation_switches_where_the_gain_exceeds_the_cache_and_the_reading() -> None:
    # At mid 0.10 USD for reading it all; at lrm 0.05 for what is cached. The gain must exceed lam times the difference.
    made = decided([0, 0.6601, 0.61], after("lrm"))
    assert made.backend == "mid"
    assert "; switches from lrm, whose cache would have saved $0.150000" in made.reason
    assert decided([0, 0.6599, 0.61], after("lrm")).backend == "lrm"


@given(
    quality=st.lists(st.floats(0, 1), min_size=3, max_size=3), lam=st.floats(0, 100), last=st.sampled_from(list(PRICES))
)
def test_a_switch_gains_more_than_it_costs(quality: list[float], lam: float, last: str) -> None:
    made = decided(quality, after(last), lam=lam)
    places = {name: place for place, name in enumerate(PRICES)}
    lost = PRICES[made.backend][0] - PRICES[last][1]  # read again there, from the cache here
    if made.backend != last:
        gain = quality[places[made.backend]] - quality[places[last]]
        assert gain >= lam * lost * TOKENS / 1e6 - 1e-6


def test_a_larger_cache_never_makes_a_conversation_leave() -> None:
    stayed = [decided([0.5, 0.60, 0.61], after("lrm", n)).backend == "lrm" for n in range(0, TOKENS + 1, 5_000)]
    assert stayed == sorted(stayed)
    assert (stayed[0], stayed[-1]) == (False, True)


def test_more_than_the_conversation_cannot_be_cached() -> None:
    assert decided([0.5, 0.6, 0.61], after("lrm", 10 * TOKENS)).saved_usd == {"lrm": pytest.approx(0.15)}


def test_without_a_price_for_cached_input_nothing_is_saved() -> None:
    made = decide(
        Query.from_text("hello"),
        estimates([0.5, 0.6], [0.1, 0.2]),
        Policy(name="auto", lam=0),
        specs={"small": spec("small"), "mid": spec("mid", price=Price(usd_per_1m_input=1, usd_per_1m_output=1))},
        escalation=no_escalation(2),
        past=Past(key="k", last="small", cached_tokens={"small": 9, "mid": 9}),
    )
    assert made.saved_usd == {}
    assert made.estimates.cost_usd.tolist() == [0.1, 0.2]
    assert "; switches from small" in made.reason


def test_a_budget_counts_what_the_cache_saves() -> None:
    cost = decided([0.5, 0.6, 0.61], after("lrm")).estimates.cost_usd
    np.testing.assert_allclose(cost, [0.01, 0.1, 0.05])


@pytest.mark.parametrize(
    ("last", "left"), [("small", {"small", "mid", "lrm"}), ("mid", {"mid", "lrm"}), ("lrm", {"lrm"})]
)
def test_in_a_tool_loop_the_tier_never_drops(last: str, left: set[str]) -> None:
    made = decided([0.9, 0.1, 0.1], after(last, 0, is_in_tool_loop=True))
    assert set(made.outlook.backends) == left
    assert all("never drops" in why for why in made.excluded.values())
    assert ", in a tool loop" in made.reason


def test_after_the_tool_loop_it_may_drop() -> None:
    assert decided([0.9, 0.1, 0.1], after("lrm", 0)).backend == "small"


def test_where_wishes_leave_nobody_of_the_tier_the_highest_that_is_left_is_asked() -> None:
    made = decided([0.9, 0.1, 0.1], after("lrm", 0, is_in_tool_loop=True), deny=("lrm",))
    assert made.backend == "mid"
    assert made.excluded["lrm"] == "in deny"


def test_where_the_tier_is_only_busy_the_caller_is_told_to_wait() -> None:
    with pytest.raises(NoFeasibleBackend) as caught:
        decided([0.9, 0.1, 0.1], after("lrm", 0, is_in_tool_loop=True), unavailable={"lrm": "resting"})
    assert caught.value.excluded["lrm"] == "resting"
    assert caught.value.excluded["mid"] == "tier mid is below lrm, and in a tool loop it never drops"


def test_a_backend_that_is_gone_from_models_yaml_holds_nobody() -> None:
    assert decided([0.9, 0.1, 0.1], Past(key="k", last="gone", is_in_tool_loop=True)).backend == "small"


def test_a_new_conversation_says_nothing_of_its_past() -> None:
    reason = decided([0.9, 0.1, 0.1], Past(key="k")).reason
    assert "stays" not in reason
    assert "switches" not in reason
