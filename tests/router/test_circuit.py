"""When a backend is left alone, and how it is tried again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.backends import (
    AuthenticationFailed,
    BackendError,
    BackendTimeout,
    Breaker,
    ContextTooLong,
    InvalidRequest,
    MalformedReply,
    RateLimited,
    ServerFailed,
)
from penstock.router.circuit import Circuit

DOWN = ServerFailed("secret words", backend="small")


def circuit(*outcomes: BackendError | None, failures: int = 3, rest_s: float = 5.0) -> Circuit:
    """Returns a circuit after calls that ended so at time 0."""
    made = Circuit(Breaker(failures=failures, rest_s=rest_s))
    for outcome in outcomes:
        made.end(made.begin(), outcome, 0.0)
    return made


def test_a_few_failures_change_nothing() -> None:
    assert circuit(DOWN, DOWN).wait_s(0) == 0


def test_so_many_in_a_row_open_it_for_the_rest() -> None:
    made = circuit(DOWN, DOWN, DOWN)
    assert (made.wait_s(0), made.wait_s(4), made.wait_s(5)) == (5, 1, 0)


@pytest.mark.parametrize(
    "error", [BackendTimeout("x"), AuthenticationFailed("x"), MalformedReply("x"), RateLimited("x")]
)
def test_every_failure_of_the_backend_counts(error: BackendError) -> None:
    assert circuit(error, error, error).is_open


@pytest.mark.parametrize("outcome", [None, InvalidRequest("x"), ContextTooLong("x")])
def test_an_answer_or_a_refusal_in_between_begins_the_count_anew(outcome: BackendError | None) -> None:
    assert not circuit(DOWN, DOWN, outcome, DOWN, DOWN).is_open


def test_after_the_rest_a_single_call_is_let_through() -> None:
    made = circuit(DOWN, DOWN, DOWN)
    made.begin()
    assert made.wait_s(6) > 0
    assert "tried again just now" in made.why(6)


def test_a_probe_that_is_answered_closes_it() -> None:
    made = circuit(DOWN, DOWN, DOWN)
    made.end(made.begin(), None, 6)
    assert not made.is_open
    made.end(made.begin(), DOWN, 6)
    assert not made.is_open


def test_a_probe_that_fails_rests_twice_as_long() -> None:
    made = circuit(DOWN, DOWN, DOWN)
    made.end(made.begin(), DOWN, 6)
    assert made.wait_s(6) == 10


def test_the_rest_has_a_bound() -> None:
    made = circuit(*[DOWN] * 2000)
    assert made.wait_s(0) == 60


def test_a_probe_that_tells_nothing_lets_another_one_through() -> None:
    made = circuit(DOWN, DOWN, DOWN)
    made.forget(made.begin())
    assert made.wait_s(6) == 0


def test_calls_from_before_it_opened_no_longer_count() -> None:
    made = circuit()
    early, late = made.begin(), made.begin()
    for _ in range(3):
        made.end(made.begin(), DOWN, 0)
    made.end(early, None, 1)
    made.end(late, DOWN, 4)
    assert made.wait_s(4) == 1


def test_a_long_wait_that_the_provider_asks_for_opens_it_at_once() -> None:
    made = circuit(RateLimited("x", retry_after_s=30))
    assert (made.wait_s(0), made.wait_s(30)) == (30, 0)
    assert made.why(10) == "left alone after a failure (RateLimited), tried again in 20.0 s"


def test_a_short_one_does_not() -> None:
    assert not circuit(RateLimited("x", retry_after_s=0.5)).is_open


def test_without_end_is_not_without_end() -> None:
    assert circuit(RateLimited("x", retry_after_s=1e9)).wait_s(0) == 600


def test_zero_failures_switch_it_off() -> None:
    assert not circuit(*[RateLimited("x", retry_after_s=30)] * 9, failures=0).is_open


def test_the_reason_has_none_of_the_providers_words() -> None:
    why = circuit(DOWN, DOWN, DOWN).why(1)
    assert why == "left alone after 3 failures in a row (ServerFailed), tried again in 4.0 s"


@given(st.lists(st.tuples(st.sampled_from(["answer", "fail", "forget"]), st.floats(0, 30)), max_size=60))
def test_it_never_stays_shut_for_longer_than_its_longest_rest(story: list[tuple[str, float]]) -> None:
    made, now = circuit(), 0.0
    for end, passed in story:
        now += passed
        if made.wait_s(now) > 0:
            assert made.wait_s(now) <= 60
            continue
        ticket = made.begin()
        if end == "forget":
            made.forget(ticket)
        else:
            made.end(ticket, None if end == "answer" else DOWN, now)
    assert made.wait_s(now + 60) == 0
