"""Training end to end: what is learned, what is chosen, and that nothing of the test set is seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from penstock.backends import ConfigError
from penstock.classifiers import HEADS, create_head, save_artefact
from penstock.classifiers.calibration import fit_calibration
from penstock.router import Pool
from penstock.training import Dataset, Fitted, Replayer, Trace, build_dataset, fit, read_traces, split_queries
from penstock.training.candidates import AUTO, Candidate, choose
from penstock.training.evaluation import Curve, FloatArray
from penstock.training.probability_metrics import auroc
from penstock.training.progress import Silent
from penstock.training.split import families_of
from penstock.training.trials import lag_of_best


def _noise(n_queries: int, *, seed: int = 0) -> list[Trace]:
    """Returns traces whose scores have nothing to do with the queries."""
    rng = np.random.default_rng(seed)
    words = [f"word{i}" for i in range(60)]
    rows = []
    for number in range(n_queries):
        text = f"{number} " + " ".join(rng.choice(words, size=12))
        for backend, rate, cost in (("cheap", 0.5, 0.001), ("dear", 0.8, 0.01)):
            score = float(rng.random() < rate)
            rows.append(Trace(query_id=f"q{number}", query=text, backend=backend, score=score, cost_usd=cost))
    return rows


def _fit(rows: list[Trace], *, classifier: str = "auto", seed: int = 0) -> tuple[Dataset, Fitted]:
    dataset = build_dataset(rows)
    return dataset, fit(dataset, split_queries(dataset, seed=seed), classifier=classifier, seed=seed)


@pytest.fixture(scope="module")
def few(demo) -> Dataset:  # type: ignore[no-untyped-def]
    """Returns 60 queries with answers."""
    return demo.dataset.take(np.arange(60))


@pytest.fixture(scope="module")
def fitted_few(few: Dataset) -> Fitted:
    """Returns what the defaults learn from them."""
    return fit(few, split_queries(few, seed=0))


@pytest.fixture(scope="module")
def graded(demo) -> Dataset:  # type: ignore[no-untyped-def]
    """Returns 80 queries without the answers, where nothing is learned but the estimates."""
    return build_dataset(read_traces([demo.grades]).rows).take(np.arange(80))


def test_estimates_of_unseen_queries_tell_right_from_wrong(demo) -> None:  # type: ignore[no-untyped-def]
    test = demo.test
    estimated = np.stack([e.quality for e in demo.fitted.trained.model.estimate_all(test.texts)])
    assert auroc(estimated.ravel(), test.quality.ravel()) > 0.75


def test_confidence_tells_more_than_the_estimate(demo) -> None:  # type: ignore[no-untyped-def]
    metrics = demo.fitted.metrics
    assert metrics["confidences"]["auroc"] > metrics["estimates"]["auroc"] + 0.02


def test_queries_that_teach_nothing_end_as_the_mean_score_router() -> None:
    dataset, fitted = _fit(_noise(240))
    model = fitted.trained.model
    estimates = np.stack([e.quality for e in model.estimate_all(dataset.texts)])
    assert model.classifier == "mean"
    assert np.ptp(estimates, axis=0).max() < 1e-6
    assert any("mean-score router" in note for note in fitted.notes)


def test_the_test_queries_change_nothing(demo) -> None:  # type: ignore[no-untyped-def]
    known = set(demo.dataset.query_ids[:120])
    rows = [row for row in read_traces([demo.traces]).rows if row.query_id in known]
    tested = {demo.dataset.query_ids[row] for row in demo.split.test}
    marked = [replace(row, split="test" if row.query_id in tested else "train") for row in rows]
    flipped = [replace(row, score=1.0 - (row.score or 0.0)) if row.split == "test" else row for row in marked]
    text = "How many days are 5 weeks?"
    estimates = []
    for variant in (marked, flipped):
        _, fitted = _fit(variant, classifier="linear")
        estimates.append(fitted.trained.model.estimate(text).quality)
    np.testing.assert_array_equal(estimates[0], estimates[1])


@pytest.mark.parametrize("classifier", sorted(set(HEADS) - {"finetune"}))  # see test_fit_finetune.py
def test_every_classifier_can_be_asked_for(graded: Dataset, classifier: str) -> None:
    fitted = fit(graded, split_queries(graded, seed=0), classifier=classifier)
    assert [trial.name for trial in fitted.trials] == list(dict.fromkeys(("mean", classifier)))
    assert fitted.trained.model.estimate("2 + 2?").quality.shape == (4,)


def test_an_unknown_classifier_is_refused(demo) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match=r"classifier: unknown 'forest'; expected one of mean, linear"):
        fit(demo.dataset, demo.split, classifier="forest")


def test_without_answers_no_confidence_is_learned_and_it_is_said() -> None:
    _, fitted = _fit(_noise(60))
    assert fitted.trained.confidence is None
    assert any("No confidence" in note for note in fitted.notes)


def test_too_few_answers_to_learn_from_are_judged_by_what_public_ones_show(demo) -> None:  # type: ignore[no-untyped-def]
    answered = set(demo.dataset.query_ids[:8])
    rows = [row for row in read_traces([demo.traces]).rows if row.query_id in set(demo.dataset.query_ids[:40])]
    dataset, fitted = _fit([row if row.query_id in answered else replace(row, response=None) for row in rows])
    assert fitted.trained.confidence is None
    assert any("judged by what public answers show" in note for note in fitted.notes)
    replayer = Replayer(Pool({}, fitted.trained), dataset)
    found = replayer.confidences()
    assert found is not None
    estimated = [
        replayer.estimates[row].quality[dataset.backends.index(name)]
        for row, name in zip(found.query.tolist(), found.backend, strict=True)
    ]
    assert (found.confidence != estimated).any()
    assert "confidences" in fitted.metrics


def test_missing_cells_are_normal(demo) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(1)
    known = set(demo.dataset.query_ids[:120])
    rows = [row for row in read_traces([demo.traces]).rows if row.query_id in known and rng.random() < 0.5]
    dataset, fitted = _fit(rows)
    assert np.isnan(dataset.quality).any()
    quality = fitted.trained.model.estimate("What is 12 * 13?").quality
    assert np.isfinite(quality).all()


def test_one_class_only_gives_a_router_that_says_so() -> None:
    rows = [replace(row, score=1.0) if row.backend == "dear" else row for row in _noise(60)]
    dataset, fitted = _fit(rows)
    place = fitted.trained.model.backends.index("dear")
    assert fitted.trained.model.estimate("anything").quality[place] > 0.95
    assert any("dear" in note for note in dataset.notes)


def test_of_answers_that_are_all_right_it_is_said_that_they_teach_no_confidence() -> None:
    rows = [replace(row, score=1.0, response="yes") for row in _noise(40)]
    _, fitted = _fit(rows, classifier="mean")
    assert any("all graded answers have the same score" in note for note in fitted.notes)
    assert not any("too few graded answers" in note for note in fitted.notes)


def test_costs_of_zero_are_fine() -> None:
    _, fitted = _fit([replace(row, cost_usd=0.0) for row in _noise(60)])
    np.testing.assert_array_equal(fitted.trained.model.estimate("anything").cost_usd, [0.0, 0.0])


def test_same_seed_and_data_give_the_same_bytes(few: Dataset, fitted_few: Fitted, tmp_path: Path) -> None:
    contents = []
    for name, fitted in (("a", fitted_few), ("b", fit(few, split_queries(few, seed=0)))):
        save_artefact(fitted.trained, tmp_path / name, training_data_sha256="", seed=0, metrics=fitted.metrics)
        contents.append({path.name: path.read_bytes() for path in sorted((tmp_path / name).iterdir())})
    assert contents[0] == contents[1]


def test_expected_cost_follows_the_length_of_the_answer(demo) -> None:  # type: ignore[no-untyped-def]
    test = demo.test
    expected = np.stack([e.cost_usd for e in demo.fitted.trained.model.estimate_all(test.texts)])
    place = test.backends.index("lrm@high")
    assert np.corrcoef(np.log(expected[:, place]), np.log(test.cost_usd[:, place]))[0, 1] > 0.3
    assert 0.5 < expected[:, place].mean() / test.cost_usd[:, place].mean() < 2.0


def test_noise_is_not_taken_for_a_lesson_out_of_fold() -> None:
    """The out-of-fold scores of the stack know nothing of the held-out labels, not even their mean."""
    gains = []
    for seed in range(4):
        dataset = build_dataset(_noise(160, seed=seed))
        fitted = fit(dataset, split_queries(dataset, seed=0), classifier="stack", seed=seed)
        tried = {trial.name: trial.value for trial in fitted.trials}
        gains.append(tried["stack"] - tried["mean"])
    assert np.mean(gains) < 0.03


def test_a_classifier_that_was_asked_for_is_used_even_on_noise() -> None:
    _, fitted = _fit(_noise(60), classifier="knn")
    assert fitted.trained.model.classifier == "knn"


def test_twins_share_a_fold_whatever_theirfamilies_of() -> None:
    rows = _noise(60)
    twins = [replace(row, query_id=row.query_id + "b", group="g" + row.query_id) for row in rows[:40]]
    dataset = build_dataset([*rows, *twins])
    families = families_of(dataset)
    for number in range(20):
        pair = {families[dataset.query_ids.index(name)] for name in (f"q{number}", f"q{number}b")}
        assert len(pair) == 1


def test_a_cheapest_backend_that_is_also_the_best_does_not_stop_learning() -> None:
    rng = np.random.default_rng(0)
    rows = []
    for number in range(240):
        is_sum = number % 10 < 3
        text = f"{'add the numbers' if is_sum else 'name the colour of'} item {rng.integers(10**6)}"
        for backend, cost, score in (("cheap", 0.001, not is_sum), ("dear", 0.01, is_sum)):
            rows.append(Trace(query_id=f"q{number}", query=text, backend=backend, score=float(score), cost_usd=cost))
    _, fitted = _fit(rows)
    quality = fitted.trained.model.estimate("add the numbers item 7").quality
    assert fitted.trained.model.classifier != "mean"
    assert quality[fitted.trained.model.backends.index("dear")] > 0.7


def test_with_several_draws_confidence_is_held_against_the_answer_it_judged(demo) -> None:  # type: ignore[no-untyped-def]
    known = set(demo.dataset.query_ids[:120])
    rows = [row for row in read_traces([demo.traces]).rows if row.query_id in known]
    other = [replace(row, draw=1, response="no idea", score=1.0 - (row.score or 0.0)) for row in rows]
    dataset, fitted = _fit([*rows, *other], classifier="linear")
    assert np.nanmax(np.abs(dataset.quality - 0.5)) == 0  # the mean over draws tells nothing
    assert fitted.trained.escalation.power.max() > 0.1


def _ticking(step_s: float) -> Callable[[], float]:
    """Returns a clock that goes on by a step each time it is read."""
    ticks = count()
    return lambda: next(ticks) * step_s


def test_a_budget_leaves_out_what_there_is_no_time_for_and_says_so(graded: Dataset) -> None:
    fitted = fit(graded, split_queries(graded, seed=0), budget_s=4.5, clock=_ticking(1.0))
    assert [trial.name for trial in fitted.trials] == ["mean", "prior"]
    assert any("budget of 4.5 s left no time to try knn, linear, irt, stack, blend" in note for note in fitted.notes)


class _Noted(Silent):
    """Keeps the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_long_fits_tell_how_far_they_have_come(demo) -> None:  # type: ignore[no-untyped-def]
    few, noted = demo.dataset.take(np.arange(60)), _Noted()
    fit(few, split_queries(few, seed=0), progress=noted)
    first = {"query 1 of", "fold 1 of 5", "tree 1 of", "signals of answer 1 of", "confidence, fold 1 of"}
    assert all(any(note.startswith(each) for note in noted.notes) for each in first)


