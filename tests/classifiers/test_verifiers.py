"""What each verifier makes of answers that keep or break what was asked."""

from __future__ import annotations

import math
from typing import Any

import pytest

from penstock.backends import Completion, Query
from penstock.classifiers.signals import create_signals

NAN = math.nan
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
AS_JSON = {"response_format": {"type": "json_schema", "json_schema": {"name": "count", "schema": SCHEMA}}}
TOOLS = {"tools": [{"type": "function", "function": {"name": "add", "parameters": SCHEMA}}]}
CHOICES = "Which is a fruit?\nA. stone\nB. apple\nC. cloud"


def seen(verifier: str, text: str, query: str = "Well?", /, **params: Any) -> list[float]:
    """Returns the numbers of one verifier."""
    return read(verifier, Completion(text=text), query, **params)


def read(verifier: str, completion: Completion, query: str = "Well?", /, **params: Any) -> list[float]:
    asked = Query(messages=({"role": "user", "content": query},), params=params)
    return list(create_signals()[verifier].read(asked, completion))


def same(values: list[float]) -> Any:
    return pytest.approx(values, nan_ok=True)


@pytest.mark.parametrize(
    ("text", "params", "expected"),
    [
        ("It is 3.", {}, [NAN, NAN]),
        ("It is 3.", {"response_format": {"type": "text"}}, [NAN, NAN]),
        ("It is 3.", {"response_format": {"type": "json_object"}}, [0, NAN]),
        ("It is 3.", AS_JSON, [0, 0]),
        ('{"n": 3}', {}, [1, NAN]),
        ('{"n": 3}', AS_JSON, [1, 1]),
        ('```json\n{"n": 3}\n```', AS_JSON, [1, 1]),
        ('{"n": "3"}', AS_JSON, [1, 0]),
        ('{"n": 3', {}, [0, NAN]),
        ('Here it is: {"n": 3}', {}, [NAN, NAN]),
        ('Here it is: {"n": 3}', AS_JSON, [0, 0]),
        ("[" * 50_000, {}, [0, NAN]),
    ],
)
def test_json_is_held_against_the_request(text: str, params: dict[str, Any], expected: list[float]) -> None:
    assert seen("json", text, **params) == same(expected)


@pytest.mark.parametrize(
    ("text", "is_json"),
    [
        ('{"name": "Ada"}', 1),
        ('Here it is:\n```json\n{"name": "Ada"}\n```\nAnything else?', 1),
        ('Sure! {"name": "Ada"} is it.', 1),
        ('{"name": "Ada"}\n\nNote: [1] is where it stands.', 1),
        ('Of the [two] names: {"name": "Ada"}', 1),
        ('Here it is:\n```json\n{"name": }\n```', 0),
        ('{"name": "Ada"', 0),
        ("Her name is Ada.", 0),
    ],
)
def test_json_asked_for_in_words_is_found_among_words(text: str, is_json: int) -> None:
    assert seen("json", text, "Return the result as JSON with the key name.") == same([is_json, NAN])


@pytest.mark.parametrize(
    "question",
    [
        "What is a JSON schema?",
        "What is a JSON?",
        "How do I return a dict as JSON in Flask?",
        "Write code that reads a JSON and prints it.",
        "Write a function that turns a list into JSON.",
        'Parse this valid JSON: {"a": 1}',
        "May comments stand there? What does null mean in JSON?",
    ],
)
def test_a_question_about_json_does_not_ask_for_it(question: str) -> None:
    assert seen("json", "It is a format.", question) == same([NAN, NAN])


@pytest.mark.parametrize(
    "question",
    [
        "What is it? Answer in JSON.",
        "Return a JSON object.",
        "Convert this to JSON: 1",
        "It must be valid JSON.",
        "Can you give me the country code as JSON?",
    ],
)
def test_json_may_be_asked_for_in_many_words(question: str) -> None:
    assert seen("json", "It is 3.", question) == same([0, NAN])


@pytest.mark.parametrize("schema", [{"pattern": "(a+)+$"}, {"oneOf": []}, 3, {"$ref": "#"}, {1: 2}])
def test_a_schema_that_may_not_be_followed_says_nothing(schema: Any) -> None:
    wanted = {"type": "json_schema", "json_schema": {"schema": schema}}
    assert seen("json", '"aaaa"', response_format=wanted) == same([1, NAN])


def test_what_the_rest_of_a_schema_forbids_is_wrong() -> None:
    wanted = {"type": "json_schema", "json_schema": {"schema": {"type": "string", "pattern": "(a+)+$"}}}
    assert seen("json", "3", response_format=wanted) == same([1, 0])


def test_a_schema_nested_without_end_says_nothing() -> None:
    schema: Any = {}
    for _ in range(5000):
        schema = {"items": schema}
    wanted = {"type": "json_schema", "json_schema": {"schema": schema}}
    assert seen("json", "[1]", response_format=wanted) == same([1, NAN])


