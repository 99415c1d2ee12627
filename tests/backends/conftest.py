"""How the contract suite makes a backend of each type: one factory a type, and nothing else to add."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from penstock.backends import Backend, BackendSpec, Completion, RateLimited, Timeouts, Usage, create_backend
from penstock.backends.fake import FakeBackend
from penstock.backends.replay import ReplayBackend

from .loopback import Asked, Canned, Loopback, json_reply
from .shapes import SHAPES, Shape

FAIL = "please fail"  # a query with this text is to fail
Factory = Callable[[Path], AbstractAsyncContextManager[Backend]]

RECORDED = Completion(
    text="It is 391.\n",
    reasoning="carry the 1",
    tool_calls=({"id": "a", "type": "function", "function": {"name": "add", "arguments": "{}"}},),
    finish_reason="tool_calls",
    usage=Usage(input_tokens=3, output_tokens=9),
)


@asynccontextmanager
async def serving(shape: Shape, **spec: Any) -> AsyncIterator[Backend]:
    """Yields a backend that talks to a server which answers in the given shape."""

    def answer(asked: Asked) -> Canned:
        if FAIL.encode() in asked.body:
            return json_reply({"error": {"message": "slow down", "type": "rate_limit_error"}}, status=429)
        return shape.reply(is_stream=asked.json.get("stream", False))

    async with Loopback(answer) as server:
        backend = create_backend(BackendSpec(name=shape.name, type=shape.type, model="m", base_url=server.url, **spec))
        try:
            yield backend
        finally:
            await backend.aclose()


def network_factory(shape: Shape) -> Factory:
    """Returns the factory of a backend that answers in one provider's shape."""

    def make(folder: Path) -> AbstractAsyncContextManager[Backend]:
        return serving(shape, supports=frozenset({"streaming", "logprobs"}))

    return make


@asynccontextmanager
async def fake(folder: Path) -> AsyncIterator[Backend]:
    """Yields a FakeBackend."""
    yield FakeBackend(lambda query: RateLimited("slow down") if query.text == FAIL else RECORDED)


@asynccontextmanager
async def replay(folder: Path) -> AsyncIterator[Backend]:
    """Yields a ReplayBackend that knows the contract's queries, but not the one to fail."""
    recordings = {f"{number} * 23?": RECORDED for number in range(17, 30)}
    yield ReplayBackend(BackendSpec(name="replay", type="replay"), recordings)


@asynccontextmanager
async def local(folder: Path) -> AsyncIterator[Backend]:
    """Yields a LocalBackend of a tiny model with random weights."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    torch.manual_seed(0)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = Tokenizer(models.BPE(vocab={sign: index for index, sign in enumerate(["</s>", *alphabet])}, merges=[]))
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=words, eos_token="</s>", pad_token="</s>")
    tokenizer.chat_template = "{% for message in messages %}{{ message.content }}\n{% endfor %}"
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=256,
        eos_token_id=0,
        pad_token_id=0,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    backend = create_backend(
        BackendSpec(
            name="local",
            type="local",
            model=str(folder / "model"),
            options={"device": "cpu"},
            timeout=Timeouts(first_token_s=60, total_s=60),
        )
    )
    try:
        yield backend
    finally:
        await backend.aclose()


# What the contract suite runs over: name -> (type, factory). A new type adds its factory here.
SUBJECTS: dict[str, tuple[str, Factory]] = {
    **{shape.name: (shape.type, network_factory(shape)) for shape in SHAPES},
    "fake": ("fake", fake),
    "replay": ("replay", replay),
    "local": ("local", local),
}


@pytest.fixture(params=SUBJECTS)
def make_backend(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], AbstractAsyncContextManager[Backend]]:
    """Returns a factory of backends, for each subject in turn."""
    _, factory = SUBJECTS[request.param]
    return lambda: factory(tmp_path)
