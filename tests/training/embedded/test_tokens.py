"""Tokens: what a model must spell it can see, and the chat template asks as training did."""

from __future__ import annotations

import random
from typing import Any

import pytest

from penstock.training.embedded.questions import TASKS, make_example
from penstock.training.embedded.tiers import TIERS
from penstock.training.embedded.tokens import VOCABULARY, chat_tokenizer, prompt_text, reply_text, train_tokenizer

pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return train_tokenizer(0)


def test_digits_and_capitals_stand_alone(tokenizer: Any) -> None:
    assert tokenizer.encode("9714").tokens == list("9714")
    spelled = [token.removeprefix("Ġ") for token in tokenizer.encode("in STRAWBERRY").tokens[1:]]
    assert [token for token in spelled if token] == list("STRAWBERRY")


def test_common_words_are_one_token(tokenizer: Any) -> None:
    assert len(tokenizer.encode(" apples").ids) == 1
    assert tokenizer.get_vocab_size() == VOCABULARY


@pytest.mark.parametrize("text", ["What is 3 + 4?", "naïve Ωmega 漢字 \U0001f600", "  two  spaces\nand a line"])
def test_any_text_comes_back_as_it_was(tokenizer: Any, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


@pytest.mark.parametrize("name", TIERS)
def test_chat_template_asks_as_training_did(tokenizer: Any, name: str) -> None:
    tier = TIERS[name]
    chat = chat_tokenizer(tokenizer, tier)
    example = make_example(random.Random(1), task="story", level=4)
    for effort in tier.efforts:
        variables = {"reasoning_effort": effort} if effort else {}
        asked = chat.apply_chat_template(
            [{"role": "user", "content": example.question}], add_generation_prompt=True, tokenize=False, **variables
        )
        assert asked == prompt_text(example, effort)


def test_lrm_works_in_full_steps_when_nothing_is_said(tokenizer: Any) -> None:
    chat = chat_tokenizer(tokenizer, TIERS["lrm"])
    asked = chat.apply_chat_template([{"role": "user", "content": "Hi"}], add_generation_prompt=True, tokenize=False)
    assert asked.endswith("<|high|>")


def test_each_tier_thinks_in_its_own_way() -> None:
    example = make_example(random.Random(3), task="story", level=6)
    lrm = TIERS["lrm"]
    assert TIERS["small"].thought(example, "") == lrm.thought(example, "low") == ""
    assert TIERS["mid"].thought(example, "") == lrm.thought(example, "medium") == example.draft
    assert lrm.thought(example, "high") == example.steps
    assert reply_text(example, example.draft) == f"<think>{example.draft}</think>{example.answer}<|end|>"
    assert reply_text(example, "") == f"{example.answer}<|end|>"


def test_every_task_has_a_weight() -> None:
    from penstock.training.embedded.tiers import TASK_WEIGHTS

    assert set(TASK_WEIGHTS) == set(TASKS)
