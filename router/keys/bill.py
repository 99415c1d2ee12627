"""What one request has used, whichever way it ends."""

from __future__ import annotations

import math
from collections.abc import Callable

from ...backends import PenstockError, Price, Usage
from ...backends.pricing import cost_usd
from ...backends.usage import BYTES_PER_TOKEN
from ..answer import Answer, AnswerChunk
from ..decision import Decision


class Bill:
    """Tokens and cost of one request: those of its answer, or a guess where it was broken off.

    What a provider charges for a call that is broken off, nobody says. It counts as what the decision expected it to
    cost, or as what came of it where that is more: a client that hangs up before the end must not be served for free.
    A call that failed counts nothing.
    """

    def __init__(self, decision: Decision, price_of: Callable[[str], Price | None]) -> None:
        self._decision = decision
        self._price_of = price_of
        self.answer: Answer | None = None
        self._backend: str | None = None  # of the pieces that came
        self._n_signs = 0

    def close(self, answer: Answer) -> None:
        """Takes the answer, which settles it."""
        self.answer = answer

    def see(self, chunk: AnswerChunk) -> None:
        """Takes a piece of a stream."""
        self._backend = chunk.backend
        self._n_signs += (
            len(chunk.text) + len(chunk.reasoning) + (len(str(chunk.tool_calls)) if chunk.tool_calls else 0)
        )
        if chunk.answer is not None:
            self.close(chunk.answer)

    def total(self, error: BaseException | None) -> tuple[int, float]:
        """Returns tokens and cost in USD; `error` is what ended the request, if anything did."""
        if self.answer is not None:
            usages = [step.completion.usage for step in self.answer.steps if step.completion is not None]
            tokens = sum(usage.input_tokens + usage.output_tokens for usage in usages)
            return tokens, self.answer.cost_usd
        if isinstance(error, PenstockError) and self._backend is None:
            return 0, 0.0
        return self._guess()

    def _guess(self) -> tuple[int, float]:
        estimates = self._decision.estimates
        place = estimates.backends.index(self._backend or self._decision.backend)
        came = Usage(input_tokens=estimates.input_tokens, output_tokens=-(-self._n_signs // BYTES_PER_TOKEN))
        price = self._price_of(estimates.backends[place])
        costs = [float(estimates.cost_usd[place]), cost_usd(came, price) if price else 0.0]
        tokens = [float(estimates.output_tokens[place]), float(came.output_tokens)]
        return came.input_tokens + round(_most(tokens)), _most(costs)


def _most(values: list[float]) -> float:
    """Returns the greatest of what is known."""
    return max((value for value in values if math.isfinite(value)), default=0.0)
