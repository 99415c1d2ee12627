"""How far the words of a query can push a router off its decision, and what that costs."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..backends import Message, Query
from ..router import Policy, Pool
from .attacks import ATTACKS, Attack
from .bootstrap import Interval, mean_interval, paired_bootstrap
from .dataset import Dataset
from .evaluation import FloatArray
from .gadgets import Gadget, find_gadget
from .progress import Progress
from .replay import Replayer
from .split import numbered_families
from .weighted import weighted_mean

N_GADGET_TEXTS = 40  # queries that a gadget is found on


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """What one attack does to a policy, over the queries that it refuses neither way."""

    attack: str
    flips: Interval  # share of queries whose first backend is another one
    cost: Interval  # mean cost under attack / without
    score: Interval  # mean score under attack - without
    gadget: str = ""


class RedTeam:
    """Attacks one policy on a dataset; what the attacked words would score is taken for what the queries scored."""

    def __init__(self, pool: Pool, dataset: Dataset, policy: Policy, *, seed: int = 0) -> None:
        self._pool = pool
        self._dataset = dataset
        self._policy = policy
        self._seed = seed
        self._calm = _Played(pool, dataset, policy)

    @property
    def cost_usd(self) -> float:
        """The mean cost of a query when nobody attacks."""
        return float(np.nanmean(self._calm.cost))

    @property
    def score(self) -> float:
        """The mean score when nobody attacks."""
        return float(np.nanmean(self._calm.score))

    def all_damages(self, found_on: Sequence[Query], *, n_rounds: int, progress: Progress) -> list[Damage]:
        """Returns what every attack does; gadgets are looked for on other queries, in `n_rounds` (0: not at all)."""
        attacks: dict[str, Attack] = dict(ATTACKS)
        for where in ("before", "after") if n_rounds else ():
            attacks[f"gadget {where}"] = self.gadget(
                found_on, is_prefix=where == "before", n_rounds=n_rounds, progress=progress
            )
        over = progress.over(attacks.items(), name="attacking", total=len(attacks))
        return [self.damage(name, attack) for name, attack in over]

    def damage(self, name: str, attack: Attack) -> Damage:
        """Returns what an attack does."""
        rng = random.Random(f"{self._seed} {name}")
        queries = tuple(attacked(query, attack, rng) for query in self._dataset.queries)
        calm, hit = self._calm, _Played(self._pool, replace(self._dataset, queries=queries), self._policy)
        both = np.isfinite(calm.cost) & np.isfinite(hit.cost)
        before, after = calm.cost[both], hit.cost[both]
        twins = numbered_families(self._dataset)[both]
        flips = np.array([a != b for a, b in zip(calm.first, hit.first, strict=True)], dtype=float)[both]

        def inflation(weights: FloatArray) -> FloatArray:
            ratio: FloatArray = weighted_mean(after, weights) / weighted_mean(before, weights)
            return ratio

        return Damage(
            attack=name,
            flips=mean_interval(flips, families=twins, seed=self._seed),
            cost=paired_bootstrap(inflation, int(both.sum()), families=twins, seed=self._seed),
            score=mean_interval(hit.score[both] - calm.score[both], families=twins, seed=self._seed),
            gadget=attack.words if isinstance(attack, Gadget) else "",
        )

    def gadget(self, found_on: Sequence[Query], *, is_prefix: bool, progress: Progress, n_rounds: int) -> Gadget:
        """Returns the gadget of one who may ask for decisions on queries of their own as often as they like.

        What is climbed is the cost of who is asked first, and the lead of the dearest backend over the worst: that is
        what makes a cascade go on to it.
        """
        texts = [query.text for query in found_on[:N_GADGET_TEXTS]]
        vocabulary = sorted({word for query in found_on for word in query.text.split()})
        mean_cost = dict(zip(self._dataset.backends, np.nanmean(self._dataset.cost_usd, axis=0), strict=True))
        typical, dearest = float(np.mean(list(mean_cost.values()))), max(mean_cost, key=lambda name: mean_cost[name])

        def worth(candidates: Sequence[str]) -> FloatArray:
            queries = [Query.from_text(text) for text in candidates]
            told = self._pool.estimate_queries(queries, robust=self._policy.robust)
            out = np.empty(len(queries))
            for place, (query, estimates) in enumerate(zip(queries, told, strict=True)):
                decision = self._pool.decide(query, self._policy, estimates)
                lead = estimates.quality[estimates.backends.index(dearest)] - estimates.quality.min()
                out[place] = mean_cost[decision.backend] / typical + lead
            return out

        return find_gadget(
            worth, texts, vocabulary, is_prefix=is_prefix, seed=self._seed, progress=progress, n_rounds=n_rounds
        )


class _Played:
    """A policy over a dataset: who was asked first, what it cost, what it scored."""

    def __init__(self, pool: Pool, dataset: Dataset, policy: Policy) -> None:
        replayer = Replayer(pool, dataset, robust=policy.robust)
        self.first: list[str] = [""] * dataset.n_queries
        self.cost = np.full(dataset.n_queries, np.nan)
        self.score = np.full(dataset.n_queries, np.nan)
        for replayed in replayer.run(policy):
            row = replayed.query
            self.first[row] = replayed.outcome.steps[0].backend
            self.cost[row], self.score[row] = replayer.worth(row, replayed.outcome)


def attacked(query: Query, attack: Attack, rng: random.Random) -> Query:
    """Returns the query with the attack on the last message of its user."""
    messages = list(query.messages)
    for place in range(len(messages) - 1, -1, -1):
        content = messages[place].get("content")
        if messages[place]["role"] == "user" and isinstance(content, str):
            message: Message = {**messages[place], "content": attack(content, rng)}
            messages[place] = message
            break
    return replace(query, messages=tuple(messages))
