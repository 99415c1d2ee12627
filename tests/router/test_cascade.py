from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.backends import BackendError, BackendTimeout, Completion, PenstockError, Query, RateLimited
from penstock.router import AllBackendsFailed, Decision, Outcome, Policy, cascade, decide
from penstock.router.cascade import Call, GivenUp, Released, Stopped

from .pieces import NAMES, completion, estimates, outlook, spec


def decision(
    quality: list[float],
    cost_usd: list[float],
    *,
    policy: Policy = Policy(name="auto"),  # noqa: B008  # frozen
    power: float = 1.0,
    loading: float = 0.0,
    comparable: float = 0.0,
) -> Decision:
    """Returns a decision among small, mid, lrm, ..."""
    seen = outlook(quality, cost_usd, power=power, loading=loading, comparable=comparable)
    return decide(
        Query.from_text("hello"),
        estimates(quality, cost_usd),
        policy,
        specs={name: spec(name) for name in NAMES},
        escalation=seen.escalation,
    )


@dataclass
class Run:
    """What a cascade asked for and how it ended."""

    asked: list[str]
    outcome: Outcome


def run(
    made: Decision,
    reply: Callable[[str], float | BackendError],
    *,
    charge: Callable[[str], float] = lambda _: 0.001,
) -> Run:
    """Returns what becomes of a decision where `reply` gives each backend's confidence, or its error."""
    confidences: dict[str, float] = {}
    flow = cascade(made, assess=lambda name, *_: confidences[name], charge=lambda name, _: charge(name))
    asked = [next(flow).backend]
    while True:
        answer = reply(asked[-1])
        try:
            if isinstance(answer, BackendError):
                asked.append(flow.send(answer).backend)
            else:
                confidences[asked[-1]] = answer
                asked.append(flow.send(completion(asked[-1])).backend)
        except StopIteration as end:
            return Run(asked=asked, outcome=end.value)


TWO = decision([0.5, 0.9], [0.001, 0.01])
THREE = decision([0.5, 0.7, 0.9], [0.001, 0.002, 0.01])


def test_a_cascade_that_is_stopped_ends_with_what_it_has() -> None:
    flow = cascade(TWO, assess=lambda *_: 0.01, charge=lambda *_: 0.001)
    next(flow)
    assert flow.send(Completion(text="391")).backend == "mid"
    with pytest.raises(StopIteration) as end:
        flow.send(Stopped(error=PenstockError("no more")))
    outcome: Outcome = end.value.value
    assert (outcome.path, outcome.step.confidence) == ("small", 0.01)


def test_a_cascade_that_is_stopped_before_there_is_an_answer_says_why() -> None:
    flow = cascade(TWO, assess=lambda *_: 0.01, charge=lambda *_: 0.001)
    next(flow)
    with pytest.raises(PenstockError, match="no more"):
        flow.send(Stopped(error=PenstockError("no more")))


def test_a_cascade_is_driven_by_next_and_send() -> None:
    flow = cascade(TWO, assess=lambda *_: 0.95, charge=lambda *_: 0.002)
    assert next(flow).backend == "small"
    with pytest.raises(StopIteration) as end:
        flow.send(completion("42"))
    outcome: Outcome = end.value.value
    assert outcome.step.completion == completion("42")
    assert (outcome.step.backend, outcome.step.confidence, outcome.cost_usd) == ("small", 0.95, 0.002)
    assert outcome.path == "small"


def test_escalates_when_confidence_is_low() -> None:
    ended = run(TWO, {"small": 0.2, "lrm": 0.0, "mid": 0.9}.__getitem__)
    assert ended.asked == ["small", "mid"]
    assert ended.outcome.path == "small>mid"


def test_stops_when_confidence_is_high() -> None:
    assert run(TWO, lambda _: 0.9).asked == ["small"]


def test_the_answer_returned_is_the_most_confident_not_the_last() -> None:
    ended = run(TWO, {"small": 0.4, "mid": 0.3}.__getitem__)
    assert ended.asked == ["small", "mid"]
    assert ended.outcome.step.backend == "small"


