"""What the alternatives to an answer's tokens tell."""

from __future__ import annotations

import math

import pytest

from penstock.backends import Completion, Query
from penstock.classifiers.signals.alternatives import AlternativesSignal


def reading(completion: Completion) -> dict[str, float]:
    signal = AlternativesSignal()
    return dict(zip(signal.names, signal.read(Query.from_text("7 + 5?"), completion), strict=True))


ANSWER = Completion(
    text="The answer is 12.",
    logprobs=(-0.1,) * 6,
    tokens=("The ", "answer ", "is ", "1", "2", "."),
    entropies=(0.5, 0.0, 0.0, 0.2, 1.0, 0.1),
    margins=(1.0, 9.0, 9.0, 3.0, 0.5, 6.5),
)


def test_choices_of_the_whole_answer_and_of_the_final_answer_alone_are_summed_up() -> None:
    assert reading(ANSWER) == pytest.approx(
        {
            "entropy": 0.3,
            "highest_entropy": 1.0,
            "entropy_window": 0.3,
            "final_entropy": 0.6,
            "margin": 29 / 6,
            "lowest_margin": 0.5,
            "final_margin": 1.75,
            "final_lowest_margin": 0.5,
        }
    )


def test_answer_without_a_final_answer_has_the_numbers_of_the_whole_alone() -> None:
    open_end = Completion(text="It depends on what is meant.", entropies=(0.4,), margins=(2.0,))
    assert {name for name, value in reading(open_end).items() if math.isnan(value)} == {
        "final_entropy",
        "final_margin",
        "final_lowest_margin",
    }


@pytest.mark.parametrize("nothing", [None, ()])
def test_log_probabilities_alone_tell_nothing_of_alternatives(nothing: tuple[float, ...] | None) -> None:
    found = reading(Completion(text="7", logprobs=(-0.1,), entropies=nothing, margins=nothing))
    assert all(math.isnan(value) for value in found.values())


def test_few_open_choices_in_a_row_show_in_the_window_of_a_long_answer() -> None:
    found = reading(Completion(text="7", entropies=(0.0,) * 40 + (1.0,) * 8 + (0.0,) * 40))
    assert found["entropy_window"] == pytest.approx(1.0)
    assert found["entropy"] < 0.1


def test_infinite_margin_is_bounded() -> None:
    assert reading(Completion(text="7", margins=(math.inf,)))["margin"] == 20
