"""Which trade-off stays how near to the best backend: the cascade replayed over the training queries, out of fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..classifiers import Trained
from ..classifiers.families import numbers_of
from ..classifiers.paired import error_of_mean
from ..classifiers.sample import sample
from ..classifiers.trade_offs import TradeOffs
from ..router import Policy, Pool
from .dataset import Dataset
from .held_out import HeldOut
from .metrics import single_backends
from .progress import Progress
from .replay import Replayer

_MAX_QUERIES = 1500  # more tell little more, and every one is replayed at every lam
_WORTH_OF_BEST = 0.01 * 2.0 ** np.arange(0, 6.5, 0.5)  # quality that saving one call of the best backend may cost


def fit_trade_offs(
    trained: Trained, dataset: Dataset, held_out: HeldOut, families: Sequence[str], progress: Progress
) -> TradeOffs:
    """Returns what the queries lost and saved at each trade-off; none that saves where there is no cost to save, or no
    query that both the best backend and another were asked, so that nothing is known of what would be lost.

    `held_out` is what was said of the queries of `dataset` by fits that did not see them. Answers to drafts are left
    out, as nothing was said of those. `families` names for each query the twins that it belongs to: as evidence, they
    are one.
    """
    single = single_backends(dataset.quality, dataset.cost_usd)
    best, best_cost = dataset.backends[single.best], float(single.mean_cost_usd[single.best])
    is_known = np.isfinite(dataset.quality)
    rows = np.flatnonzero(is_known[:, single.best] & (is_known.sum(axis=1) > 1))
    if not (best_cost > 0 and len(rows)):
        return TradeOffs(best=best, lams=np.zeros(1), lag=np.zeros(1), lag_error=np.zeros(1), cost=np.ones(1))
    rows = rows[sample(len(rows), _MAX_QUERIES)]
    # The best backend is held against by the very answers that are replayed: whoever always asks it loses nothing.
    dataset, held_out = replace(dataset.take(rows).as_answered(), checks=()), held_out.take(rows)
    lams = _WORTH_OF_BEST / best_cost
    replayer = Replayer(Pool({}, trained), dataset, held_out=held_out)
    curve = replayer.curve("trade-offs", Policy(name="trade-offs"), lams, progress=progress)
    lost = dataset.quality[:, single.best] - curve.score
    lag = lost.mean(axis=1)
    return TradeOffs(
        best=best,
        lams=lams,
        lag=lag,
        lag_error=error_of_mean(lost - lag[:, None], numbers_of([families[row] for row in rows.tolist()])),
        cost=curve.cost_usd.mean(axis=1) / np.mean(dataset.cost_usd[:, single.best]),
    )
