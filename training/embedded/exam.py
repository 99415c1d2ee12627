"""What a trained model gets right, and with how many tokens, per task, level and effort."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from ..progress import Progress
from .example import LEVELS, Example
from .questions import TASKS, make_example
from .tiers import Tier
from .tokens import END, PAD, UNTHINK, prompt_text

MAX_OUTPUT_TOKENS = 160
_BATCH = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One task at one level, asked at one effort ("" where there is only one)."""

    task: str
    level: int
    effort: str
    accuracy: float
    output_tokens: float  # mean, thinking and the token that ends the answer included

    def as_dict(self) -> dict[str, object]:
        """Returns the fields, rounded."""
        return {**asdict(self), "accuracy": round(self.accuracy, 4), "output_tokens": round(self.output_tokens, 2)}


def exam_questions(*, per_cell: int, seed: int) -> list[Example]:
    """Returns as many new questions of every task and level."""
    rng = random.Random(f"exam {seed}")
    return [make_example(rng, task=task, level=level) for task in TASKS for level in LEVELS for _ in range(per_cell)]


def examine(
    model: Any, tokenizer: Any, tier: Tier, questions: Sequence[Example], *, device: str, progress: Progress
) -> list[Cell]:
    """Returns the cells of all tasks, levels and efforts; answers are greedy and right when they match exactly.

    Args:
        model: of transformers.
        tokenizer: of tokenizers, as it was trained with.
        tier: which model it is.
        questions: such as `exam_questions` makes.
        device: where the model is.
        progress: shows how far it is.
    """
    cells = []
    for effort in tier.efforts:
        marks: dict[tuple[str, int], list[tuple[bool, int]]] = {}
        # Alike in length, so that little is padded; back in place by their keys.
        ordered = sorted(questions, key=lambda example: len(example.question))
        parts = [ordered[at : at + _BATCH] for at in range(0, len(ordered), _BATCH)]
        for part in progress.over(parts, name=f"examining {tier.name} {effort}".rstrip(), total=len(parts)):
            replies = _answer(model, tokenizer, [prompt_text(example, effort) for example in part], device)
            for example, (text, n_tokens) in zip(part, replies, strict=True):
                marks.setdefault((example.task, example.level), []).append((text == example.answer, n_tokens))
        cells += [
            Cell(
                task=task,
                level=level,
                effort=effort,
                accuracy=fmean(is_right for is_right, _ in marks[task, level]),
                output_tokens=fmean(n_tokens for _, n_tokens in marks[task, level]),
            )
            for task in TASKS
            for level in LEVELS
        ]
    return cells


def means(cells: Iterable[Cell]) -> dict[str, tuple[float, float]]:
    """Returns accuracy and output tokens by effort, over all tasks and levels alike."""
    by_effort: dict[str, list[Cell]] = {}
    for cell in cells:
        by_effort.setdefault(cell.effort, []).append(cell)
    return {
        effort: (fmean(cell.accuracy for cell in listed), fmean(cell.output_tokens for cell in listed))
        for effort, listed in by_effort.items()
    }


def _answer(model: Any, tokenizer: Any, prompts: list[str], device: str) -> list[tuple[str, int]]:
    """Returns the answer of each prompt, without what was thought, and how many tokens were written."""
    import torch

    pad, end, unthink = (tokenizer.token_to_id(token) for token in (PAD, END, UNTHINK))
    encoded = [encoding.ids for encoding in tokenizer.encode_batch(prompts)]
    width = max(map(len, encoded))
    ids = torch.full((len(encoded), width), pad)
    for row, prompt in enumerate(encoded):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
    ids = ids.to(device)
    with torch.inference_mode():
        written = model.generate(
            ids,
            attention_mask=(ids != pad).long(),
            max_new_tokens=MAX_OUTPUT_TOKENS,
            do_sample=False,
            eos_token_id=end,
            pad_token_id=pad,
        )
    replies = []
    for row in written[:, width:].tolist():
        kept = row[: row.index(end)] if end in row else row
        answer = kept[len(kept) - kept[::-1].index(unthink) :] if unthink in kept else kept
        replies.append((tokenizer.decode(answer), len(kept) + (end in row)))
    return replies
