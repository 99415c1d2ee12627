"""Confidence: P(this completion is correct), from what was expected before the call and what is seen after it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np

from ..backends import Completion, Query
from .boosting import Growth, TreeSum, grow, tree_sum
from .calibration import Calibration, fit_calibration
from .errors import ArtefactError, FitError
from .glance import CLIP, LEAST_ESTIMATE, LEAST_SCORE, Glance, glance_of
from .logistic import fit_logistic, sigmoid
from .paired import paired_gap
from .phrasing import Phrases, Phrasing, fit_phrasing
from .ridge import FloatArray
from .sample import sample
from .signals import EARLY, SIGNALS, signal_names
from .sparse import Float32Array, IntArray
from .telling import counting

N_TREES = 100
_GROWTH = Growth(depth=3, rate=0.1, input_share=0.3)
_MOST_ANSWERS = 50_000  # that weights and trees are learned from; more would take long and tell the same
_MIN_FOR_MORE = 500  # graded answers, below which the logistic part is left alone, and phrasing not read
_OWN_PENALTY = 30.0  # on what is peculiar to one backend, relative to what all share: few labels each are normal
_PENALTY = 2.0
_FEW = 1000  # answers, below which the penalty on what all share is greater by as much as they are fewer


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfidenceModel:
    """A logistic model of the signals and the estimate, with a part shared by all backends and a part of each one; and
    boosted trees over the same, which see what a line cannot. Where there are trees, the two log-odds are averaged.

    A signal that does not apply counts as average, and that it does not apply is itself a feature. One that never did
    in training changes nothing when it does for the first time.

    The `phrasing`, where it pays, is the last of the signals, without a name among them.
    """

    backends: tuple[str, ...]
    signals: tuple[str, ...]
    phrasing: Phrasing | None
    mean: FloatArray  # (n_signals,)
    scale: FloatArray  # (n_signals,) 1 / standard deviation, 0 for a signal that never varies
    absence: FloatArray  # (n_signals,) the share of answers to which it does not apply
    shared: FloatArray  # (n_features,)
    own: FloatArray  # (n_backends, n_features)
    trees: TreeSum | None  # over all features but the last
    calibration: Calibration  # of one column
    _glance: Glance = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        tables = (signal_names(), signal_names(EARLY))
        if self.signals not in tables:
            now = min(tables, key=lambda names: len({*names} ^ {*self.signals}))
            gone = ", ".join(name for name in self.signals if name not in now) or "none"
            new = ", ".join(name for name in now if name not in self.signals) or "none"
            raise ArtefactError(f"trained with another table of signals (gone since: {gone}; new: {new}); train again")
        object.__setattr__(self, "_glance", glance_of(self))

    @property
    def runs_code(self) -> bool:
        """Whether it goes by what comes of running the code in an answer."""
        return any(signal.needs == "sandbox" for signal in self._glance.signals)

    def confidence(
        self, query: Query, completion: Completion, *, backend: str, estimate: float, run_code: bool = False
    ) -> float:
        """Returns P(correct) of one completion by `backend`, whose estimated quality was `estimate`, NaN = unknown.

        A backend that the model never saw is judged by what all share.
        """
        chance = self._glance.chance(query, completion, backend=backend, estimate=estimate, run_code=run_code)
        return float(self.calibration.apply(np.array([chance]))[0])

    def judge(self, values: FloatArray, estimates: FloatArray, *, backend: str) -> FloatArray:
        """Returns P(correct) of completions by `backend`, (n_calls,).

        `values` are what `read_signals` saw in each and, last, the score of the phrasing, if there is one.
        """
        features = _assemble(values, estimates, self.mean, self.scale, self.absence)
        own = self.own[self.backends.index(backend)] if backend in self.backends else 0.0
        logits = features @ (self.shared + own)
        if self.trees is not None:
            logits = _averaged(logits, self.trees.predict(_tree_inputs(features))[:, 0])
        return self.calibration.apply(sigmoid(logits)[:, None])[:, 0]


def fit_confidence(
    *,
    values: FloatArray,
    estimates: FloatArray,
    labels: FloatArray,
    backend_of: IntArray,
    folds: IntArray,
    backends: tuple[str, ...],
    n_trees: int = 0,
    kinds: Iterable[str] = SIGNALS,
    phrases: Phrases = (),
) -> tuple[ConfidenceModel, FloatArray]:
    """Returns the model, with so many trees if there are answers enough, and its out-of-fold confidences, (n_calls,).

    A row a call: `values` (n_calls, n_signals) as `read_signals` gives them for these `kinds`, `estimates` (n_calls,)
    out of fold, `labels` (n_calls,) scores in [0, 1], `backend_of` (n_calls,) the place in `backends`. `phrases`
    (n_calls,), as `phrase_keys` gives them, let the phrasing of answers be learned, if there are answers enough and it
    brings confidence nearer to the scores, out of fold, by more than a standard error. Of very many answers, weights
    are learned from some; all have their confidences out of fold.

    Raises:
        FitError: there are no calls, a label is not in [0, 1], or values or phrases are not those of these calls.
    """
    if len(labels) == 0:
        raise FitError("no answers to learn confidence from; traces need the columns `response` and `score`")
    if not ((labels >= 0) & (labels <= 1)).all():
        raise FitError("labels: expected scores in [0, 1]")
    names = signal_names(kinds)
    if values.shape != (len(labels), len(names)):
        raise FitError(f"values: expected shape ({len(labels)}, {len(names)}), got {values.shape}")
    if len(phrases) not in (0, len(labels)):
        raise FitError(f"phrases: expected {len(labels)}, one a call, got {len(phrases)}")
    has_more = len(labels) >= _MIN_FOR_MORE
    n_trees = n_trees if has_more else 0

    read = sample(len(labels), _MOST_ANSWERS)

    def judged(seen: Callable[[int, IntArray], FloatArray]) -> FloatArray:
        """Returns log-odds out of fold, (n_calls,), from what is seen in these calls where the fold of this place is
        left out."""
        logits = np.empty(len(labels))
        for place, fold in enumerate(counting(np.unique(folds), "confidence, fold")):
            inside, outside = read[folds[read] != fold], np.flatnonzero(folds == fold)
            if not len(inside):
                inside = outside
            features = seen(place, inside)
            shared, own = _fit_weights(features, labels[inside], backend_of[inside], len(backends))
            trees = _fit_trees(features, labels[inside], n_trees) if n_trees else None
            features = seen(place, outside)
            logits[outside] = np.einsum("nf,nf->n", features, shared + own[backend_of[outside]])
            if trees is not None:
                logits[outside] = _averaged(logits[outside], trees.predict(_tree_inputs(features))[:, 0])
        return logits

    scales = signal_scales(values)
    logits = judged(lambda place, rows: _assemble(values[rows], estimates[rows], *scales))
    phrasing = None
    learned = fit_phrasing(phrases, labels, backend_of, folds) if has_more and len(phrases) else None
    if learned is not None:
        told = learned.scores
        widened = np.column_stack([values, learned.out_of_fold])
        its_scales = signal_scales(widened)

        def with_phrasing(place: int, rows: IntArray) -> FloatArray:
            return _assemble(np.column_stack([values[rows], told[place, rows]]), estimates[rows], *its_scales)

        its_logits = judged(with_phrasing)
        if paired_gap((sigmoid(logits) - labels) ** 2, (sigmoid(its_logits) - labels) ** 2) > 1:
            phrasing, logits, scales, values = learned.phrasing, its_logits, its_scales, widened
    features = _assemble(values[read], estimates[read], *scales)
    mean, scale, absence = scales
    shared, own = _fit_weights(features, labels[read], backend_of[read], len(backends))
    calibration, confidences = fit_calibration(sigmoid(logits)[:, None], labels[:, None], folds)
    model = ConfidenceModel(
        backends=backends,
        signals=names,
        phrasing=phrasing,
        mean=mean,
        scale=scale,
        absence=absence,
        shared=shared,
        own=own,
        trees=_fit_trees(features, labels[read], n_trees) if n_trees else None,
        calibration=calibration,
    )
    return model, confidences[:, 0]


def signal_scales(values: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Returns of each signal mean, 1 / standard deviation, and the share of answers to which it does not apply."""
    known = np.isfinite(values)
    counts = np.maximum(known.sum(0), 1)
    mean = np.where(known, values, 0).sum(0) / counts
    spread = np.sqrt((np.where(known, values - mean, 0) ** 2).sum(0) / counts)
    scale = np.where(spread > 1e-9, 1 / np.maximum(spread, 1e-9), 0.0)
    return mean, scale, 1 - known.mean(axis=0)


