from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.backends import Limits, Query
from penstock.classifiers import Estimates, Neighbour, no_escalation
from penstock.router import Decision, NoFeasibleBackend, Policy, decide

from .pieces import NAMES, estimates, spec

NAN = float("nan")


def decision(expected: Estimates, policy: Policy | None = None, *, text: str = "hello", **specs: Any) -> Decision:
    """Returns the decision for one query; `specs` change what a backend can do."""
    n = len(expected.backends)
    return decide(
        Query.from_text(text),
        expected,
        policy or Policy(name="auto"),
        specs={name: spec(name, **specs.get(name, {})) for name in expected.backends},
        escalation=no_escalation(n),
    )


def is_feasible(expected: Estimates, policy: Policy, name: str) -> bool:
    """Returns whether a backend fulfils every wish; what is not known excludes nobody."""
    place = expected.backends.index(name)
    cost, latency = expected.cost_usd[place], expected.latency_s[place]
    return bool(
        (not policy.allow or name in policy.allow)
        and name not in policy.deny
        and (policy.min_quality is None or expected.quality[place] >= policy.min_quality)
        and (policy.max_latency_s is None or np.isnan(latency) or latency <= policy.max_latency_s)
        and (policy.max_cost_usd is None or np.isnan(cost) or cost <= policy.max_cost_usd)
    )


def test_the_decision_starts_with_the_best_quality_for_its_cost() -> None:
    made = decision(estimates([0.5, 0.9, 0.95], [0.001, 0.01, 0.1]))
    assert made.backend == "mid"
    assert made.reason == "utility: estimated quality 0.90 for $0.010000 (trained)"


def test_the_outlook_holds_only_who_is_left_in_order() -> None:
    made = decision(estimates([0.5, 0.9, 0.7], [0.1, 0.2, 0.3]), Policy(name="auto", deny=("mid",), max_cost_usd=5))
    assert made.outlook.backends == ("small", "lrm")
    assert made.outlook.quality.tolist() == [0.5, 0.7]
    assert made.outlook.cost_usd.tolist() == [0.1, 0.3]
    assert made.outlook.escalation.power.shape == (2,)
    assert made.outlook.budget_usd == 5
    assert made.excluded == {"mid": "in deny"}


def test_what_is_known_of_asking_again_follows_who_is_left() -> None:
    known = replace(no_escalation(3), loading=np.array([1.0, 2.0, 3.0]), power=np.array([0.1, 0.2, 0.3]))
    made = decide(
        Query.from_text("hello"),
        estimates([0.5, 0.9, 0.7], [0.1, 0.2, 0.3]),
        Policy(name="auto", deny=("mid",)),
        specs={},
        escalation=known,
    )
    assert made.outlook.escalation.loading.tolist() == [1, 3]
    assert made.outlook.escalation.power.tolist() == [0.1, 0.3]


def test_without_a_wish_for_cost_there_is_no_budget() -> None:
    assert decision(estimates([0.5], [0.1])).outlook.budget_usd == math.inf


def test_an_unknown_cost_counts_as_the_greatest_that_is_known() -> None:
    made = decision(estimates([0.5, 0.52, 0.5], [0.001, NAN, 0.3]))
    assert made.outlook.cost_usd.tolist() == [0.001, 0.3, 0.3]
    assert made.backend == "small"


def test_where_no_cost_is_known_quality_decides() -> None:
    assert decision(estimates([0.5, 0.9], [NAN, NAN]), Policy(name="auto", lam=1e9)).backend == "mid"


def test_when_nobody_is_left_the_error_says_which_wish_excluded_whom() -> None:
    policy = Policy(name="auto", allow=("small", "mid"), max_cost_usd=0.05)
    with pytest.raises(NoFeasibleBackend) as caught:
        decision(estimates([0.5, 0.6, 0.7], [0.01, 0.1, 0.01]), policy, small={"limits": Limits(context_tokens=5)})
    assert caught.value.excluded == {
        "small": "about 10 tokens do not fit its context of 5",
        "mid": "expected cost $0.100000 is above max_cost_usd $0.050000",
        "lrm": "not in allow",
    }
    assert all(f"{name}: {reason}" in str(caught.value) for name, reason in caught.value.excluded.items())


