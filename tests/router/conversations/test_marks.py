"""What answers and conversations are known by."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.backends import Query
from penstock.router.conversations.marks import is_in_tool_loop, key_of, mark_of, marks_in

USER = {"role": "user", "content": "What is 17 * 23?"}
ANSWER = {"role": "assistant", "content": "It is 391."}


def call(arguments: str, *, id: str = "c", name: str = "add") -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def key(*messages: Any, asker: str = "", conversation: str | None = None, **params: Any) -> str:
    return key_of(Query.from_messages(messages, params=params), asker=asker, conversation=conversation)


def test_a_conversation_keeps_its_key_as_it_grows() -> None:
    assert key(USER) == key(USER, ANSWER, {"role": "user", "content": "ok, go on"})


@pytest.mark.parametrize(
    "other",
    [
        key(USER, asker="another key"),
        key({"role": "user", "content": "What is 18 * 23?"}),
        key({"role": "system", "content": "Be brief."}, USER),
        key(USER, user="u-1"),
        key(USER, metadata={"session_id": "s-1"}),
        key(USER, conversation="chat-1"),
    ],
)
def test_conversations_of_others_have_other_keys(other: str) -> None:
    assert other != key(USER)


def test_a_named_conversation_is_one_whatever_is_said_but_of_one_asker_only() -> None:
    one = key(USER, asker="a", conversation="chat-1")
    assert one == key({"role": "user", "content": "Summary of what was said"}, asker="a", conversation="chat-1")
    assert one != key(USER, asker="b", conversation="chat-1")
    assert one != key(USER, asker="a", conversation="chat-2")


def test_an_answer_is_known_again_as_clients_send_it_back() -> None:
    sent = mark_of("It is 391.\n", [call('{"b": 1, "a": 2}', id="call_1")])
    query = Query.from_messages(
        [
            USER,
            {
                "role": "assistant",
                "content": [{"type": "text", "text": " It is 391."}],
                "tool_calls": [call('{"a":2,"b":1}', id="toolu_1")],
            },
        ]
    )
    assert marks_in(query) == [sent]


@pytest.mark.parametrize(
    "fields",
    [{"content": None, "refusal": "I cannot."}, {"content": [{"type": "refusal", "refusal": "I cannot."}]}],
)
def test_a_refusal_is_known_again_by_its_words(fields: dict[str, Any]) -> None:
    assert marks_in(Query.from_messages([USER, {"role": "assistant", **fields}])) == [mark_of("I cannot.", [])]


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("It is 392.", [call("{}")]),
        ("It is 391.", []),
        ("It is 391.", [call('{"a": 1}')]),
        ("It is 391.", [call("{}", name="sub")]),
        ("It is 391.", [call("{")]),
    ],
)
def test_another_answer_has_another_mark(text: str, calls: list[dict[str, Any]]) -> None:
    assert mark_of(text, calls) != mark_of("It is 391.", [call("{}")])


CALLS = {"role": "assistant", "content": None, "tool_calls": [call("{}")]}
RESULT = {"role": "tool", "tool_call_id": "c", "content": "2"}


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([USER], False),
        ([USER, ANSWER, USER], False),
        ([USER, CALLS, RESULT], True),
        ([USER, CALLS, RESULT, USER], True),  # as in Messages, where a turn brings results and words
        ([USER, CALLS, RESULT, ANSWER, USER], False),
    ],
)
def test_a_tool_loop_lasts_from_the_results_to_the_next_answer(messages: list[Any], expected: bool) -> None:
    assert is_in_tool_loop(Query.from_messages(messages)) is expected
