"""What is translated and what is refused, for every format and kind of backend: the table is in the HTTP reference."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from ...backends.loopback import Asked, Canned
from .conftest import Talk, talking
from .test_clients import ASKED, BACKENDS, FORMATS, SCHEMA, ask
from .upstreams import CLAUDE, GPT, MODELS, Between, chat_events, chat_reply, says

# Where nothing speaks against it, Claude is asked first.
CLAUDE_FIRST = MODELS.replace("tier: mid", "tier: small", 1)
URL = "https://pictures.example/cat.png"
SEEN: dict[str, Any] = {
    "chat": {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": URL}}]}]},
    "messages": {
        "messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": URL}}]}],
    },
    "responses": {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": URL, "detail": "low"}]}]},
}


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Talk]:
    """Returns a way to talk through one sidecar."""
    with talking(tmp_path_factory.mktemp("sidecar"), models=CLAUDE_FIRST) as talk:
        yield talk


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("format", FORMATS)
def test_an_image_by_reference_goes_on_by_reference(talk: Talk, format: str, backend: str) -> None:
    async def what(sidecar: Between) -> Any:
        await ask(sidecar, format, backend, is_stream=False, **SEEN[format])
        return sidecar.asked(backend).json["messages"][0]["content"][0]

    part = talk(what)
    assert (part["source"] if backend == "claude" else part["image_url"])["url"] == URL


TOKENS = [
    {"token": token, "logprob": value, "bytes": list(token.encode()), "top_logprobs": []}
    for token, value in (("It is", -0.25), (" 391.", -0.5))
]


def certain() -> Any:
    """Returns a provider of chat completions that tells log-probabilities."""
    whole = chat_reply({"content": "It is 391."})
    whole["choices"][0]["logprobs"] = {"content": TOKENS}
    return says(whole, chat_events({"content": "It is 391."}))


def test_log_probabilities_are_told_in_chat_completions_and_responses(talk: Talk) -> None:
    async def what(sidecar: Between) -> Any:
        chat = await ask(sidecar, "chat", "gpt", is_stream=False, logprobs=True)
        included = ["message.output_text.logprobs"]
        response = await ask(sidecar, "responses", "gpt", is_stream=False, include=included)
        told = response.output[-1].content[0].logprobs
        return [one.logprob for one in chat.choices[0].logprobs.content], [one.logprob for one in told]

    assert talk(what, gpt=certain()) == ([-0.25, -0.5], [-0.25, -0.5])


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "logprobs": ("chat", {"logprobs": True}, "does not support logprobs"),
    "n": ("chat", {"n": 2}, "does not support n"),
    "logit_bias": ("chat", {"logit_bias": {"50256": -100}}, "logit_bias: the Messages API has no counterpart"),
    "penalty": ("chat", {"frequency_penalty": 1}, "frequency_penalty: the Messages API has no counterpart"),
    "json_object": ("chat", {"response_format": {"type": "json_object"}}, "type 'json_object' has no counterpart"),
    "verbosity": ("chat", {"verbosity": "low"}, "verbosity: the Messages API has no counterpart"),
    "audio": (
        "chat",
        {
            "messages": [
                {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]}
            ]
        },
        "a part of type 'input_audio' has no counterpart",
    ),
    "function_call": (
        "chat",
        {"messages": [{"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}]},
        "function_call has no counterpart",
    ),
    "audio answer": (
        "chat",
        {"messages": [{"role": "assistant", "audio": {"id": "audio_1"}}, {"role": "user", "content": ASKED}]},
        "audio has no counterpart",
    ),
    "file by id": (
        "responses",
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}]},
        "a part of type 'file' has no counterpart",
    ),
    "response logprobs": ("responses", {"include": ["message.output_text.logprobs"]}, "does not support logprobs"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_messages_api_cannot_say_is_refused_and_nobody_is_asked(talk: Talk, name: str) -> None:
    format, fields, said = REFUSED[name]

    async def what(sidecar: Between) -> Any:
        with pytest.raises(openai.BadRequestError) as caught:
            await ask(sidecar, format, "claude", is_stream=False, **fields)
        return str(caught.value), sidecar.claude.asked

    told, asked = talk(what)
    assert said in told
    assert asked == []


@pytest.mark.parametrize("name", REFUSED)
def test_where_it_is_routed_it_goes_to_a_backend_that_can_be_told(talk: Talk, name: str) -> None:
    format, fields, _ = REFUSED[name]

    async def what(sidecar: Between) -> Any:
        reply = await ask(sidecar, format, "auto", is_stream=False, **fields)
        return reply.model, sidecar.claude.asked

    assert talk(what) == ("gpt", [])


def test_else_it_goes_to_the_abler_one_at_the_same_price(talk: Talk) -> None:
    assert talk(lambda sidecar: ask(sidecar, "chat", "auto", is_stream=False)).model == "claude"


def test_several_answers_reach_the_client(talk: Talk) -> None:
    choices = [
        {"index": place, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        for place, text in enumerate(("391", "392"))
    ]

    async def what(sidecar: Between) -> Any:
        reply = await ask(sidecar, "chat", "auto", is_stream=False, n=2)
        return [choice.message.content for choice in reply.choices], sidecar.asked("gpt").json["n"]

    assert talk(what, gpt=says(chat_reply({}) | {"choices": choices}, ())) == (["391", "392"], 2)


def test_who_speaks_is_said_where_there_is_no_field_for_it(talk: Talk) -> None:
    spoken = [
        {"role": "user", "name": "ann", "content": "17 * 23?"},
        {"role": "user", "name": "bob", "content": "I say 390."},
    ]

    async def what(sidecar: Between) -> Any:
        await ask(sidecar, "chat", "claude", is_stream=False, messages=spoken)
        return [block["text"] for block in sidecar.asked("claude").json["messages"][0]["content"]]

    assert talk(what) == ["ann:", "17 * 23?", "bob:", "I say 390."]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("format", ["chat", "responses"])
def test_an_answer_of_a_shape_is_parsed_by_the_client(talk: Talk, format: str, backend: str) -> None:
    pydantic = pytest.importorskip("pydantic")
    shape = pydantic.create_model("Sum", x=(int, ...))
    text = '{"x": 391}'

    def shaped(asked: Asked) -> Canned:
        reply = GPT if backend == "gpt" else CLAUDE
        canned = reply(asked)
        assert isinstance(canned.body, bytes)
        return Canned(body=canned.body.replace(b'"It is 391."', text.replace('"', '\\"').join('""').encode()))

    async def what(sidecar: Between) -> Any:
        if format == "chat":
            asked: Any = [{"role": "user", "content": ASKED}]
            reply = await sidecar.openai.chat.completions.parse(model=backend, messages=asked, response_format=shape)
            return reply.choices[0].message.parsed, sidecar.asked(backend).json
        answer = await sidecar.openai.responses.parse(model=backend, input=ASKED, text_format=shape)
        return answer.output_parsed, sidecar.asked(backend).json

    parsed, body = talk(what, gpt=shaped, claude=shaped)
    assert parsed.x == 391
    wanted = body["output_config"]["format"] if backend == "claude" else body["response_format"]["json_schema"]
    assert set(wanted["schema"]["properties"]) == set(SCHEMA["properties"])
