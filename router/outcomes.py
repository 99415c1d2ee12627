"""The ways in which a few answers may turn out, as tables that do not depend on the query."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from .belief import NOBODY
from .outlook import FloatArray

IntArray = NDArray[np.int64]
Partition = tuple[int, ...]  # the group of every new answer; groups that are new follow the old ones in order


@dataclass(frozen=True, slots=True, kw_only=True)
class Sets:
    """All sets of `size` among n candidates, how they grow by one, and where tables tell of their members."""

    members: IntArray  # (n_sets, size)
    others: IntArray  # (n_sets, n - size) the candidates that are not in the set
    grown: IntArray  # (n_sets, n - size) with one of these: rows of a table (n_larger_sets, size + 1)
    right: IntArray  # (size, 2**size, n_sets) who is right: rows of a table (2, n), first wrong, then right
    looks: IntArray  # (size, n_sets, 2**size, 2**size) how they look, who is right: entries of a table (2, n, 2)


@lru_cache(maxsize=256)
def sets_of(n: int, size: int) -> Sets:
    """Returns the sets, members in order."""
    sets = list(combinations(range(n), size))
    larger = {chosen: place for place, chosen in enumerate(combinations(range(n), size + 1))}
    others = [[b for b in range(n) if b not in chosen] for chosen in sets]
    grown = [
        [larger[g] * (size + 1) + g.index(b) for b in left for g in [tuple(sorted((*chosen, b)))]]
        for chosen, left in zip(sets, others, strict=True)
    ]
    members = np.array(sets, dtype=np.int64).reshape(len(sets), size)
    patterns = np.array(patterns_of(size), dtype=np.int64)  # (2**size, size)
    right = patterns.T[:, :, None] * n + members.T[:, None, :]
    return Sets(
        members=members,
        others=np.array(others, dtype=np.int64).reshape(len(sets), n - size),
        grown=np.array(grown, dtype=np.int64).reshape(len(sets), n - size),
        right=right,
        looks=right.swapaxes(1, 2)[:, :, None, :] * 2 + patterns.T[:, None, :, None],
    )


def patterns_of(size: int) -> list[tuple[int, ...]]:
    """Returns every way in which so many answers may each be one of two things."""
    return list(product((0, 1), repeat=size))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """What `size` new answers may say. A state is how they look and how they fall into groups (a partition).

    A term is a partition, a case of the belief and who of the new ones is right: what can happen in one way. A claim is
    that one particular answer is right, in one partition.
    """

    size: int
    n_cases: int
    n_patterns: int  # of who is right
    multiple: FloatArray  # (n_terms, 1) in the formula of `ways`
    n_new_groups: IntArray  # (n_terms, 1) of wrong answers
    n_wrong_before: IntArray  # (n_terms,) that can be compared
    n_wrong: IntArray  # (n_terms,) with the new ones
    first_claim: IntArray  # (n_partitions,)
    n_claims: int
    term_at: IntArray  # (n_entries,) the term that stands
    table_at: IntArray  # (n_entries,) there in a table (n_cases, n_patterns, n_claims + n_partitions)
    shrink: FloatArray  # (n_states, size * n_smaller_states) 1 where taking that one answer away leaves that state

    def ways(self, dispersion: FloatArray) -> FloatArray:
        """Returns P(the new wrong answers fall into their groups) at every difficulty, (n_terms, n_nodes)."""
        steps = dispersion + np.arange(self.n_wrong.max())[:, None]
        risen = np.concatenate([np.ones((1, len(dispersion))), np.cumprod(steps, axis=0)])
        chance = self.multiple * dispersion**self.n_new_groups
        likelihood: FloatArray = chance * risen[self.n_wrong_before] / risen[self.n_wrong]
        return likelihood

    def table(self, dispersion: FloatArray) -> FloatArray:
        """Returns how likely a pattern with a claim or a partition is in a case of the belief, at every difficulty.

        Shape (n_cases, n_patterns, n_nodes, n_claims + n_partitions).
        """
        n_columns = self.n_claims + len(self.first_claim)
        table = np.zeros((self.n_cases * self.n_patterns * n_columns, len(dispersion)))
        table[self.table_at] = self.ways(dispersion)[self.term_at]
        shaped = table.reshape(self.n_cases, self.n_patterns, n_columns, -1)
        return np.ascontiguousarray(shaped.swapaxes(2, 3))


@lru_cache(maxsize=256)
def outcomes_of(sizes: tuple[int, ...], cases: tuple[tuple[int, int], ...], size: int, is_compared: bool) -> Outcomes:
    """Returns the outcomes of `size` more answers where there are groups of these `sizes` already."""
    patterns = patterns_of(size)
    partitions: list[Partition] = partitions_of(len(sizes), size) if is_compared else [()]
    n_loners = 1 + max(loner for _, loner in cases)
    terms: list[tuple[int, int, int, tuple[float, int, int, int]]] = []  # partition, case, pattern, ways
    claims: list[list[list[int]]] = [[] for _ in partitions]  # of every partition, the terms of every claim
    for place, partition in enumerate(partitions):
        n_groups = max(len(sizes), 1 + max(partition, default=-1))
        n_claims = n_groups + n_loners + (0 if is_compared else size)
        claims[place] = [[] for _ in range(n_claims)]
        for case, (group, loner) in enumerate(cases):
            for right in patterns:
                is_right_group = group
                if is_compared:
                    named = {g for g, is_right in zip(partition, right, strict=True) if is_right}
                    if len(named) > 1 or (named and group == NOBODY and min(named) < len(sizes)):
                        continue
                    if group != NOBODY and named - {group}:
                        continue
                    is_right_group = group if group != NOBODY else min(named, default=NOBODY)
                    if any(g == is_right_group and not r for g, r in zip(partition, right, strict=True)):
                        continue
                term = len(terms)
                terms.append((place, case, patterns.index(right), _ways(sizes, group, partition, right)))
                if loner != NOBODY:
                    claims[place][n_groups + loner].append(term)
                    continue
                if is_right_group != NOBODY:
                    claims[place][is_right_group].append(term)
                if not is_compared:
                    for number, is_right in enumerate(right):
                        if is_right:
                            claims[place][n_groups + n_loners + number].append(term)
    first_claim = np.cumsum([0, *(len(of_one) for of_one in claims)])[:-1]
    n_claims = sum(len(of_one) for of_one in claims)
    columns = [members for of_one in claims for members in of_one]
    columns += [
        [term for term, (at, case, *_) in enumerate(terms) if at == place and cases[case][1] == NOBODY]
        for place in range(len(partitions))
    ]
    entries = [
        (term, (terms[term][1] * len(patterns) + terms[term][2]) * len(columns) + column)
        for column, members in enumerate(columns)
        for term in members
    ]
    return Outcomes(
        size=size,
        n_cases=len(cases),
        n_patterns=len(patterns),
        multiple=np.array([[way[0]] for *_, way in terms], dtype=np.float64),
        n_new_groups=np.array([[way[1]] for *_, way in terms], dtype=np.int64),
        n_wrong_before=np.array([way[2] for *_, way in terms], dtype=np.int64),
        n_wrong=np.array([way[3] for *_, way in terms], dtype=np.int64),
        first_claim=first_claim.astype(np.int64),
        n_claims=n_claims,
        term_at=np.array([term for term, _ in entries], dtype=np.int64),
        table_at=np.array([place for _, place in entries], dtype=np.int64),
        shrink=_shrink(len(sizes), size, patterns, partitions, is_compared),
    )


def partitions_of(n_groups: int, size: int) -> list[Partition]:
    """Returns every way in which `size` answers may join groups or open new ones."""
    partitions: list[Partition] = [()]
    for _ in range(size):
        partitions = [
            (*partition, group)
            for partition in partitions
            for group in range(max(n_groups, 1 + max(partition, default=-1)) + 1)
        ]
    return partitions


def _ways(
    sizes: tuple[int, ...], right_group: int, partition: Partition, right: tuple[int, ...]
) -> tuple[float, int, int, int]:
    """Returns multiple, new groups, wrong answers before and after: the Chinese restaurant, see `belief._ways`."""
    counts = {group: size for group, size in enumerate(sizes) if group != right_group}
    n_before = sum(counts.values())
    multiple, n_new, n_wrong = 1.0, 0, n_before
    for group, is_right in zip(partition, right, strict=False):
        if not is_right:
            multiple *= counts.get(group, 1)
            n_new += group not in counts
            counts[group] = counts.get(group, 0) + 1
            n_wrong += 1
    return multiple, n_new, n_before, n_wrong


def _shrink(
    n_groups: int, size: int, patterns: list[tuple[int, ...]], partitions: list[Partition], is_compared: bool
) -> FloatArray:
    """Returns which states become which when one answer is taken away; a column a position and smaller state."""
    smaller_patterns = {pattern: place for place, pattern in enumerate(patterns_of(size - 1))}
    smaller = {p: place for place, p in enumerate(partitions_of(n_groups, size - 1) if is_compared else [()])}
    n_smaller = len(smaller_patterns) * len(smaller)
    table = np.zeros((len(patterns) * len(partitions), size * n_smaller))
    for state, (look, partition) in enumerate(product(patterns, partitions)):
        for position in range(size):
            rest = _without(look, position)
            left = _renumbered(_without(partition, position), n_groups) if is_compared else ()
            column = position * n_smaller + smaller_patterns[rest] * len(smaller) + smaller[left]
            table[state, column] = 1
    return table


def _without(values: tuple[int, ...], position: int) -> tuple[int, ...]:
    return values[:position] + values[position + 1 :]


def _renumbered(partition: Partition, n_groups: int) -> Partition:
    """Returns the partition with its new groups numbered in order of appearance."""
    numbers: dict[int, int] = {}
    return tuple(g if g < n_groups else numbers.setdefault(g, n_groups + len(numbers)) for g in partition)
