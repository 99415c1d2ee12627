"""How well confidence tells right answers from wrong ones, and what each kind of signal is worth to it.

    python benchmarks/confidence.py [SET ...] [--data ../shared/data] [--out table.md]

A set is a name in the folder of the traces, or a file of traces, such as a demo's. Trains on train and validation and
reports on test, default settings. For every backend: AUROC and ECE of confidence in its answers, and the share of the
AUROC over 0.5 that is left for it by a confidence that never saw an answer of it (`stranger`), with its 95 % interval
over answers. Beside ECE stands what it would come to were every confidence right (`by chance`). Then for all backends
together what is left without verifiers, without these and agreement, and without these and log-probabilities: AUROC and
ECE of confidence in one answer, and the gap that the cascade closes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tables import print_table

from penstock.classifiers import (
    ConfidenceModel,
    Escalation,
    Trained,
    fit_confidence,
    fit_escalation,
    read_signals,
    signal_names,
)
from penstock.classifiers.confidence import N_TREES
from penstock.classifiers.phrasing import phrase_keys
from penstock.router import Policy, Pool
from penstock.training import Dataset, Fitted, Replayer, build_dataset, fit, read_traces, split_queries
from penstock.training.bootstrap import curve_figures, paired_bootstrap
from penstock.training.curves import sweep_lams
from penstock.training.evaluation import FloatArray
from penstock.training.fit_answers import final_answers
from penstock.training.probability_metrics import auroc, ece
from penstock.training.progress import Silent
from penstock.training.replay import estimate_matrices
from penstock.training.weighted import weighted_auroc

SETS = ("routellm_gsm8k", "math_l5", "gsm_9")
HEADER = "| set | | answers | right | AUROC | ECE | by chance | stranger | closed |\n" + "|---" * 9 + "|"
N_POINTS = 40
BoolArray = NDArray[np.bool_]
AGREEMENT = "agreement"
# One after the other is left out; in turn with what was left out before.
KINDS = {
    "verifiers": (
        "arithmetic", "asked", "reachable", "equations", "units", "working", "wishes", "choices", "json", "tool_calls",
        "code", "code_tests", "quotes",
    ),
    AGREEMENT: (),
    "log-probabilities": ("logprobs", "alternatives", "sequence", "reasoning"),
}  # fmt: skip


def main() -> int:
    """Returns the exit code."""
    return print_table(__doc__ or "", HEADER, SETS, rows_of)


def rows_of(name: str, path: Path, seed: int) -> list[str]:
    """Returns the rows of one set."""
    dataset = build_dataset(read_traces([path]))
    split = split_queries(dataset, seed=seed)
    train, test = dataset.take(split.learned), dataset.take(split.test)
    fitted = fit(dataset, split, seed=seed)
    answers, judged = Graded(train), Graded(test)
    estimated, _ = estimate_matrices(Pool({}, fitted.trained).estimate_all(test.texts), test.backends)
    whole, _ = answers.learn(fitted)
    rows = []
    for place, backend in enumerate(train.backends):
        own = judged.owner == place
        right = judged.labels[own]
        told = judged.told(whole, estimated, own)
        stranger, _ = answers.learn(fitted, taught=answers.owner != place)
        kept = share_kept(judged.told(stranger, estimated, own), told, right, seed=seed)
        rows.append(f"| {name} | {backend} | {own.sum()} | {right.mean():.3f} | {shown(told, right)} | {kept} | - |")
    everything = np.ones(len(judged.owner), dtype=np.bool_)
    for left_out in accumulate(([kind] for kind in KINDS), initial=[]):
        dropped = [signal for kind in left_out for signal in KINDS[kind]]
        model, confidences = answers.learn(fitted, dropped=dropped)
        escalation = answers.escalation(fitted, confidences)
        if AGREEMENT in left_out:
            escalation = replace(escalation, comparable=0.0)
        gap = closed(replace(fitted.trained, confidence=model, escalation=escalation), test)
        cells = shown(judged.told(model, estimated, everything), judged.labels)
        label = f"without {', '.join(left_out)}" if left_out else "all signals"
        rows.append(f"| {name} | {label} | {len(judged.labels)} | {judged.labels.mean():.3f} | {cells} | - | {gap} |")
    return rows


def shown(told: FloatArray, labels: FloatArray) -> str:
    """Returns AUROC, ECE and what ECE would be by chance, as three cells."""
    return f"{auroc(told, labels):.3f} | {ece(told, labels):.3f} | {ece_by_chance(told):.3f}"


def ece_by_chance(told: FloatArray, *, n_draws: int = 200, seed: int = 0) -> float:
    """Returns the mean ECE of these confidences against answers that are right exactly as often as they say.

    ECE adds up the sizes of differences, so that it is above 0 even then, the more so the fewer the answers. Reference:
    Bröcker and Smith 2007, "Increasing the reliability of reliability diagrams", who draw outcomes in this way.
    """
    rng = np.random.default_rng(seed)
    return float(np.mean([ece(told, (rng.random(len(told)) < told).astype(float)) for _ in range(n_draws)]))


def share_kept(stranger: FloatArray, told: FloatArray, labels: FloatArray, *, seed: int) -> str:
    """Returns which share of the AUROC over 0.5 the stranger's confidences keep, with its 95 % interval."""

    def kept(weights: FloatArray) -> FloatArray:
        return (weighted_auroc(stranger, labels, weights) - 0.5) / (weighted_auroc(told, labels, weights) - 0.5)

    share = paired_bootstrap(kept, len(labels), seed=seed)
    return f"{share.value:.2f} [{share.low:.2f}, {share.high:.2f}]"


