"""Difficulty of queries and ability of backends, on one scale."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.classifiers.difficulty import difficulty_of, fit_ability


def rasch(difficulty: list[float], ability: list[float]) -> np.ndarray:
    """Returns P(correct), (n_queries, n_backends), with difficulty and ability in logits."""
    return 1 / (1 + np.exp(np.array(difficulty)[:, None] - np.array(ability)))


def test_ability_and_difficulty_of_a_rasch_model_are_found_again() -> None:
    quality = rasch([-1.0, 0.0, 2.5], [-1.5, 0.5, 1.0])
    ability = fit_ability(quality)
    assert ability == pytest.approx([-1.5, 0.5, 1.0])
    assert difficulty_of(quality, ability) == pytest.approx(1 / (1 + np.exp([1.0, 0.0, -2.5])))


def test_an_able_pool_does_not_make_its_queries_look_easy() -> None:
    quality = rasch([1.0], [-2.0, 0.0, 2.0])
    whole = difficulty_of(quality, np.array([-2.0, 0.0, 2.0]))
    able = difficulty_of(quality[:, 1:], np.array([0.0, 2.0]))
    assert able == pytest.approx(whole)
    assert quality[:, 1:].mean() > quality.mean()


def test_of_backends_of_one_ability_it_is_how_rarely_they_are_right() -> None:
    assert float(difficulty_of(np.array([0.3, 0.3]), np.zeros(2))) == pytest.approx(0.7)
