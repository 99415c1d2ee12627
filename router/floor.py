"""Floors: rules that keep chosen kinds of queries from ever going to a backend below a tier."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..backends import TIERS, Query, Tier, text_of
from ..classifiers.canonical import canonical
from ..classifiers.encoders import Encoder, create_encoder
from ..classifiers.logistic import fit_logistic, sigmoid
from .document import Section
from .outlook import FloatArray

_KEYS = ("name", "tier", "match", "callers", "like", "unlike", "above")
_CONDITIONS = ("match", "callers", "like")
_LEAST_EXAMPLES = 5  # of each kind
_PENALTY = 0.1  # ridge; embeddings have unit length, so that weights of some tens are needed to tell them apart
_MOST_BYTES = 4 << 20  # of a file of examples


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """Texts of the kind meant, and of other kinds."""

    like: tuple[str, ...]
    unlike: tuple[str, ...]
    above: float = 0.5  # the P(of the kind meant) from which the rule holds


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorRule:
    """One rule. Exactly one of `match`, `callers` and `examples` is given."""

    name: str
    tier: Tier
    match: re.Pattern[str] | None = None
    callers: tuple[str, ...] = ()  # names of the sidecar's API keys
    examples: Examples | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """The lowest tier that may answer, and the rule that says so."""

    tier: Tier
    rule: str


class Floors:
    """All rules together; of several that hold, the highest tier counts.

    Classifiers are fitted to their examples at the first query. Safe to share among threads.
    """

    def __init__(self, rules: Sequence[FloorRule] = ()) -> None:
        self._by_caller = tuple(rule for rule in rules if rule.callers)
        self._by_pattern = tuple((rule, rule.match) for rule in rules if rule.match is not None)
        self._by_examples = tuple((rule, rule.examples) for rule in rules if rule.examples is not None)
        self._fitted: _Classifiers | None = None
        self._lock = threading.Lock()

    def of_caller(self, caller: str) -> Floor | None:
        """Returns the floor of whatever this caller asks."""
        return _highest(rule for rule in self._by_caller if caller in rule.callers)

    def of_query(self, query: Query) -> Floor | None:
        """Returns the floor of a query, by all of its messages: what was asked once stays asked."""
        if not self._by_pattern and not self._by_examples:
            return None
        held: list[FloorRule] = []
        if self._by_pattern:
            text = query.text
            plain = canonical(text)  # so that nobody slips by with letters that only look right
            held = [rule for rule, pattern in self._by_pattern if pattern.search(text) or pattern.search(plain)]
        if self._by_examples:
            held += self._classifiers().rules_for(query)
        return _highest(held)

    def _classifiers(self) -> _Classifiers:
        with self._lock:
            if self._fitted is None:
                self._fitted = _Classifiers(self._by_examples)
            return self._fitted


class _Classifiers:
    """One logistic regression a rule, on the embeddings of its examples."""

    def __init__(self, rules: Sequence[tuple[FloorRule, Examples]]) -> None:
        self._rules = [rule for rule, _ in rules]
        self._above = np.array([examples.above for _, examples in rules])
        self._encoder: Encoder = create_encoder("static")
        self._weights = np.stack([self._fit(examples) for _, examples in rules], axis=1)

    def rules_for(self, query: Query) -> list[FloorRule]:
        """Returns the rules that some message of a user falls under."""
        texts = [text for message in query.messages if message["role"] == "user" and (text := text_of(message))]
        if not texts:
            return []
        probabilities = sigmoid(_design(self._encoder, texts) @ self._weights).max(axis=0)
        return [rule for rule, holds in zip(self._rules, probabilities >= self._above, strict=True) if holds]

    def _fit(self, examples: Examples) -> FloatArray:
        """Returns weights, (dim + 1,), with both kinds counted alike however many examples each has."""
        design = _design(self._encoder, (*examples.like, *examples.unlike))
        n_like, n_unlike = len(examples.like), len(examples.unlike)
        labels = np.repeat([1.0, 0.0], [n_like, n_unlike])
        penalties = np.append(np.full(design.shape[1] - 1, _PENALTY), 1e-3)
        weights = fit_logistic(design, labels, penalties)
        weights[-1] -= np.log(n_like / n_unlike)
        return weights


NO_FLOORS = Floors()


def read_floors(top: Section, *, folder: Path) -> Floors:
    """Returns the rules under `floor`; files of examples are relative to a folder.

    Raises:
        ConfigError: a rule is wrong; the text names it and what is allowed.
    """
    return Floors([_read_rule(section, folder=folder) for section in top.items("floor")])


def _read_rule(section: Section, *, folder: Path) -> FloorRule:
    section.only(_KEYS)
    given = [key for key in _CONDITIONS if section.has(key)]
    if len(given) != 1:
        raise section.error("", f"expected exactly one of {', '.join(_CONDITIONS)}, got {', '.join(given) or 'none'}")
    for key in ("unlike", "above"):
        if section.has(key) and not section.has("like"):
            raise section.error(key, "goes with `like` only")
    pattern = None
    if section.has("match"):
        try:
            pattern = re.compile(section.text("match", required=True))
        except re.error as error:
            raise section.error("match", f"no regular expression: {error}") from error
    callers = section.names("callers")
    if section.has("callers") and not callers:
        raise section.error("callers", "names nobody; expected names of API keys")
    return FloorRule(
        name=section.text("name", required=True),
        tier=section.choice("tier", TIERS, default="lrm"),
        match=pattern,
        callers=callers,
        examples=_read_examples(section, folder=folder) if section.has("like") else None,
    )


def _read_examples(section: Section, *, folder: Path) -> Examples:
    return Examples(
        like=_read_texts(section, "like", folder=folder),
        unlike=_read_texts(section, "unlike", folder=folder),
        above=section.number("above", default=0.5, above=0.0, most=1.0),
    )


def _read_texts(section: Section, key: str, *, folder: Path) -> tuple[str, ...]:
    """Returns a list of texts, or the lines of a file."""
    if isinstance(section.raw(key), str):
        path = folder / section.text(key)
        try:
            with path.open("rb") as file:
                data = file.read(_MOST_BYTES + 1)
            texts = tuple(line.strip() for line in data.decode("utf-8").splitlines() if line.strip())
        except OSError as error:
            raise section.error(key, f"{path} cannot be read: {error.strerror or error}") from error
        except UnicodeDecodeError as error:
            raise section.error(key, f"{path} is not UTF-8") from error
        if len(data) > _MOST_BYTES:
            raise section.error(key, f"{path} has more than {_MOST_BYTES} bytes")
    else:
        texts = section.names(key)
    if len(texts) < _LEAST_EXAMPLES:
        raise section.error(
            key, f"expected at least {_LEAST_EXAMPLES} texts, or a file with one a line, got {len(texts)}"
        )
    return texts


def _highest(rules: Iterable[FloorRule]) -> Floor | None:
    highest = max(rules, key=lambda rule: TIERS.index(rule.tier), default=None)
    return None if highest is None else Floor(tier=highest.tier, rule=highest.name)


def _design(encoder: Encoder, texts: Sequence[str]) -> FloatArray:
    """Returns embeddings with a column of ones, (n_texts, dim + 1)."""
    vectors = encoder.encode([canonical(text) for text in texts]).astype(np.float64)
    return np.concatenate([vectors, np.ones((len(texts), 1))], axis=1)
