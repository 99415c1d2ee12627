"""A new backend joins a trained router by a few graded queries; the others stay as they are.

queries -> estimates of the known backends -> what is believed of the new one -> queries worth asking
        -> labels -> what is believed now -> quality, cost and latency of the new one beside the others
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..classifiers import Escalation, Estimates, FitError, Trained
from ..classifiers.calibration import no_calibration
from ..classifiers.joined import Joined
from .dataset import Dataset
from .evaluation import FloatArray
from .newcomer import Newcomer


def known_logits(estimates: Sequence[Estimates]) -> FloatArray:
    """Returns the log-odds of what is expected of the backends that were trained, (n_queries, n_backends)."""
    quality = np.stack([each.quality for each in estimates])
    logits: FloatArray = np.log(quality / (1 - quality))
    return logits


def onboard(trained: Trained, dataset: Dataset, backend: str, texts: Sequence[str] = ()) -> Trained:
    """Returns the router with one backend more, placed by the scores it has in `dataset`.

    `texts` are further queries, without labels, that show what queries are like; the more, the better the known
    backends tell apart what there is to tell. Certificates and trade-offs are left behind, being about another pool.

    Raises:
        FitError: the router has the backend already, or the dataset no score of it.
    """
    model = trained.model
    if backend in model.backends:
        raise FitError(f"backend {backend!r} is in the router already; train again to change it")
    column = dataset.backends.index(backend) if backend in dataset.backends else None
    rows = np.flatnonzero(np.isfinite(dataset.quality[:, column])) if column is not None else np.empty(0, dtype=int)
    if column is None or not len(rows):
        raise FitError(f"backend {backend!r}: no graded query; expected some to place it by")
    labelled = dataset.take(rows)
    estimates = model.estimate_all(labelled.texts)
    asked = known_logits(estimates)
    seen = np.concatenate([asked, known_logits(model.estimate_all(texts))]) if texts else asked
    newcomer = Newcomer.expect(seen).learn(asked, labelled.quality[:, column])
    weights, intercept = newcomer.as_map()
    own = seen @ weights + intercept
    level = float(np.mean(own.mean() - seen.mean(axis=0) + model.ability))
    n_backends = len(model.backends) + 1
    observed = np.stack([labelled.cost_usd, labelled.output_tokens, labelled.latency_s], axis=1)[..., column]
    joined = replace(
        model,
        backends=(*model.backends, backend),
        quality=Joined(
            others=model.quality,
            calibration=model.calibration,
            weights=weights,
            intercept=intercept,
            n_labels=len(rows),
        ),
        calibration=no_calibration(n_backends),
        ability=np.append(model.ability, level),
        mean_quality=np.append(model.mean_quality, np.mean(1 / (1 + np.exp(-own)))),
        cost=model.cost.with_backend(_cost_of(estimates), observed),
        neighbours=replace(
            model.neighbours,
            quality=np.pad(model.neighbours.quality, ((0, 0), (0, 1)), constant_values=np.nan),
        ),
    )
    return replace(
        trained, model=joined, escalation=_with_newcomer(trained.escalation), certificates=(), trade_offs=None
    )


def _cost_of(estimates: Sequence[Estimates]) -> FloatArray:
    """Returns what estimates expect of cost, tokens and latency, (n_queries, 3, n_backends)."""
    return np.stack([np.stack([each.cost_usd, each.output_tokens, each.latency_s]) for each in estimates])


def _with_newcomer(escalation: Escalation) -> Escalation:
    """Returns what is known of asking again, the newcomer being like the others on average."""
    workable = escalation.power_workable
    return replace(
        escalation,
        loading=np.append(escalation.loading, escalation.loading.mean()),
        power=np.append(escalation.power, escalation.power.mean()),
        power_workable=None if workable is None else np.append(workable, workable.mean()),
    )