def _assemble(
    values: FloatArray, estimates: FloatArray, mean: FloatArray, scale: FloatArray, absence: FloatArray
) -> FloatArray:
    """Returns the features, (n, 2 * n_signals + 2): estimate's logit, standardised signals, which are absent, 1."""
    n_signals = values.shape[1]
    features = np.empty((len(values), 2 * n_signals + 2))
    clipped = np.minimum(np.maximum(np.where(np.isnan(estimates), 0.5, estimates), LEAST_ESTIMATE), 1 - LEAST_ESTIMATE)
    features[:, 0] = np.log(clipped / (1 - clipped))
    known = np.isfinite(values)
    standardized = np.where(known, values - mean, 0)
    standardized *= scale
    np.maximum(standardized, -CLIP, out=standardized)
    np.minimum(standardized, CLIP, out=features[:, 1 : n_signals + 1])
    np.subtract(~known, absence, out=features[:, n_signals + 1 : -1])
    features[:, -1] = 1
    return features


def _tree_inputs(features: FloatArray) -> Float32Array:
    """Returns all features but the constant."""
    return features[:, :-1].astype(np.float32)


def _fit_trees(features: FloatArray, labels: FloatArray, n_trees: int) -> TreeSum:
    inputs = _tree_inputs(features)
    varying = np.flatnonzero(np.ptp(inputs, axis=0) > 0)
    grown = islice(grow(inputs[:, varying], labels[:, None], _GROWTH), n_trees)
    placed = [replace(tree, columns=varying[tree.columns]) for tree in grown]
    return tree_sum(placed, labels.mean(keepdims=True), depth=_GROWTH.depth)


