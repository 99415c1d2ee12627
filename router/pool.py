"""The backends to choose among and what was learned of them: the one place where decisions come from."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..backends import BackendSpec, Completion, ConfigError, Query, cost_usd
from ..backends.styles import draft_text
from ..backends.usage import estimated_tokens
from ..classifiers import Escalation, Estimates, PriorModel, no_escalation, question_of
from ..classifiers.final_answer import final_answer
from .by_name import ByName
from .cascade import Assess, Call, Flow, Read, Said, cascade
from .conversations import NO_PAST, Past
from .decision import Decision, decide
from .floor import NO_FLOORS, Floors
from .handover import Drafts
from .hold import Hold, Judge
from .outlook import FloatArray
from .policy import Policy
from .promise import with_certificate
from .views import median_estimates, views_of

if TYPE_CHECKING:
    from ..classifiers import Contribution, Neighbour, Trained


class Pool:
    """Estimates, decides and judges for a set of backends. The SDK, the sidecar, `evaluate` and `replay` all ask it.

    Backends of models.yaml that the artefact does not know are estimated from tier and price; backends of the artefact
    that models.yaml does not name are left out. Without `specs` the backends are those of the artefact.
    """

    def __init__(
        self,
        specs: Mapping[str, BackendSpec],
        trained: Trained | None,
        *,
        floors: Floors = NO_FLOORS,
        run_code: bool = False,
        artefact_sha256: str = "",
    ) -> None:
        self.specs = dict(specs)
        self._trained = trained
        self._floors = floors
        self.run_code = run_code  # in answers, in a sandbox, to judge them by it
        self.artefact_sha256 = artefact_sha256  # of its manifest, which seals the rest
        learned = trained.model.backends if trained else ()
        self._handover = trained.escalation.handover if trained else None
        checkers = self._handover.checkers if self._handover else ()
        self.backends: tuple[str, ...] = tuple(specs) if specs else (*learned, *checkers)
        # Those that check the answers of others, and are never asked first.
        self.checkers = tuple(
            name for name in self.backends if name in checkers or (name in specs and specs[name].checks_draft)
        )
        self._told = [(place, checkers.index(name)) for place, name in enumerate(self.backends) if name in checkers]
        self.named = {name: Policy(name=name, allow=(name,), max_calls=1) for name in self.backends}  # just that one
        self.askable = tuple(name for name in self.backends if name not in self.checkers)
        self.untrained: tuple[str, ...] = tuple(name for name in self.askable if name not in learned)
        self._guessed = tuple(name for name in self.backends if name not in learned and name not in checkers)
        self._prior = PriorModel(specs=tuple(self.specs[name] for name in self._guessed))
        self._columns = np.array([learned.index(name) for name in self.backends if name in learned], dtype=np.int64)
        self._places = np.array([i for i, name in enumerate(self.backends) if name in learned], dtype=np.int64)
        self._is_whole = bool(trained) and self.backends == learned
        self._by_name: Mapping[str | None, ByName] = {name: ByName(spec) for name, spec in self.specs.items()}
        prices = [self.specs[name].price if name in self.specs else None for name in self.backends]
        self._input_price = np.array([p.usd_per_1m_input / 1e6 if p else np.nan for p in prices])
        self._output_price = np.array([p.usd_per_1m_output / 1e6 if p else np.nan for p in prices])
        # What a prompt style adds to every query.
        instructions = [self.specs[name].instruction if name in self.specs else "" for name in self.backends]
        self._added_tokens = np.array([float(estimated_tokens(text)) for text in instructions])
        for place, row in self._told:
            assert self._handover is not None  # it tells
            self._added_tokens[place] += estimated_tokens(draft_text("")) + self._handover.draft_tokens[row]
        self._has_prices = bool(np.isfinite(self._input_price).any())
        self.escalation = self._pool_escalation()

    @property
    def is_cold(self) -> bool:
        """Whether nothing was learned of any backend."""
        return self.untrained == self.askable

    @property
    def joined(self) -> dict[str, int]:
        """The backends that joined the artefact later, and the graded queries that each was placed by."""
        return self._trained.model.joined if self._trained else {}

    @property
    def can_check(self) -> bool:
        """Whether answers can be judged, that is, whether a cascade can do more than route."""
        return self._trained is not None and self._trained.confidence is not None

    def estimate(self, text: str) -> Estimates:
        """Returns the estimates for one query, a column a backend of the pool."""
        if self._trained is None:
            return self._prior.estimate(text)
        return self._for_pool(self._trained.model.estimate(text), text)

    def estimate_query(self, query: Query, *, robust: bool = False) -> Estimates:
        """Returns the estimates for one query: what it asks is judged, all of its prompt is paid for.

        `robust`: a few words at one end of it change little.
        """
        question = question_of(query)
        if robust:
            views = views_of(question)
            return self._with_prompt(median_estimates([self.estimate(view) for view in views]), views, query)
        return self._with_prompt(self.estimate(question), [question], query)

    def estimate_queries(self, queries: Sequence[Query], *, robust: bool = False) -> list[Estimates]:
        """Returns the estimates for many queries, as `estimate_query` does."""
        seen_of = [views_of(question_of(query)) if robust else [question_of(query)] for query in queries]
        estimated = iter(self.estimate_all([view for views in seen_of for view in views]))
        return [
            self._with_prompt(median_estimates([next(estimated) for _ in views]), views, query)
            for views, query in zip(seen_of, queries, strict=True)
        ]

    def estimate_all(self, texts: Sequence[str]) -> list[Estimates]:
        """Returns the estimates for many queries."""
        if self._trained is None:
            return self._prior.estimate_all(texts)
        estimated = self._trained.model.estimate_all(texts)
        return [self._for_pool(estimates, text) for estimates, text in zip(estimated, texts, strict=True)]

    def decide(
        self,
        query: Query,
        policy: Policy,
        estimates: Estimates | None = None,
        *,
        unavailable: Mapping[str, str] | None = None,
        past: Past = NO_PAST,
        drafts: Drafts | None = None,
    ) -> Decision:
        """Returns where to start. `unavailable` says of backends that cannot be asked now, why; `past` is what is known
        of the conversation; `drafts` is whose answers may be checked by whom, all that traces tell of where not given.

        Raises:
            NoFeasibleBackend: the wishes exclude every backend.
            ConfigError: the policy asks for a promise that the artefact does not make.
        """
        floor = self._floors.of_query(query)
        if floor is not None:
            policy = policy.above(floor.tier, rule=floor.rule)
        escalation = self.escalation
        if estimates is None and (named := self._by_name.get(policy.names_backend)):
            estimates, escalation = named.estimate(self._count_tokens(query, named)), named.escalation
        return decide(
            query,
            estimates or self.estimate_query(query, robust=policy.robust),
            with_certificate(policy, self._trained, self.specs),
            specs=self.specs,
            escalation=escalation,
            unavailable=unavailable,
            past=past,
            drafts=drafts,
        )

    def unkept(self, policies: Iterable[Policy]) -> dict[str, str]:
        """Returns of the policies that ask for a promise the artefact does not make, by name, what is wrong."""
        found = {}
        for policy in policies:
            try:
                with_certificate(policy, self._trained, self.specs)
            except ConfigError as error:
                found[policy.name] = str(error)
        return found

    def flow(self, query: Query, decision: Decision, *, assess: Assess | None = None, read: Read | None = None) -> Flow:
        """Returns the cascade that carries a decision out.

        `assess` stands in for `confidence`, and `read` for `read`, where what they say is known.
        """
        estimates = decision.estimates

        def judge(backend: str, completion: Completion, expected: float | None) -> float:
            estimate = float(estimates.quality[estimates.backends.index(backend)]) if expected is None else expected
            if math.isnan(estimate):  # what was not estimated is not judged either
                return math.nan
            return self.confidence(query, completion, backend=backend, estimate=estimate)

        def said(_backend: str, completion: Completion) -> Said:
            return self.read(query, completion)

        return cascade(decision, assess=assess or judge, charge=self.charge, read=read or said)

    def read(self, query: Query, completion: Completion) -> Said:
        """Returns what an answer comes to: its final answer, else what it says in words; None where neither is worth
        holding against other answers.
        """
        known = self.escalation
        answer = final_answer(completion) if known.comparable > 0 else None
        if answer is not None or known.meaning is None or self._trained is None:
            return answer
        return self._trained.model.read_words(question_of(query), completion.text)

    def hold(
        self,
        query: Query,
        decision: Decision,
        call: Call,
        *,
        judge: Judge | None = None,
        charge: Callable[[Completion], float] | None = None,
    ) -> Hold | None:
        """Returns what tells when the answer to a call need be held back no longer; None where nothing was learned of
        answers that have only begun.

        `judge` stands in for `early_confidence`, and `charge` for `charge`, where what they say is known.
        """
        early = self._trained.early if self._trained else None
        if early is None:
            return None
        estimates, name = decision.estimates, call.backend
        estimate = call.draft.estimate if call.draft else float(estimates.quality[estimates.backends.index(name)])
        return Hold(
            call,
            query,
            early,
            judge=judge
            or (
                lambda so_far, checkpoint: self.early_confidence(
                    query, so_far, checkpoint=checkpoint, backend=name, estimate=estimate
                )
            ),
            charge=charge or partial(self.charge, name),
        )

    def confidence(self, query: Query, completion: Completion, *, backend: str, estimate: float) -> float:
        """Returns P(this completion is correct); without a confidence model, what was expected before the call."""
        if self._trained is None or self._trained.confidence is None:
            return estimate
        return self._trained.confidence.confidence(
            query, completion, backend=backend, estimate=estimate, run_code=self.run_code
        )

    def early_confidence(
        self, query: Query, completion: Completion, *, checkpoint: int, backend: str, estimate: float
    ) -> float:
        """Returns P(this completion will be correct) where it has only begun; without a model, what was expected."""
        early = self._trained.early if self._trained else None
        if early is None:
            return estimate
        return early.confidence(query, completion, checkpoint=checkpoint, backend=backend, estimate=estimate)

    def charge(self, backend: str, completion: Completion) -> float:
        """Returns what a call cost; 0 where neither the completion nor models.yaml tells."""
        if completion.cost_usd is not None:
            return completion.cost_usd
        spec = self.specs.get(backend)
        return cost_usd(completion.usage, spec.price) if spec and spec.price else 0.0

    def nearest(self, text: str, *, n: int = 5) -> tuple[Neighbour, ...]:
        """Returns the training queries most like this one, with a column a backend of the pool."""
        if self._trained is None:
            return ()
        found = self._trained.model.nearest(text, n=n)
        return tuple(replace(item, quality=self._spread(item.quality)) for item in found)

    def contributions(self, text: str) -> tuple[Contribution, ...]:
        """Returns what each thing seen of a query adds to its estimates, with a column a backend of the pool."""
        if self._trained is None:
            return ()
        found = self._trained.model.contributions(text)
        return tuple(replace(item, quality=self._spread(item.quality)) for item in found)

    def _for_pool(self, learned: Estimates, text: str) -> Estimates:
        if self._is_whole and not self._has_prices:
            return learned
        quality, cost = self._spread(learned.quality), self._spread(learned.cost_usd)
        tokens, latency = self._spread(learned.output_tokens), self._spread(learned.latency_s)
        mean_quality = None if learned.mean_quality is None else self._spread(learned.mean_quality)
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
        cost = np.where(np.isfinite(priced), priced, cost)
        return Estimates(
            backends=self.backends,
            quality=quality,
            cost_usd=cost,
            output_tokens=tokens,
            latency_s=latency,
            difficulty=learned.difficulty,
            input_tokens=learned.input_tokens,
            source=learned.source if len(self._columns) else "cold start",
            familiarity=learned.familiarity,
            mean_quality=mean_quality,
        )

    def _count_tokens(self, query: Query, named: ByName) -> int:
        """Returns the tokens of a query; roughly, where nothing hangs on them but a guess of its cost."""
        is_rough = self._trained is None or not named.has_window
        model = self._prior if self._trained is None or is_rough else self._trained.model
        return model.count_tokens(query.text)

    def _with_prompt(self, expected: Estimates, views: Sequence[str], query: Query) -> Estimates:
        """Returns what was estimated from views of a query with the tokens and the price of all of it."""
        n_characters, n_read = len(query.text), sorted(map(len, views))[len(views) // 2]
        if n_characters == n_read:
            return expected
        n_tokens = round(expected.input_tokens * n_characters / max(n_read, 1))
        more = np.nan_to_num(self._input_price) * (n_tokens - expected.input_tokens)
        return replace(expected, input_tokens=n_tokens, cost_usd=expected.cost_usd + more)

    def _spread(self, values: FloatArray) -> FloatArray:
        """Returns learned columns at their places in the pool, NaN at the others."""
        if len(self._columns) == len(self.backends):
            return values.take(self._columns)
        out = np.full(len(self.backends), np.nan)
        out[self._places] = values[self._columns]
        return out

    def _pool_escalation(self) -> Escalation:
        if self._trained is None:
            return no_escalation(len(self.backends))
        places = np.full(len(self.backends), -1, dtype=np.int64)
        places[self._places] = self._columns
        learned = self._trained.escalation.take(places)
        return learned if self.can_check else replace(learned, power=np.zeros(len(places)))
