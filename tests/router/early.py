"""What the tests of held streams have in common: what was learned of beginnings, and routers that know it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from penstock.backends import Backend, Query
from penstock.classifiers.early import EarlyConfidence
from penstock.router import Decision, Router, TraceSink, read_config
from penstock.router.cascade import Call
from penstock.router.hold import Hold

from .serving import MODELS, JudgingPool, write_models

CHECKPOINTS = (10, 20, 40)


def early(**changes: Any) -> EarlyConfidence:
    """Returns thresholds without models: who tests them says what the confidence is."""
    told: dict[str, Any] = {
        "lengths": CHECKPOINTS,
        "models": (),
        "needed": np.array([0.2, 0.5, 0.8, 0.95]),
        "release": np.array([0.4, 0.6, 0.85, 0.97]),
        "give_up": 0.1,
        "release_risk": 0.05,
        "give_up_risk": 0.01,
    }
    return EarlyConfidence(**told | changes)


def looks(text: str) -> float:
    """Returns the confidence in an answer, whole or begun, by its first word."""
    return {"right": 0.99, "wrong": 0.02}.get(text.partition(" ")[0], 0.3)


class HoldingPool(JudgingPool):
    """A judging pool that can also tell of answers that have only begun, as well as of whole ones."""

    def hold(self, query: Query, decision: Decision, call: Call, **given: Any) -> Hold:
        """Returns what watches the beginning of an answer."""
        return Hold(
            call,
            query,
            early(),
            judge=lambda so_far, _: self._confidence_of(so_far.text),
            charge=lambda so_far: self.charge(call.backend, so_far),
        )


def make_holding_router(
    folder: Path,
    backends: Mapping[str, Backend],
    *,
    models: str = MODELS.replace("200", "10"),
    confidence_of: Callable[[str], float] = looks,
    sink: TraceSink | None = None,
) -> Router:
    """Returns a router that asks `small` first and `lrm` after every answer that does not begin with "right"."""
    config = read_config(write_models(folder, models))
    return Router(config, HoldingPool(config.backends, confidence_of), sink=sink, backends=backends)
