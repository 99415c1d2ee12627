"""Small pools of which everything is known: every way in which all answers may turn out, with its probability."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np

from penstock.classifiers import Escalation
from penstock.classifiers.final_answer import FinalAnswer
from penstock.classifiers.latent import at_nodes, difficulty_nodes, dispersion_at_nodes
from penstock.router import Outlook, Tried

RIGHT = -1  # what right answers say; wrong ones are counted from 0


@dataclass(frozen=True)
class World:
    """One way in which it may turn out."""

    chance: float
    says: tuple[int, ...]  # of every backend
    looks_good: tuple[bool, ...]


def random_outlook(seed: int, n: int, *, comparable: float = 1.0, max_calls: int = 3) -> Outlook:
    """Returns a pool of any kind."""
    rng = np.random.default_rng(seed)
    return Outlook(
        backends=tuple("abcdefghi"[:n]),
        quality=rng.uniform(0.1, 0.95, n),
        cost_usd=rng.choice([0.0001, 0.001, 0.003, 0.01], n) * rng.uniform(0.5, 1.5, n),
        escalation=Escalation(
            loading=rng.uniform(0, 3, n),
            power=rng.choice([0.0, 0.1, 0.4, 0.9], n),
            collision=np.array([rng.uniform(-3, 1), rng.uniform(-0.5, 0.5)]),
            comparable=comparable,
            overlap=0.0,
        ),
        max_calls=max_calls,
        budget_usd=np.inf,
    )


def looks_good(outlook: Outlook, place: int) -> tuple[float, float]:
    """Returns P(an answer looks good) if it is wrong and if it is right."""
    told, quality = outlook.escalation.power[place] ** 0.5, outlook.quality[place]
    return float(quality * (1 - told)), float(quality + told * (1 - quality))


def worlds_of(outlook: Outlook) -> list[World]:
    """Returns every world; their chances sum to 1."""
    n = len(outlook.backends)
    chance = at_nodes(outlook.quality, outlook.escalation.loading)
    dispersion = dispersion_at_nodes(outlook.escalation.collision)
    total: dict[tuple[tuple[int, ...], tuple[bool, ...]], float] = {}
    for node, weight in enumerate(difficulty_nodes()[1]):
        for says, likelihood in _answers(chance[:, node].tolist(), float(dispersion[node])):
            for looks in product((False, True), repeat=n):
                likely = 1.0
                for place, (said, is_good) in enumerate(zip(says, looks, strict=True)):
                    good = looks_good(outlook, place)[said == RIGHT]
                    likely *= good if is_good else 1 - good
                total[says, looks] = total.get((says, looks), 0.0) + float(weight) * likelihood * likely
    return [World(chance, *key) for key, chance in total.items() if chance > 0]


def _answers(chances: list[float], dispersion: float) -> list[tuple[tuple[int, ...], float]]:
    """Returns what the backends may say, one after the other, at one difficulty."""
    states: list[tuple[tuple[int, ...], float]] = [((), 1.0)]
    for chance in chances:
        grown = []
        for says, likelihood in states:
            grown.append(((*says, RIGHT), likelihood * chance))
            wrong = [said for said in says if said != RIGHT]
            for said in range(max(wrong, default=-1) + 2):
                share = (wrong.count(said) or dispersion) / (dispersion + len(wrong))
                grown.append(((*says, said), likelihood * (1 - chance) * share))
        states = grown
    return states


def groups_of(worlds: list[World], asked: tuple[int, ...], *, is_compared: bool) -> list[list[World]]:
    """Returns the worlds that look the same after asking these."""
    groups: dict[object, list[World]] = {}
    for world in worlds:
        names: dict[int, int] = {}
        same = tuple(names.setdefault(world.says[a], len(names)) for a in asked) if is_compared else ()
        groups.setdefault((same, tuple(world.looks_good[a] for a in asked)), []).append(world)
    return list(groups.values())


def best_score(worlds: list[World], asked: tuple[int, ...]) -> float:
    """Returns P(the best of the answers is right, and one of these worlds)."""
    return max(sum(w.chance for w in worlds if w.says[a] == RIGHT) for a in asked) if asked else 0.0


def best_value(
    outlook: Outlook, worlds: list[World], asked: tuple[int, ...], charge: Callable[[int, int], float], n_calls: int
) -> float:
    """Returns the greatest value that any plan of up to `n_calls` more calls has, by trying all of them.

    `charge(place, number)` is what a call takes off, the first one being number 0.
    """
    is_compared = outlook.escalation.comparable > 0
    values = [best_score(worlds, asked)]
    for place in range(len(outlook.backends)) if n_calls else ():
        if place not in asked:
            grown = (*asked, place)
            parts = groups_of(worlds, grown, is_compared=is_compared)
            price = charge(place, len(asked)) * sum(w.chance for w in worlds)
            values.append(sum(best_value(outlook, part, grown, charge, n_calls - 1) for part in parts) - price)
    return max(values)


def tried_in(outlook: Outlook, world: World, asked: tuple[int, ...]) -> tuple[Tried, ...]:
    """Returns what a cascade sees of a world."""
    calls = []
    for place in asked:
        wrong, right = looks_good(outlook, place)
        if not world.looks_good[place]:
            wrong, right = 1 - wrong, 1 - right
        quality = float(outlook.quality[place])
        confidence = quality * right / (quality * right + (1 - quality) * wrong)
        answer = FinalAnswer(kind="number", value=str(world.says[place])) if outlook.escalation.comparable else None
        calls.append(Tried(place=place, confidence=confidence, cost_usd=0.0, answer=answer))
    return tuple(calls)
