from __future__ import annotations

import numpy as np
import pytest

from penstock.classifiers import fit_escalation, no_escalation
from penstock.classifiers.escalation import NO_ANSWER
from penstock.classifiers.latent import at_nodes, difficulty_nodes, dispersion_at_nodes, few_at_nodes
from penstock.classifiers.ridge import FloatArray
from penstock.classifiers.sparse import IntArray

UNKNOWN = np.nan
WRONG = 1000  # from here on numbers stand for wrong answers; 0 is the right one


def world(
    loading: float, collision: tuple[float, float], *, n: int = 3000, quality: tuple[float, ...] = (0.5, 0.6, 0.7, 0.8)
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Returns scores, estimates and answers drawn from the very model."""
    rng = np.random.default_rng(0)
    nodes, weights = difficulty_nodes()
    estimates = np.tile(quality, (n, 1))
    chance = at_nodes(np.array(quality), np.full(len(quality), loading))
    scores, answers = np.empty(estimates.shape), np.zeros(estimates.shape, dtype=np.int64)
    for row in range(n):
        node = rng.choice(len(nodes), p=weights)
        dispersion = dispersion_at_nodes(np.array(collision))[node]
        wrong: list[int] = []
        for column in range(len(quality)):
            is_right = rng.random() < chance[column, node]
            scores[row, column] = is_right
            if not is_right:
                is_new = rng.random() < dispersion / (dispersion + len(wrong))
                answers[row, column] = WRONG + len(wrong) if is_new else rng.choice(wrong)
                wrong.append(int(answers[row, column]))
    return scores, estimates, answers


def test_the_chances_at_the_nodes_have_the_estimate_as_their_mean() -> None:
    quality = np.linspace(0.01, 0.99, 50)
    _, weights = difficulty_nodes()
    for loading in (0.0, 0.5, 1.5, 3.0, 4.0):
        chance = at_nodes(quality, np.full(50, loading))
        assert chance @ weights == pytest.approx(quality, abs=2e-3)
        assert (np.diff(chance, axis=1) >= 0).all()  # from hard to easy


@pytest.mark.parametrize("loading", [0.0, 1.0, 2.5])
def test_the_loading_is_found_again(loading: float) -> None:
    found = fit_escalation(*world(loading, (-1.0, 0.0))[:2], np.full((3000, 4), UNKNOWN)).loading
    assert found == pytest.approx(loading, abs=0.6)


@pytest.mark.parametrize("collision", [(-2.0, 0.0), (0.0, 0.0), (-1.0, -0.75)])
def test_how_often_wrong_answers_are_the_same_is_found_again(collision: tuple[float, float]) -> None:
    scores, estimates, answers = world(1.5, collision)
    found = fit_escalation(scores, estimates, np.full(scores.shape, UNKNOWN), answers).collision
    assert found[0] == pytest.approx(collision[0], abs=0.5)
    assert found[1] == pytest.approx(collision[1], abs=0.5)


def test_few_queries_leave_the_defaults() -> None:
    scores, estimates, answers = world(0.0, (2.0, 0.0), n=3)
    found = fit_escalation(scores, estimates, np.full(scores.shape, UNKNOWN), answers)
    assert found.loading == pytest.approx(no_escalation(4).loading, abs=1.01)


def test_missing_scores_are_left_out() -> None:
    scores, estimates, answers = world(2.0, (-1.0, 0.0))
    scores[np.random.default_rng(1).random(scores.shape) < 0.3] = UNKNOWN
    scores[:, 3] = UNKNOWN
    found = fit_escalation(scores, estimates, np.full(scores.shape, UNKNOWN), answers)
    assert found.loading == pytest.approx(2.0, abs=0.8)
    assert np.isfinite(found.loading).all()


def test_without_any_score_nothing_is_learned() -> None:
    nothing = np.full((5, 2), UNKNOWN)
    found = fit_escalation(nothing, nothing, nothing)
    assert found.loading.tolist() == no_escalation(2).loading.tolist()
    assert found.power.tolist() == [0, 0]
    assert found.comparable == 0


# Power


def test_power_is_the_share_of_the_variance_left_by_the_estimate_that_confidence_explains() -> None:
    scores = np.random.default_rng(0).integers(0, 2, (1000, 1)).astype(float)
    half = np.full(scores.shape, 0.5)
    assert fit_escalation(scores, half, np.where(scores > 0, 0.75, 0.25)).power[0] == pytest.approx(0.75)
    assert fit_escalation(scores, half, scores).power[0] == pytest.approx(1.0)
    assert fit_escalation(scores, half, half).power[0] == 0.0


def test_a_confidence_that_is_worse_than_the_estimate_has_no_power() -> None:
    scores = np.random.default_rng(0).integers(0, 2, (1000, 1)).astype(float)
    assert fit_escalation(scores, np.full(scores.shape, 0.5), 1 - scores).power[0] == 0.0


def test_a_few_confidences_are_not_believed() -> None:
    scores = np.array([[1.0], [0.0]] * 5)
    assert fit_escalation(scores, np.full(scores.shape, 0.5), scores).power[0] == 0.0


# Comparable answers


def test_answers_can_be_compared_where_right_ones_are_the_same() -> None:
    scores, estimates, answers = world(1.0, (-1.0, 0.0), n=200)
    unknown = np.full(scores.shape, UNKNOWN)
    assert fit_escalation(scores, estimates, unknown, answers).comparable == 1.0
    answers[100:] = NO_ANSWER
    assert fit_escalation(scores, estimates, unknown, answers).comparable == 0.5


def test_answers_cannot_be_compared_where_right_ones_differ() -> None:
    scores, estimates, _ = world(1.0, (-1.0, 0.0), n=200)
    each_its_own = np.tile(np.arange(scores.shape[1]), (len(scores), 1))
    assert fit_escalation(scores, estimates, np.full(scores.shape, UNKNOWN), each_its_own).comparable == 0.0


def test_what_is_known_of_some_backends_is_taken_and_the_defaults_for_others() -> None:
    scores, estimates, answers = world(2.5, (-1.0, 0.0))
    learned = fit_escalation(scores, estimates, np.where(scores > 0, 0.9, 0.1), answers)
    taken = learned.take([2, -1])
    assert taken.loading.tolist() == [learned.loading[2], no_escalation(1).loading[0]]
    assert taken.power.tolist() == [learned.power[2], 0.0]
    assert taken.comparable == learned.comparable


@pytest.mark.parametrize("loading", [0.0, 1.5, 4.0])
def test_a_few_estimates_are_spread_over_difficulties_as_many_are(loading: float) -> None:
    quality = [0.0, 0.001, 0.3, 0.5, 0.95, 1.0]
    loadings = [loading] * len(quality)
    assert few_at_nodes(quality, loadings) == pytest.approx(at_nodes(np.array(quality), np.array(loadings)), abs=1e-9)


def test_looking_tells_more_where_the_right_answer_can_be_worked_out() -> None:
    scores, estimates, _ = world(1.5, (-1.0, 0.0), n=400)
    is_workable = np.arange(400) % 2 == 0
    confidences = np.where(is_workable[:, None], scores, estimates)
    found = fit_escalation(scores, estimates, confidences, is_workable=is_workable)
    assert found.power == pytest.approx(0.0, abs=1e-9)
    assert found.if_workable().power == pytest.approx(1.0)
    assert found.take([2, -1]).if_workable().power == pytest.approx([1.0, 0.0])


def test_few_workable_queries_are_not_told_apart() -> None:
    scores, estimates, _ = world(1.5, (-1.0, 0.0), n=400)
    found = fit_escalation(scores, estimates, scores, is_workable=np.arange(400) < 5)
    assert found.power_workable is None
    assert found.if_workable() is found


def test_queries_that_come_in_turns_are_learned_from_alike() -> None:
    alone, together = world(0.0, (-1.0, 0.0), n=2000)[0], world(2.5, (-1.0, 0.0), n=2000)[0]
    estimates = np.tile((0.5, 0.6, 0.7, 0.8), (4000, 1))
    unknown = np.full(estimates.shape, UNKNOWN)
    in_turns = fit_escalation(np.stack([alone, together], axis=1).reshape(4000, 4), estimates, unknown).loading
    one_by_one = fit_escalation(np.concatenate([alone, together]), estimates, unknown).loading
    assert in_turns.mean() > 0.5
    assert in_turns == pytest.approx(one_by_one, abs=0.5)
