"""What a router goes by until models.yaml is read anew: one value, so that no request sees half of two."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..backends import ConfigError, Query
from ..classifiers import Estimates, load_artefact, question_of
from .config import Config
from .conversations import NO_PAST, Conversations
from .decision import Decision
from .errors import BackendBusy, NoBackendFree, NoFeasibleBackend, UnknownPolicy
from .flips import find_flips, telling
from .gate import LocalGate
from .policy import NO_WISHES, Policy, Wishes
from .pool import Pool
from .rerouting import refuse_rerouting
from .speculation import head_start

if TYPE_CHECKING:
    from .shadow import Shadow

logger = logging.getLogger(__name__)

COLD_START = "cold start: quality is guessed from text, tier and price"


def open_pool(config: Config) -> Pool:
    """Returns the backends of a configuration with its artefact, if it names one that exists.

    Raises:
        ArtefactError: the artefact is damaged.
    """
    trained, digest = None, ""
    if config.artefact is not None and config.artefact.exists():
        trained, _ = load_artefact(config.artefact)
        digest = hashlib.sha256((config.artefact / "manifest.json").read_bytes()).hexdigest()
    elif config.artefact is not None:
        logger.warning("%s does not exist yet; %s", config.artefact, COLD_START)
    pool = Pool(config.backends, trained, floors=config.floors, run_code=config.run_code, artefact_sha256=digest)
    if trained is not None and pool.untrained:
        logger.warning("not in the artefact, guessed from their tier: %s", ", ".join(pool.untrained))
    return pool


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Decides by one configuration, one artefact and the state of their backends."""

    config: Config
    pool: Pool
    gates: Mapping[str, LocalGate]  # by backend
    conversations: Conversations
    shadow: Shadow | None  # what also asks others, now and then

    def policy(self, name: str | None, wishes: Wishes) -> Policy:
        """Returns the policy of that name with the wishes on top; a backend's name stands for asking just that one.

        Raises:
            UnknownPolicy: neither a policy nor a backend has the name.
        """
        config, pool = self.config, self.pool
        name = name or config.default_policy
        if not isinstance(name, str):
            raise UnknownPolicy(f"policy: expected the name of a policy or a backend, got {type(name).__name__}")
        found = config.policies.get(name) or pool.named.get(name)
        if found is None:
            known = ", ".join((*config.policies, *pool.backends))
            raise UnknownPolicy(f"unknown model or policy {name!r}; expected one of {known}")
        if wishes is NO_WISHES:
            return found
        efforts = sorted({spec.effort for spec in pool.specs.values() if spec.effort})
        if wishes.effort is not None and wishes.effort not in efforts:
            known = f"one of {', '.join(efforts)}" if efforts else "none: no backend has efforts"
            raise ConfigError(f"effort: unknown {wishes.effort!r}; expected {known}")
        for other in (*(wishes.allow or ()), *(wishes.deny or ())):
            if other not in pool.backends:
                raise ConfigError(f"allow/deny: unknown backend {other!r}; expected some of {', '.join(pool.backends)}")
        return wishes.on(found)

    def decide(
        self, query: Query, policy: str | None, wishes: Wishes, *, asker: str, estimates: Estimates | None
    ) -> Decision:
        """Returns the decision for a query; `Router.decide` says more."""
        wanted = self.policy(policy, wishes)
        if wanted.name in self.config.policies:
            refuse_rerouting(query, why="ask for a backend by its name")
            past = self.conversations.past_of(query, asker=asker, conversation=wishes.conversation)
            refusals = self.refusals()
        else:  # there is nothing to decide, and nobody else to ask
            past, refusals = NO_PAST, self.refusals(wanted.allow)
        if not refusals:
            return self.pool.decide(query, wanted, estimates, past=past)
        unavailable = {name: refusal.reason for name, refusal in refusals.items()}
        try:
            return self.pool.decide(query, wanted, estimates, unavailable=unavailable, past=past)
        except NoFeasibleBackend as error:
            waits = [
                refusal.retry_after_s or 0.0
                for name, refusal in refusals.items()
                if error.excluded.get(name) == refusal.reason
            ]
            if not waits:
                raise
            raise NoBackendFree(error.excluded, retry_after_s=min(waits)) from error

    def dry_run(self, query: Query, policy: str | None, wishes: Wishes, *, asker: str) -> Decision:
        """Returns the decision with its explanation, nearest training queries and what would flip it."""
        pool = self.pool
        # Estimated even where a backend is named: whoever asks why wants to see them all.
        estimates = pool.estimate_query(query, robust=self.policy(policy, wishes).robust)
        decision = self.decide(query, policy, wishes, asker=asker, estimates=estimates)
        notes = tuple(f"{name}: not in the artefact; guessed from tier and price" for name in pool.untrained)
        if decision.estimates.source == "cold start":
            notes = ()
        notes += tuple(
            f"{name}: joined by {n} graded queries; its quality is read off what is expected of the others"
            for name, n in pool.joined.items()
            if name in estimates.backends
        )
        if decision.past.last:
            new = pool.decide(query, decision.policy, unavailable=decision.unavailable)
            notes += (f"as the first request of a conversation: {new.backend}",)
        start = head_start(next(pool.flow(query, decision)), decision.estimates)
        if start is not None:
            notes += (str(start),)

        if decision.outlook.judge is not None:
            notes += (str(decision.outlook.judge),)

        def again(expected: Estimates, wanted: Policy) -> Decision:
            return pool.decide(query, wanted, expected, unavailable=decision.unavailable, past=decision.past)

        flips = find_flips(decision, estimates, again)
        question = question_of(query)
        return replace(
            decision,
            standard_error=pool.standard_error(question),
            neighbours=pool.nearest(question),
            flips=flips,
            contributions=telling(pool.contributions(question), decision, flips),
            notes=notes,
        )

    def refusals(self, backends: Iterable[str] = ()) -> Mapping[str, BackendBusy]:
        """Returns those of these backends, or of all, that no call would be let through to now, and why."""
        gates = self.gates
        return {name: refusal for name in backends or gates if (refusal := gates[name].refusal()) is not None}

    def mind_of(self, backend: str) -> str:
        """Returns what thinks in a backend; "" where models.yaml does not know it any more."""
        spec = self.config.backends.get(backend)
        return spec.mind if spec else ""
