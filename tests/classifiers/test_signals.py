"""What every signal promises, over everything in the table."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.backends import Completion, Query
from penstock.classifiers import SIGNALS, Signal, read_signals, signal_names
from penstock.classifiers.signals import create_signals
from penstock.classifiers.signals.reasoning import ReasoningSignal
from penstock.classifiers.signals.sequence import SequenceSignal

from .hostile import HOSTILE


@pytest.fixture(params=sorted(SIGNALS))
def signal(request: pytest.FixtureRequest) -> Signal:
    return create_signals()[request.param]


def reads(signal: Signal, text: str, *, query: str = "What is 3 + 4?", reasoning: str = "") -> tuple[float, ...]:
    return signal.read(Query.from_text(query), Completion(text=text, reasoning=reasoning))


def value(name: str, completion: Completion, query: str = "What is 3 + 4?") -> float:
    """Returns one number by its full name."""
    return float(read_signals(Query.from_text(query), completion)[signal_names().index(name)])


def test_gives_one_number_a_name(signal: Signal) -> None:
    numbers = reads(signal, "3 + 4 = 7, so the answer is 7.")
    assert len(numbers) == len(signal.names) == len(set(signal.names))
    assert all(isinstance(number, float) for number in numbers)


def test_says_what_it_needs(signal: Signal) -> None:
    assert signal.needs in ("text", "logprobs", "sandbox")


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_hostile_text_is_read_to_the_end(signal: Signal, name: str) -> None:
    text = HOSTILE[name]
    for numbers in (reads(signal, text), reads(signal, "7", query=text), reads(signal, "", reasoning=text)):
        assert len(numbers) == len(signal.names)
        assert not any(math.isinf(number) for number in numbers)


@settings(deadline=None)
@given(st.text(st.characters(), max_size=300), st.text("0123456789+-*/=()., \n$%x", max_size=300))
def test_any_text_is_read(one: str, other: str) -> None:
    numbers = read_signals(Query.from_text(other), Completion(text=one + other, reasoning=other))
    assert numbers.shape == (len(signal_names()),)
    assert not np.isinf(numbers).any()


def test_the_names_are_those_of_the_numbers() -> None:
    names = signal_names()
    assert len(set(names)) == len(names)
    assert read_signals(Query.from_text("?"), Completion(text="!")).shape == (len(names),)
    assert {name.partition(".")[0] for name in names} == set(SIGNALS)


def test_reading_twice_gives_the_same_numbers() -> None:
    query, completion = Query.from_text("3 + 4?"), Completion(text="3 + 4 = 8. Wait, maybe 7.", logprobs=(-0.1, -2.0))
    np.testing.assert_array_equal(read_signals(query, completion), read_signals(query, completion))


def test_logprobs_say_nothing_where_there_are_none() -> None:
    for completion in (Completion(text="7"), Completion(text="7", logprobs=())):
        assert math.isnan(value("logprobs.mean", completion))


@pytest.mark.parametrize("logprobs", [(-math.inf, -0.1), (math.inf,), (math.nan, -1.0), (1e-7, 0.0), (-1e308,) * 3])
def test_odd_logprobs_are_no_error(logprobs: tuple[float, ...]) -> None:
    assert not math.isinf(value("logprobs.mean", Completion(text="7", logprobs=logprobs)))


def test_logprobs_are_summed_up() -> None:
    completion = Completion(text="7", logprobs=(-0.1,) * 10 + (-3.0,))
    assert value("logprobs.minimum", completion) == -3.0
    assert value("logprobs.share_unsure", completion) == pytest.approx(1 / 11)
    assert value("logprobs.tail_mean", completion) == pytest.approx((-0.7 - 3) / 8)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("shape.is_empty", " \n", 1.0),
        ("shape.is_empty", "7", 0.0),
        ("shape.ends_cleanly", "It is 7.", 1.0),
        ("shape.ends_cleanly", "It is 7", 1.0),
        ("shape.ends_cleanly", "It is because", 0.0),
        ("shape.ends_cleanly", "a" * 30_000 + ".", 1.0),
        ("shape.ends_cleanly", "a." * 30_000 + "and then", 0.0),
        ("language.is_refusal", "I'm sorry, I cannot help with that.", 1.0),
        ("language.is_refusal", "The river is long.", 0.0),
        ("language.is_refusal", "I’m sorry, but I can’t assist with that.", 1.0),
        ("language.log_hedges", "Perhaps it is 7, maybe 8.", math.log(3)),
        ("language.log_restarts", "Wait, let me correct that.", math.log(3)),
        ("language.log_restarts", "Let me recheck. Let me re-calculate this. Let me remind you.", math.log(3)),
        ("final_number.exists", "none", 0.0),
        ("final_number.is_whole", "so 7.5", 0.0),
        ("final_number.is_repeated", "7 and again 7", 1.0),
        ("final_number.is_from_query", "so 4", 1.0),
        ("final_number.query_numbers_used", "3 apples", 0.5),
        ("final_number.log_size", "1,000", math.log(1001)),
    ],
)
def test_what_is_seen_in_an_answer(name: str, text: str, expected: float) -> None:
    assert value(name, Completion(text=text)) == pytest.approx(expected)


def test_an_answer_that_only_calls_tools_is_not_empty() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    assert value("shape.is_empty", Completion(text="", tool_calls=(call,))) == 0.0


def test_going_in_circles_compresses_well() -> None:
    circles = Completion(text="I will now add three and four. " * 50)
    straight = Completion(text="".join(chr(97 + i * i % 26) + chr(97 + i * 7 % 23) for i in range(800)))
    assert value("shape.compression", circles) < value("shape.compression", straight)


def test_a_cut_answer_is_seen() -> None:
    assert value("shape.is_truncated", Completion(text="7", finish_reason="length")) == 1.0


def test_an_answer_that_its_provider_calls_a_refusal_is_one() -> None:
    assert value("language.is_refusal", Completion(text="No.", is_refusal=True)) == 1.0


def test_an_answer_that_was_filtered_is_a_refusal() -> None:
    assert value("language.is_refusal", Completion(text="The", finish_reason="content_filter")) == 1.0


GSM = "Ann has 3 bags of 4 apples and eats 2 of 5 pears. How many apples are left?"


def working(text: str) -> dict[str, float]:
    """Returns the numbers of the signal `working` by name."""
    signal = create_signals()["working"]
    return dict(zip(signal.names, reads(signal, text, query=GSM), strict=True))


def test_a_working_that_ends_in_the_answer_is_told_from_one_that_does_not() -> None:
    good, bad = working("3 * 4 = 12, 12 - 2 = 10\n#### 10"), working("3 * 4 = 12, 12 - 2 = 10\n#### 12")
    assert (good["ends_in_answer"], bad["ends_in_answer"]) == (1, 0)
    assert (good["holds_answer"], bad["holds_answer"]) == (1, 1)
    assert (good["share_dangling"], bad["share_dangling"]) == (0, 0.5)


def test_the_numbers_of_the_question_that_were_reckoned_with_are_counted() -> None:
    assert working("3 * 4 = 12\n#### 12")["share_of_query_used"] == 0.5
    assert working("12 / 5 = 2.4\n#### 2.4")["share_broken"] == 1


def test_without_equations_there_is_no_working_to_judge() -> None:
    found = working("The answer is 10.")
    assert math.isnan(found["ends_in_answer"])
    assert math.isnan(found["share_dangling"])
    assert found["log_steps_by_number"] < 0


def test_every_signal_stands_in_the_reference() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "signals.md").read_text(encoding="utf-8")
    assert [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")] == list(SIGNALS)


def test_the_odds_of_a_sequence_are_those_of_all_its_tokens() -> None:
    completion = Completion(text="391", logprobs=(math.log(0.9), math.log(0.5)), reasoning_logprobs=(math.log(0.8),))
    answer, everything = SequenceSignal().read(Query.from_text("?"), completion)
    assert answer == pytest.approx(math.log(0.45 / 0.55))
    assert everything == pytest.approx(math.log(0.36 / 0.64))


def test_one_unsure_step_shows_in_the_lowest_window_of_the_reasoning() -> None:
    sure, unsure = (
        Completion(text="7", logprobs=(-0.01,), reasoning_logprobs=(-0.01,) * 20 + step + (-0.01,) * 20)
        for step in ((-0.01,) * 4, (-2.0,) * 4)
    )
    lowest = ReasoningSignal.names.index("lowest_window")
    readings = [ReasoningSignal().read(Query.from_text("?"), each)[lowest] for each in (sure, unsure)]
    assert readings[0] == pytest.approx(-0.01)
    assert readings[1] < -0.9


def test_without_reasoning_probabilities_nothing_is_said_of_the_reasoning() -> None:
    values = ReasoningSignal().read(Query.from_text("?"), Completion(text="7", logprobs=(-0.1,)))
    assert all(math.isnan(value) for value in values)
