"""Endless training batches, made as they are needed: the same seed and place give the same batches."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .questions import TASKS, draw_example
from .tiers import TASK_WEIGHTS, Tier
from .tokens import PAD, prompt_text, reply_text

TOKENS_A_BATCH = 8_192
_BUCKET = 16  # widths are multiples of it: with few shapes, memory is used again
N_EXAMPLES = 4_000  # of a chunk

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Batch:
    """Token ids, (n_examples, width), and which of them the model is to learn to write."""

    ids: IntArray
    is_reply: npt.NDArray[np.bool_]


def make_chunk(tier: Tier, tokenizer: Any, *, seed: int, place: int) -> Iterator[Batch]:
    """Yields the batches of chunk number `place`, about `TOKENS_A_BATCH` tokens each, alike in length."""
    rng = random.Random(f"{seed} {tier.name} {place}")
    task_weights = [TASK_WEIGHTS[task] for task in TASKS]
    efforts, effort_weights = list(tier.efforts), list(tier.efforts.values())
    prompts, replies = [], []
    for _ in range(N_EXAMPLES):
        example = draw_example(rng, task_weights=task_weights, level_weights=tier.level_weights)
        effort = rng.choices(efforts, weights=effort_weights)[0]
        prompts.append(prompt_text(example, effort))
        replies.append(reply_text(example, tier.thought(example, effort)))
    pairs = [
        (prompt.ids, reply.ids)
        for prompt, reply in zip(tokenizer.encode_batch(prompts), tokenizer.encode_batch(replies), strict=True)
    ]
    pad = tokenizer.token_to_id(PAD)
    widths = np.array([-(-(len(prompt) + len(reply)) // _BUCKET) * _BUCKET for prompt, reply in pairs])
    groups = []
    for width in np.unique(widths):
        members = np.flatnonzero(widths == width)
        n_rows = TOKENS_A_BATCH // int(width)
        groups += [members[at : at + n_rows] for at in range(0, len(members), n_rows)]
    rng.shuffle(groups)
    for members in groups:
        ids = np.full((len(members), widths[members[0]]), pad, np.int64)
        is_reply = np.zeros(ids.shape, np.bool_)
        for row, member in enumerate(members):
            prompt, reply = pairs[member]
            ids[row, : len(prompt) + len(reply)] = prompt + reply
            is_reply[row, len(prompt) : len(prompt) + len(reply)] = True
        yield Batch(ids, is_reply)