def call(name: str, arguments: str) -> dict[str, Any]:
    return {"id": "1", "type": "function", "function": {"name": name, "arguments": arguments}}


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ([], [0, NAN, NAN, 0]),
        ([call("add", '{"n": 3}')], [1, 1, 1, math.log(2)]),
        ([call("add", '{"n": "3"}')], [1, 1, 0, math.log(2)]),
        ([call("add", '{"n": 3')], [1, 1, 0, math.log(2)]),
        ([call("subtract", '{"n": 3}'), call("add", '{"n": 3}')], [1, 0.5, 1, math.log(3)]),
        ([{"id": "1"}], [1, 0, 1, math.log(2)]),
    ],
)
def test_calls_are_held_against_the_tools_offered(calls: list[dict[str, Any]], expected: list[float]) -> None:
    assert read("tool_calls", Completion(text="", tool_calls=tuple(calls)), **TOOLS) == same(expected)


# As pydantic describes an order with an address and a list of items, with a pattern and an `if` in it.
ORDER = {
    "$defs": {
        "Address": {
            "type": "object",
            "properties": {"zip": {"type": "string", "pattern": "^[0-9]+$"}},
            "required": ["zip"],
        },
        "Item": {
            "type": "object",
            "properties": {"sku": {"type": "string"}, "n": {"type": "integer", "minimum": 1}},
            "required": ["sku"],
            "additionalProperties": False,
        },
    },
    "type": "object",
    "properties": {
        "to": {"$ref": "#/$defs/Address"},
        "items": {"type": "array", "items": {"$ref": "#/$defs/Item"}},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
    },
    "required": ["to", "items"],
    "if": {"required": ["note"]},
}


@pytest.mark.parametrize(
    ("arguments", "is_good"),
    [
        ('{"to": {"zip": "12345"}, "items": [{"sku": "a", "n": 2}]}', 1),
        ('{"to": {"zip": 12345}, "items": []}', 0),
        ('{"to": {}, "items": []}', 0),
        ('{"to": {"zip": "1"}, "items": [{"sku": "a"}, {"sku": "b", "n": 0}]}', 0),
        ('{"to": {"zip": "1"}, "items": [{"sku": "a", "colour": "red"}]}', 0),
        ('{"to": {"zip": "1"}, "items": [], "note": 3}', 0),
        ('{"items": []}', 0),
    ],
)
def test_arguments_are_held_against_all_of_a_nested_schema_that_can_be_followed(arguments: str, is_good: int) -> None:
    tools = [{"type": "function", "function": {"name": "order", "parameters": ORDER}}]
    completion = Completion(text="", tool_calls=(call("order", arguments),))
    assert read("tool_calls", completion, tools=tools)[2] == is_good


@pytest.mark.parametrize("tools", [None, "add", [], ["add"], [{"function": None}]])
def test_without_tools_nothing_is_said_of_calls(tools: Any) -> None:
    assert seen("tool_calls", "7", tools=tools) == same([NAN] * 4)


@pytest.mark.parametrize(
    ("text", "query", "expected"),
    [
        ("No code.", "Well?", [NAN, NAN, NAN]),
        ("```python\nx = 1\n```", "Well?", [1, math.log(2), 1]),
        ("```python\nx = = 1\n```", "Well?", [0, math.log(2), 1]),
        ("```python\nx = 1\n```\n```py\ndef f(:\n```", "Well?", [0.5, math.log(3), 1]),
        ("```\nx = 1\n```", "Write it in Python.", [1, math.log(2), 1]),
        ("```\nx = 1\n```", "Write it.", [NAN, NAN, NAN]),
        ("```rust\nlet x = (1;\n```", "Write it in Python.", [0, math.log(2), 1]),
        ("```cobol\nDISPLAY (.\n```", "Write it in Python.", [NAN, NAN, NAN]),
        ('So:\n```json\n{"a": 1,}\n```\n```toml\na = 1\n```', "Well?", [0.5, math.log(3), 1]),
        ('```json\n{"a": 1}\n```', "Well?", [NAN, NAN, NAN]),
        ("```python\n>>> f(2)\n4\n```", "Well?", [NAN, NAN, NAN]),
        ("def f(x):\n    return x", "Complete this: def f(x):", [1, math.log(2), 1]),
        ("def f(x):\n    return (x", "Write it in Python.", [0, math.log(2), 1]),
        ("from there on it rains", "Will it rain?", [NAN, NAN, NAN]),
        ("```python\nx = (1,\n", "Well?", [0, math.log(2), 0]),
        ("```python\nx = '\\d'\n```", "Well?", [1, math.log(2), 1]),
        ("```python\n" + "-" * 15_000 + "1\n```", "Well?", [0, math.log(2), 1]),
        ("```python\n" + "(" * 15_000 + "\n```", "Well?", [0, math.log(2), 1]),
    ],
)
def test_code_is_parsed(text: str, query: str, expected: list[float]) -> None:
    assert seen("code", text, query) == same(expected)


