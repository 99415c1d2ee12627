"""Further samples of one model: the same query, with chance let in."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from penstock.backends import BackendSpec, Original, Query, create_backend
from penstock.backends.samples import resampled, sample_name

ASKED = {"role": "user", "content": "What is 17 * 23?"}


def asked(**params: Any) -> Query:
    return Query.from_messages([ASKED], params=params)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({}, {"temperature": 0.7}),
        ({"temperature": 0}, {"temperature": 0.7}),
        ({"temperature": 1.2}, {"temperature": 1.2}),
        ({"temperature": 0.1, "seed": 7}, {"temperature": 0.7, "seed": 9}),
        ({"max_tokens": 5}, {"max_tokens": 5, "temperature": 0.7}),
    ],
)
def test_a_further_sample_is_drawn_with_chance_and_a_seed_of_its_own(
    given: dict[str, Any], sent: dict[str, Any]
) -> None:
    query = asked(**given)
    assert resampled(query, 2).params == sent
    assert query.params == given


def test_a_request_that_is_sent_as_it_came_is_sampled_too() -> None:
    body = {"messages": [ASKED], "max_tokens": 9}
    original = resampled(replace(asked(), original=Original(format="messages", body=body)), 1).original
    assert original is not None
    assert original.body == {**body, "temperature": 0.7}


def test_the_first_sample_keeps_the_name() -> None:
    assert [sample_name("small@low", draw) for draw in range(3)] == ["small@low", "small@low#2", "small@low#3"]


def test_each_sample_is_a_backend_that_asks_for_itself() -> None:
    first, second = (
        create_backend(BackendSpec(name=sample_name("small", draw), type="fake", draw=draw, instruction="Be brief."))
        for draw in range(2)
    )
    assert (first.spec.name, second.spec.name) == ("small", "small#2")
    assert asyncio.run(second.complete(asked())).text == asyncio.run(first.complete(asked())).text
