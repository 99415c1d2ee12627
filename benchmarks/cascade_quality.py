"""What looking at answers is worth on real traces: trains on train and validation, reports on test, default settings.

    python benchmarks/cascade_quality.py [SET ...] [--data ../shared/data] [--out table.md]

For every set four strategies, with 95 % paired bootstrap intervals: the router alone; a threshold cascade through the
backends on the hull, by the same confidence; agreement alone (two or three backends agree, else another one is asked,
rules chosen on train and validation); and Penstock. For two backends also the APGR of going on after the weak answer,
which costs nothing there. What confidence in one answer is worth tells `confidence.py`.
`closed` is (AIQ - hull) / (oracle - hull), `saving` that at the best backend's score.
"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
from tables import print_table

from penstock.classifiers.final_answer import final_answer
from penstock.router import Pool, Tried
from penstock.router.config import DEFAULT_POLICIES
from penstock.router.decision import outlook_of
from penstock.router.lookahead import gains
from penstock.training import Curve, Dataset, Replayer, build_dataset, evaluate, fit, read_traces, split_queries
from penstock.training.bootstrap import Interval, curve_figures
from penstock.training.metrics import apgr

SETS = ("math_l5", "gsm_9", "routellm_gsm8k")
HEADER = "| set | strategy | closed | saving | APGR |\n|---|---|---|---|---|"
N_THRESHOLDS = 25
CHEAP = 6  # backends among which agreement is looked for: pairs and triples of these


def main() -> int:
    """Returns the exit code."""
    return print_table(__doc__ or "", HEADER, SETS, lambda name, path, seed: rows_of(name, path, seed=seed))


def rows_of(name: str, path: Path, *, seed: int) -> list[str]:
    """Returns the rows of one set."""
    dataset = build_dataset(read_traces([path]))
    split = split_queries(dataset, seed=seed)
    pool = Pool({}, fit(dataset, split, seed=seed).trained)
    train, test = dataset.take(split.learned), dataset.take(split.test)
    replayer = Replayer(pool, test)
    evaluation = evaluate(
        pool, test, policies=DEFAULT_POLICIES, default_policy="auto", split="test", title=name, n_points=40
    )
    swept = {curve.name: curve for curve in evaluation.curves}
    curves = {
        "router alone": swept["router"],
        "threshold cascade": threshold_curve(replayer, train, test),
        "agreement alone": agreement_curve(train, test),
        "Penstock": swept["cascade"],
    }
    figures = curve_figures(list(curves.values()), test.quality, test.cost_usd)
    pairs = {"router alone": "-", "Penstock": "-"}
    if test.n_backends == 2:
        weak = int(np.nanmean(train.quality, axis=0).argmin())
        before = evaluation.estimated_quality[:, 1 - weak] - evaluation.estimated_quality[:, weak]
        for label, win in (("router alone", before), ("Penstock", gain_after(replayer, weak))):
            pairs[label] = f"{apgr(win, test.quality[:, weak], test.quality[:, 1 - weak]):.3f}"
    return [
        f"| {name} | {label} | {shown(found.gap_closed)} | {shown(found.saving_at_best)} | {pairs.get(label, '-')} |"
        for label, found in zip(curves, figures, strict=True)
    ]


def threshold_curve(replayer: Replayer, train: Dataset, test: Dataset) -> Curve:
    """Returns the cascade that goes up the hull of the training means while confidence is below a threshold."""
    quality, cost = np.nanmean(train.quality, axis=0), np.nanmean(train.cost_usd, axis=0)
    chain = [b for b in np.argsort(cost) if not ((quality > quality[b]) & (cost < cost[b])).any()]
    chain = [b for b in chain if quality[b] >= quality[chain[0]]]
    confidence = np.full(test.quality.shape, np.nan)
    judged = replayer.confidences()
    assert judged is not None
    for row, name, value in zip(judged.query, judged.backend, judged.confidence, strict=True):  # type: ignore[arg-type]  # a replay names its queries
        confidence[row, test.backends.index(name)] = value
    costs, scores, labels = [], [], []
    for last in range(1, len(chain) + 1):
        for threshold in np.linspace(0, 1, N_THRESHOLDS):
            paid, score = np.zeros(test.n_queries), np.zeros(test.n_queries)
            is_open = np.ones(test.n_queries, dtype=np.bool_)
            for b in chain[:last]:
                paid = np.where(is_open, paid + test.cost_usd[:, b], paid)
                score = np.where(is_open, test.quality[:, b], score)
                is_open &= ~(confidence[:, b] >= threshold)
            costs.append(paid)
            scores.append(score)
            labels.append(f"{last} {threshold:.2f}")
    return Curve(name="threshold cascade", labels=tuple(labels), cost_usd=np.stack(costs), score=np.stack(scores))


def agreement_curve(train: Dataset, test: Dataset) -> Curve:
    """Returns the rules 'two or three agree, else ask another' that lie on the hull of the training queries."""
    rules = [((), b) for b in range(train.n_backends)]
    cheap = np.argsort(np.nanmean(train.cost_usd, axis=0))[:CHEAP].tolist()
    for size in (2, 3):
        rules += [(m, b) for m in combinations(cheap, size) for b in range(train.n_backends) if b not in m]
    learned = [(cost.mean(), score.mean()) for cost, score in (follow(rule, train) for rule in rules)]
    kept = [
        rule
        for rule, (cost, score) in zip(rules, learned, strict=True)
        if not any(c <= cost and s > score for c, s in learned)
    ]
    costs, scores = zip(*(follow(rule, test) for rule in kept), strict=True)
    return Curve(name="agreement", labels=tuple(map(str, kept)), cost_usd=np.stack(costs), score=np.stack(scores))


_ANSWERS: dict[int, list[list[object]]] = {}


def follow(rule: tuple[tuple[int, ...], int], dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Returns what a rule costs and scores on every query."""
    members, other = rule
    if id(dataset) not in _ANSWERS:
        _ANSWERS[id(dataset)] = [
            [
                final_answer(completion) if (completion := dataset.completion(row, b)) is not None else None
                for b in range(dataset.n_backends)
            ]
            for row in range(dataset.n_queries)
        ]
    said = _ANSWERS[id(dataset)]
    paid = dataset.cost_usd[:, list(members)].sum(axis=1)
    agree = np.array([bool(members) and row[members[0]] is not None for row in said])
    agree &= np.array([len({row[m] for m in members}) == 1 for row in said])
    first = dataset.quality[:, members[0]] if members else dataset.quality[:, other]
    paid = paid + np.where(agree, 0, dataset.cost_usd[:, other])
    return paid, np.where(agree, first, dataset.quality[:, other])


def gain_after(replayer: Replayer, weak: int) -> np.ndarray:
    """Returns what going on to the strong one is expected to add once the weak answer has been seen."""
    dataset, pool = replayer.dataset, replayer.pool
    out = np.empty(dataset.n_queries)
    for row in range(dataset.n_queries):
        completion, estimates = dataset.completion(row, weak), replayer.estimates[row]
        seen = outlook_of(estimates, pool.escalation, DEFAULT_POLICIES["best"], {})
        place = estimates.backends.index(dataset.backends[weak])
        confidence = float(estimates.quality[place])
        if completion is not None:
            confidence = pool.confidence(
                dataset.queries[row], completion, backend=dataset.backends[weak], estimate=confidence
            )
        answer = final_answer(completion) if completion is not None else None
        tried = (Tried(place=place, confidence=confidence, cost_usd=0.0, answer=answer),)
        out[row] = gains(seen, tried, lam=0.0, price=0.0)[1 - place]
    return out


def shown(figure: Interval | None) -> str:
    """Returns a figure with its interval."""
    return "-" if figure is None else f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"


if __name__ == "__main__":
    raise SystemExit(main())