@pytest.mark.parametrize(
    ("text", "query", "expected"),
    [
        ("The answer is (B).", CHOICES, [1, math.log(3)]),
        ("The answer is (D).", CHOICES, [0, math.log(3)]),
        ("It depends.", CHOICES, [0, math.log(3)]),
        ("B", "Is it A. or C. ?", [NAN, NAN]),
        ("B", "Is it so?", [NAN, NAN]),
    ],
)
def test_a_letter_is_one_of_those_offered_or_not(text: str, query: str, expected: list[float]) -> None:
    assert seen("choices", text, query) == same(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('It says "the river runs north", so north.', [1, math.log(2)]),
        ('It says "The river, runs NORTH".', [1, math.log(2)]),
        ('It says "the river runs south".', [0, math.log(2)]),
        ("It says “the river runs north” and “nobody ever swims there”.", [0.5, math.log(3)]),
        ("It says 'the river's bed runs north', so north.", [0, math.log(2)]),
        ("It says 'the river runs north', so it's north.", [1, math.log(2)]),
        ("Es heißt „the river runs north“.", [1, math.log(2)]),
        ('It says "behind the hill ... the river runs north".', [1, math.log(2)]),
        ('It says "behind the hill ... the river runs dry".', [0, math.log(2)]),
        ("> Behind the hill\n> the river runs\n\nSo north.", [1, math.log(2)]),
        ("Since the '80s and the '90s it is the boys' best loved river.", [NAN, NAN]),
        ('It says "so" and "the river runs north" and \'behind the hill\'.', [1, math.log(3)]),
        ('"North" is where it runs, and not "south".', [NAN, NAN]),
        ('```\nprint("nobody ever swims there")\n```', [NAN, NAN]),
        ('{"reasoning": "nobody ever swims there", "answer": "north"}', [NAN, NAN]),
        ('It is "north".', [NAN, NAN]),
        ("North.", [NAN, NAN]),
    ],
)
def test_quotes_are_looked_up_in_the_question(text: str, expected: list[float]) -> None:
    assert seen("quotes", text, "Behind the hill the river runs north. Where does it run?") == same(expected)


@pytest.mark.parametrize("question", ["What is [1, 2] + [3, 4]?", "Multiply [[1], [2]] by 3.", "Add up a[1] and b[2]."])
def test_lists_of_numbers_are_no_citations(question: str) -> None:
    assert seen("quotes", "It is [4, 6].", question) == same([NAN, NAN])


SOURCES = """[1] The tower is 330 metres tall. [2] It was finished in 1889.
Section 4: Tickets are sold at https://example.org/tickets."""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It is 330 metres tall [1] and old [1, 2].", [1, math.log(3)]),
        ("It is 330 metres tall [1], and pink [7].", [0.5, math.log(3)]),
        ("See sections 4 and, for more, section 9.", [0.5, math.log(3)]),
        ("Buy them at https://example.org/tickets.", [1, math.log(2)]),
        ("Buy them at [the shop](https://example.com/shop).", [0, math.log(2)]),
        ("As document 3 says.", [NAN, NAN]),
        ("Use `a[7]` here.", [NAN, NAN]),
    ],
)
def test_citations_are_looked_up_in_the_question(text: str, expected: list[float]) -> None:
    assert seen("quotes", text, SOURCES) == same(expected)


