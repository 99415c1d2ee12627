"""Whether a verdict is worth its cost, and which key of models.yaml names the judge."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from penstock.backends import BackendUnreachable, Completion, ConfigError, PenstockError, Query
from penstock.classifiers.verdict import Jury
from penstock.router import Decision, Outlook, Policy, Tried, cascade, decide, read_config
from penstock.router.cascade import Call, Flow, GivenUp, Stopped
from penstock.router.outlook import Judge
from penstock.router.verdicts import all_judged, judge_of, with_verdict, worth_judging

from .pieces import completion, estimates, outlook, price, spec, write_models

POLICY = Policy(name="auto", lam=20.0, judge="judge")
JURY = Jury(
    judges=("judge",), weights=np.array([[1.0, 0.0]]), hits=np.array([[0.9, 0.2]]), mean_cost_usd=np.array([0.0001])
)


def judge(cost_usd: float = 0.0001, yes: tuple[float, float] = (0.9, 0.2)) -> Judge:
    return Judge(backend="judge", yes_if_right=yes[0], yes_if_wrong=yes[1], cost_usd=cost_usd, jury=JURY)


def seen(asked: Judge | None, quality: tuple[float, float] = (0.6, 0.95), **changes: float) -> Outlook:
    """Returns an outlook on a cheap backend and a dear one, whose answers tell nothing by themselves."""
    return replace(outlook(quality, [0.0005, 0.015], **changes), judge=asked)  # type: ignore[arg-type]  # numbers


def tried(confidence: float = 0.6) -> tuple[Tried, ...]:
    return (Tried(place=0, confidence=confidence, cost_usd=0.0005),)


def test_a_verdict_that_settles_whether_to_go_on_is_worth_its_cost() -> None:
    assert worth_judging(seen(judge()), POLICY, tried()) == 0


@pytest.mark.parametrize(
    ("asked", "policy", "calls"),
    [
        (None, POLICY, tried()),
        (judge(cost_usd=0.02), POLICY, tried()),
        (judge(yes=(0.51, 0.5)), POLICY, tried()),
        (judge(), replace(POLICY, objective="cheapest_above"), tried()),
        (judge(), POLICY, ()),
        (judge(), POLICY, with_verdict(tried(), 0, odds=2.0)),
        (judge(), POLICY, (Tried(place=0, confidence=0.6, cost_usd=0.0, is_given_up=True),)),
    ],
    ids=["nobody", "dear", "useless", "other objective", "no answer", "judged already", "given up"],
)
def test_no_verdict_is_asked_for(asked: Judge | None, policy: Policy, calls: tuple[Tried, ...]) -> None:
    assert worth_judging(seen(asked), policy, calls) is None


def test_no_verdict_is_asked_for_where_nobody_else_could_be() -> None:
    assert worth_judging(seen(judge(), max_calls=1), POLICY, tried()) is None


def test_no_verdict_is_asked_for_that_the_budget_does_not_allow() -> None:
    assert worth_judging(seen(judge(), budget_usd=0.0005), POLICY, tried()) is None


def test_no_verdict_is_asked_for_that_would_leave_nothing_to_go_on_with() -> None:
    assert worth_judging(seen(judge(), budget_usd=0.0156), POLICY, tried()) == 0
    assert worth_judging(seen(judge(), budget_usd=0.01555), POLICY, tried()) is None


def test_the_outcomes_of_a_verdict_leave_the_chance_as_it_was_on_average() -> None:
    for chance in (0.05, 0.5, 0.9):
        outcomes = judge().outcomes(chance)
        after = [(likely, chance * odds / (1 - chance + chance * odds)) for likely, odds in outcomes]
        assert sum(likely for likely, _ in after) == pytest.approx(1)
        assert sum(likely * then for likely, then in after) == pytest.approx(chance)


def test_a_verdict_moves_the_confidence_and_is_paid_for() -> None:
    (call,) = with_verdict(tried(0.6), 0, odds=4.0, cost_usd=0.0001)
    assert call.alone == pytest.approx(6 / 7)
    assert (call.confidence, call.cost_usd) == (0.6, pytest.approx(0.0006))


def test_where_every_answer_is_judged_each_tells_more_and_costs_more() -> None:
    before = seen(judge())
    after = all_judged(before, judge())
    assert (after.escalation.power > before.escalation.power + 0.1).all()
    assert after.cost_usd == pytest.approx(before.cost_usd + 0.0001)


def test_a_verdict_costs_what_its_prompt_does_or_else_what_verdicts_cost_on_average() -> None:
    known = replace(outlook([0.6], [0.001]).escalation, jury=JURY)
    told = estimates([0.6], [0.001])
    plain = judge_of(POLICY, {}, told, known, {})
    assert plain is not None
    assert plain.cost_usd == pytest.approx(0.0001)
    priced = judge_of(POLICY, {"judge": replace(spec("judge"), price=price(1.0, 10.0))}, told, known, {})
    assert priced is not None
    assert 0.0002 < priced.cost_usd < 0.0004  # 10 tokens asked, 100 answered, the prompt around them, 4 said
    assert judge_of(POLICY, {}, told, known, {"judge": "resting"}) is None
    assert judge_of(replace(POLICY, judge="other"), {}, told, known, {}) is None


def test_models_yaml_names_the_judge_of_a_policy(tmp_path: Path) -> None:
    text = "policies: {auto: {judge: small}}\nbackends: {small: {type: fake}}"
    assert read_config(write_models(tmp_path, text)).policies["auto"].judge == "small"


@pytest.mark.parametrize(
    ("policy", "problem"),
    [
        ("{judge: nobody}", "policies.auto.judge: unknown backend 'nobody'; expected one of small"),
        ("{objective: cheapest_above, judge: small}", "policies.auto.judge: does not go with cheapest_above"),
    ],
)
def test_a_judge_that_cannot_be_is_refused(policy: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=problem):
        read_config(write_models(tmp_path, f"policies: {{auto: {policy}}}\nbackends: {{small: {{type: fake}}}}"))


def decided(query: Query) -> Decision:
    """Returns a decision over two backends, of which a judge may be asked about the answers."""
    return decide(
        query,
        estimates([0.6, 0.95], [0.0005, 0.015]),
        POLICY,
        specs={},
        escalation=replace(seen(None).escalation, jury=JURY),
    )


def asking() -> tuple[Flow, Call]:
    """Returns a cascade that asks for a verdict on its first answer, and the call for it."""
    made = decided(Query.from_text("hello"))
    flow = cascade(made, assess=lambda *_: 0.6, charge=lambda *_: 0.0001)
    assert next(flow).backend == "small"
    call = flow.send(completion("42"))
    assert (call.backend, call.judged and call.judged.backend) == ("judge", "small")
    return flow, call


TOOLS = [{"type": "function", "function": {"name": "look"}}]
IMAGE = [
    {"type": "text", "text": "What is this?"},
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}},
]


@pytest.mark.parametrize(
    ("content", "params", "is_judged"),
    [
        ("hello", {}, True),
        ("hello", {"tools": TOOLS}, False),
        ("hello", {"functions": [TOOLS[0]["function"]]}, False),
        (IMAGE, {}, False),
    ],
    ids=["text", "tools", "functions", "image"],
)
def test_nobody_judges_what_a_judge_is_not_shown(content: object, params: dict[str, object], is_judged: bool) -> None:
    made = decided(Query.from_messages([{"role": "user", "content": content}], params=params))
    assert (made.outlook.judge is not None) is is_judged


@pytest.mark.parametrize(
    "answer",
    [Completion(text=" \n"), Completion(text="Let me look.", tool_calls=({"id": "1", "type": "function"},))],
    ids=["blank", "tool call"],
)
def test_no_answer_is_judged_that_its_text_does_not_tell(answer: Completion) -> None:
    made = decided(Query.from_text("hello"))
    flow = cascade(made, assess=lambda *_: 0.6, charge=lambda *_: 0.0001)
    assert next(flow).backend == "small"
    try:
        call = flow.send(answer)
    except StopIteration:
        return
    assert call.judged is None


def test_a_yes_ends_the_cascade_and_a_no_goes_on() -> None:
    flow, _ = asking()
    with pytest.raises(StopIteration) as end:
        flow.send(completion("yes"))
    assert end.value.value.path == "small>judge?"
    assert end.value.value.step.confidence == pytest.approx(1.5 * 19 / (1 + 1.5 * 19))
    flow, _ = asking()
    assert flow.send(completion("no")).backend == "mid"


def test_a_cascade_that_is_stopped_before_a_verdict_ends_with_what_it_has() -> None:
    flow, _ = asking()
    call = flow.send(Stopped(error=PenstockError("no more")))
    assert call.judged is None
    with pytest.raises(StopIteration) as end:
        flow.send(Stopped(error=PenstockError("no more")))
    assert end.value.value.path == "small"


def test_a_judge_that_fails_leaves_the_decision_as_it_was_and_is_asked_no_more() -> None:
    flow, _ = asking()
    assert flow.send(BackendUnreachable("down")).backend == "mid"
    with pytest.raises(StopIteration) as end:
        flow.send(completion("43"))
    assert end.value.value.path == "small>judge?!>mid"
    assert end.value.value.step.backend == "mid"


def test_a_backend_whose_answer_was_given_up_may_judge_that_of_another() -> None:
    made = decide(
        Query.from_text("hello"),
        estimates([0.6, 0.6, 0.95], [0.0005, 0.001, 0.03]),
        replace(POLICY, judge="small", max_calls=3),
        specs={},
        escalation=replace(outlook([0.6] * 3, [0.0] * 3, power=0.5).escalation, jury=replace(JURY, judges=("small",))),
    )
    flow = cascade(made, assess=lambda *_: 0.6, charge=lambda *_: 0.0001)
    assert next(flow).backend == "small"
    assert flow.send(GivenUp(completion=completion("It is"), confidence=0.05)).backend == "mid"
    call = flow.send(completion("42"))
    assert (call.backend, call.judged and call.judged.backend) == ("small", "mid")
    with pytest.raises(StopIteration) as end:
        flow.send(completion("Yes."))
    assert end.value.value.path == "small~>mid>small?"
    assert end.value.value.step.backend == "mid"


def test_an_answer_that_would_be_judged_is_not_passed_on_before_it_is() -> None:
    first = Call(backend="small", outlook=seen(judge(), power=0.5), policy=POLICY, tried=())
    unjudged = replace(first, outlook=seen(None, power=0.5))
    kept = [confidence for confidence in np.linspace(0, 1, 51) if unjudged.is_kept(confidence)]
    assert any(not first.is_kept(confidence) for confidence in kept)
    assert first.is_kept(1.0)