class _Slow(Silent):
    """Lets the time pass as soon as the blend is begun."""

    now_s = 0.0

    def stage(self, name: str) -> None:
        if name == "fitting classifier blend":
            self.now_s = 9.0


def test_a_budget_spent_on_the_parts_leaves_out_the_trees_of_the_blend_and_says_so(graded: Dataset) -> None:
    slow = _Slow()
    fitted = fit(graded, split_queries(graded, seed=0), budget_s=9.0, clock=lambda: slow.now_s, progress=slow)
    assert [trial.name for trial in fitted.trials] == list(AUTO)
    assert any("left no time to try the trees of blend" in note for note in fitted.notes)


class _SlowReading(Silent):
    """Lets the time pass while queries are read and costs are fitted, and again with the third classifier."""

    now_s = 0.0

    def stage(self, name: str) -> None:
        if not name.startswith("fitting classifier") or name.endswith("knn"):
            self.now_s += 100.0


def test_what_is_done_before_the_classifiers_is_not_counted_against_their_budget(graded: Dataset) -> None:
    slow = _SlowReading()
    fitted = fit(graded, split_queries(graded, seed=0), budget_s=9.0, clock=lambda: slow.now_s, progress=slow)
    assert [trial.name for trial in fitted.trials] == ["mean", "prior", "knn"]


