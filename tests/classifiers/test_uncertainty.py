"""How sure estimates are, in worlds of which the true probabilities are known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from penstock.backends import BackendSpec, Query
from penstock.classifiers import (
    Features,
    Trained,
    assign_folds,
    fit_with_out_of_fold,
    load_artefact,
    no_escalation,
    save_artefact,
)
from penstock.classifiers.calibration import fit_calibration
from penstock.classifiers.knn import choose_references
from penstock.classifiers.neighbours import keep_neighbours
from penstock.classifiers.ridge import FloatArray
from penstock.classifiers.sparse import Float32Array, IntArray
from penstock.classifiers.uncertainty import Uncertainty, fit_uncertainty
from penstock.router import Pool, Router

from .planted import features_of, model_of

DIM = 16
KINDS, RARE = 12, 8  # kinds of queries from RARE on are asked twenty times less often
N_BACKENDS = 3


def draw(n: int, seed: int) -> tuple[Features, IntArray, FloatArray]:
    """Returns queries, their kinds, and P(correct) of each backend, which hangs on the kind and on the query."""
    world, rng = np.random.default_rng(0), np.random.default_rng(seed)
    centres = world.standard_normal((KINDS, DIM))
    slopes, levels = world.standard_normal((DIM, N_BACKENDS)), 1.2 * world.standard_normal((KINDS, N_BACKENDS))
    often = np.where(np.arange(KINDS) < RARE, 1.0, 0.05)
    kinds = rng.choice(KINDS, n, p=often / often.sum())
    points = centres[kinds] + 0.35 * rng.standard_normal((n, DIM))
    truth: FloatArray = 1 / (1 + np.exp(-(points @ slopes / np.sqrt(DIM) + levels[kinds])))
    features = features_of(points, embedding_dim=DIM, texts=[f"{seed}-{place}" for place in range(n)])
    return features, kinds, truth


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What is said of queries that were not seen, and what is true of them."""

    uncertainty: Uncertainty
    kinds: IntArray
    estimated: FloatArray
    truth: FloatArray
    errors: FloatArray
    similarity: Float32Array
    is_labelled: FloatArray

    @property
    def coverage(self) -> float:
        """The share of true probabilities within two standard errors."""
        return float((np.abs(self.estimated - self.truth) <= 2 * self.errors).mean())


@cache
def learn(head: str, n: int, seed: int = 1, without: float = 0.0) -> Learned:
    """Returns what a head learns from so many queries, of the last backend a share of labels missing."""
    features, _, truth = draw(n, seed)
    rng = np.random.default_rng(seed + 50)
    quality = (rng.random(truth.shape) < truth).astype(float)
    quality[rng.random(n) < without, -1] = np.nan
    folds = assign_folds(features.texts, n_folds=5, seed=0)
    fitted, scores = fit_with_out_of_fold(head, features, quality, folds)
    calibration, estimates = fit_calibration(scores, quality, folds)
    neighbours = keep_neighbours(choose_references(features, seed=0), features.texts, quality, features.embedding)
    uncertainty = fit_uncertainty(neighbours, features.embedding, estimates, quality, folds, features.texts)
    fresh, kinds, true = draw(1500, 99)
    estimated = calibration.apply(fitted.predictor_.predict(fresh))
    similarity = neighbours.similarity(fresh.embedding)
    is_labelled = np.isfinite(neighbours.quality).astype(float)
    return Learned(
        uncertainty=uncertainty,
        kinds=kinds,
        estimated=estimated,
        truth=true,
        errors=uncertainty.standard_error(estimated, similarity, is_labelled),
        similarity=similarity,
        is_labelled=is_labelled,
    )


@pytest.mark.parametrize("n", [150, 600, 2000])
@pytest.mark.parametrize("head", ["mean", "linear", "knn", "stack"])
def test_most_true_probabilities_are_within_two_standard_errors(head: str, n: int) -> None:
    worlds = [learn(head, n, seed) for seed in (1, 2)]
    assert 0.87 <= np.mean([world.coverage for world in worlds]) <= 0.99


@pytest.mark.parametrize("head", ["mean", "linear", "knn", "stack"])
def test_standard_errors_are_as_large_as_errors(head: str) -> None:
    learned = learn(head, 2000)
    said = np.sqrt((learned.errors**2).mean())
    assert 0.75 < said / np.sqrt(((learned.estimated - learned.truth) ** 2).mean()) < 1.4


