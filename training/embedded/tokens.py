"""Text to tokens for the embedded models: a small byte-level BPE that never merges digits or capitals."""

from __future__ import annotations

import random
from importlib import import_module
from typing import Any

from .example import LEVELS, Example
from .questions import TASKS, make_example
from .tiers import Tier

USER, ASSISTANT, END, PAD = "<|user|>", "<|assistant|>", "<|end|>", "<|pad|>"
THINK, UNTHINK = "<think>", "</think>"
_EFFORT = {"low": "<|low|>", "medium": "<|medium|>", "high": "<|high|>"}
SPECIALS = (PAD, USER, ASSISTANT, END, THINK, UNTHINK, *_EFFORT.values())
VOCABULARY = 896
_N_TEXTS = 6_000  # from which the merges are learned
_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message.role == 'assistant' %}<|assistant|>{{ message.content }}<|end|>"
    "{% else %}<|user|>{{ message.content }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>%EFFORT%{% endif %}"
)


def train_tokenizer(seed: int) -> Any:
    """Returns a `tokenizers.Tokenizer` with `VOCABULARY` tokens, all bytes among them.

    Digits stand alone. Words to count letters in are in capitals and left out here, so that capitals stand alone too:
    what a model has to spell, it can see.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    rng = random.Random(seed)
    tasks = [task for task in TASKS if task != "count"]
    texts = []
    for place in range(_N_TEXTS):
        example = make_example(rng, task=tasks[place % len(tasks)], level=rng.choice(LEVELS))
        texts += [example.question, example.answer]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\d|[A-Z](?=[A-Z])| ?[A-Z](?![a-z])"), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIALS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def chat_tokenizer(tokenizer: Any, tier: Tier) -> Any:
    """Returns the transformers tokenizer of one tier, with its chat template."""
    transformers = import_module("transformers")
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, pad_token=PAD, padding_side="left"
    )
    effort = "<|{{ reasoning_effort | default('high') }}|>" if "" not in tier.efforts else ""
    fast.chat_template = _TEMPLATE.replace("%EFFORT%", effort)
    return fast


def prompt_text(example: Example, effort: str) -> str:
    """Returns what the model is asked with, as its chat template renders it."""
    return f"{USER}{example.question}{ASSISTANT}{_EFFORT.get(effort, '')}"


def reply_text(example: Example, thought: str) -> str:
    """Returns what the model is to write."""
    return (f"{THINK}{thought}{UNTHINK}" if thought else "") + example.answer + END
