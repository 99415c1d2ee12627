"""Streams a completion that is there already, for backends that do not generate."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .types import Chunk, Completion

_WORD = re.compile(r"\s*\S+\s*$|\s*\S+|\s+")


def chunks_of(completion: Completion) -> Iterator[Chunk]:
    """Yields a completion word by word, reasoning first, and last the chunk that carries it; what is known of the
    answer's tokens as if all were equally long.

    >>> [chunk.text for chunk in chunks_of(Completion(text="It is 391. "))]
    ['It', ' is', ' 391. ', '']
    """
    for match in _WORD.finditer(completion.reasoning):
        yield Chunk(reasoning=match[0])
    of_tokens = [values or () for values in (completion.logprobs, completion.entropies, completion.margins)]
    begin = 0.0  # share of the text
    for match in _WORD.finditer(completion.text):
        end = match.end() / len(completion.text)
        told = [values[round(len(values) * begin) : round(len(values) * end)] for values in of_tokens]
        yield Chunk(
            text=match[0],
            is_refusal=completion.is_refusal,
            logprobs=told[0],
            entropies=told[1],
            margins=told[2],
        )
        begin = end
    if completion.tool_calls:
        yield Chunk(tool_calls=tuple({"index": index, **call} for index, call in enumerate(completion.tool_calls)))
    yield Chunk(completion=completion)