@pytest.mark.parametrize("head", ["mean", "linear", "knn"])
def test_estimates_are_less_sure_for_queries_of_rare_kinds(head: str) -> None:
    learned = learn(head, 2000)
    open_share = learned.errors**2 / (learned.estimated * (1 - learned.estimated))
    is_rare = learned.kinds >= RARE
    assert open_share[is_rare].mean() > 1.3 * open_share[~is_rare].mean()


def test_a_head_that_looks_at_no_query_is_found_out() -> None:
    assert learn("mean", 2000).uncertainty.scale > 3 * learn("linear", 2000).uncertainty.scale


def test_more_labels_make_estimates_surer() -> None:
    few, many = learn("linear", 150).errors, learn("linear", 2000).errors
    assert many.mean() < 0.75 * few.mean()


def test_a_backend_with_fewer_labels_is_less_sure_than_another_with_the_same_estimate() -> None:
    learned = learn("linear", 600, without=0.8)
    alike = np.full_like(learned.estimated, 0.5)
    errors = learned.uncertainty.standard_error(alike, learned.similarity, learned.is_labelled)
    assert (errors[:, 2] > errors[:, 0]).all()


def test_a_handful_of_queries_without_any_pair_has_an_error_nonetheless() -> None:
    learned = learn("mean", 5)
    assert np.isfinite(learned.errors).all()
    assert (learned.errors > 0.1).all()


# Of a trained router


def test_a_query_unlike_the_training_queries_is_estimated_less_surely() -> None:
    model = model_of(300)
    like, unlike = "name the capital colour animal fruit", "今日の天気はどうですか"
    open_shares = []
    for text in (like, unlike):
        quality = model.estimate(text).quality
        open_shares.append(model.standard_error(text) ** 2 / (quality * (1 - quality)))
    assert (open_shares[1] > open_shares[0]).all()


def test_an_artefact_says_the_same_once_it_is_loaded_again(tmp_path: Path) -> None:
    model = model_of(120)
    trained = Trained(model=model, confidence=None, escalation=no_escalation(3))
    save_artefact(trained, tmp_path / "artefact", training_data_sha256="ab" * 32, seed=7, metrics={})
    loaded, _ = load_artefact(tmp_path / "artefact")
    assert loaded.model.uncertainty == model.uncertainty
    text = "prove the theorem of the river"
    np.testing.assert_array_equal(loaded.model.standard_error(text), model.standard_error(text))


def test_a_dry_run_tells_how_sure_it_is_and_a_decision_does_not_work_it_out(tmp_path: Path) -> None:
    trained = Trained(model=model_of(120), confidence=None, escalation=no_escalation(3))
    save_artefact(trained, tmp_path / "artefact", training_data_sha256="ab" * 32, seed=7, metrics={})
    models = tmp_path / "models.yaml"
    models.write_text(
        f"artefact: {tmp_path / 'artefact'}\nbackends:\n"
        "  small: {type: fake, tier: small}\n  mid: {type: fake, tier: mid}\n  lrm: {type: fake, tier: lrm}\n"
    )
    text = "prove the theorem of the river"
    with Router.from_config(models) as router:
        decided, told = router.decide(Query.from_text(text)), router.route(text)
    assert [row["standard_error"] for row in decided.as_dict()["estimates"]] == [None] * 3
    assert "±" not in decided.explain()
    errors = trained.model.standard_error(text)
    assert [row["standard_error"] for row in told.as_dict()["estimates"]] == errors.tolist()
    assert f"{told.estimates.quality[0]:.3f} ± {errors[0]:.3f}" in told.explain()


def test_of_a_backend_that_was_not_learned_it_is_not_known_how_sure_an_estimate_is() -> None:
    specs = {name: BackendSpec(name=name, type="fake", tier="small") for name in ("stranger", "mid")}
    trained = Trained(model=model_of(120), confidence=None, escalation=no_escalation(3))
    errors = Pool(specs, trained).standard_error("prove the theorem of the river")
    assert errors is not None
    assert np.isnan(errors[0])
    assert errors[1] == trained.model.standard_error("prove the theorem of the river")[1]
    assert Pool(specs, None).standard_error("prove the theorem of the river") is None
