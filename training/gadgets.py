"""Gadgets: words that mean nothing and, put before or after any query, make a router think it hard."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .evaluation import FloatArray
from .progress import Progress

N_WORDS = 10
N_ROUNDS = 60
N_TRIED = 6  # words tried at one place of the gadget in a round

Worth = Callable[[Sequence[str]], FloatArray]  # texts to what the attacker wants of each, (n,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gadget:
    """A text to put before or after a query."""

    words: str
    is_prefix: bool

    def __call__(self, text: str, _: random.Random) -> str:
        """Returns the query with the gadget."""
        return f"{self.words} {text}" if self.is_prefix else f"{text} {self.words}"


def find_gadget(
    worth: Worth,
    texts: Sequence[str],
    vocabulary: Sequence[str],
    *,
    is_prefix: bool,
    seed: int,
    progress: Progress,
    n_rounds: int = N_ROUNDS,
) -> Gadget:
    """Returns the gadget found by climbing: one word after the other is exchanged wherever that helps on the texts.

    The attacker sees nothing of the router but what it tells of a query. Reference: query-independent gadgets in the
    black-box setting, Shafran et al. 2025, arXiv:2501.01818, section 4.
    """
    rng = random.Random(seed)
    words = rng.choices(vocabulary, k=N_WORDS)

    def score(candidate: Sequence[str]) -> float:
        gadget = Gadget(words=" ".join(candidate), is_prefix=is_prefix)
        return float(np.mean(worth([gadget(text, rng) for text in texts])))

    best = score(words)
    where = "before" if is_prefix else "after"
    for _ in progress.over(range(n_rounds), name=f"looking for a gadget to put {where} queries", total=n_rounds):
        place = rng.randrange(N_WORDS)
        for word in rng.choices(vocabulary, k=N_TRIED):
            candidate = [*words[:place], word, *words[place + 1 :]]
            reached = score(candidate)
            if reached > best:
                words, best = candidate, reached
    return Gadget(words=" ".join(words), is_prefix=is_prefix)