def test_of_equally_confident_answers_the_later_is_returned() -> None:
    assert run(TWO, lambda _: 0.4).outcome.step.backend == "mid"


def test_every_call_is_paid_for() -> None:
    ended = run(THREE, lambda _: 0.1, charge=lambda _: 0.25e-3)
    assert len(ended.outcome.steps) == 3
    assert ended.outcome.cost_usd == pytest.approx(0.75e-3)


def test_the_assessment_sees_backend_and_completion() -> None:
    seen: list[tuple[str, Completion]] = []

    def assess(name: str, answer: Completion, _: float | None) -> float:
        seen.append((name, answer))
        return 1.0

    flow = cascade(TWO, assess=assess, charge=lambda *_: 0.0)
    next(flow)
    with pytest.raises(StopIteration):
        flow.send(completion("391"))
    assert seen == [("small", completion("391"))]


# Falling back


def test_an_error_falls_back_to_another_backend() -> None:
    error = RateLimited("slow down", backend="small")
    ended = run(TWO, lambda name: error if name == "small" else 0.9)
    assert ended.asked == ["small", "mid"]
    assert ended.outcome.path == "small!>mid"
    assert ended.outcome.step.backend == "mid"
    assert ended.outcome.steps[0].error is error
    assert (ended.outcome.steps[0].cost_usd, ended.outcome.steps[0].completion) == (0.0, None)


def test_a_failed_call_does_not_count_towards_max_calls() -> None:
    made = decision([0.5, 0.7, 0.9], [0.001, 0.002, 0.01], policy=Policy(name="auto", max_calls=1))
    ended = run(made, lambda name: 0.0 if name == "small" else RateLimited("slow down", backend=name))
    assert ended.asked == ["lrm", "mid", "small"]


def test_an_error_after_an_answer_keeps_the_answer() -> None:
    ended = run(TWO, lambda name: 0.2 if name == "small" else BackendTimeout("too slow", backend=name))
    assert ended.outcome.path == "small>mid!"
    assert ended.outcome.step.backend == "small"
    assert ended.outcome.step.confidence == 0.2


def test_an_error_after_an_answer_tries_the_next_one_too() -> None:
    made = decision([0.5, 0.9, 0.8], [0.001, 0.01, 0.01])
    ended = run(made, lambda name: BackendTimeout("too slow", backend=name) if name == "mid" else 0.2)
    assert ended.asked == ["small", "mid", "lrm"]


def test_when_every_backend_fails_each_cause_is_kept() -> None:
    errors = {name: RateLimited(f"slow down {place}", backend=name) for place, name in enumerate(NAMES[:3])}
    with pytest.raises(AllBackendsFailed) as caught:
        run(THREE, errors.__getitem__)
    assert caught.value.causes == errors
    assert all(str(error) in str(caught.value) for error in errors.values())


def test_the_only_backend_failing_is_every_backend_failing() -> None:
    made = decision([0.5, 0.9], [0.001, 0.01], policy=Policy(name="small", allow=("small",), max_calls=1))
    with pytest.raises(AllBackendsFailed, match="every backend failed: small: slow down"):
        run(made, lambda name: RateLimited("slow down", backend=name))


# Agreement


def answered(made: Decision, texts: dict[str, str]) -> Outcome:
    """Returns how a cascade ends whose answers are compared; each looks as it was expected to."""
    expected = dict(zip(made.estimates.backends, made.estimates.quality.tolist(), strict=True))
    flow = cascade(made, assess=lambda name, *_: expected[name], charge=lambda *_: 0.001)
    name = next(flow).backend
    while True:
        try:
            name = flow.send(completion(texts[name])).backend
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome


VOTE = decision([0.6, 0.6, 0.7], [0.001, 0.001, 0.001], policy=Policy(name="auto", lam=0), power=0.0, comparable=1.0)


def test_two_that_agree_are_returned_rather_than_a_better_one() -> None:
    outcome = answered(VOTE, {"small": "#### 7", "mid": "The answer is 7.", "lrm": "#### 8"})
    assert len(outcome.steps) == 3
    assert outcome.step.backend in ("small", "mid")
    confidence = {step.backend: step.confidence for step in outcome.steps}
    assert confidence["small"] == confidence["mid"] > 0.7 > confidence["lrm"]


