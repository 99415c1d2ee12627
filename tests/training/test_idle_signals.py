"""Signals that take long to read and tell nothing are not read."""

from __future__ import annotations

from typing import Any

import numpy as np

from penstock.classifiers import fit_confidence, signal_names
from penstock.classifiers.glance import glance_of
from penstock.classifiers.signals import create_signals
from penstock.training.idle_signals import COSTLY, columns_of, idle_signals

OWNERS = [name.partition(".")[0] for name in signal_names()]


def answers(n: int = 600) -> dict[str, Any]:
    """Returns answers of which `working` tells whether they are right; what `shape` and `reachable` tell of some is the
    opposite of what they tell of others.
    """
    rng = np.random.default_rng(0)
    labels = (rng.random(n) < 0.6).astype(float)
    values = np.full((n, len(OWNERS)), np.nan)
    folds = np.arange(n) % 5
    misleading = labels * np.where(folds % 2, -1.0, 1.0)
    for place, owner in enumerate(OWNERS):
        if owner in ("shape", "reachable", "working"):
            values[:, place] = rng.normal(size=n) + (labels if owner == "working" else misleading)
    return {
        "values": values,
        "estimates": np.full(n, 0.6),
        "labels": labels,
        "backend_of": rng.integers(0, 2, n),
        "folds": folds,
        "backends": ("a", "b"),
    }


def test_a_costly_signal_that_misleads_is_left_out_and_no_other() -> None:
    assert idle_signals(**answers()) == ("reachable",)


def test_few_answers_leave_nothing_out() -> None:
    assert idle_signals(**answers(400)) == ()


def test_what_costs_next_to_nothing_is_never_left_out() -> None:
    guards = {"shape", "language", "json", "tool_calls", "code", "choices", "wishes"}
    assert guards.isdisjoint(COSTLY)
    assert set(COSTLY) < set(OWNERS)


def test_a_signal_that_was_left_out_is_not_read() -> None:
    known = answers()
    known["values"][:, columns_of(("reachable",))] = np.nan
    model, _ = fit_confidence(**known)
    signals = create_signals()
    assert glance_of(model).signals == (signals["shape"], signals["working"])


def test_a_signal_that_was_left_out_changes_no_confidence() -> None:
    known = answers()
    bare = np.where(columns_of(("reachable",)), np.nan, known["values"])
    model, _ = fit_confidence(**{**known, "values": bare}, n_trees=20)
    seen, unseen = (model.judge(values, known["estimates"], backend="a") for values in (known["values"], bare))
    assert seen.tolist() == unseen.tolist()
