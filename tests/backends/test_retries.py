"""How long is waited before asking again, and when no more."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.backends import BackendError, InvalidRequest, RateLimited, ServerFailed
from penstock.backends.retries import Retries


@given(n_failures=st.integers(1, 5), asked_s=st.none() | st.floats(0, 600), seed=st.integers(0, 99))
def test_the_wait_is_between_what_was_asked_and_the_limit_on_top(
    n_failures: int, asked_s: float | None, seed: int
) -> None:
    error = RateLimited("slow down", retry_after_s=asked_s)
    delay_s = Retries().delay_s(n_failures, error, random.Random(seed))
    assert delay_s is not None
    assert 0 <= delay_s - (asked_s or 0) <= 0.5 * 2 ** (n_failures - 1) + 1e-9


def test_the_limit_doubles_up_to_the_longest() -> None:
    class Highest(random.Random):
        def uniform(self, a: float, b: float) -> float:
            return b

    retries = Retries(most=10_000, first_s=1, longest_s=10)
    waits = [retries.delay_s(n, ServerFailed("x"), Highest()) for n in (1, 2, 3, 4, 5, 9_999)]
    assert waits == [1, 2, 4, 8, 10, 10]


@pytest.mark.parametrize(
    ("n_failures", "error"),
    [(6, ServerFailed("x")), (1, InvalidRequest("x")), (1, RateLimited("x", retry_after_s=86_400))],
    ids=["too many", "not retryable", "too long a wait"],
)
def test_some_failures_are_final(n_failures: int, error: BackendError) -> None:
    assert Retries().delay_s(n_failures, error, random.Random(0)) is None
