"""The low-rank heads share strength across backends."""

from __future__ import annotations

import numpy as np

from penstock.classifiers import create_head

from .planted import features_of


def test_with_many_backends_and_few_queries_what_is_shared_is_learned_from_all() -> None:
    rng = np.random.default_rng(0)
    dense = 0.3 * rng.normal(size=(400, 40))
    ability = np.linspace(-1, 1, 30)
    chance = 1 / (1 + np.exp(6 * dense[:, :1] - ability))
    quality = (rng.random(chance.shape) < chance).astype(float)
    new = features_of(dense[60:], embedding_dim=30)
    errors = {}
    for name in ("irt", "logistic"):
        head = create_head(name).fit(features_of(dense[:60], embedding_dim=30), quality[:60], np.arange(60) % 4)
        errors[name] = np.mean((head.predictor_.predict(new) - chance[60:]) ** 2)
    assert errors["irt"] < 0.8 * errors["logistic"]
