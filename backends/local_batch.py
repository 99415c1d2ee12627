"""Generates for many rows at once; rows join and leave between two tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from .local_memory import Memory, stack
from .local_model import LocalModel
from .local_row import Row
from .local_sampling import Choice, choose_tokens

if TYPE_CHECKING:
    from torch import Tensor

PROMPT_TOKENS = 4096  # read in one pass, padding counted; bounds the memory that long prompts take


class Step(NamedTuple):
    """What one row got."""

    row: Row
    choice: Choice


class Batch:
    """The rows that are being continued, with the model's memory of each.

    Rows are padded on the left, so that all end at the same place. Prompts are read padded on the right:
    a causal model cannot look ahead, so no mask is needed there.
    """

    def __init__(self, model: LocalModel) -> None:
        self._model = model
        self._rows: list[Row] = []
        self._last: list[int] = []  # the token of each row that the model has not read yet
        self._memories: list[Memory] = []
        self._is_stacked = False  # whether the memories are the rows of one cache, in this order

    @property
    def rows(self) -> list[Row]:
        """The rows that are not done."""
        return [row for row in self._rows if not row.is_done]

    def clear(self) -> None:
        """Drops every row."""
        self._rows, self._last, self._memories = [], [], []
        self._is_stacked = False

    def join(self, rows: Sequence[Row]) -> list[Step]:
        """Reads the prompts of new rows and returns the first token of each."""
        return [step for group in self._groups(rows) for step in self._read(group)]

    def advance(self) -> list[Step]:
        """Returns one more token for every row that is not done."""
        import torch

        self._leave()
        if not self._rows:
            return []
        if not self._is_stacked and self._model.can_stack:
            self._memories = stack(self._memories)
        self._is_stacked = True
        lengths = [memory.size for memory in self._memories]
        longest = max(lengths)
        tokens = torch.tensor(self._last, device=self._model.device)[:, None]
        mask = positions = None
        if min(lengths) < longest:
            read = torch.tensor(lengths, device=self._model.device)[:, None]
            mask = (torch.arange(longest + 1, device=self._model.device) >= longest - read).long()
            positions = read
        logits = self._forward(tokens, self._memories[0].cache, mask=mask, positions=positions)[:, -1]
        # Each row's memory has grown by one at its end; the padding before it stays.
        self._memories = [replace(memory, stop=memory.stop + 1) for memory in self._memories]
        steps = _steps(self._rows, logits)
        self._last = [step.choice.token for step in steps]
        return steps

    def _groups(self, rows: Sequence[Row]) -> Iterator[list[Row]]:
        """Yields the rows whose prompts are read together."""
        group: list[Row] = []
        for row in sorted(rows, key=lambda row: len(row.prompt)):
            if group and (not self._model.can_stack or (len(group) + 1) * len(row.prompt) > PROMPT_TOKENS):
                yield group
                group = []
            group.append(row)
        if group:
            yield group

    def _read(self, rows: list[Row]) -> list[Step]:
        """Reads the prompts of `rows`, adds them to the batch and returns the token after each."""
        import torch

        transformers: Any = import_module("transformers")
        lengths = [len(row.prompt) for row in rows]
        width = max(lengths)
        padded = [[*row.prompt, *[0] * (width - len(row.prompt))] for row in rows]
        config = None if self._model.can_stack else self._model.network.config  # without it every layer keeps all
        cache = transformers.DynamicCache(config=config)
        is_trimmed = self._model.takes_logits_to_keep  # the logits of a whole prompt can be gigabytes
        ends = sorted({length - 1 for length in lengths}) if is_trimmed else list(range(width))
        keep = torch.tensor(ends, device=self._model.device) if is_trimmed else None
        logits = self._forward(torch.tensor(padded, device=self._model.device), cache, keep=keep)
        after = logits[range(len(rows)), [ends.index(length - 1) for length in lengths]]
        steps = _steps(rows, after)
        self._rows += rows
        self._last += [step.choice.token for step in steps]
        self._memories += [Memory(cache=cache, row=row, start=0, stop=length) for row, length in enumerate(lengths)]
        self._is_stacked = False
        return steps

    def _leave(self) -> None:
        """Drops the rows that are done."""
        stay = [place for place, row in enumerate(self._rows) if not row.is_done]
        if len(stay) < len(self._rows):
            self._rows = [self._rows[place] for place in stay]
            self._last = [self._last[place] for place in stay]
            self._memories = [self._memories[place] for place in stay]
            self._is_stacked = False

    def _forward(
        self,
        tokens: Tensor,
        cache: Any,
        *,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        keep: Tensor | None = None,
    ) -> Tensor:
        """Returns the logits, (rows, positions, vocabulary), of all positions or of `keep`."""
        arguments: dict[str, Any] = {"input_ids": tokens, "past_key_values": cache, "use_cache": True}
        if mask is not None:
            arguments["attention_mask"] = mask
        if positions is not None and self._model.takes_positions:
            arguments["position_ids"] = positions
        if keep is not None:
            arguments["logits_to_keep"] = keep
        logits: Tensor = self._model.network(**arguments).logits
        return logits


def _steps(rows: Sequence[Row], logits: Tensor) -> list[Step]:
    """Returns what each row gets after its last token; `logits` is (rows, vocabulary)."""
    choices = choose_tokens(logits, [row.sampler for row in rows])
    return [
        Step(row, choice._replace(token=row.directed(choice.token))) for row, choice in zip(rows, choices, strict=True)
    ]
