"""Handing an answer over: who may check it, when that is worth it, and what a cascade makes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.backends import BackendUnreachable, Completion, FakeBackend, Original, Query
from penstock.classifiers import Escalation
from penstock.classifiers.handover import HandOver
from penstock.router import Config, Decision, NoFeasibleBackend, Outlook, Policy, Pool, Router, Tried, decide
from penstock.router.cascade import GivenUp, Outcome, Reply, cascade
from penstock.router.handover import best_check, gains_with_check, why_not_handed_over
from penstock.router.model_list import model_list
from penstock.router.server import Sidecar
from penstock.router.speculation import head_start

from .pieces import estimates, spec
from .serving import serving

NAMES = ("small", "lrm", "check")
ASKED = "What is 17 * 23?"


def handover(**changes: Any) -> HandOver:
    """Returns what is known of `check`: right with 0.95 after a draft of 0.95, and with 0.75 after one of 0.05."""
    known = HandOver(
        checkers=("check",),
        drafters=("small", "lrm"),
        is_seen=np.array([[True, False]]),
        weights=np.array([[0.0, 0.31, 2.02]]),
        ratio=np.ones((1, 3)),
        draft_tokens=np.array([20.0]),
    )
    return replace(known, **changes)


def escalation(known: HandOver | None, *, power: float = 0.5) -> Escalation:
    return Escalation(
        loading=np.zeros(3),
        power=np.array([power, power, 0.0]),
        collision=np.array([-1.4, 0.0]),
        comparable=0.0,
        overlap=0.0,
        handover=known,
    )


def decision(
    known: HandOver | None,
    policy: Policy | None = None,
    *,
    cost: float = 0.001,
    query: Query | None = None,
    power: float = 0.5,
) -> Decision:
    """Returns the decision where `lrm` costs ten times as much as `small`, and `check` as given."""
    return decide(
        query or Query.from_text(ASKED),
        estimates([0.6, 0.9, 0.9], [0.001, 0.01, cost], backends=NAMES),
        policy or Policy(name="auto", lam=20.0),
        specs={"small": spec("small"), "lrm": spec("lrm"), "check": spec("check", checks_draft=True)},
        escalation=escalation(known, power=power),
    )


def finished(made: Decision, *replies: Reply, confidence: Callable[[str], float]) -> tuple[Outcome, list[Any]]:
    """Returns the outcome of a cascade that gets these replies, and its calls."""
    flow = cascade(
        made,
        assess=lambda name, _, expected: confidence(name) if expected is None else expected,
        charge=lambda *_: 0.001,
    )
    calls = [next(flow)]
    for reply in replies:
        try:
            calls.append(flow.send(reply))
        except StopIteration as end:
            return end.value, calls
    raise AssertionError(f"the cascade asks on: {calls[-1].backend}")


def test_a_checker_is_asked_after_an_answer_that_looks_bad_and_given_it() -> None:
    outcome, calls = finished(
        decision(handover()), Completion(text="It is 392."), Completion(text="391"), confidence=lambda _: 0.1
    )
    assert outcome.path == "small>check"
    assert [(call.draft.backend, call.draft.text) if call.draft else None for call in calls] == [
        None,
        ("small", "It is 392."),
    ]
    assert [step.draft_of for step in outcome.steps] == [None, "small"]
    assert outcome.step.confidence == calls[1].draft.estimate


def test_a_good_answer_is_not_checked() -> None:
    outcome, _ = finished(decision(handover()), Completion(text="391"), confidence=lambda _: 0.95)
    assert outcome.path == "small"


def test_the_answer_of_the_checker_is_returned_even_if_the_draft_looked_better() -> None:
    flow = cascade(
        decision(handover(), Policy(name="auto", lam=20.0, deny=("lrm",))),
        assess=lambda name, *_: {"small": 0.5, "check": 0.4}[name],
        charge=lambda *_: 0.001,
    )
    next(flow)
    flow.send(Completion(text="392"))
    with pytest.raises(StopIteration) as end:
        flow.send(Completion(text="391"))
    outcome: Outcome = end.value.value
    assert (outcome.step.backend, outcome.step.confidence) == ("check", 0.4)


def test_a_checker_is_never_first() -> None:
    for lam in (0.0, 20.0, 1e6):
        made = decision(handover(), Policy(name="auto", lam=lam), cost=0.0)
        assert made.backend != "check"
        assert "check" not in made.outlook.backends


def test_a_checker_that_was_asked_for_by_name_is_refused_with_the_reason() -> None:
    with pytest.raises(NoFeasibleBackend, match="check: asked only to check the answer of another"):
        decision(handover(), Policy(name="check", allow=("check",), max_calls=1))


def test_the_explanation_says_when_it_may_be_asked_and_when_never() -> None:
    assert "asked only to check the answer of another" in decision(handover()).explain()
    assert "excluded: checks the answers of others, and no trace tells how well" in decision(None).explain()


@pytest.mark.parametrize(
    ("params", "messages", "said"),
    [
        ({"tools": [{"type": "function"}]}, [("user", "Hi")], "with tools in the request"),
        ({"functions": [{"name": "f"}]}, [("user", "Hi")], "with tools in the request"),
        ({}, [("user", "Hi"), ("assistant", "It is")], "where the last message is a user's"),
    ],
)
def test_requests_whose_answers_cannot_be_handed_over_say_so(
    params: dict[str, Any], messages: list[tuple[str, str]], said: str
) -> None:
    query = Query.from_messages([{"role": role, "content": text} for role, text in messages], params=params)
    made = decision(handover(), query=query)
    assert made.outlook.checks is None
    assert said in made.excluded["check"]


def test_tools_that_only_their_own_format_can_say_are_tools_too() -> None:
    original = Original(format="messages", body={"tools": [{"type": "bash_20250124", "name": "bash"}]})
    assert "with tools in the request" in why_not_handed_over(replace(Query.from_text(ASKED), original=original))


def test_several_answers_to_one_request_are_not_handed_over() -> None:
    query = Query.from_messages([{"role": "user", "content": "Hi"}], params={"n": 2})
    assert "the request asks for several" in why_not_handed_over(query)


@pytest.mark.parametrize(
    "changes", [{"deny": ("check",)}, {"allow": ("small", "lrm")}, {"max_cost_usd": 0.0009}, {"max_calls": 1}]
)
def test_wishes_keep_a_checker_out(changes: dict[str, Any]) -> None:
    policy = Policy(name="auto", lam=20.0, **({"max_cost_usd": None} | changes))
    if changes.get("max_cost_usd"):
        with pytest.raises(NoFeasibleBackend):
            decision(handover(), policy)
    else:
        assert decision(handover(), policy).outlook.checks is None


@pytest.mark.parametrize("place", [0, 1])
def test_only_answers_of_those_that_traces_tell_of_are_checked(place: int) -> None:
    outlook = decision(handover(is_seen=np.array([[False, True]]))).outlook
    check = best_check(outlook, (Tried(place=place, confidence=0.1, cost_usd=0.001),), lam=20.0, price=0.0)
    assert (check is not None) == (outlook.backends[place] == "lrm")


def test_a_checker_that_fails_leaves_the_others() -> None:
    outcome, _ = finished(
        decision(handover()),
        Completion(text="392"),
        BackendUnreachable("gone", backend="check"),
        Completion(text="391"),
        confidence=lambda name: {"small": 0.1, "lrm": 0.9}[name],
    )
    assert outcome.path == "small>check!>lrm"
    assert outcome.steps[1].draft_of == "small"


def test_after_a_first_failure_an_answer_of_who_is_left_can_be_checked() -> None:
    made = decision(handover(is_seen=np.array([[False, True]])))
    outcome, _ = finished(
        made,
        BackendUnreachable("gone", backend="small"),
        Completion(text="392"),
        Completion(text="391"),
        confidence=lambda _: 0.1,
    )
    assert outcome.path == "small!>lrm>check"


def test_a_check_that_was_given_up_leaves_the_draft() -> None:
    made = decision(handover(), cost=0.0)
    given_up = GivenUp(completion=Completion(text="3"), confidence=0.01)
    outcome, _ = finished(
        made,
        Completion(text="392"),
        given_up,
        Completion(text="391"),
        confidence=lambda name: {"small": 0.1, "lrm": 0.9}[name],
    )
    assert outcome.path == "small>check~>lrm"


def test_checking_what_is_to_come_makes_a_cheap_start_worth_more() -> None:
    outlook = decision(handover()).outlook
    assert outlook.checks is not None
    value = gains_with_check(outlook, outlook.checks, lam=20.0, price=0.0)
    # 0.6 to be right, by half of the variance: it looks bad in 0.4 of the cases, and is right in 0.18 of those
    bad, good = 0.6 * (1 - 0.5**0.5), 0.6 + 0.5**0.5 * 0.4
    checked = outlook.checks.chance(np.array([bad, good]))[0] - 20 * 0.001
    assert checked[1] > good
    assert value[0] == pytest.approx(0.4 * checked[0] + 0.6 * checked[1] - 20 * 0.001)
    assert decision(None, power=0.0).backend == "lrm"
    assert decision(handover()).backend == "small"


@settings(deadline=None, max_examples=60)
@given(
    lam=st.floats(0, 200),
    confidence=st.floats(0.01, 0.99),
    cost=st.floats(0, 0.05),
    weights=st.tuples(st.floats(-1, 1), st.floats(-1, 2), st.floats(-3, 3)),
)
def test_a_check_is_worth_the_difference_of_the_chances_less_its_price(
    lam: float, confidence: float, cost: float, weights: tuple[float, float, float]
) -> None:
    made = decision(handover(weights=np.array([weights])), Policy(name="auto", lam=lam), cost=cost)
    outlook = made.outlook
    assert outlook.checks is not None
    tried = (Tried(place=0, confidence=confidence, cost_usd=0.001),)
    check = best_check(outlook, tried, lam=lam, price=0.0)
    assert check is not None
    chance = float(outlook.checks.chance(np.array([confidence]))[0, 0])
    assert check.place == 2
    assert check.gain == pytest.approx(chance - confidence - lam * cost)
    assert best_check(replace(outlook, budget_usd=0.001 + cost / 2), tried, lam=lam, price=0.0) is None or cost == 0
    assert best_check(replace(outlook, max_calls=1), tried, lam=lam, price=0.0) is None
    assert best_check(outlook, (replace(tried[0], place=1),), lam=lam, price=0.0) is None


def test_cheapest_above_takes_the_check_where_it_is_the_cheapest_that_is_good_enough() -> None:
    policy = Policy(name="frugal", objective="cheapest_above", quality=0.55)
    outcome, _ = finished(
        decision(handover(), policy), Completion(text="392"), Completion(text="391"), confidence=lambda _: 0.1
    )
    assert outcome.path == "small>check"
    dear, _ = finished(
        decision(handover(), policy, cost=0.02),
        Completion(text="392"),
        Completion(text="391"),
        confidence=lambda name: {"small": 0.1, "lrm": 0.9}[name],
    )
    assert dear.path == "small>lrm"


def test_a_check_is_not_begun_before_there_is_a_draft() -> None:
    policy = Policy(name="auto", lam=20.0, speculate=True, max_latency_s=1.5)
    made = decision(handover(), policy)
    call = next(cascade(made, assess=lambda *_: 0.0, charge=lambda *_: 0.0))
    assert call.next_after(0.1) == 2
    assert head_start(call, made.estimates) is None


def live(tmp_path: Path, fakes: dict[str, FakeBackend], monkeypatch: pytest.MonkeyPatch) -> Router:
    """Returns a router that knows of `check` what `handover` says, and judges answers by their texts."""
    specs = {name: fake.spec for name, fake in fakes.items()}
    policy = Policy(name="auto", lam=20.0)
    config = Config(
        path=tmp_path / "models.yaml", backends=specs, policies={"auto": policy}, default_policy="auto", artefact=None
    )
    pool = Pool(specs, None)
    known = estimates([0.6, 0.9, 0.9], [0.001, 0.01, 0.001], backends=NAMES)
    monkeypatch.setattr(pool, "escalation", escalation(handover()))
    monkeypatch.setattr(pool, "escalation_for", lambda _: pool.escalation)
    monkeypatch.setattr(pool, "estimate_query", lambda *_, **__: known)
    monkeypatch.setattr(pool, "confidence", lambda *_, estimate, **__: 0.1 if estimate == 0.6 else estimate)
    return Router(config, pool, backends=fakes)


@pytest.mark.parametrize("is_streamed", [False, True])
def test_the_draft_reaches_the_checker_alone_and_path_bill_and_story_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_streamed: bool
) -> None:
    fakes = {
        name: FakeBackend(spec(name, checks_draft=name == "check"), answer=Completion(text=text, cost_usd=cost))
        for name, text, cost in (("small", "It is 392.", 0.25), ("lrm", "391", 4.0), ("check", "It is 391.", 0.5))
    }
    with live(tmp_path, fakes, monkeypatch) as router:
        answer = [*router.stream(ASKED)][-1].answer if is_streamed else router.ask(ASKED)
    assert answer is not None
    assert (answer.path, answer.text, answer.cost_usd) == ("small>check", "It is 391.", 0.75)
    assert [step["draft_of"] for step in answer.as_dict()["steps"]] == [None, "small"]
    assert [query.draft for query in fakes["check"].queries] == ["It is 392."]
    assert [query.draft for query in fakes["small"].queries] == [None]
    assert not fakes["lrm"].queries


def test_the_sidecar_and_its_page_tell_whose_answer_was_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes = {
        name: FakeBackend(spec(name, checks_draft=name == "check"), answer=text)
        for name, text in (("small", "It is 392."), ("lrm", "391"), ("check", "It is 391."))
    }
    body = {"messages": [{"role": "user", "content": ASKED}], "max_tokens": 20}
    with serving(Sidecar(live(tmp_path, fakes, monkeypatch))) as url:
        told = [
            httpx.post(f"{url}{path}", json=body).json()["penstock"]
            for path in ("/v1/chat/completions", "/v1/messages")
        ]
        with_tools = httpx.post(
            f"{url}/v1/chat/completions", json=body | {"tools": [{"type": "function", "function": {"name": "f"}}]}
        )
        seen = httpx.get(f"{url}/v1/activity").json()["requests"]
    assert [[step["draft_of"] for step in each["steps"]] for each in told] == [[None, "small"]] * 2
    assert with_tools.json()["penstock"]["path"] == "small>lrm"
    assert [[call["draft_of"] for call in request["calls"]] for request in seen] == [[None, "small"]] * 2 + [[None] * 2]


def test_nobody_is_offered_a_checker_as_a_model(tmp_path: Path) -> None:
    config = Config(
        path=tmp_path / "models.yaml",
        backends={"small": spec("small"), "check": spec("check", checks_draft=True)},
        policies={"auto": Policy(name="auto")},
        default_policy="auto",
        artefact=None,
    )
    assert [model["id"] for model in model_list(config, created=0)["data"]] == ["auto", "small"]


def test_places_of_checks_come_behind_those_of_the_others() -> None:
    outlook: Outlook = decision(handover()).outlook
    assert outlook.names == ("small", "lrm", "check")
