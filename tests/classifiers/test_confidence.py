from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from penstock.backends import Completion, Query
from penstock.classifiers import (
    ArtefactError,
    ConfidenceModel,
    FitError,
    fit_confidence,
    read_signals,
    signal_names,
)
from penstock.classifiers.glance import glance_of
from penstock.classifiers.ridge import FloatArray
from penstock.classifiers.signals import create_signals
from penstock.classifiers.sparse import IntArray

N_SIGNALS = len(signal_names())
N_SEEN = 40  # of these apply to the answers here, so that the draws are the same however many there are
BACKENDS = ("small", "lrm")


def calls(n: int = 600, *, strength: float = 1.5, seed: int = 0) -> tuple[FloatArray, FloatArray, IntArray]:
    """Returns signals of which the first tells right from wrong, labels, and who answered."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < 0.6).astype(float)
    values = np.full((n, N_SIGNALS), np.nan)
    values[:, :N_SEEN] = rng.normal(size=(n, N_SEEN))
    values[:, 0] += strength * labels
    return values, labels, rng.integers(0, 2, n)


def fit(
    values: FloatArray,
    labels: FloatArray,
    backend_of: IntArray,
    estimates: FloatArray | None = None,
    n_trees: int = 0,
) -> tuple[ConfidenceModel, FloatArray]:
    return fit_confidence(
        values=values,
        estimates=np.full(len(labels), 0.6) if estimates is None else estimates,
        labels=labels,
        backend_of=backend_of,
        folds=np.arange(len(labels)) % 5,
        backends=BACKENDS,
        n_trees=n_trees,
    )


def test_few_answers_leave_the_estimate_as_it_is_and_many_learn_what_it_is_worth() -> None:
    trusted = {}
    for n in (12, 4000):
        values, labels, backend_of = calls(n, strength=0.0)
        model, _ = fit_confidence(
            values=values,
            estimates=np.random.default_rng(1).uniform(0.2, 0.8, size=n),  # they tell nothing
            labels=labels,
            backend_of=backend_of,
            folds=np.arange(n) % 5,
            backends=BACKENDS,
        )
        trusted[n] = model.shared[0]
    assert trusted[12] == pytest.approx(1.0, abs=0.3)
    assert trusted[4000] == pytest.approx(0.0, abs=0.3)


def fit_with_trees(n: int) -> tuple[ConfidenceModel, FloatArray, FloatArray, FloatArray]:
    """Returns model, confidences, signals of which one is a good sign in the middle only, and labels."""
    rng = np.random.default_rng(0)
    values = np.full((n, N_SIGNALS), np.nan)
    values[:, :6] = rng.normal(size=(n, 6))
    labels = (np.abs(values[:, 0]) < 0.67).astype(float)
    model, confidences = fit_confidence(
        values=values,
        estimates=np.full(n, 0.5),
        labels=labels,
        backend_of=np.arange(n) % 2,
        folds=np.arange(n) % 3,
        backends=BACKENDS,
        n_trees=80,
    )
    return model, confidences, values, labels


def auroc(scores: FloatArray, labels: FloatArray) -> float:
    right, wrong = scores[labels == 1], scores[labels == 0]
    return float(np.mean((right[:, None] > wrong) + 0.5 * (right[:, None] == wrong)))


def test_a_telling_signal_is_learned() -> None:
    values, labels, backend_of = calls()
    _, confidences = fit(values, labels, backend_of)
    assert auroc(confidences, labels) > 0.75
    assert np.mean((confidences - labels) ** 2) < 0.9 * labels.var()
    assert confidences.mean() == pytest.approx(labels.mean(), abs=0.05)


def test_signals_that_tell_nothing_leave_the_rate() -> None:
    values, labels, backend_of = calls(strength=0)
    _, confidences = fit(values, labels, backend_of)
    assert auroc(confidences, labels) == pytest.approx(0.5, abs=0.1)
    assert np.mean((confidences - labels) ** 2) < 1.05 * labels.var()


def test_a_telling_estimate_is_learned_where_signals_are_silent() -> None:
    rng = np.random.default_rng(0)
    estimates = rng.uniform(0.05, 0.95, 600)
    labels = (rng.random(600) < estimates).astype(float)
    _, confidences = fit(np.full((600, N_SIGNALS), np.nan), labels, rng.integers(0, 2, 600), estimates)
    assert np.corrcoef(confidences, estimates)[0, 1] > 0.9


def test_trees_learn_what_no_line_can_tell() -> None:
    model, confidences, values, labels = fit_with_trees(800)
    assert auroc(confidences, labels) > 0.8
    assert auroc(fit(values, labels, np.arange(800) % 2)[1], labels) < 0.6
    alone = [model.judge(values[row : row + 1], np.array([0.5]), backend="small")[0] for row in range(5)]
    assert model.judge(values[:5], np.full(5, 0.5), backend="small") == pytest.approx(alone)


def test_few_answers_grow_no_trees() -> None:
    assert fit_with_trees(200)[0].trees is None


def test_that_a_signal_is_missing_can_itself_tell() -> None:
    values, labels, backend_of = calls(strength=0)
    values[labels == 0, 3] = np.nan
    _, confidences = fit(values, labels, backend_of)
    assert auroc(confidences, labels) > 0.9


def test_each_backend_has_its_own_reading_of_a_signal() -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random(2000) < 0.5).astype(float)
    backend_of = rng.integers(0, 2, 2000)
    values = rng.normal(size=(2000, N_SIGNALS))
    values[:, 0] += np.where(backend_of == 0, 1.5, -1.5) * labels
    _, confidences = fit(values, labels, backend_of)
    for backend in (0, 1):
        rows = backend_of == backend
        assert auroc(confidences[rows], labels[rows]) > 0.75


def test_one_completion_is_judged_as_in_training() -> None:
    answers = ["It is 7.", "Maybe 8, I am not sure.", "3 + 4 = 8", "3 + 4 = 7, so 7.", "", "Wait, no."] * 20
    query = Query.from_text("What is 3 + 4?")
    values = np.stack([read_signals(query, Completion(text=text)) for text in answers])
    labels = np.array([1.0, 0, 0, 1, 0, 0] * 20)
    model, _ = fit(values, labels, np.zeros(120, dtype=np.int64))
    judged = {
        text: model.confidence(query, Completion(text=text), backend="small", estimate=0.6) for text in answers[:6]
    }
    assert min(judged["It is 7."], judged["3 + 4 = 7, so 7."]) > 0.8
    assert max(judged["Maybe 8, I am not sure."], judged["3 + 4 = 8"], judged[""]) < 0.3
    assert all(0 < confidence < 1 for confidence in judged.values())


@pytest.mark.parametrize("has_trees", [False, True])
def test_one_answer_is_judged_as_many_are_though_less_of_it_is_read(has_trees: bool) -> None:
    rng = np.random.default_rng(0)
    asked = [Query.from_text(f"What is {one} + {other}?") for one, other in rng.integers(1, 99, (600, 2))]
    said = ["3 + 4 = 8", "Perhaps 7.", "It is 12 hours = 720 minutes.\nSo 720.", "7", "", "I cannot answer that."]
    places = rng.integers(0, len(said), 600)
    answers = [Completion(text=said[place]) for place in places]
    values = np.stack([read_signals(query, answer) for query, answer in zip(asked, answers, strict=True)])
    labels, backend_of = (rng.random(600) < np.where(places < 4, 0.7, 0.3)).astype(float), rng.integers(0, 2, 600)
    model, _ = fit(values, labels, backend_of, n_trees=40 if has_trees else 0)
    assert (model.trees is not None) == has_trees
    for backend in (*BACKENDS, "newcomer"):
        together = model.judge(values, np.full(600, 0.7), backend=backend)
        alone = [
            model.confidence(query, answer, backend=backend, estimate=0.7)
            for query, answer in zip(asked, answers, strict=True)
        ]
        assert alone == pytest.approx(together, rel=1e-12)
    assert len(np.unique(together)) > 5


def test_signals_that_told_nothing_in_training_are_not_read() -> None:
    values, labels, backend_of = calls()
    values[:, [not name.startswith(("shape.", "logprobs.")) for name in signal_names()]] = np.nan
    model, _ = fit(values, labels, backend_of)
    signals = create_signals()
    assert glance_of(model).signals == (signals["shape"], signals["logprobs"])


def test_a_backend_never_seen_is_judged_by_what_all_share() -> None:
    values, labels, backend_of = calls()
    model, _ = fit(values, labels, backend_of)
    query, completion = Query.from_text("?"), Completion(text="It is 7.")
    shared_only = replace(model, own=np.zeros_like(model.own))
    unknown = model.confidence(query, completion, backend="newcomer", estimate=0.6)
    assert unknown == shared_only.confidence(query, completion, backend="small", estimate=0.6)
    assert unknown != model.confidence(query, completion, backend="small", estimate=0.6)


def test_an_unknown_estimate_counts_as_undecided() -> None:
    values, labels, backend_of = calls()
    model, _ = fit(values, labels, backend_of)
    query, completion = Query.from_text("?"), Completion(text="It is 7.")
    unknown = model.confidence(query, completion, backend="small", estimate=np.nan)
    assert unknown == model.confidence(query, completion, backend="small", estimate=0.5)


def test_one_class_only_and_one_fold_only_are_fine() -> None:
    values, _, backend_of = calls(30)
    _, confidences = fit_confidence(
        values=values,
        estimates=np.full(30, 0.5),
        labels=np.ones(30),
        backend_of=backend_of,
        folds=np.zeros(30, dtype=np.int64),
        backends=BACKENDS,
    )
    assert (confidences > 0.8).all()


def test_signals_that_never_vary_do_no_harm() -> None:
    values, labels, backend_of = calls(100)
    values[:, 1:] = 3.0
    _, confidences = fit(values, labels, backend_of)
    assert np.isfinite(confidences).all()


def test_a_signal_that_never_applied_changes_nothing_when_it_does() -> None:
    values, labels, backend_of = calls()
    place = signal_names().index("json.is_json")
    values[:, [name.startswith("json.") for name in signal_names()]] = np.nan
    model, _ = fit(values, labels, backend_of)
    features = 1 + len(signal_names()) + place
    assert abs(model.shared[features]) < 1e-9
    assert np.abs(model.own[:, features]).max() < 1e-9


def test_a_model_of_other_signals_is_refused() -> None:
    values, labels, backend_of = calls(50)
    model, _ = fit(values, labels, backend_of)
    with pytest.raises(ArtefactError, match="train again"):
        replace(model, signals=model.signals[:-1])


def test_of_another_table_of_signals_only_what_differs_is_told() -> None:
    model, _ = fit(*calls(100))
    with pytest.raises(ArtefactError, match=rf"gone since: old\.sign; new: {model.signals[0]}\); train again") as told:
        replace(model, signals=("old.sign", *model.signals[1:]))
    assert len(str(told.value)) < 150


@pytest.mark.parametrize(
    ("values", "labels", "message"),
    [
        (np.empty((0, N_SIGNALS)), np.empty(0), "no answers to learn confidence from"),
        (np.zeros((3, N_SIGNALS)), np.array([0.0, 1.0, 2.0]), r"labels: expected scores in \[0, 1\]"),
        (np.zeros((3, N_SIGNALS)), np.array([0.0, 1.0, np.nan]), r"labels: expected scores in \[0, 1\]"),
        (np.zeros((3, 2)), np.ones(3), r"values: expected shape \(3, \d+\), got \(3, 2\)"),
    ],
)
def test_calls_that_teach_nothing_are_refused(values: FloatArray, labels: FloatArray, message: str) -> None:
    with pytest.raises(FitError, match=message):
        fit(values, labels, np.zeros(len(labels), dtype=np.int64))


def test_of_very_many_answers_some_are_learned_from_and_all_are_judged_out_of_fold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("penstock.classifiers.confidence._MOST_ANSWERS", 600)
    values, labels, backend_of = calls(2000)
    _, confidences = fit(values, labels, backend_of, n_trees=5)
    assert confidences[labels > 0.5].mean() > confidences[labels < 0.5].mean() + 0.2
