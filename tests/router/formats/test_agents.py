"""Frameworks that run agents, over sockets: a loop with a tool, through either kind of provider."""

from __future__ import annotations

from typing import Any

import anthropic
import orjson
import pytest

from ...backends.loopback import Asked, Canned
from .conftest import Talk
from .upstreams import CLAUDE, CLAUDE_CALLS, GPT, GPT_CALLS, Between

QUESTION = "What is 17 * 23?"


def gpt(asked: Asked) -> Canned:
    """Calls the tool, and answers once it has its result."""
    has_result = any(message["role"] == "tool" for message in asked.json["messages"])
    return (GPT if has_result else GPT_CALLS)(asked)


def claude(asked: Asked) -> Canned:
    """Does the same."""
    return (CLAUDE if "tool_result" in str(asked.json["messages"]) else CLAUDE_CALLS)(asked)


def results_in(asked: Asked) -> bool:
    """Returns whether the tool's result came with a request."""
    return "the sum with 1 is 2" in orjson.dumps(asked.json["messages"]).decode()


@pytest.mark.parametrize("backend", ["gpt", "claude"])
@pytest.mark.parametrize("api", ["chat", "responses"])
@pytest.mark.parametrize("is_stream", [False, True])
def test_openais_agents_run_a_loop_with_a_tool(talk: Talk, api: str, backend: str, is_stream: bool) -> None:
    agents = pytest.importorskip("agents")
    agents.set_tracing_disabled(True)
    told: list[int] = []

    @agents.function_tool  # type: ignore[untyped-decorator]  # not installed everywhere
    def add(x: int) -> str:
        """Adds one."""
        told.append(x)
        return f"the sum with 1 is {x + 1}"

    async def what(sidecar: Between) -> Any:
        kind = agents.OpenAIChatCompletionsModel if api == "chat" else agents.OpenAIResponsesModel
        agent = agents.Agent(name="sums", tools=[add], model=kind(model=backend, openai_client=sidecar.openai))
        if not is_stream:
            return (await agents.Runner.run(agent, QUESTION)).final_output, sidecar.asked(backend)
        run = agents.Runner.run_streamed(agent, QUESTION)
        async for _ in run.stream_events():
            pass
        return run.final_output, sidecar.asked(backend)

    output, last = talk(what, gpt=gpt, claude=claude)
    assert (output, told) == ("It is 391.", [1])
    assert results_in(last)


@pytest.mark.parametrize("model", ["gpt", "claude", "auto"])
@pytest.mark.parametrize("is_stream", [False, True])
def test_anthropics_tool_runner_runs_a_loop_with_a_tool(talk: Talk, model: str, is_stream: bool) -> None:
    @anthropic.beta_async_tool
    async def add(x: int) -> str:
        """Adds one."""
        return f"the sum with 1 is {x + 1}"

    async def what(sidecar: Between) -> Any:
        runner: Any = sidecar.anthropic.beta.messages.tool_runner(
            model=model,
            max_tokens=100,
            tools=[add],
            messages=[{"role": "user", "content": QUESTION}],
            stream=is_stream,
        )
        reply = await runner.until_done()
        return reply.content[-1].text, sidecar.asked("claude" if model == "claude" else "gpt")

    text, last = talk(what, gpt=gpt, claude=claude)
    assert text == "It is 391."
    assert results_in(last)


THREADED: dict[str, Any] = {"messages": [{"role": "user", "content": QUESTION}], "max_tokens": 9}


@pytest.mark.parametrize("model", ["gpt", "auto", None])
def test_a_conversation_that_the_provider_is_to_keep_is_not_routed_and_the_client_told_so(
    talk: Talk, model: str | None
) -> None:
    async def what(sidecar: Between) -> Any:
        body = THREADED | {"thread": {"type": "create"}} | ({"model": model} if model else {})
        return await sidecar.http.post("/v1/messages", json=body), len(sidecar.gpt.asked + sidecar.claude.asked)

    reply, n_asked = talk(what)
    assert (reply.status_code, n_asked) == (400, 0)
    details = reply.json()["error"]["details"]
    assert details == {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}


def test_a_conversation_that_the_provider_is_to_keep_reaches_it_where_it_is_named(talk: Talk) -> None:
    async def what(sidecar: Between) -> Any:
        thread = {"type": "continue", "previous_message_id": "msg_up"}
        await sidecar.http.post("/v1/messages", json=THREADED | {"model": "claude", "thread": thread})
        return sidecar.asked("claude").json["thread"] == thread

    assert talk(what)


@pytest.mark.parametrize("backend", ["gpt", "claude"])
@pytest.mark.parametrize("client", ["langchain_openai", "langchain_openai responses", "langchain_anthropic"])
def test_langchain_runs_a_loop_with_a_tool(talk: Talk, client: str, backend: str) -> None:
    module = pytest.importorskip(client.partition(" ")[0])
    messages = pytest.importorskip("langchain_core.messages")
    tools = pytest.importorskip("langchain_core.tools")

    @tools.tool  # type: ignore[untyped-decorator]  # not installed everywhere
    def add(x: int) -> str:
        """Adds one."""
        return f"the sum with 1 is {x + 1}"

    async def what(sidecar: Between) -> Any:
        if client == "langchain_anthropic":
            model = module.ChatAnthropic(model=backend, base_url=sidecar.url, api_key="x", max_retries=0)
        else:
            model = module.ChatOpenAI(
                model=backend,
                base_url=f"{sidecar.url}/v1",
                api_key="x",
                max_retries=0,
                use_responses_api=client.endswith("responses"),
            )
        bound = model.bind_tools([add])
        said: list[Any] = [messages.HumanMessage(QUESTION)]
        said.append(await bound.ainvoke(said))
        (call,) = said[-1].tool_calls
        said.append(await add.ainvoke(call))
        return (await bound.ainvoke(said)).text, sidecar.asked(backend)

    text, last = talk(what, gpt=gpt, claude=claude)
    assert str(text) == "It is 391."
    assert results_in(last)