@settings(max_examples=200, deadline=None)
@given(
    quality=st.lists(st.integers(0, 10), min_size=1, max_size=5),
    limits=st.fixed_dictionaries(
        {},
        optional={
            "max_cost_usd": st.sampled_from([0.0, 0.02, 0.05]),
            "max_latency_s": st.sampled_from([0.5, 2.0]),
            "min_quality": st.sampled_from([0.2, 0.6, 1.0]),
            "allow": st.lists(st.sampled_from(NAMES), min_size=1, unique=True).map(tuple),
            "deny": st.lists(st.sampled_from(NAMES), unique=True).map(tuple),
        },
    ),
    objective=st.sampled_from(["utility", "cheapest_above"]),
    seed=st.integers(0, 1000),
)
def test_the_choice_is_always_feasible(
    quality: Sequence[int], limits: dict[str, Any], objective: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    n = len(quality)
    cost, latency = rng.uniform(0, 0.1, n), rng.uniform(0.1, 4, n)
    cost[rng.uniform(size=n) < 0.2] = NAN
    expected = estimates([part / 10 for part in quality], cost.tolist(), latency_s=latency.tolist())
    policy = Policy(name="p", objective=objective, **limits)
    try:
        made = decision(expected, policy)
    except NoFeasibleBackend as error:
        excluded = error.excluded
    else:
        excluded = dict(made.excluded)
        assert made.backend not in excluded
    assert set(excluded) == {name for name in expected.backends if not is_feasible(expected, policy, name)}


# Where the query is unlike the training queries


UNFAMILIAR = replace(
    estimates([0.9, 0.5, 0.2], [0.01, 0.02, 0.3]), how_familiar=lambda: 0.01, mean_quality=np.array([0.4, 0.6, 0.8])
)


@pytest.mark.parametrize(("when_unsure", "backend"), [(None, "small"), ("safe", "lrm"), ("cheap", "small")])
def test_an_unfamiliar_query_goes_where_the_policy_says(when_unsure: str | None, backend: str) -> None:
    assert decision(UNFAMILIAR, Policy(name="auto", when_unsure=when_unsure)).backend == backend


def test_when_unsure_estimates_give_way_to_mean_scores() -> None:
    made = decision(UNFAMILIAR, Policy(name="auto", when_unsure="cheap", min_quality=0.5))
    assert made.backend == "mid"  # small is the cheapest, but on average below what is asked for
    assert made.outlook.quality.tolist() == [0.6, 0.8]
    assert made.estimates.quality.tolist() == [0.9, 0.5, 0.2]


@pytest.mark.parametrize("when_unsure", [None, "safe", "cheap"])
@pytest.mark.parametrize("familiarity", [0.5, NAN])
def test_a_familiar_query_is_decided_as_ever(when_unsure: str | None, familiarity: float) -> None:
    familiar = replace(UNFAMILIAR, how_familiar=lambda: familiarity)
    assert decision(familiar, Policy(name="auto", when_unsure=when_unsure)).backend == "small"


def test_the_explanation_says_that_the_query_is_unfamiliar_and_what_follows() -> None:
    made = decision(UNFAMILIAR, Policy(name="auto", when_unsure="safe"))
    assert "unlike the training queries: these estimates are guesses" in made.explain()
    assert "familiarity 0.010" in made.explain()
    assert made.reason.endswith("unlike the training queries, so the best on average is asked")
    assert made.as_dict()["is_unfamiliar"] is True
    assert "unlike" not in decision(replace(UNFAMILIAR, how_familiar=lambda: 0.4)).explain()


# What is told of it


FULL = replace(
    decision(estimates([0.5, 0.9, 0.95], [0.001, NAN, 0.3]), Policy(name="auto", deny=("lrm",))),
    neighbours=(
        Neighbour(query="What is\n 17 * 23? " + "x" * 200, similarity=0.75, quality=np.array([1.0, NAN, 0.0])),
    ),
    notes=("mid: not in the artefact; guessed from tier and price",),
)


def test_the_explanation_tells_every_backend_the_exclusions_and_the_neighbours() -> None:
    lines = FULL.explain().splitlines()
    assert lines[0].startswith(f"{FULL.backend}: utility: estimated quality ")
    assert lines[0].endswith("policy auto, difficulty 0.22")
    assert lines[1].split() == ["backend", "quality", "cost_usd", "tokens", "latency_s"]
    assert lines[2].split() == ["small", "0.500", "0.001000", "100", "1.00"]
    assert lines[3].split() == ["mid", "0.900", "?", "100", "1.00", "<"]
    assert lines[4].split() == ["lrm", "0.950", "0.300000", "100", "1.00", "excluded:", "in", "deny"]
    assert lines[5] == "mid: not in the artefact; guessed from tier and price"
    assert lines[6] == "nearest training queries (similarity; what each backend scored):"
    assert lines[7].startswith("  0.75  'What is 17 * 23? xxx")
    assert lines[7].endswith(": small 1, lrm 0")
    assert len(lines[7]) < 120


def test_the_columns_of_the_explanation_line_up() -> None:
    header, *rows = FULL.explain().splitlines()[1:4]
    ends = {column: header.index(column) + len(column) for column in ("quality", "cost_usd", "tokens", "latency_s")}
    for row in rows:
        assert [row[:end].split()[-1] for end in ends.values()] == row.split()[1:5]


def test_a_cold_start_says_so() -> None:
    made = decision(replace(estimates([0.5], [0.1]), source="cold start"))
    assert "no traces of these backends yet" in made.explain()
    assert made.as_dict()["source"] == "cold start"


def test_the_decision_is_plain_json() -> None:
    told = json.loads(json.dumps(FULL.as_dict(), allow_nan=False))
    assert told["backend"] == "mid"
    assert told["estimates"][1]["cost_usd"] is None
    assert [row["excluded"] for row in told["estimates"]] == [None, None, "in deny"]
    assert told["neighbours"][0]["quality"] == {"small": 1.0, "mid": None, "lrm": 0.0}
    assert told["notes"] == ["mid: not in the artefact; guessed from tier and price"]


def test_an_unknown_cost_is_told_as_unknown() -> None:
    assert decision(estimates([0.5], [NAN])).reason == "utility: estimated quality 0.50 for unknown cost (trained)"
