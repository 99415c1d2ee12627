"""The backends to choose among and what was learned of them: the one place where decisions come from."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ..backends import BackendSpec, Completion, ConfigError, Query, cost_usd
from ..classifiers import Escalation, Estimates, question_of
from ..classifiers.choices import settled_answer
from ..classifiers.workable import right_answer
from .by_name import ByName
from .cascade import Assess, Call, Flow, Read, Said, cascade
from .conversations import NO_PAST, Past
from .decision import Decision, decide
from .floor import NO_FLOORS, Floors
from .forecast import Forecast
from .handover import Drafts
from .hold import Hold, Judge
from .policy import Policy
from .promise import settled
from .views import median_estimates, views_of

if TYPE_CHECKING:
    from ..classifiers import Contribution, Neighbour, Trained
    from ..classifiers.public_confidence import PublicConfidence
    from .outlook import FloatArray


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
        self._learned = trained.confidence if trained else None
        self._public = _public_confidence() if self._learned is None else None  # stands in for it
        # In answers, in a sandbox, to judge them by it.
        self.run_code = run_code and self._learned is not None and self._learned.runs_code
        self.artefact_sha256 = artefact_sha256  # of its manifest, which seals the rest
        self._forecast = Forecast(self.specs, trained)
        self.backends = self._forecast.backends
        self.checkers = self._forecast.checkers  # those that check the answers of others, and are never asked first
        self.askable = self._forecast.askable  # the others
        self.untrained = self._forecast.untrained  # those of these that the artefact does not know
        self.escalation = self._forecast.escalation()
        self.named = {name: Policy(name=name, allow=(name,), max_calls=1) for name in self.backends}  # just that one
        self._by_name: Mapping[str | None, ByName] = {name: ByName(spec) for name, spec in self.specs.items()}

    @property
    def is_cold(self) -> bool:
        """Whether nothing was learned of any backend."""
        return self.untrained == self.askable

    @property
    def joined(self) -> dict[str, int]:
        """The backends that joined the artefact later, and the graded queries that each was placed by."""
        return self._trained.model.joined if self._trained else {}

    def estimate(self, text: str) -> Estimates:
        """Returns the estimates for one query, a column a backend of the pool."""
        return self._forecast.estimate(text)

    def estimate_all(self, texts: Sequence[str]) -> list[Estimates]:
        """Returns the estimates for many queries."""
        return self._forecast.estimate_all(texts)

    def estimate_query(self, query: Query, *, robust: bool = False) -> Estimates:
        """Returns the estimates for one query: what it asks is judged, all of its prompt is paid for.

        `robust`: a few words at one end of it change little.
        """
        question = question_of(query)
        if robust:
            views = views_of(question)
            return self._forecast.with_prompt(median_estimates([self.estimate(view) for view in views]), views, query)
        return self._forecast.with_prompt(self.estimate(question), [question], query)

    def estimate_queries(self, queries: Sequence[Query], *, robust: bool = False) -> list[Estimates]:
        """Returns the estimates for many queries, as `estimate_query` does."""
        seen_of = [views_of(question_of(query)) if robust else [question_of(query)] for query in queries]
        estimated = iter(self.estimate_all([view for views in seen_of for view in views]))
        return [
            self._forecast.with_prompt(median_estimates([next(estimated) for _ in views]), views, query)
            for views, query in zip(seen_of, queries, strict=True)
        ]

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
            ConfigError: the policy asks for what the artefact does not know.
        """
        floor = self._floors.of_query(query)
        if floor is not None:
            policy = policy.above(floor.tier, rule=floor.rule)
        if estimates is None and (named := self._by_name.get(policy.names_backend)):
            # Roughly, where nothing hangs on it but a guess of the cost.
            n_tokens = self._forecast.count_tokens(query, roughly=not named.has_window)
            estimates, escalation = named.estimate(n_tokens), named.escalation
        else:
            escalation = self.escalation_for(query)
        return decide(
            query,
            estimates or self.estimate_query(query, robust=policy.robust),
            settled(policy, self._trained, self.specs),
            specs=self.specs,
            escalation=escalation,
            unavailable=unavailable,
            past=past,
            drafts=drafts,
        )

    def escalation_for(self, query: Query) -> Escalation:
        """Returns what is known of asking again about a query."""
        known = self.escalation
        if known.power_workable is not None and right_answer(query.text) is not None:
            return known.if_workable()
        # An answer that cannot be judged is not held back for it either.
        is_blind = self._public is not None and not self._public.can_judge(query)
        return known.if_blind() if is_blind else known

    def unkept(self, policies: Iterable[Policy]) -> dict[str, str]:
        """Returns of the policies that ask for what the artefact does not know, by name, what is wrong."""
        found = {}
        for policy in policies:
            try:
                settled(policy, self._trained, self.specs)
            except ConfigError as error:
                found[policy.name] = str(error)
        return found

    def flow(self, query: Query, decision: Decision, *, assess: Assess | None = None, read: Read | None = None) -> Flow:
        """Returns the cascade that carries a decision out.

        `assess` stands in for `confidence`, and `read` for `read`, where what they say is known.
        """

        def judge(backend: str, completion: Completion, expected: float | None) -> float:
            estimate = decision.expected(backend) if expected is None else expected
            if math.isnan(estimate):  # what was not estimated is not judged either
                return math.nan
            return self.confidence(query, completion, backend=backend, estimate=estimate)

        def said(_backend: str, completion: Completion) -> Said:
            return self.read(query, completion)

        return cascade(decision, assess=assess or judge, charge=self.charge, read=read or said)

    def read(self, query: Query, completion: Completion) -> Said:
        """Returns what an answer comes to: its final answer, or of several choices the one it settles on, else what it
        says in words; None where neither is worth holding against other answers.
        """
        known = self.escalation
        answer = settled_answer(query.text, completion) if known.comparable > 0 else None
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
        name = call.backend
        estimate = call.draft.estimate if call.draft else decision.expected(name)
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
        """Returns P(this completion is correct): as learned, or as public answers tell where nothing was learned of
        answers.
        """
        if self._public is not None:
            return self._public.confidence(query, completion, backend=backend, estimate=estimate)
        assert self._learned is not None  # or there were a public one
        return self._learned.confidence(query, completion, backend=backend, estimate=estimate, run_code=self.run_code)

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
        return tuple(replace(item, quality=self._forecast.spread(item.quality)) for item in found)

    def standard_error(self, text: str) -> FloatArray | None:
        """Returns one standard error of the estimated quality of each backend of the pool; NaN, or None: not known."""
        return None if self._trained is None else self._forecast.spread(self._trained.model.standard_error(text))

    def contributions(self, text: str) -> tuple[Contribution, ...]:
        """Returns what each thing seen of a query adds to its estimates, with a column a backend of the pool."""
        if self._trained is None:
            return ()
        found = self._trained.model.contributions(text)
        return tuple(replace(item, quality=self._forecast.spread(item.quality)) for item in found)


def _public_confidence() -> PublicConfidence:
    from ..classifiers.public_confidence import load_public_confidence  # only where nothing was learned

    return load_public_confidence()
