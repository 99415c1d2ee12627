from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.backends import Completion
from penstock.classifiers.final_answer import FinalAnswer, final_answer, stated_answer

from .hostile import HOSTILE


def value_of(text: str) -> str | None:
    """Returns kind and value in short."""
    found = stated_answer(text)
    return found and f"{found.kind} {found.value}"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("42", "number 42"),
        ("-7.50", "number -7.5"),
        ("-\u00a01", "number -1"),
        ("First 7, then\n#### 1,234", "number 1234"),
        ("so 3 + 4 = 7.\nShe has $18 left.", "number 18"),
        (r"thus \boxed{\frac{3}{4}} of it", "number 0.75"),
        (r"\boxed{0.75}", "number 0.75"),
        (r"\boxed{12^\circ}", "number 12"),
        (r"\boxed{10\text{ cm}}", "number 10"),
        (r"\boxed{1{,}000}", "number 1000"),
        ('{"reasoning": "2 and 3", "answer": "105 pounds"}', "number 105"),
        ('```json\n{"answer": 17}\n```', "number 17"),
        ('{"answer": "2:00 pm"}', "text 2:00pm"),
        ("The answer is (B).", "choice b"),
        ("Answer: C", "choice c"),
        ("**Answer: C. Because it is cold**", "choice c"),
        ("The final answer is x = 5.", "number 5"),
        ("Paris", "text paris"),
        (" paris. ", "text paris"),
    ],
)
def test_the_final_answer_is_found_and_brought_into_normal_form(text: str, value: str) -> None:
    assert value_of(text) == value


@pytest.mark.parametrize("text", ["", " ", "It depends on what one means by a good life and a bad one."])
def test_prose_has_no_final_answer(text: str) -> None:
    assert stated_answer(text) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("so it is 1/2.", "0.5"),
        ("$1,000", "1000 dollars"),
        (r"\boxed{\dfrac{1}{3}}", "The answer is 1/3."),
        (r"\boxed{(3, \frac{\pi}{2})}", r'{"answer": "(3, \\frac{\\pi}{2})"}'),
        ("(d)", "Answer: D"),
    ],
)
def test_the_same_answer_written_otherwise_is_the_same(one: str, other: str) -> None:
    assert stated_answer(one) == stated_answer(other) is not None


@pytest.mark.parametrize(("one", "other"), [("5", "-5"), ("5", "50"), ("2:00 pm", "2:10 pm"), ("B", "C")])
def test_different_answers_differ(one: str, other: str) -> None:
    assert stated_answer(one) != stated_answer(other)


def test_tool_calls_are_compared_by_name_and_arguments() -> None:
    def called(arguments: str) -> FinalAnswer | None:
        call = {"id": "x", "type": "function", "function": {"name": "f", "arguments": arguments}}
        return final_answer(Completion(text="", tool_calls=(call,)))

    assert called('{"a": 1, "b": 2}') == called('{"b":2,"a":1}') is not None
    assert called('{"a": 1}') != called('{"a": 2}')
    assert called("{") is None


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_no_text_is_too_much(name: str) -> None:
    text = HOSTILE[name]
    for whole in (text, f"#### {text[:100]}", f"the answer is {text}", "the answer is 1 " + "a." * 50 + "!"):
        found = stated_answer(whole)
        assert found is None or len(found.value) < 1000


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=200) | st.text(alphabet='0123456789.,/-\\boxed{}frac$ "answer:#()ABe', max_size=200))
def test_no_text_is_too_strange(text: str) -> None:
    found = stated_answer(text)
    assert found is None or (found.kind in ("number", "choice", "text") and found.value)
