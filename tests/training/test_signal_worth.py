"""What each signal adds to confidence, and what confidence knows of a backend that it never saw."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.backends import Completion, Query
from penstock.classifiers import fit_confidence, read_signals, signal_names
from penstock.training.probability_metrics import auroc
from penstock.training.signal_worth import signal_worth

BACKENDS = ("a", "b", "c")


def answers(n: int = 500, seed: int = 0) -> dict[str, object]:
    """Returns answers of which a broken sum tells that they are wrong, as `fit_confidence` takes them."""
    rng = np.random.default_rng(seed)
    backend_of = rng.integers(0, 3, n)
    labels = (rng.random(n) < np.array([0.4, 0.6, 0.8])[backend_of]).astype(float)
    texts = [f"3 + {i % 9} = {3 + i % 9 + int(label < rng.random())}." for i, label in enumerate(labels)]
    query = Query.from_text("How many apples are there?")
    return {
        "values": np.stack([read_signals(query, Completion(text=text)) for text in texts]),
        "estimates": np.array([0.4, 0.6, 0.8])[backend_of],
        "labels": labels,
        "backend_of": backend_of,
        "folds": np.arange(n) % 5,
        "backends": BACKENDS,
    }


def test_the_signal_that_tells_adds_most_and_others_nearly_nothing() -> None:
    worth = {signal.name: signal for signal in signal_worth(**answers())}  # type: ignore[arg-type]
    adds = {name: signal.auroc - signal.auroc_without for name, signal in worth.items()}
    assert max(adds, key=lambda name: adds[name]) == "arithmetic"
    assert adds["arithmetic"] > 0.05
    assert abs(adds["language"]) < 0.01
    assert worth["arithmetic"].share == 1.0


def test_signals_that_never_apply_are_not_told_of() -> None:
    names = [signal.name for signal in signal_worth(**answers(100))]  # type: ignore[arg-type]
    assert "logprobs" not in names
    assert "shape" in names


def test_answers_that_are_all_right_tell_of_no_signal() -> None:
    assert signal_worth(**{**answers(60), "labels": np.ones(60)}) == ()  # type: ignore[arg-type]


@pytest.mark.parametrize("left_out", range(3))
def test_confidence_keeps_its_worth_for_a_backend_that_it_never_saw(left_out: int) -> None:
    known = answers(900)
    backend_of = known["backend_of"]
    assert isinstance(backend_of, np.ndarray)
    others, own = backend_of != left_out, backend_of == left_out
    rows = {name: values for name, values in known.items() if isinstance(values, np.ndarray)}
    model, _ = fit_confidence(**{name: values[others] for name, values in rows.items()}, backends=BACKENDS)
    _, seen = fit_confidence(**rows, backends=BACKENDS)
    stranger = model.judge(rows["values"][own], rows["estimates"][own], backend="unheard of")
    labels = rows["labels"][own]
    assert auroc(stranger, labels) - 0.5 >= 0.8 * (auroc(seen[own], labels) - 0.5) > 0.05


def test_judging_many_is_judging_each() -> None:
    known = answers(200)
    model, _ = fit_confidence(**known)  # type: ignore[arg-type]
    query, completion = Query.from_text("How many apples are there?"), Completion(text="3 + 4 = 8.")
    values = np.stack([read_signals(query, completion)] * 2)
    assert values.shape == (2, len(signal_names()))
    alone = model.confidence(query, completion, backend="b", estimate=0.6)
    assert model.judge(values, np.array([0.6, 0.6]), backend="b") == pytest.approx([alone, alone])
