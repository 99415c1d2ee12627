"""When an answer that is coming need be held back no longer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.backends import Chunk, Completion, Query
from penstock.router import Decision, Policy, decide
from penstock.router.cascade import Call, cascade
from penstock.router.hold import Hold, Verdict, confidence_needed

from .early import CHECKPOINTS, early
from .pieces import NAMES, estimates, outlook, spec

QUERY = Query.from_text("What is 17 * 23?")


def decision(policy: Policy, *, power: float = 0.5, comparable: float = 0.0) -> Decision:
    """Returns a decision for the first of three backends."""
    quality, cost = [0.5, 0.7, 0.9], [0.001, 0.002, 0.01]
    return decide(
        QUERY,
        estimates(quality, cost),
        policy,
        specs={name: spec(name) for name in NAMES},
        escalation=outlook(quality, cost, power=power, comparable=comparable).escalation,
    )


def first_call(policy: Policy = Policy(name="auto"), **known: float) -> Call:  # noqa: B008  # it is frozen
    """Returns the first call of a cascade."""
    return next(cascade(decision(policy, **known), assess=lambda *_: 0.0, charge=lambda *_: 0.0))


def held(*confidences: float, call: Call | None = None) -> tuple[Hold, list[int]]:
    """Returns a hold that has these confidences at its checkpoints, and the checkpoints that it asked about."""
    asked: list[int] = []

    def judge(so_far: Completion, checkpoint: int) -> float:
        asked.append(checkpoint)
        return confidences[checkpoint]

    return Hold(call or first_call(), QUERY, early(), judge=judge, charge=lambda so_far: 0.0005), asked


def signs(n: int) -> Chunk:
    """Returns a piece of so many signs."""
    return Chunk(text="x" * n)


def test_nothing_is_judged_before_the_first_checkpoint_and_no_checkpoint_twice() -> None:
    hold, asked = held(0.3, 0.3, 0.3)
    assert [hold.see(signs(3)) for _ in range(15)] == [Verdict.WAIT] * 15
    assert asked == [0, 1, 2]


def test_a_piece_that_passes_several_checkpoints_is_judged_at_the_last() -> None:
    hold, asked = held(0.3, 0.3, 0.3)
    hold.see(signs(CHECKPOINTS[1]))
    assert asked == [1]


def test_an_answer_is_released_from_the_confidence_that_was_learned_for_what_is_needed() -> None:
    call = first_call()
    needed = confidence_needed(call, early().needed.tolist())
    threshold = early().release_from(needed)
    assert 0.2 < needed < 1
    assert threshold > needed
    assert held(threshold - 0.01, 0, 0, call=call)[0].see(signs(10)) is Verdict.WAIT
    assert held(threshold, 0, 0, call=call)[0].see(signs(10)) is Verdict.RELEASE


def test_an_answer_that_no_confidence_would_keep_is_never_released() -> None:
    assert early().release_from(np.inf) == np.inf
    assert early().release_from(0.96) == np.inf  # more than was learned about


def test_a_hopeless_answer_is_given_up_where_the_cascade_would_go_on() -> None:
    assert held(0.1, 0, 0)[0].see(signs(10)) is Verdict.GIVE_UP
    assert held(0.11, 0, 0)[0].see(signs(10)) is Verdict.WAIT


def test_a_hopeless_answer_is_not_given_up_where_nobody_would_be_asked_next() -> None:
    dear = Policy(name="auto", lam=1e5)
    assert held(0.0, 0, 0, call=first_call(dear))[0].see(signs(10)) is not Verdict.GIVE_UP
    alone = Policy(name="auto", max_calls=1)
    assert held(0.0, 0, 0, call=first_call(alone))[0].see(signs(10)) is not Verdict.GIVE_UP


def test_tool_calls_are_held_to_their_end() -> None:
    hold, asked = held(0.99, 0.99, 0.99)
    hold.see(Chunk(tool_calls=({"index": 0},)))
    assert hold.see(signs(50)) is Verdict.WAIT
    assert asked == []


def test_what_is_given_up_tells_its_beginning_its_tokens_and_its_cost() -> None:
    hold, _ = held(0.05, 0, 0)
    hold.see(Chunk(reasoning="Hm.", logprobs=(-0.5,)))
    hold.see(Chunk(text="It is 391, "))
    ended = hold.given_up()
    assert (ended.completion.text, ended.completion.reasoning) == ("It is 391, ", "Hm.")
    assert ended.completion.usage.is_estimated
    assert ended.completion.usage.output_tokens == 4
    assert ended.completion.usage.input_tokens > 0
    assert ended.completion.cost_usd == 0.0005
    assert ended.confidence == 0.05


def test_log_probabilities_are_those_of_the_answer_and_of_the_reasoning_apart() -> None:
    seen: list[Completion] = []

    def judge(so_far: Completion, checkpoint: int) -> float:
        seen.append(so_far)
        return 0.3

    hold = Hold(first_call(), QUERY, early(), judge=judge, charge=lambda so_far: 0.0)
    hold.see(Chunk(reasoning="Well", logprobs=(-3.0,), entropies=(2.0,), margins=(0.0,)))
    hold.see(Chunk(text="x" * 10, logprobs=(-1.0, -2.0), entropies=(0.5, 0.7), margins=(2.0, 1.0)))
    assert seen[0].logprobs == (-1.0, -2.0)
    assert seen[0].reasoning_logprobs == (-3.0,)
    assert (seen[0].entropies, seen[0].margins) == ((0.5, 0.7), (2.0, 1.0))


def test_what_is_not_told_of_every_token_is_told_of_none() -> None:
    seen: list[Completion] = []

    def judge(so_far: Completion, checkpoint: int) -> float:
        seen.append(so_far)
        return 0.3

    hold = Hold(first_call(), QUERY, early(), judge=judge, charge=lambda so_far: 0.0)
    hold.see(Chunk(text="xx", logprobs=(-1.0,)))
    hold.see(Chunk(text="x" * 10, logprobs=(-1.0, -2.0), entropies=(0.5, 0.7), margins=(2.0, 1.0)))
    assert seen[0].logprobs == (-1.0, -1.0, -2.0)
    assert (seen[0].entropies, seen[0].margins) == (None, None)


@settings(max_examples=40, deadline=None)
@given(
    lam=st.sampled_from([0.0, 1.0, 20.0, 100.0, 1e4]),
    power=st.sampled_from([0.0, 0.3, 0.8]),
    comparable=st.sampled_from([0.0, 0.7]),
    quality=st.sampled_from([0.4, 0.8]),
    objective=st.sampled_from(["utility", "cheapest_above"]),
)
def test_what_is_needed_is_the_least_confidence_from_which_the_answer_is_kept(
    lam: float, power: float, comparable: float, quality: float, objective: str
) -> None:
    policy = Policy(name="p", objective=objective, lam=lam, quality=quality)
    call = first_call(policy, power=power, comparable=comparable)
    levels = [level / 20 for level in range(1, 20)]
    kept = [level for level in levels if call.is_kept(level)]
    assert confidence_needed(call, levels) == pytest.approx(min(kept, default=np.inf))
