"""The recipe of what ships for the cold start, on sets with a known truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from penstock.backends import BackendSpec
from penstock.classifiers.public_prior import PublicPrior
from penstock.training.prior.fitting import PublicSet, fit_prior
from penstock.training.prior.models import MODELS, model_of, spec_of

ABILITY = {"small": -0.5, "mid": 0.5, "lrm": 2.0}
SPECS = tuple(MODELS[name] for name in ("gemma-2-9b", "mistral-nemo", "gpt-4o", "llama-3.1-405b", "o1-mini"))


def planted_set(n: int, *, seed: int, level: float = 0.0, specs: tuple[BackendSpec, ...] = SPECS) -> PublicSet:
    """Returns queries that are harder the more numbers are in them."""
    rng = np.random.default_rng(seed)
    n_numbers = rng.integers(0, 12, n)
    texts = ["Add these up: " + ", ".join(str(rng.integers(10, 99)) for _ in range(count)) for count in n_numbers]
    difficulty = 0.3 * (n_numbers - 6.0) + level
    ability = np.array([ABILITY[spec.tier] for spec in specs])
    chance = 1 / (1 + np.exp(difficulty[:, None] - ability))
    return PublicSet(texts=texts, specs=specs, quality=(rng.random(chance.shape) < chance).astype(float))


@pytest.fixture(scope="module")
def prior() -> PublicPrior:
    return fit_prior([planted_set(600, seed=seed, level=level) for seed, level in enumerate((-0.5, 0.0, 0.5))])


def test_difficulty_is_read_off_the_text(prior: PublicPrior) -> None:
    few, many = (prior.difficulty_of("Add these up: " + ", ".join(["41"] * count)) for count in (1, 11))
    assert 0.5 < many - few < 4.0


def test_abilities_of_tiers_come_out_in_their_order_and_distance(prior: PublicPrior) -> None:
    small, mid, lrm = prior.ability
    assert mid - small == pytest.approx(1.0, abs=0.5)
    assert lrm - mid == pytest.approx(1.5, abs=0.6)


def test_how_hard_a_set_is_and_what_nobody_was_asked_do_not_pass_for_ability(prior: PublicPrior) -> None:
    sets = [planted_set(600, seed=seed, level=level) for seed, level in enumerate((-0.5, 0.0, 0.5))]
    hard = [*sets, replace(planted_set(300, seed=9, level=3.0, specs=SPECS[-1:]))]
    hard[0].quality[::2, 0] = np.nan
    again = fit_prior(hard)
    assert again.ability[2] > again.ability[1]
    assert again.ability[2] - again.ability[1] == pytest.approx(prior.ability[2] - prior.ability[1], abs=0.5)


def test_backends_that_differ_more_leave_more_open() -> None:
    odd = planted_set(800, seed=4)
    odd.quality[:, 0] = 1.0
    odd.quality[:, 3] = 0.0
    assert fit_prior([odd]).spread > fit_prior([planted_set(800, seed=4)]).spread


@pytest.mark.parametrize(
    ("backend", "model"),
    [
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", "mixtral-8x7b"),
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("gemini-flash-1.5-002", "gemini-1.5-flash"),
        ("Meta-Llama-3.1-70B-Instruct", "llama-3.1-70b"),
        ("claude-3.5-sonnet-1022-sys", "claude-3.5-sonnet"),
    ],
)
def test_a_public_backend_is_known_by_whatever_it_is_called(backend: str, model: str) -> None:
    assert model_of(backend) == model
    assert spec_of(backend, "gsm_9").name == backend


def test_an_unknown_backend_is_refused_with_where_to_add_it() -> None:
    with pytest.raises(KeyError, match=r"nobody-7b.*training/prior/models\.py"):
        model_of("nobody-7b")


def test_the_set_that_charges_by_size_has_prices_by_size() -> None:
    small, large = (spec_of(name, "mixed_9_open_models") for name in ("codegemma-7b", "llama3-chatqa-1.5-70b"))
    assert small.price is not None
    assert large.price is not None
    assert large.price.usd_per_1m_output == pytest.approx(10 * small.price.usd_per_1m_output, rel=0.01)