def test_a_budget_that_is_never_spent_changes_nothing(few: Dataset, fitted_few: Fitted) -> None:
    other = fit(few, split_queries(few, seed=0), budget_s=1e9)
    assert fitted_few.metrics == other.metrics
    assert fitted_few.notes == other.notes


def test_auto_tries_the_blend_of_what_it_fitted(fitted_few: Fitted) -> None:
    assert [trial.name for trial in fitted_few.trials] == list(AUTO)


def test_a_candidate_whose_best_is_worse_than_the_best_backend_lags_behind() -> None:
    rng = np.random.default_rng(0)
    quality = np.stack([rng.random(200) < 0.5, rng.random(200) < 0.9], axis=1).astype(float)
    cost = np.tile([0.001, 0.01], (200, 1))
    best = Curve(name="best", labels=("lam=0",), cost_usd=cost[:, 1][None], score=quality[:, 1][None])
    worse = Curve(name="worse", labels=("lam=0",), cost_usd=cost[:, 0][None], score=quality[:, 0][None])
    assert lag_of_best(best, quality, cost) == 0.0
    assert lag_of_best(worse, quality, cost) > 2


def test_with_few_queries_the_prior_is_taken_whatever_the_comparison_says() -> None:
    _, fitted = _fit(_noise(30))
    assert fitted.trained.model.classifier == "prior"
    assert any("fewer than 50 queries" in note for note in fitted.notes)


