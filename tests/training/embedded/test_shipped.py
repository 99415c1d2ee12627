"""The weights that ship: plain transformers loads them, they are small, and their tiers separate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penstock.backends import BackendSpec, ConfigError, create_backend
from penstock.backends.embedded import EMBEDDED, embedded_folder
from penstock.training.embedded.exam import exam_questions, examine, means
from penstock.training.embedded.tiers import TIERS
from penstock.training.embedded.tokens import VOCABULARY
from penstock.training.progress import Silent

FILES = {
    "README.md",
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
}


def folder_of(name: str) -> Path:
    return embedded_folder(f"embedded:{name}", where="test")


def test_folders_hold_what_a_model_needs_and_are_small() -> None:
    for name in EMBEDDED:
        assert {file.name for file in folder_of(name).iterdir()} == FILES
    total = sum(file.stat().st_size for name in EMBEDDED for file in folder_of(name).iterdir())
    assert total < 20e6


@pytest.mark.parametrize("name", EMBEDDED)
def test_card_tells_accuracy_and_limits(name: str) -> None:
    card = (folder_of(name) / "README.md").read_text(encoding="utf-8")
    assert f"# Penstock embedded `{name}`" in card
    assert "Mean over tasks and levels" in card
    assert "## Limits" in card
    assert card.count("| multiply |") == len(TIERS[name].efforts)


@pytest.mark.parametrize("name", EMBEDDED)
def test_plain_transformers_loads_and_answers(name: str) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder_of(name))
    model = transformers.AutoModelForCausalLM.from_pretrained(folder_of(name), dtype=torch.float32)
    assert model.config.vocab_size == VOCABULARY == len(tokenizer)
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is 3 + 4?"}], add_generation_prompt=True, tokenize=False
    )
    ids = tokenizer(prompt, return_tensors="pt", add_special_tokens=False)
    written = model.generate(**ids)[0, ids["input_ids"].shape[1] :]
    assert tokenizer.decode(written, skip_special_tokens=True).endswith("7")


def exam(name: str) -> Any:
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer

    model = transformers.AutoModelForCausalLM.from_pretrained(folder_of(name), dtype="float32")
    tokenizer = Tokenizer.from_file(str(folder_of(name) / "tokenizer.json"))
    questions = exam_questions(per_cell=2, seed=99)
    return means(examine(model, tokenizer, TIERS[name], questions, device="cpu", progress=Silent()))


def test_tiers_separate_on_new_questions() -> None:
    small, mid, lrm = exam("small")[""], exam("mid")[""], exam("lrm")
    assert small[0] < mid[0] < lrm["high"][0]
    assert lrm["low"][0] < lrm["medium"][0] < lrm["high"][0]
    assert lrm["high"][0] > 0.85
    assert lrm["high"][1] > 4 * small[1]


def test_an_unknown_embedded_model_is_refused_with_those_there_are() -> None:
    expected = r"unknown 'embedded:large'; expected one of embedded:small, embedded:mid, embedded:lrm"
    with pytest.raises(ConfigError, match=expected):
        create_backend(BackendSpec(name="x", type="local", model="embedded:large"))