def _averaged(logits: FloatArray, scores: FloatArray) -> FloatArray:
    """Returns the mean of the log-odds of the logistic part and of those that the trees' scores come to."""
    chance = np.clip(scores, LEAST_SCORE, 1 - LEAST_SCORE)
    averaged: FloatArray = (logits + np.log(chance / (1 - chance))) / 2
    return averaged


def _fit_weights(
    features: FloatArray, labels: FloatArray, backend_of: IntArray, n_backends: int
) -> tuple[FloatArray, FloatArray]:
    """Returns shared weights (n_features,) and each backend's own deviations (n_backends, n_features).

    Shared first, around the estimate as it is, then each backend around it: the pooling of a hierarchical model in
    two steps. Few answers move them less than in proportion, as each weight then fits to chance.
    """
    n_features = features.shape[1]
    penalties = np.full(n_features, _PENALTY * max(1.0, _FEW / len(labels)))
    penalties[-1] = 1e-3
    shared = fit_logistic(features, labels, penalties, offset=features[:, 0])
    shared[0] += 1.0
    own_penalties = np.full(n_features, _PENALTY * _OWN_PENALTY)
    own_penalties[-1] = _OWN_PENALTY / 2
    own = np.zeros((n_backends, n_features))
    for backend in range(n_backends):
        rows = backend_of == backend
        if rows.any():
            own[backend] = fit_logistic(features[rows], labels[rows], own_penalties, offset=features[rows] @ shared)
    return shared, own