@pytest.mark.parametrize(
    ("text", "query", "kept"),
    [
        ("Paris", "Answer in one word: the capital of France?", 1),
        ("It is Paris", "Answer in one word: the capital of France?", 0),
        ("42.", "Answer with only the number.", 1),
        ("It is 42.", "Answer with only the number.", 0),
        ("No, it is not.", "Is it prime? Answer yes or no.", 1),
        ("It depends.", "Is it prime? Answer yes or no.", 0),
        ("one two three", "Say it in at most 3 words.", 1),
        ("one two three four", "Say it in at most 3 words.", 0),
        ("Paris", "The capital of France?", NAN),
        ("Berlin is the capital, and it is large.", "Answer in German: what is the capital?", 0),
        ("Berlin ist die Hauptstadt, und es ist groß.", "Answer in German: what is the capital?", 1),
        ("El tiempo es agradable hoy.", "Translate to Spanish: The weather is nice today.", 1),
        ("今日は天気がいいので散歩に行きましょう。", "Say that we go for a walk, in Japanese.", 1),
        ("Let us go for a walk in the nice weather.", "Say that we go for a walk, in Japanese.", 0),
        ("- air\n- shade\n- wood", "Give me exactly three bullet points on trees.", 1),
        ("- air\n- shade", "Give me exactly three bullet points on trees.", 0),
        ("1. fig\n2. pear\n3. plum", "List three fruits.", 1),
        ("1. fig\n2. pear", "List three fruits.", 0),
        ("1. fig\n   - old\n   - sweet\n2. pear\n   - new\n   - sour", "List two fruits.", 1),
        ("- fig\n  - old\n- pear", "Name them in exactly 2 bullet points.", 1),
        ("The U.S. grew by 3.5 percent. It was good, as Fig. 2 shows.", "Say it in two sentences.", 1),
        ("It is in the U.S. It grew.", "Say it in two sentences.", 1),
        ("Fig, pear and plum.", "List three fruits.", NAN),
        ("Light scatters. Blue does so most, e.g. at noon.", "Explain in two sentences why the sky is blue.", 1),
        ("Light scatters. Blue most. So it is.", "Explain in two sentences why the sky is blue.", 0),
        ("One.\n\nTwo.", "Explain it in one paragraph.", 0),
        ("| name | age |\n|---|---|\n| Ada | 36 |", "Respond with a table, as a markdown table.", 1),
        ("Ada is 36.", "Show the ages as a table.", 0),
        ("Rain is wet.", "Write at least 100 words on rain.", 0),
        ("THE SKY IS BLUE.", "Answer in all caps: what is the sky?", 1),
        ("So it is 4.", "Put your final answer in \\boxed{}. 2 + 2?", 0),
        ("<answer>4</answer>", "Put it inside <answer> tags. 2 + 2?", 1),
        ("4", "Put it within <answer></answer> tags. 2 + 2?", 0),
        ("Dear Ada, all is well.", 'Start your letter with "Dear".', 1),
    ],
)
def test_wishes_for_a_form_are_kept_or_not(text: str, query: str, kept: float) -> None:
    assert seen("wishes", text, query)[0] == same(kept)  # type: ignore[arg-type]  # approx takes one number too


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The largest city of the country is Paris.", 1),
        ("Le chef-lieu est très évidemment à Genève.", 1),
        ("Крупнейший город этой страны есть Париж.", 0),
        ("Paris", NAN),
    ],
)
def test_an_answer_in_another_script_is_seen(text: str, expected: float) -> None:
    assert seen("wishes", text, "What is the largest city of France?")[1] == same(expected)  # type: ignore[arg-type]


def test_going_in_circles_is_seen() -> None:
    straight = " ".join(f"word{number}" for number in range(40))
    assert seen("repetition", straight) == [0, 0]
    assert seen("repetition", "I add three and four again.\n" * 20) == same([1 - 6 / 116, math.log(20)])
    assert seen("repetition", "Seven.") == same([NAN, NAN])


def final(completion: Completion) -> tuple[float, float]:
    """Returns mean and minimum over the tokens of the final answer."""
    signal = create_signals()["logprobs"]
    values = dict(zip(signal.names, signal.read(Query.from_text("3 + 4?"), completion), strict=True))
    return values["final_mean"], values["final_minimum"]


def test_the_tokens_of_the_final_answer_are_found() -> None:
    tokens = ("The ", "answer ", "is ", "1", "2", ".")
    told = Completion(text="The answer is 12.", logprobs=(-9, -9, -9, -0.5, -1.5, -9), tokens=tokens)
    assert final(told) == pytest.approx((-1.0, -1.5))
    alike = Completion(text="####7 8", logprobs=(-9, -9, -9, -9, -0.25, -0.25, -0.25))
    assert final(alike) == pytest.approx((-0.25, -0.25))
    assert final(Completion(text="It depends on what is meant.", logprobs=(-1.0,))) == same([NAN, NAN])


def test_the_lowest_window_is_the_weakest_link() -> None:
    signal = create_signals()["logprobs"]
    values = dict(
        zip(
            signal.names,
            signal.read(Query.from_text("?"), Completion(text="7", logprobs=(0.0,) * 20 + (-2.0,) * 8 + (0.0,) * 20)),
            strict=True,
        )
    )
    assert values["lowest_window"] == pytest.approx(-2.0)
    assert values["mean"] > -0.5


def test_the_window_grows_with_a_long_reasoning() -> None:
    """Eight unsure tokens in a row are nothing in thousands, a long stretch of doubt is."""
    signal = create_signals()["reasoning"]

    def lowest(doubts: int) -> float:
        logprobs = (-0.1,) * 3000 + (-3.0,) * doubts + (-0.1,) * (3400 - doubts)
        completion = Completion(text="7", reasoning="...", reasoning_logprobs=logprobs)
        return signal.read(Query.from_text("?"), completion)[signal.names.index("lowest_window")]

    assert lowest(8) == pytest.approx(-0.1 - 2.9 * 8 / 200)
    assert lowest(200) == pytest.approx(-3.0)