def test_agreement_ends_the_cascade_where_a_difference_goes_on() -> None:
    made = decision(
        [0.7, 0.7, 0.9], [0.0001, 0.0001, 0.01], policy=Policy(name="auto", lam=30), comparable=1.0, power=0
    )
    assert answered(made, {"small": "#### 7", "mid": "#### 7", "lrm": "#### 8"}).path == "small>mid"
    assert answered(made, {"small": "#### 7", "mid": "#### 6", "lrm": "#### 8"}).path == "small>mid>lrm"


def test_answers_are_not_compared_where_that_was_not_learned() -> None:
    made = decision([0.7, 0.7, 0.9], [0.0001, 0.0001, 0.01], policy=Policy(name="auto", lam=30), power=0)
    assert answered(made, {"small": "#### 7", "mid": "#### 6", "lrm": "#### 8"}).path == "small"


# Whether an answer may be replaced


def first_call(made: Decision) -> Call:
    """Returns the first call of a cascade."""
    return next(cascade(made, assess=lambda *_: 0.0, charge=lambda *_: 0.0))


def test_an_answer_that_could_be_followed_by_another_is_no_final_one() -> None:
    assert not first_call(TWO).is_kept(0.0)


@pytest.mark.parametrize(
    "made",
    [
        decision([0.5, 0.9], [0.001, 0.01], power=0.0),
        decision([0.5, 0.9], [0.001, 0.01], policy=Policy(name="auto", max_calls=1)),
        decision([0.5, 0.9], [0.001, 0.01], policy=Policy(name="auto", lam=1e6)),
        decision([0.5], [0.001]),
    ],
    ids=["no check", "one call", "huge lam", "one backend"],
)
def test_an_answer_that_nobody_would_follow_is_final(made: Decision) -> None:
    assert first_call(made).is_kept(0.0)


def test_an_answer_that_may_turn_out_cheaper_than_expected_is_not_final() -> None:
    # Expected to use up the budget, so that nobody else could be paid; what it really costs is known afterwards only.
    made = decision([0.9, 0.8], [0.010, 0.009], policy=Policy(name="auto", lam=1.0, max_cost_usd=0.012))
    assert made.backend == "small"
    assert run(made, lambda _: 0.0).asked == ["small", "mid"]
    assert not first_call(made).is_kept(0.0)


# Properties


@st.composite
def situations(draw: st.DrawFn) -> tuple[Decision, dict[str, float | BackendError]]:
    """Draws a decision and what each backend will reply."""
    n = draw(st.integers(1, 5))
    share = st.integers(0, 20).map(lambda part: part / 20)
    policy = Policy(
        name="p",
        objective=draw(st.sampled_from(["utility", "cheapest_above"])),
        lam=draw(st.sampled_from([0.0, 1.0, 20.0, 1e9])),
        quality=draw(share),
        max_calls=draw(st.integers(1, 4)),
        max_cost_usd=draw(st.sampled_from([None, 0.05, 0.1])),
    )
    made = decision(
        draw(st.lists(share, min_size=n, max_size=n)),
        draw(st.lists(st.integers(0, 50).map(lambda cost: cost / 1000), min_size=n, max_size=n)),
        policy=policy,
        power=draw(share),
        loading=draw(st.sampled_from([0.0, 1.0, 3.0])),
        comparable=draw(st.sampled_from([0.0, 0.5, 1.0])),
    )
    replies: dict[str, float | BackendError] = {
        name: draw(share | st.just(RateLimited("slow down", backend=name))) for name in NAMES[:n]
    }
    return made, replies


