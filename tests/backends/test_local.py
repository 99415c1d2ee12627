from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import pytest

from penstock.backends import (
    Backend,
    BackendError,
    BackendSpec,
    BackendTimeout,
    Chunk,
    Completion,
    ConfigError,
    ContextTooLong,
    InvalidRequest,
    Limits,
    Query,
    ServerFailed,
    Timeouts,
    create_backend,
)
from penstock.backends.local import LocalBackend

torch = pytest.importorskip("torch", reason="needs the extra `local`")
transformers: Any = pytest.importorskip("transformers", reason="needs the extra `local`")

T = TypeVar("T")

SPECIAL = ("<|end|>", "<think>", "</think>", "<|outside|>")  # the last one is in no model's vocabulary
N_TOKENS = 256 + len(SPECIAL)
SHAPE = {
    "vocab_size": N_TOKENS - 1,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "bos_token_id": None,
    "eos_token_id": 256,
    "pad_token_id": 256,
}
PLAIN = "{% for message in messages %}{{ message.content }}>{% endfor %}"
DIALOGUE = {
    "sum": "<think>2+2 is 4</think>\nIt is 4.",
    "menu": "Café ☕ 😀!",
    "list": "one, two, three, four",
}
PROMPTS = ("hello", "a question that is a good deal longer than the others", "x", "what is that?", "12 + 30 =")


def save_tokenizer(folder: Path, template: str = PLAIN) -> Any:
    """Returns the byte-level tokenizer that is saved in `folder`: one token per byte, and the special ones."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    raw = Tokenizer(models.BPE(vocab={letter: place for place, letter in enumerate(letters)}, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    raw.decoder = decoders.ByteLevel()
    raw.add_special_tokens([AddedToken(text, special=True) for text in SPECIAL])
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token="<|end|>", pad_token="<|end|>", chat_template=template
    )
    tokenizer.save_pretrained(folder)
    return tokenizer


def save_random_model(folder: Path, config: Any = None, template: str = PLAIN) -> Path:
    """Returns `folder` with a model of random weights, spread so that it babbles instead of repeating itself."""
    torch.manual_seed(0)
    save_tokenizer(folder, template)
    config = config or transformers.LlamaConfig(**SHAPE, initializer_range=0.3)
    transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
    return folder


def save_learned_model(folder: Path) -> Path:
    """Returns `folder` with a model that knows DIALOGUE by heart."""
    torch.manual_seed(0)
    tokenizer = save_tokenizer(folder)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**SHAPE))
    texts = [tokenizer(f"{question}>{answer}<|end|>")["input_ids"] for question, answer in DIALOGUE.items()]
    width = max(map(len, texts))
    tokens = torch.tensor([text + [256] * (width - len(text)) for text in texts])
    labels = torch.tensor([text + [-100] * (width - len(text)) for text in texts])
    for row, question in enumerate(DIALOGUE):
        labels[row, : len(question) + 1] = -100
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(300):
        loss = model(input_ids=tokens, labels=labels).loss
        if loss.item() < 0.01:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True, scope="module")
def quiet_torch() -> Iterator[None]:
    """One thread is the fastest for models of this size, and progress bars only fill the log."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    logging: Any = import_module("transformers.utils.logging")
    logging.disable_progress_bar()
    yield
    logging.enable_progress_bar()
    torch.set_num_threads(n_threads)


@pytest.fixture(scope="module")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_model(tmp_path_factory.mktemp("random"))


@pytest.fixture(scope="module")
def learned_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_learned_model(tmp_path_factory.mktemp("learned"))


def spec_of(folder: Path | str, *, name: str = "small", **fields: Any) -> BackendSpec:
    return BackendSpec(name=name, type="local", model=str(folder), **fields)


def ask(text: str, **params: Any) -> Query:
    return Query.from_messages([{"role": "user", "content": text}], params=params)


