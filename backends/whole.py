"""Streams a completion that is there already, for backends that do not generate."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .types import Chunk, Completion

_WORD = re.compile(r"\s*\S+\s*$|\s*\S+|\s+")


def chunks_of(completion: Completion) -> Iterator[Chunk]:
    """Yields a completion word by word, reasoning first, and last the chunk that carries it; log-probabilities as if
    all tokens of the answer were equally long.

    >>> [chunk.text for chunk in chunks_of(Completion(text="It is 391. "))]
    ['It', ' is', ' 391. ', '']
    """
    for match in _WORD.finditer(completion.reasoning):
        yield Chunk(reasoning=match[0])
    logprobs, n_told = completion.logprobs or (), 0
    for match in _WORD.finditer(completion.text):
        n_before, n_told = n_told, round(len(logprobs) * match.end() / len(completion.text))
        yield Chunk(text=match[0], logprobs=logprobs[n_before:n_told])
    if completion.tool_calls:
        yield Chunk(tool_calls=tuple({"index": index, **call} for index, call in enumerate(completion.tool_calls)))
    yield Chunk(completion=completion)
