"""Which queries are learned from, which are chosen by, and which only judge the result."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..classifiers.canonical import canonical
from .dataset import Dataset
from .errors import TraceError
from .evaluation import IntArray
from .rows import shown

MIN_QUERIES = 10
PART_OF_MARK = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
}  # what the split column may hold, in any case

_PARTS = ("train", "val", "test")  # the later, the better protected
# Signs that change what a formula asks are kept, so that 7 - 2 and 7 / 2 stay two queries.
_FOLDED = re.compile(r"[^\w+\-*/%<>=^]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Indexes of queries, ascending. No query and no twin of one is in two parts."""

    train: IntArray
    val: IntArray
    test: IntArray  # empty where some queries are marked but none for test
    notes: tuple[str, ...] = ()

    @property
    def learned(self) -> IntArray:
        """The queries that training may look at: those of train and val, ascending."""
        return np.sort(np.concatenate([self.train, self.val]))


def split_queries(dataset: Dataset, *, seed: int, val_share: float = 0.15, test_share: float = 0.2) -> Split:
    """Returns the three parts of a dataset.

    Where the split column marks queries, it decides, and unmarked ones are for training; without any
    mark, `test_share` of the queries are drawn for test. Unless some are marked for validation,
    `val_share` of those for training are drawn for it.

    Twins (queries of one group, or whose texts look alike but for case, space and punctuation) are drawn
    together; a query whose twin is marked for a better protected part (test before validation
    before training) is left out. What is drawn depends on `seed` and on the query, not on
    the others or on their order, save that no part is left empty.

    Raises:
        TraceError: there are too few queries, a mark is unknown, or none is left to learn from.
    """
    if dataset.n_queries < MIN_QUERIES:
        raise TraceError(f"{dataset.n_queries} queries with a score; expected at least {MIN_QUERIES} to learn from")
    families = find_families(dataset.texts, dataset.groups)
    marks = [part_of_mark(mark, query_id) for mark, query_id in zip(dataset.splits, dataset.query_ids, strict=True)]
    marked = {
        family: max((marks[index] for index in members), key=_PARTS.index) for family, members in families.items()
    }
    part_of = dict(marked)
    if not any(mark.strip() for mark in dataset.splits):
        drawn = _draw(part_of, share=test_share, n_left=2, salt=f"test {seed}")
        part_of.update(dict.fromkeys(drawn, "test"))
    learned = [family for family, part in part_of.items() if part == "train"]
    if not learned:
        twins = marks.count("train")
        held = f"; each of the {twins} marked so has a twin that is marked for validation or test" if twins else ""
        raise TraceError(f"no query is left to train on: expected some with `train` or nothing in column split{held}")
    if "val" not in marks:
        drawn = _draw(learned, share=val_share, n_left=1, salt=f"val {seed}")
        part_of.update(dict.fromkeys(drawn, "val"))

    parts: dict[str, list[int]] = {part: [] for part in _PARTS}
    for family, members in families.items():
        parts[part_of[family]] += [index for index in members if marks[index] == marked[family]]
    n_left_out = dataset.n_queries - sum(map(len, parts.values()))
    notes: tuple[str, ...] = ()
    if n_left_out:
        notes = (f"Queries left out because a twin is marked for validation or test: {n_left_out}.",)
    train, val, test = (np.array(sorted(parts[part]), dtype=np.int64) for part in _PARTS)
    return Split(train=train, val=val, test=test, notes=notes)


def normalised(text: str) -> str:
    """Returns the text with case, space, look-alikes and punctuation folded, the same for near-identical queries.

    >>> normalised("What is  7 - 2 ?") == normalised("what is 7 - 2")
    True
    """
    folded = canonical(text).casefold()
    return _FOLDED.sub(" ", folded).strip() or folded


def part_of_mark(mark: str, query_id: str) -> str:
    """Returns the part that a mark of the split column means; training for none."""
    if not mark.strip():
        return "train"
    try:
        return PART_OF_MARK[mark.strip().lower()]
    except KeyError:
        allowed = ", ".join(PART_OF_MARK)
        raise TraceError(
            f"column split: {shown(mark)} of query_id {shown(query_id)}; expected {allowed} or nothing"
        ) from None


def find_families(texts: Sequence[str], groups: Sequence[str]) -> dict[str, list[int]]:
    """Returns the indexes of queries that are twins, each family under a key that its order does not change."""
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        while parent.setdefault(key, key) != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    keys = [f"text {normalised(text)}" for text in texts]
    for key, group in zip(keys, groups, strict=True):
        # The smaller key becomes the root, so that a family is named alike in whatever order it is found.
        low, high = sorted((root(key), root(f"group {group}") if group else root(key)))
        parent[high] = low
    families: dict[str, list[int]] = {}
    for index, key in enumerate(keys):
        families.setdefault(root(key), []).append(index)
    return families


def families_of(dataset: Dataset) -> Sequence[str]:
    """Returns what keeps twins together: the family of each query."""
    family_of = [""] * dataset.n_queries
    for family, members in find_families(dataset.texts, dataset.groups).items():
        for row in members:
            family_of[row] = family
    return family_of


def numbered_families(dataset: Dataset) -> IntArray:
    """Returns the number of each query's family, (n_queries,), in the order of their first queries."""
    numbers = np.empty(dataset.n_queries, dtype=np.int64)
    for number, members in enumerate(find_families(dataset.texts, dataset.groups).values()):
        numbers[members] = number
    return numbers


def _draw(families: Iterable[str], *, share: float, n_left: int, salt: str) -> list[str]:
    """Returns about that share of the families, at least one, leaving at least `n_left` undrawn."""
    lots = sorted((_lot(f"{salt} {family}"), family) for family in families)
    if len(lots) <= n_left:
        raise TraceError(
            f"{len(lots)} groups of queries that must stay together; expected at least {n_left + 1} to split"
        )
    n_below = sum(lot < share for lot, _ in lots)
    return [family for _, family in lots[: min(max(n_below, 1), len(lots) - n_left)]]


def _lot(key: str) -> float:
    """Returns a number in [0, 1) that looks random and depends on the key alone."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) / 2**64
