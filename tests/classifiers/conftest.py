from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped] # it has no types

from penstock.classifiers import QueryModel, Trained, fit_confidence, no_escalation, signal_names

from .planted import model_of


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Keeps BLAS to one thread, as training does: on a busy machine several wait for each other for seconds."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield


@pytest.fixture(scope="session")
def model() -> QueryModel:
    """A small fitted model of three backends."""
    return model_of()


@pytest.fixture(scope="session")
def trained(model: QueryModel) -> Trained:
    """That model with a confidence model beside it."""
    rng = np.random.default_rng(0)
    n = 60
    labels = rng.integers(0, 2, n).astype(float)
    values = rng.normal(size=(n, len(signal_names()))) + labels[:, None]
    confidence, _ = fit_confidence(
        values=values,
        estimates=np.full(n, 0.5),
        labels=labels,
        backend_of=np.arange(n) % 3,
        folds=np.arange(n) % 4,
        backends=model.backends,
    )
    return Trained(model=model, confidence=confidence, escalation=no_escalation(3))
