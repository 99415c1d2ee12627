"""Routing quality on real traces: trains on train and validation, reports on test, default settings.

    python benchmarks/routing_quality.py [SET ...] [--data ../shared/data] [--out table.md]

For every set: closed = (AIQ - hull) / (oracle - hull) of query-only routing and, where the traces carry answers, of the
cascade, each with its 95 % paired bootstrap interval; beside them the mean-score router, what the router alone saves at
the best backend's score and, for two backends, APGR, CPT(50) and CPT(80).
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from tables import print_table

from penstock.router import Pool
from penstock.router.config import DEFAULT_POLICIES
from penstock.training import build_dataset, evaluate, fit, read_traces, split_queries
from penstock.training.bootstrap import Interval, curve_figures
from penstock.training.metrics import apgr, cpt

SETS = (
    "routellm_gsm8k",
    "routellm_mmlu",
    "mixed_9_open_models",
    "math_l5",
    "farel_bench",
    "gsm_9",
    "routellm_mt_bench",
    "bullshit_bench",
)
# The best plain baseline of the data's own README, same split: closed, and APGR where there are two backends.
PLAIN = {
    "routellm_gsm8k": (0.2883, 0.6613),
    "routellm_mmlu": (0.1576, 0.7068),
    "mixed_9_open_models": (0.2504, None),
    "math_l5": (0.0755, None),
    "farel_bench": (0.1388, None),
    "gsm_9": (0.1331, None),
}
_COLUMNS = (
    "set",
    "queries x backends",
    "chosen",
    "router closed",
    "cascade closed",
    "mean-score closed",
    "best plain",
    "router saving at best",
    "APGR",
    "plain APGR",
    "CPT(50) / CPT(80)",
    "fit, s",
)
HEADER = f"| {' | '.join(_COLUMNS)} |\n{'|---' * len(_COLUMNS)}|"


def main() -> int:
    """Returns the exit code."""
    return print_table(__doc__ or "", HEADER, SETS, lambda name, path, seed: [row_of(name, path, seed=seed)])


def row_of(name: str, path: Path, *, seed: int) -> str:
    """Returns one row of the table."""
    dataset = build_dataset(read_traces([path]))
    split = split_queries(dataset, seed=seed)
    started = time.perf_counter()
    fitted = fit(dataset, split, seed=seed)
    fit_s = time.perf_counter() - started
    test = dataset.take(split.test)
    evaluation = evaluate(
        Pool({}, fitted.trained),
        test,
        policies=DEFAULT_POLICIES,
        default_policy="auto",
        split="test",
        title=name,
        train=dataset.take(split.learned),
    )
    figures = {f.name: f for f in curve_figures(evaluation.curves, test.quality, test.cost_usd)}
    plain, plain_apgr = PLAIN.get(name, (None, None))
    pair = shares = "-"
    if test.n_backends == 2:
        weak = int(np.nanmean(test.quality, axis=0).argmin())
        win = evaluation.estimated_quality[:, 1 - weak] - evaluation.estimated_quality[:, weak]
        scores = test.quality[:, weak], test.quality[:, 1 - weak]
        pair = f"{apgr(win, *scores):.3f}"
        shares = f"{cpt(win, *scores, 50):.1f} / {cpt(win, *scores, 80):.1f}"
    cells = (
        name,
        f"{dataset.n_queries} x {dataset.n_backends}",
        fitted.trained.model.classifier,
        shown(figures["router"].gap_closed),
        shown(figures["cascade"].gap_closed) if "cascade" in figures else "-",
        shown(figures["mean-score"].gap_closed),
        "-" if plain is None else f"{plain:.3f}",
        shown(figures["router"].saving_at_best),
        pair,
        "-" if plain_apgr is None else f"{plain_apgr:.3f}",
        shares,
        f"{fit_s:.1f}",
    )
    return "| " + " | ".join(cells) + " |"


def shown(figure: Interval) -> str:
    """Returns a figure with its interval."""
    return f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"


if __name__ == "__main__":
    raise SystemExit(main())
