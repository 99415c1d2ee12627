"""The model's memory of the rows of a batch: keys and values with room to grow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

ROOM = 128  # positions added at a time; transformers' own cache copies all of it for every token


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Where the keys and values of one row are: part of one row of a cache."""

    cache: Any  # transformers.DynamicCache, (rows, heads, positions, width) per layer
    row: int
    start: int
    stop: int

    @property
    def size(self) -> int:
        """How many tokens it holds."""
        return self.stop - self.start


def stack(memories: Sequence[Memory]) -> list[Memory]:
    """Returns the memories as rows of one new cache, padded on the left so that all end at the same place."""
    transformers: Any = import_module("transformers")
    longest = max(memory.size for memory in memories)
    layer_type = _roomy_layer_type()
    stacked = transformers.DynamicCache()
    stacked.layers = [
        layer_type(*(_stack_one(memories, layer, what, longest) for what in ("keys", "values")), longest)
        for layer in range(len(memories[0].cache.layers))
    ]
    return [
        Memory(cache=stacked, row=row, start=longest - memory.size, stop=longest) for row, memory in enumerate(memories)
    ]


def _stack_one(memories: Sequence[Memory], layer: int, what: str, longest: int) -> Tensor:
    """Returns the keys or the values of one layer, (rows, heads, longest + ROOM, width), zero where nothing is."""
    sources = [getattr(memory.cache.layers[layer], what) for memory in memories]
    _, heads, _, width = sources[0].shape
    stacked: Tensor = sources[0].new_zeros(len(memories), heads, longest + ROOM, width)
    for row, (memory, source) in enumerate(zip(memories, sources, strict=True)):
        stacked[row, :, longest - memory.size : longest] = source[memory.row, :, memory.start : memory.stop]
    return stacked


@cache
def _roomy_layer_type() -> Any:
    """Returns the class of a cache layer that writes new positions into spare room.

    It is made on first use, as that is when its base may be imported.
    """
    import torch

    base: Any = import_module("transformers.cache_utils").DynamicLayer

    class RoomyLayer(base):  # type: ignore[misc]  # transformers is too loosely typed for strict checks
        def __init__(self, keys: Tensor, values: Tensor, length: int) -> None:
            super().__init__()
            self.dtype, self.device = keys.dtype, keys.device
            self.is_initialized = True
            self._rooms = [keys, values]
            self._show(length)

        def _show(self, length: int) -> None:
            """Makes the first positions of the rooms what the model sees."""
            self.keys, self.values = (room[:, :, :length] for room in self._rooms)

        def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
            """Returns all keys and values, the new ones at their end."""
            before = self.keys.shape[-2]
            after = before + key_states.shape[-2]
            if after > self._rooms[0].shape[-2]:
                missing = after + ROOM - before
                self._rooms = [torch.nn.functional.pad(shown, (0, 0, 0, missing)) for shown in (self.keys, self.values)]
            for room, states in zip(self._rooms, (key_states, value_states), strict=True):
                room[:, :, before:after] = states
            self._show(after)
            return self.keys, self.values

    return RoomyLayer
