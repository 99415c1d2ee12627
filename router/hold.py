"""Holding an answer back while it comes, only as long as it must be: until it is passed on, given up, or whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING

from ..backends import Chunk, Completion, Query
from ..backends.usage import estimated_usage
from .cascade import Call, GivenUp

if TYPE_CHECKING:
    from ..classifiers.early import EarlyConfidence

Charge = Callable[[Completion], float]  # what has come so far -> cost in USD
Judge = Callable[[Completion, int], float]  # (what has come so far, checkpoint) -> P(the whole is correct)


class Verdict(Enum):
    """What to do with an answer that is coming."""

    WAIT = "wait"
    RELEASE = "release"
    GIVE_UP = "give up"


class Hold:
    """The beginning of one answer, and what is thought of it. Does no I/O and reads no clock.

    In the terms of the decision: it is released once the cascade would hardly replace the whole answer, and given up
    where it is all but surely wrong and the cascade would go on if that was all it knew; `EarlyConfidence` says how
    sure is sure enough. Tool calls cannot be judged before their end.
    """

    def __init__(self, call: Call, query: Query, early: EarlyConfidence, *, judge: Judge, charge: Charge) -> None:
        self._call = call
        self._query = query
        self._early = early
        self._judge = judge
        self._charge = charge
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._logprobs: list[float] = []
        self._entropies: list[float] = []
        self._margins: list[float] = []
        self._reasoning_logprobs: list[float] = []
        self._n_signs = 0
        self._checkpoint: int | None = None  # the last one that was looked at
        self._release_from: float | None = None  # None: not worked out yet
        self._can_judge = True
        self.confidence = 0.0  # P(the whole answer is correct), once something was seen

    def see(self, chunk: Chunk) -> Verdict:
        """Returns what to do once this piece has come."""
        if chunk.text:
            self._text.append(chunk.text)
            self._n_signs += len(chunk.text)
        if chunk.reasoning:
            self._reasoning.append(chunk.reasoning)
        if chunk.logprobs:
            self._note_tokens(chunk)
        self._can_judge = self._can_judge and not chunk.tool_calls
        checkpoint = self._early.checkpoint(self._n_signs)
        if checkpoint is None or checkpoint == self._checkpoint or not self._can_judge:
            return Verdict.WAIT
        self._checkpoint = checkpoint
        self.confidence = self._judge(self._so_far(), checkpoint)
        return self._verdict()

    @property
    def n_signs(self) -> int:
        """How many signs of the answer have come."""
        return self._n_signs

    def given_up(self) -> GivenUp:
        """Returns what has come so far, as the cascade is told of it; usage and cost are estimated."""
        so_far = self._so_far()
        so_far = replace(so_far, usage=estimated_usage(self._query, so_far))
        return GivenUp(completion=replace(so_far, cost_usd=self._charge(so_far)), confidence=self.confidence)

    def _so_far(self) -> Completion:
        return Completion(
            text="".join(self._text),
            reasoning="".join(self._reasoning),
            logprobs=tuple(self._logprobs) or None,
            reasoning_logprobs=tuple(self._reasoning_logprobs) or None,
            entropies=self._of_all_tokens(self._entropies),
            margins=self._of_all_tokens(self._margins),
        )

    def _of_all_tokens(self, numbers: list[float]) -> tuple[float, ...] | None:
        """Returns them where every token has one: else nobody knows whose they are."""
        return tuple(numbers) if numbers and len(numbers) == len(self._logprobs) else None

    def _note_tokens(self, chunk: Chunk) -> None:
        if not chunk.text:
            self._reasoning_logprobs += chunk.logprobs
            return
        self._logprobs += chunk.logprobs
        self._entropies += chunk.entropies
        self._margins += chunk.margins

    def _verdict(self) -> Verdict:
        if self.confidence <= self._early.give_up:
            cost = self.given_up().completion.cost_usd or 0.0
            if self._call.next_after(self.confidence, cost_usd=cost) is not None:
                return Verdict.GIVE_UP
        if self._release_from is None:
            self._release_from = self._early.release_from(confidence_needed(self._call, self._early.needed.tolist()))
        return Verdict.RELEASE if self.confidence >= self._release_from else Verdict.WAIT


def confidence_needed(call: Call, levels: list[float]) -> float:
    """Returns the least of these ascending confidences from which the call's answer would be kept; inf: none is enough.

    The more confidence, the sooner an answer is kept, so half of the levels left are ruled out at a time.
    """
    low, high = 0, len(levels)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if call.is_kept(levels[middle]) else (middle + 1, high)
    return levels[low] if low < len(levels) else float("inf")