class Graded:
    """Every graded answer of a dataset: query, backend, signals and score."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        cells = [
            (
                row,
                b,
                read_signals(dataset.queries[row], completion),
                phrase_keys(dataset.queries[row], completion),
                dataset.completion_score(row, b),
            )
            for row in range(dataset.n_queries)
            for b in range(dataset.n_backends)
            if (completion := dataset.completion(row, b)) is not None and np.isfinite(dataset.completion_score(row, b))
        ]
        rows, owner, values, self.phrases, labels = zip(*cells, strict=True)
        self.rows, self.owner = np.array(rows), np.array(owner)
        self.values, self.labels = np.stack(values), np.array(labels)

    def learn(
        self, fitted: Fitted, *, dropped: Sequence[str] = (), taught: BoolArray | None = None
    ) -> tuple[ConfidenceModel, FloatArray]:
        """Returns confidence learned from some of the answers, without some of the signals, and out of fold."""
        is_dropped = np.array([name.partition(".")[0] in dropped for name in signal_names()])
        chosen = np.arange(len(self.owner)) if taught is None else np.flatnonzero(taught)
        return fit_confidence(
            values=np.where(is_dropped, np.nan, self.values)[chosen],
            estimates=fitted.estimates[self.rows, self.owner][chosen],
            labels=self.labels[chosen],
            backend_of=self.owner[chosen],
            folds=fitted.folds[self.rows][chosen],
            backends=self.dataset.backends,
            n_trees=N_TREES,
            phrases=[self.phrases[place] for place in chosen],
        )

    def escalation(self, fitted: Fitted, told: FloatArray) -> Escalation:
        """Returns what these confidences, one an answer, teach about asking again."""
        confidences = np.full(self.dataset.quality.shape, np.nan)
        confidences[self.rows, self.owner] = told
        quality = self.dataset.as_answered().quality
        return fit_escalation(quality, fitted.estimates, confidences, final_answers(self.dataset))

    def told(self, model: ConfidenceModel, estimates: FloatArray, own: BoolArray) -> FloatArray:
        """Returns confidence in these of the answers; `estimates` are (n_queries, n_backends)."""
        told = np.empty(len(self.owner))
        values = self.values
        if model.phrasing is not None:
            values = np.column_stack([values, [model.phrasing.score(keys) for keys in self.phrases]])
        for place, backend in enumerate(self.dataset.backends):
            its = own & (self.owner == place)
            if its.any():
                told[its] = model.judge(values[its], estimates[self.rows[its], place], backend=backend)
        return told[own]


def closed(trained: Trained, test: Dataset) -> str:
    """Returns which share of the gap between hull and oracle the cascade closes."""
    replayer = Replayer(Pool({}, trained), test)
    quality, cost = estimate_matrices(replayer.estimates, test.backends)
    curve = replayer.curve("cascade", Policy(name="auto"), sweep_lams(quality, cost, N_POINTS), progress=Silent())
    return f"{curve_figures([curve], test.quality, test.cost_usd)[0].gap_closed.value:.3f}"


if __name__ == "__main__":
    raise SystemExit(main())