@settings(max_examples=150, deadline=None)
@given(situation=situations())
def test_whatever_happens_a_cascade_keeps_its_promises(
    situation: tuple[Decision, dict[str, float | BackendError]],
) -> None:
    made, replies = situation
    expected = dict(zip(made.outlook.backends, made.outlook.cost_usd.tolist(), strict=True))
    if all(isinstance(replies[name], BackendError) for name in made.outlook.backends):
        with pytest.raises(AllBackendsFailed) as caught:
            run(made, replies.__getitem__, charge=expected.__getitem__)
        assert set(caught.value.causes) == set(made.outlook.backends)
        return
    ended = run(made, replies.__getitem__, charge=expected.__getitem__)
    asked, outcome = ended.asked, ended.outcome
    assert asked[0] == made.backend
    answers = [step for step in outcome.steps if step.completion]
    assert [step.backend for step in outcome.steps] == asked
    assert len(set(asked)) == len(asked)
    assert not set(asked) & set(made.excluded)
    assert 1 <= len(answers) <= made.policy.max_calls
    assert outcome.step.confidence == max(step.confidence for step in answers)
    assert outcome.cost_usd == pytest.approx(sum(expected[step.backend] for step in answers))
    if made.policy.max_cost_usd is not None:
        assert outcome.cost_usd <= made.policy.max_cost_usd + 1e-12
    if len(answers) > 1 and outcome.steps[0].completion:  # else the first answer was not of the first call
        assert not first_call(made).is_kept(0.0)


# Answers that are passed on or given up before their end


def test_an_answer_that_was_released_is_returned_however_bad_it_turns_out() -> None:
    flow = cascade(TWO, assess=lambda *_: 0.01, charge=lambda *_: 0.001)
    assert next(flow).backend == "small"
    with pytest.raises(StopIteration) as end:
        flow.send(Released(completion=completion("42")))
    assert end.value.value.path == "small"
    assert end.value.value.step.confidence == 0.01


def given_up(confidence: float = 0.05) -> GivenUp:
    """Returns the beginning of an answer that cost a little."""
    return GivenUp(completion=completion("It is", cost_usd=0.0002), confidence=confidence)


def cost_of(_name: str, answer: Completion) -> float:
    """Returns what a test says that an answer cost."""
    return answer.cost_usd or 0.001


def test_an_answer_that_was_given_up_is_paid_for_and_not_returned() -> None:
    flow = cascade(TWO, assess=lambda *_: 0.02, charge=cost_of)
    next(flow)
    assert flow.send(given_up()).backend == "mid"
    with pytest.raises(StopIteration) as end:
        flow.send(completion("43"))
    outcome: Outcome = end.value.value
    assert outcome.path == "small~>mid"
    assert outcome.step.backend == "mid"  # though less likely to be right
    assert [step.is_given_up for step in outcome.steps] == [True, False]
    assert outcome.cost_usd == pytest.approx(0.0012)


def test_what_was_given_up_is_asked_again_where_everybody_else_fails() -> None:
    flow = cascade(TWO, assess=lambda *_: 0.3, charge=cost_of)
    next(flow)
    assert flow.send(given_up()).backend == "mid"
    again = flow.send(RateLimited("slow down", backend="mid"))
    assert (again.backend, again.tried) == ("small", ())
    assert again.is_kept(0.0)  # so it is not given up again
    with pytest.raises(StopIteration) as end:
        flow.send(completion("42"))
    outcome: Outcome = end.value.value
    assert outcome.path == "small~>mid!>small"
    assert outcome.chosen == 2
    assert outcome.cost_usd == pytest.approx(0.0012)


def test_when_the_last_resort_fails_too_every_backend_has_failed() -> None:
    flow = cascade(TWO, assess=lambda *_: 0.3, charge=cost_of)
    next(flow)
    flow.send(given_up())
    flow.send(RateLimited("slow down", backend="mid"))
    with pytest.raises(AllBackendsFailed) as caught:
        flow.send(RateLimited("slow down", backend="small"))
    assert set(caught.value.causes) == {"small", "mid"}


def test_a_second_answer_is_kept_only_if_it_beats_the_first() -> None:
    flow = cascade(TWO, assess=lambda *_: 0.3, charge=cost_of)
    next(flow)
    second = flow.send(completion("42"))
    assert second.backend == "mid"
    assert not second.is_kept(0.1)
    assert second.is_kept(0.9)
