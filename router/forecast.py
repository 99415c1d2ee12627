"""What is expected of every backend of a pool: as learned, as read off the others, or guessed from tier and price."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..backends import BackendSpec, Query
from ..backends.styles import draft_text
from ..backends.usage import estimated_tokens, unread_tokens
from ..classifiers import Escalation, Estimates, PriorModel, unplanned_escalation
from ..classifiers.escalation import unplanned
from ..classifiers.estimates import make_estimates
from .outlook import FloatArray

if TYPE_CHECKING:
    from ..classifiers import Trained


class Forecast:
    """Estimates for the backends of models.yaml, or without `specs` for those of the artefact, at today's prices.

    `checkers` are those that check the answers of others and are never asked first, `askable` the others, `untrained`
    those of these that the artefact does not know.
    """

    def __init__(self, specs: Mapping[str, BackendSpec], trained: Trained | None) -> None:
        self._trained = trained
        self._handover = trained.escalation.handover if trained else None
        learned = trained.model.backends if trained else ()
        told = self._handover.checkers if self._handover else ()
        self.backends: tuple[str, ...] = tuple(specs) if specs else (*learned, *told)
        self.checkers = tuple(
            name for name in self.backends if name in told or (name in specs and specs[name].checks_draft)
        )
        self.askable = tuple(name for name in self.backends if name not in self.checkers)
        self.untrained = tuple(name for name in self.askable if name not in learned)
        self._columns = np.array([learned.index(name) for name in self.backends if name in learned], dtype=np.int64)
        self._places = np.array([i for i, name in enumerate(self.backends) if name in learned], dtype=np.int64)
        self._is_whole = bool(trained) and self.backends == learned
        self._told = [(place, told.index(name)) for place, name in enumerate(self.backends) if name in told]
        self._guessed = tuple(name for name in self.backends if name not in learned and name not in told)
        self._prior = PriorModel(specs=tuple(specs[name] for name in self._guessed))
        prices = [specs[name].price if name in specs else None for name in self.backends]
        self._input_price = np.array([p.usd_per_1m_input / 1e6 if p else np.nan for p in prices])
        self._output_price = np.array([p.usd_per_1m_output / 1e6 if p else np.nan for p in prices])
        self._has_prices = bool(np.isfinite(self._input_price).any())
        # What a prompt style adds to every query.
        instructions = [specs[name].instruction if name in specs else "" for name in self.backends]
        self._added_tokens = np.array([float(estimated_tokens(text)) for text in instructions])
        for place, row in self._told:
            assert self._handover is not None  # it tells
            self._added_tokens[place] += estimated_tokens(draft_text("")) + self._handover.draft_tokens[row]

    def estimate(self, text: str) -> Estimates:
        """Returns the estimates for one query, a column a backend."""
        if self._trained is None:
            return self._prior.estimate(text)
        return self._for_pool(self._trained.model.estimate(text), text)

    def estimate_all(self, texts: Sequence[str]) -> list[Estimates]:
        """Returns the estimates for many queries, faster than one by one."""
        if self._trained is None:
            return self._prior.estimate_all(texts)
        estimated = self._trained.model.estimate_all(texts)
        return [self._for_pool(estimates, text) for estimates, text in zip(estimated, texts, strict=True)]

    def with_prompt(self, expected: Estimates, views: Sequence[str], query: Query) -> Estimates:
        """Returns what was estimated from views of a query with the tokens and the price of all of its prompt."""
        n_characters, n_read = len(query.text), sorted(map(len, views))[len(views) // 2]
        n_unread = unread_tokens(query)
        if n_characters == n_read and not n_unread:
            return expected
        n_tokens = round(expected.input_tokens * n_characters / max(n_read, 1)) + n_unread
        more = np.nan_to_num(self._input_price) * (n_tokens - expected.input_tokens)
        return replace(expected, input_tokens=n_tokens, cost_usd=expected.cost_usd + more)

    def count_tokens(self, query: Query, *, roughly: bool) -> int:
        """Returns the tokens of a query, as estimates have them in `input_tokens` unless it is `roughly`."""
        model = self._prior if self._trained is None or roughly else self._trained.model
        return model.count_tokens(query.text) + unread_tokens(query)

    def escalation(self) -> Escalation:
        """Returns what is known about asking again, with these backends."""
        if self._trained is None:
            return unplanned_escalation(len(self.backends))
        places = np.full(len(self.backends), -1, dtype=np.int64)
        places[self._places] = self._columns
        learned = self._trained.escalation.take(places)
        return learned if self._trained.confidence else unplanned(learned)

    def spread(self, values: FloatArray) -> FloatArray:
        """Returns learned columns at the places of these backends, NaN at the others."""
        if len(self._columns) == len(self.backends):
            return values.take(self._columns, axis=-1)
        out = np.full((*values.shape[:-1], len(self.backends)), np.nan)
        out[..., self._places] = values[..., self._columns]
        return out

    def _for_pool(self, learned: Estimates, text: str) -> Estimates:
        if self._is_whole and not self._has_prices:
            return learned
        quality, cost = self.spread(learned.quality), self.spread(learned.cost_usd)
        tokens, latency = self.spread(learned.output_tokens), self.spread(learned.latency_s)
        mean_quality = None if learned.mean_quality is None else self.spread(learned.mean_quality)
        if self._guessed:
            prior = self._prior.estimate(text)
            for place, name in enumerate(self.backends):
                if name in self._guessed:
                    column = prior.backends.index(name)
                    quality[place], cost[place] = prior.quality[column], prior.cost_usd[column]
                    tokens[place], latency[place] = prior.output_tokens[column], prior.latency_s[column]
                    if mean_quality is not None:
                        mean_quality[place] = prior.quality[column]
        if self._handover and self._told:
            expected = self._handover.expect(learned)
            for place, row in self._told:
                quality[place], cost[place], tokens[place], latency[place] = expected[:, row]
                if mean_quality is not None:
                    mean_quality[place] = quality[place]
        priced = self._input_price * (learned.input_tokens + self._added_tokens) + self._output_price * tokens
        is_priced = all(map(math.isfinite, priced.tolist()))  # a few numbers; arrays would take longer to ask
        cost = priced if is_priced else np.where(np.isfinite(priced), priced, cost)
        return make_estimates(
            backends=self.backends,
            quality=quality,
            cost_usd=cost,
            output_tokens=tokens,
            latency_s=latency,
            difficulty=learned.difficulty,
            input_tokens=learned.input_tokens,
            source=learned.source if len(self._columns) else "cold start",
            mean_quality=mean_quality,
            tails=None if learned.tails is None else self.spread(learned.tails),
            how_familiar=learned.how_familiar,
        )