def run(spec: BackendSpec, work: Callable[[LocalBackend], Awaitable[T]]) -> T:
    """Returns what `work` does with a backend that is closed afterwards."""

    async def within() -> T:
        backend = LocalBackend(spec)
        try:
            return await work(backend)
        finally:
            await backend.aclose()

    return asyncio.run(within())


def complete(spec: BackendSpec, *queries: Query) -> list[Completion]:
    """Returns the completions of queries asked together."""

    async def work(backend: LocalBackend) -> list[Completion]:
        return list(await asyncio.gather(*(backend.complete(query) for query in queries)))

    return run(spec, work)


def worker_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("penstock-local")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What transformers itself generates and thinks of it."""

    tokens: list[int]
    text: str
    logprobs: list[float]
    entropies: list[float]
    margins: list[float]


def generate(folder: Path, text: str, n_tokens: int, **settings: Any) -> Reference:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    prompt = torch.tensor([tokenizer(f"{text}>")["input_ids"]])
    with torch.inference_mode():
        whole = model.generate(
            prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=n_tokens, do_sample=False, **settings
        )
        logits = model(whole).logits[0, prompt.shape[1] - 1 : -1]
    new = whole[0, prompt.shape[1] :]
    n_said = len(new) - int(new[-1] == 256)
    ordered = logits.sort(-1, descending=True).values
    return Reference(
        tokens=new.tolist(),
        text=tokenizer.decode(new[:n_said].tolist()),
        logprobs=logits.log_softmax(-1).gather(-1, new[:, None])[:n_said, 0].tolist(),
        entropies=torch.distributions.Categorical(logits=logits).entropy()[:n_said].tolist(),
        margins=(ordered[:n_said, 0] - ordered[:n_said, 1]).tolist(),
    )


FAMILIES = {
    "full attention": lambda: transformers.LlamaConfig(**SHAPE, initializer_range=0.3),
    "sliding window": lambda: transformers.MistralConfig(**SHAPE, initializer_range=0.3, sliding_window=8),
    "learned positions": lambda: transformers.GPT2Config(
        vocab_size=N_TOKENS, n_embd=32, n_layer=2, n_head=4, bos_token_id=None, eos_token_id=256, initializer_range=0.3
    ),
    "convolutions, one at a time": lambda: transformers.Lfm2Config(
        **SHAPE, initializer_range=0.3, layer_types=["conv", "full_attention"]
    ),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_answers_of_a_batch_are_those_of_generate(family: str, tmp_path: Path) -> None:
    folder = save_random_model(tmp_path, FAMILIES[family]())
    completions = complete(spec_of(folder), *(ask(prompt, max_tokens=40) for prompt in PROMPTS))
    references = [generate(folder, prompt, 40) for prompt in PROMPTS]
    assert [completion.text for completion in completions] == [reference.text for reference in references]
    assert len({completion.text for completion in completions}) == len(PROMPTS)
    for completion, reference in zip(completions, references, strict=True):
        assert completion.usage.output_tokens == len(reference.tokens)
        assert completion.logprobs == pytest.approx(reference.logprobs, abs=1e-3)
        assert completion.entropies == pytest.approx(reference.entropies, abs=1e-3)
        assert completion.margins == pytest.approx(reference.margins, abs=1e-3)


def test_repetition_penalty_is_that_of_generate(random_model: Path) -> None:
    [completion] = complete(spec_of(random_model), ask("hello", max_tokens=40, repetition_penalty=1.3))
    assert completion.text == generate(random_model, "hello", 40, repetition_penalty=1.3).text
    assert completion.text != generate(random_model, "hello", 40).text


def test_sampled_answers_do_not_depend_on_the_batch(random_model: Path) -> None:
    queries = [ask(prompt, max_tokens=30, temperature=0.9, top_p=0.9, seed=5) for prompt in PROMPTS]

    async def one_by_one(backend: LocalBackend) -> list[Completion]:
        return [await backend.complete(query) for query in queries]

    apart = run(spec_of(random_model), one_by_one)
    together = complete(spec_of(random_model), *queries)
    assert [completion.text for completion in together] == [completion.text for completion in apart]


def test_seed_decides_what_is_drawn(random_model: Path) -> None:
    seeds = [1, 1, 2]
    first, again, other = complete(
        spec_of(random_model), *(ask("hello", max_tokens=30, temperature=1, seed=seed) for seed in seeds)
    )
    assert first.text == again.text != other.text


def test_more_queries_than_the_batch_holds_are_all_answered(random_model: Path) -> None:
    queries = [ask(prompt, max_tokens=5 + place) for place, prompt in enumerate(PROMPTS)]
    completions = complete(spec_of(random_model, options={"max_batch": 2}), *queries)
    assert [completion.text for completion in completions] == [
        generate(random_model, prompt, 5 + place).text for place, prompt in enumerate(PROMPTS)
    ]


def test_query_joins_while_another_is_being_answered(random_model: Path) -> None:
    async def work(backend: LocalBackend) -> tuple[Completion, str]:
        stream = backend.stream(ask("hello", max_tokens=400))
        pieces = [(await anext(stream)).text]
        joined = await backend.complete(ask("x", max_tokens=10))
        after = await anext(stream)
        assert after.completion is None
        pieces += [after.text, *[chunk.text async for chunk in stream]]
        return joined, "".join(pieces)

    joined, text = run(spec_of(random_model), work)
    assert joined.text == generate(random_model, "x", 10).text
    assert text == generate(random_model, "hello", 400).text


def test_cancelled_queries_free_their_places(random_model: Path) -> None:
    async def work(backend: LocalBackend) -> Completion:
        stream = backend.stream(ask("hello", max_tokens=400))
        await anext(stream)
        waiting = [asyncio.ensure_future(backend.complete(ask(prompt, max_tokens=400))) for prompt in PROMPTS]
        await anext(stream)
        for task in waiting:
            task.cancel()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
        running = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        running.cancel()
        return await backend.complete(ask("x", max_tokens=10))

    completion = run(spec_of(random_model, options={"max_batch": 1}), work)
    assert completion.text == generate(random_model, "x", 10).text


def test_others_go_on_when_one_is_cancelled(random_model: Path) -> None:
    async def work(backend: LocalBackend) -> Completion:
        stream = backend.stream(ask("x", max_tokens=400))
        await anext(stream)
        other = asyncio.ensure_future(backend.complete(ask("hello", max_tokens=60)))
        await anext(stream)
        await stream.aclose()
        return await other

    assert run(spec_of(random_model), work).text == generate(random_model, "hello", 60).text


def test_closed_stream_frees_its_place(random_model: Path) -> None:
    async def work(backend: LocalBackend) -> Completion:
        stream = backend.stream(ask("hello", max_tokens=400))
        await anext(stream)
        await stream.aclose()
        return await backend.complete(ask("x", max_tokens=10))

    spec = spec_of(random_model, options={"max_batch": 1}, timeout=Timeouts(first_token_s=30))
    assert run(spec, work).usage.output_tokens == 10


def test_event_loop_keeps_running_while_tokens_are_generated(random_model: Path) -> None:
    async def work(backend: LocalBackend) -> int:
        await backend.complete(ask("hello", max_tokens=1))
        task = asyncio.ensure_future(backend.complete(ask("hello", max_tokens=100)))
        n_ticks = 0
        while not task.done():
            await asyncio.sleep(0)
            n_ticks += 1
        return n_ticks

    assert run(spec_of(random_model), work) > 50


def test_thinking_is_split_from_the_answer(learned_model: Path) -> None:
    [completion] = complete(spec_of(learned_model), ask("sum"))
    assert (completion.reasoning, completion.text) == ("2+2 is 4", "It is 4.")
    assert completion.finish_reason == "stop"
    assert completion.tokens == tuple("It is 4.")
    assert completion.usage.input_tokens == len("sum>")
    assert completion.usage.reasoning_tokens == 1 + len("2+2 is 4") + 1 + len("\n")
    assert completion.usage.output_tokens == completion.usage.reasoning_tokens + len("It is 4.") + 1


def test_thinking_opened_by_the_template_is_reasoning(tmp_path: Path) -> None:
    folder = save_random_model(tmp_path, template=PLAIN + "<think>\n")
    [completion] = complete(spec_of(folder), ask("hello", max_tokens=5))
    assert completion.text == ""
    assert completion.usage.reasoning_tokens == 5
    assert completion.tokens == ()
    assert completion.logprobs == ()


def test_stream_gives_reasoning_then_answer_and_ends_with_the_completion(learned_model: Path) -> None:
    async def work(backend: LocalBackend) -> list[Chunk]:
        return [chunk async for chunk in backend.stream(ask("sum"))]

    chunks = run(spec_of(learned_model), work)
    assert "".join(chunk.reasoning for chunk in chunks) == "2+2 is 4"
    assert "".join(chunk.text for chunk in chunks) == "It is 4."
    assert len(chunks) > len("It is 4.")
    completion = chunks[-1].completion
    assert completion is not None
    assert completion.first_token_s is not None
    assert 0 < completion.first_token_s <= completion.latency_s


def test_characters_are_streamed_whole(learned_model: Path) -> None:
    async def work(backend: LocalBackend) -> list[str]:
        return [chunk.text async for chunk in backend.stream(ask("menu")) if chunk.completion is None]

    assert run(spec_of(learned_model), work) == list("Café ☕ 😀!")


@pytest.mark.parametrize("stop", [", th", [", th", "four"]])
def test_stop_string_ends_the_answer_before_it(learned_model: Path, stop: Any) -> None:
    [completion] = complete(spec_of(learned_model), ask("list", stop=stop))
    assert (completion.text, completion.finish_reason) == ("one, two", "stop")
    assert completion.usage.output_tokens == len("one, two, th")


def test_answer_that_is_cut_off_says_length(learned_model: Path) -> None:
    [completion] = complete(spec_of(learned_model), ask("list", max_completion_tokens=5))
    assert (completion.text, completion.finish_reason) == ("one, ", "length")


def test_output_limit_of_the_backend_holds_over_the_query(learned_model: Path) -> None:
    [completion] = complete(spec_of(learned_model, limits=Limits(max_output_tokens=3)), ask("list", max_tokens=100))
    assert (completion.text, completion.usage.output_tokens) == ("one", 3)


def test_prompt_that_fills_the_context_is_refused(random_model: Path) -> None:
    with pytest.raises(ContextTooLong, match="the prompt has 20 tokens and the answer may have 512; the context holds"):
        complete(
            spec_of(random_model, limits=Limits(context_tokens=20, max_output_tokens=512)), ask("1234567890123456789")
        )


def test_answer_length_that_does_not_fit_the_context_is_refused(random_model: Path) -> None:
    with pytest.raises(ContextTooLong):
        complete(spec_of(random_model), ask("hello", max_tokens=507))


def test_unasked_answer_length_is_cut_to_the_context(random_model: Path) -> None:
    [completion] = complete(spec_of(random_model, limits=Limits(context_tokens=20)), ask("hello"))
    assert (completion.usage.output_tokens, completion.finish_reason) == (20 - len("hello>"), "length")


EFFORT = "{{ reasoning_effort | default('unset') }}:{{ style | default('') }}:" + PLAIN


@pytest.mark.parametrize(("effort", "shown"), [("low", "low"), ("medium", "medium"), (None, "unset")])
def test_effort_reaches_the_template(tmp_path: Path, effort: str | None, shown: str) -> None:
    folder = save_random_model(tmp_path, template=EFFORT)
    [completion] = complete(spec_of(folder, effort=effort), ask("hello", max_tokens=1))
    assert completion.usage.input_tokens == len(f"{shown}::hello>")


def test_template_option_reaches_the_template(tmp_path: Path) -> None:
    folder = save_random_model(tmp_path, template=EFFORT)
    spec = spec_of(folder, effort="low", options={"template": {"style": "terse"}})
    [completion] = complete(spec, ask("hello", max_tokens=1))
    assert completion.usage.input_tokens == len("low:terse:hello>")


def test_tools_reach_a_template_that_knows_them(tmp_path: Path) -> None:
    folder = save_random_model(tmp_path, template="{{ tools[0].function.name }}" + PLAIN)
    tools = [{"type": "function", "function": {"name": "add", "parameters": {}}}]
    [completion] = complete(spec_of(folder), ask("hello", max_tokens=1, tools=tools))
    assert completion.usage.input_tokens == len("addhello>")


def test_text_parts_are_read_as_text(random_model: Path) -> None:
    parts = Query(
        messages=({"role": "user", "content": [{"type": "text", "text": "hello"}]},), params={"max_tokens": 5}
    )
    whole, in_parts = complete(spec_of(random_model), ask("hello", max_tokens=5), parts)
    assert in_parts.text == whole.text


@pytest.mark.parametrize(
    "fields", [{"content": None, "refusal": "no"}, {"content": [{"type": "refusal", "refusal": "no"}]}]
)
def test_refusals_of_earlier_turns_are_read_as_text(random_model: Path, fields: dict[str, Any]) -> None:
    hello = {"role": "user", "content": "hello"}
    said, refused = (
        Query(messages=(hello, {"role": "assistant", **answer}, hello), params={"max_tokens": 1})
        for answer in ({"content": "no"}, fields)
    )
    whole, in_parts = complete(spec_of(random_model), said, refused)
    assert in_parts.usage == whole.usage


@pytest.mark.parametrize(
    ("content", "params", "message"),
    [
        (
            [{"type": "image_url", "image_url": {"url": "data:,"}}],
            {},
            "small: messages[0].content[0]: expected text; a local model reads nothing else",
        ),
        ("hello", {"tools": [{"type": "function"}]}, "small: tools: this model's chat template has no place for them"),
        ("hello", {"n": 2}, "small: n: expected 1, not 2; a local model gives one answer"),
        (
            "hello",
            {"response_format": {"type": "json_object"}},
            "small: response_format: expected text, not 'json_object'",
        ),
        ("hello", {"max_tokens": 0}, "small: max_tokens: expected a whole number from 1, not 0"),
        ("hello", {"stop": [""]}, "small: stop: expected text or a list of texts, none empty, not ['']"),
        ("hello", {"top_p": 2}, "small: top_p: expected a number from 0 to 1, not 2"),
    ],
)
def test_what_a_local_model_cannot_do_is_refused(
    random_model: Path, content: Any, params: dict[str, Any], message: str
) -> None:
    query = Query(messages=({"role": "user", "content": content},), params=params)
    with pytest.raises(InvalidRequest) as caught:
        complete(spec_of(random_model), query)
    assert str(caught.value) == message


def test_messages_that_the_template_refuses_are_an_invalid_request(tmp_path: Path) -> None:
    folder = save_random_model(tmp_path, template="{{ raise_exception('roles must alternate') }}")
    with pytest.raises(InvalidRequest, match="the model's chat template refuses them: roles must alternate"):
        complete(spec_of(folder), ask("hello"))


def test_failure_of_the_model_reaches_the_caller_and_the_next_query_is_answered(random_model: Path) -> None:
    async def work(backend: LocalBackend) -> Completion:
        with pytest.raises(ServerFailed, match="small: generating failed"):
            await backend.complete(ask("a token <|outside|> the vocabulary"))
        return await backend.complete(ask("hello", max_tokens=5))

    assert run(spec_of(random_model), work).usage.output_tokens == 5


@pytest.mark.parametrize(
    ("timeout", "what"),
    [(Timeouts(first_token_s=0.0), "the first token"), (Timeouts(total_s=0.02), "the answer")],
)
def test_slow_answer_times_out_and_frees_its_place(random_model: Path, timeout: Timeouts, what: str) -> None:
    async def work(backend: LocalBackend) -> Completion:
        patient = LocalBackend(spec_of(random_model, options={"max_batch": 1}))
        await patient.complete(ask("hello", max_tokens=1))
        with pytest.raises(BackendTimeout, match=f"small: {what} took more than"):
            await backend.complete(ask("hello" * 50, max_tokens=250))
        completion = await patient.complete(ask("x", max_tokens=10))
        await patient.aclose()
        return completion

    spec = spec_of(random_model, options={"max_batch": 1}, timeout=timeout)
    assert run(spec, work).usage.output_tokens == 10


def test_efforts_of_one_model_share_it_and_its_thread(tmp_path: Path) -> None:
    folder = save_random_model(tmp_path, template=EFFORT)

    async def work() -> list[int]:
        backends = [
            create_backend(spec_of(folder, name=f"lrm@{effort}", effort=effort)) for effort in ("low", "medium", "high")
        ]
        completions = await asyncio.gather(*(backend.complete(ask("hello", max_tokens=5)) for backend in backends))
        assert len(worker_threads()) == 1
        await backends[0].aclose()
        await backends[1].aclose()
        assert len(worker_threads()) == 1
        await backends[2].complete(ask("hello", max_tokens=5))
        await backends[2].aclose()
        assert worker_threads() == []
        return [completion.usage.input_tokens for completion in completions]

    assert asyncio.run(work()) == [len(f"{effort}::hello>") for effort in ("low", "medium", "high")]


def test_other_settings_load_another_model(random_model: Path) -> None:
    specs = [spec_of(random_model, options={"max_batch": size}) for size in (1, 2, 3)]

    async def work() -> tuple[int, list[Completion]]:
        backends = [LocalBackend(spec) for spec in specs]
        completions = await asyncio.gather(*(backend.complete(ask("hello", max_tokens=20)) for backend in backends))
        n_threads = len(worker_threads())
        await asyncio.gather(*(backend.aclose() for backend in backends))
        return n_threads, completions

    n_threads, completions = asyncio.run(work())
    assert n_threads == 3
    assert {completion.text for completion in completions} == {generate(random_model, "hello", 20).text}


def test_closing_ends_open_queries_and_refuses_new_ones(random_model: Path) -> None:
    async def work(backend: LocalBackend) -> None:
        stream = backend.stream(ask("hello", max_tokens=400))
        await anext(stream)
        await backend.aclose()
        with pytest.raises(BackendError, match="small: was closed while answering"):
            async for _ in stream:
                pass
        with pytest.raises(BackendError, match="small: is closed"):
            await backend.complete(ask("hello"))

    run(spec_of(random_model), work)


def test_nothing_is_loaded_before_the_first_query(random_model: Path) -> None:
    async def work(backend: LocalBackend) -> list[str]:
        return worker_threads()

    assert run(spec_of(random_model), work) == []


def test_broken_weights_are_a_backend_error_and_leave_no_thread(tmp_path: Path) -> None:
    folder = save_random_model(tmp_path)
    (folder / "model.safetensors").write_bytes(b"no weights")

    async def work(backend: Backend) -> None:
        for _ in range(2):
            with pytest.raises(BackendError, match="small: cannot load the model"):
                await backend.complete(ask("hello"))
        assert worker_threads() == []

    run(spec_of(folder), work)


def test_model_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    folder = save_random_model(tmp_path)
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(BackendError, match="its tokenizer has no chat template"):
        complete(spec_of(folder), ask("hello"))


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (
            "",
            {},
            "backends.small.model: missing; expected a folder with a transformers model, a hub id, or embedded:small",
        ),
        ("./nowhere", {}, "backends.small.model: the folder './nowhere' does not exist"),
        (
            "org/model",
            {"colour": "red"},
            "backends.small.colour: unknown; expected one of device, dtype, max_batch, threads, template",
        ),
        (
            "org/model",
            {"dtype": "int3"},
            "backends.small.dtype: expected one of auto, float32, bfloat16, float16, got 'int3'",
        ),
        (
            "org/model",
            {"device": "my gpu"},
            "backends.small.device: expected cpu, cuda, cuda:1, mps or auto, got 'my gpu'",
        ),
        ("org/model", {"max_batch": 0}, "backends.small.max_batch: expected a whole number from 1, got 0"),
        ("org/model", {"threads": "two"}, "backends.small.threads: expected a whole number, got str"),
        ("org/model", {"template": "x"}, "backends.small.template: expected a mapping of names to values, got str"),
    ],
)
def test_wrong_configuration_says_what_is_allowed(model: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        LocalBackend(spec_of(model, options=options))
    assert str(caught.value) == message


def test_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no transformers model: it has no config\.json"):
        LocalBackend(spec_of(tmp_path))


def test_missing_torch_names_the_extra(random_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.backends.local_model.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs torch and transformers; pip install 'penstock\[local\]'"):
        LocalBackend(spec_of(random_model))


def test_import_loads_neither_torch_nor_transformers() -> None:
    code = "import sys, penstock.backends.local; print({'torch', 'transformers'} & set(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert result.stdout.strip() == "set()"


def test_reasoning_model_thinks_more_at_high_effort_and_is_right() -> None:
    question = ask("What is 23 * 4?")

    async def work() -> tuple[Completion, Completion]:
        low, high = (
            LocalBackend(spec_of("embedded:lrm", name=f"lrm@{effort}", effort=effort)) for effort in ("low", "high")
        )
        completions = await asyncio.gather(low.complete(question), high.complete(question))
        await asyncio.gather(low.aclose(), high.aclose())
        return completions

    low, high = asyncio.run(work())
    assert high.text == "92"
    assert high.reasoning == "20*4=80;3*4=12;80+12=92"
    assert low.usage.reasoning_tokens < high.usage.reasoning_tokens
    assert high.reasoning_logprobs is not None
    assert len(high.reasoning_logprobs) == high.usage.reasoning_tokens
    assert low.reasoning_logprobs is None


# A budget for the reasoning


def budgeted(text: str, n_tokens: int) -> Query:
    return replace(ask(text), reasoning_budget=n_tokens)


def test_reasoning_ends_where_its_budget_does(learned_model: Path) -> None:
    free, held = complete(spec_of(learned_model), ask("sum"), budgeted("sum", 4))
    assert held.reasoning == free.reasoning[:3]  # the tag that opens it is a token too
    assert held.finish_reason in ("stop", "length")
    assert held.usage.reasoning_tokens < free.usage.reasoning_tokens


def test_a_budget_that_is_not_reached_changes_nothing(learned_model: Path) -> None:
    free, held = complete(spec_of(learned_model), ask("sum"), budgeted("sum", 1000))
    # Rows of one batch may differ in a number's last digit.
    measured = ("logprobs", "reasoning_logprobs", "entropies", "margins")
    for name in measured:
        assert getattr(held, name) == pytest.approx(getattr(free, name), abs=1e-4), name
    apart = {"latency_s": 0, "first_token_s": 0, **dict.fromkeys(measured)}
    assert replace(held, **apart) == replace(free, **apart)


def test_a_budget_leaves_alone_what_does_not_reason(tmp_path: Path) -> None:
    folder = save_random_model(tmp_path)
    [held] = complete(spec_of(folder), replace(ask("hello", max_tokens=5), reasoning_budget=0))
    assert len(held.tokens or ()) == 5
