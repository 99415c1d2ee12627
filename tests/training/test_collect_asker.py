"""Asking with patience: what is asked again, what the others wait for, what it costs."""

from __future__ import annotations

import asyncio
import random

import pytest

from penstock.backends import (
    BackendError,
    BackendSpec,
    Completion,
    FakeBackend,
    Price,
    Query,
    RateLimited,
    ServerFailed,
    Usage,
)
from penstock.backends.retries import Retries
from penstock.training.collecting.asker import Asker, with_cost

PRICE = Price(usd_per_1m_input=1, usd_per_1m_output=2)
HELLO = Query.from_text("hello")


class Clockless:
    """Notes for how long was waited, and waits for nothing."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    async def sleep(self, delay_s: float) -> None:
        self.waits.append(delay_s)


def asking(*answers: str | BackendError, retries: Retries = Retries()) -> tuple[Asker, FakeBackend, Clockless]:  # noqa: B008  # frozen
    said, clock = iter(answers), Clockless()
    backend = FakeBackend(BackendSpec(name="b", type="fake", price=PRICE), answer=lambda query: next(said))
    slots = asyncio.Semaphore(2)
    return Asker(backend, slots=slots, retries=retries, rng=random.Random(0), sleep=clock.sleep), backend, clock


def test_the_answer_after_failures_is_returned_with_its_cost() -> None:
    asker, backend, clock = asking(ServerFailed("x"), ServerFailed("y"), "fine")
    completion = asyncio.run(asker.ask(HELLO))
    assert completion.text == "fine"
    assert completion.cost_usd == asker.spent_usd > 0
    assert len(backend.queries) == 3
    assert asker.n_retries == len(clock.waits) == 2


def test_the_last_error_is_raised() -> None:
    asker, backend, _ = asking(*[ServerFailed(str(n)) for n in range(4)], retries=Retries(most=2))
    with pytest.raises(ServerFailed, match="2"):
        asyncio.run(asker.ask(HELLO))
    assert len(backend.queries) == 3


def test_what_one_is_told_to_wait_the_others_wait_too() -> None:
    asker, _, clock = asking(RateLimited("x", retry_after_s=50), "fine", "fine too")

    async def run() -> None:
        await asker.ask(HELLO)
        await asker.ask(HELLO)

    asyncio.run(run())
    assert len(clock.waits) == 3  # the one that failed, and both before they ask, since the clock stood still
    assert min(clock.waits) > 49


@pytest.mark.parametrize(
    ("completion", "price", "cost"),
    [
        (Completion(text="", usage=Usage(input_tokens=10, output_tokens=5)), PRICE, 20e-6),
        (Completion(text="", usage=Usage(input_tokens=10), cost_usd=0.5), PRICE, 0.5),
        (Completion(text="", usage=Usage(input_tokens=10)), None, None),
    ],
)
def test_the_cost_is_what_the_provider_says_or_the_price_of_the_usage(
    completion: Completion, price: Price | None, cost: float | None
) -> None:
    assert with_cost(completion, BackendSpec(name="b", type="fake", price=price)).cost_usd == cost