def test_a_classifier_that_was_asked_for_is_used_with_few_queries_too() -> None:
    _, fitted = _fit(_noise(30), classifier="mean")
    assert fitted.trained.model.classifier == "mean"


def _tried(name: str, estimates: FloatArray, dataset: Dataset) -> Candidate:
    """Returns a candidate that is said to estimate so out of fold."""
    calibration, _ = fit_calibration(estimates, dataset.quality, np.arange(dataset.n_queries) % 5)
    head = create_head(name)
    return Candidate(name=name, head=head, scores=estimates, calibration=calibration, quality=estimates, fit_s=0.0)


def test_the_prior_stands_where_it_predicts_better_and_the_mean_scores_where_they_do() -> None:
    dataset = build_dataset(_noise(80))
    true = np.tile(dataset.quality.mean(axis=0), (80, 1))
    off = true - 0.2  # which routes alike
    for standing, estimates in (("prior", {"mean": off, "prior": true}), ("mean", {"mean": true, "prior": off})):
        tried = {name: _tried(name, each, dataset) for name, each in estimates.items()}
        assert choose(tried, dataset, dataset.cost_usd, seed=0, asked_for=None)[1].name == standing


def test_of_two_that_route_alike_the_one_that_clearly_predicts_better_is_chosen() -> None:
    dataset = build_dataset(_noise(80))
    rng = np.random.default_rng(0)
    means = np.tile(dataset.quality.mean(axis=0), (80, 1))
    told = 0.7 * means + 0.3 * np.repeat(dataset.quality.mean(axis=1, keepdims=True), 2, axis=1)  # for both alike
    guessed = means + rng.normal(scale=0.2, size=(80, 1))
    for irt, chosen in ((told, "irt"), (guessed, "mean")):
        tried = {name: _tried(name, each, dataset) for name, each in (("mean", means), ("irt", irt))}
        assert choose(tried, dataset, dataset.cost_usd, seed=0, asked_for=None)[1].name == chosen


def test_twins_are_no_further_evidence_for_a_classifier() -> None:
    rows = _noise(80)
    dataset = build_dataset(rows)
    doubled = build_dataset([*rows, *(replace(row, query_id=f"{row.query_id} again") for row in rows)])
    guessed = np.random.default_rng(0).uniform(0.3, 0.7, (80, 2))
    [alone], _ = choose({"mean": _tried("mean", guessed, dataset)}, dataset, dataset.cost_usd, seed=0, asked_for=None)
    tried = {"mean": _tried("mean", np.tile(guessed, (2, 1)), doubled)}
    [beside], _ = choose(tried, doubled, doubled.cost_usd, seed=0, asked_for=None)
    assert (beside.low, beside.value, beside.high) == pytest.approx((alone.low, alone.value, alone.high))
