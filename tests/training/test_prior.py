"""The recipe of what ships for the cold start, on sets with a known truth."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.backends import BackendSpec
from penstock.classifiers.public_prior import PublicPrior
from penstock.training.prior.fitting import PublicSet, fit_prior
from penstock.training.prior.gains import gain_weights, mean_gain
from penstock.training.prior.models import MODELS, model_of, spec_of

ABILITY = {"small": -0.5, "mid": 0.5, "lrm": 2.0}
SPECS = tuple(MODELS[name] for name in ("gemma-2-9b", "mistral-nemo", "gpt-4o", "llama-3.1-405b", "o1-mini"))


EASY_WORDS = "Who wrote the play that everybody knows?"
PARTING = "Ann has 3 boxes. Each holds 14 pens. She gives 5 to each of 6 friends. How many pens are left in the boxes?"


def planted_set(
    n: int, *, seed: int, level: float = 0.0, ability: float = 0.0, specs: tuple[BackendSpec, ...] = SPECS
) -> PublicSet:
    """Returns queries that are harder the more numbers are in them."""
    rng = np.random.default_rng(seed)
    n_numbers = rng.integers(0, 12, n)
    texts = ["Add these up: " + ", ".join(str(rng.integers(10, 99)) for _ in range(count)) for count in n_numbers]
    difficulty = 0.3 * (n_numbers - 6.0) + level
    abilities = ability + np.array([ABILITY[spec.tier] for spec in specs])
    chance = 1 / (1 + np.exp(difficulty[:, None] - abilities))
    return PublicSet(texts=texts, specs=specs, quality=(rng.random(chance.shape) < chance).astype(float))


@pytest.fixture(scope="module")
def prior() -> PublicPrior:
    return fit_prior([planted_set(600, seed=seed, level=level) for seed, level in enumerate((-0.5, 0.0, 0.5))])


def test_difficulty_is_read_off_the_text(prior: PublicPrior) -> None:
    few, many = (prior.difficulty_of("Add these up: " + ", ".join(["41"] * count)) for count in (1, 11))
    assert 0.5 < many - few < 4.0


def test_what_parts_backends_makes_a_text_harder_though_all_are_right_as_often() -> None:
    rng = np.random.default_rng(3)
    texts = [EASY_WORDS, PARTING] * 300
    chance = np.tile([[0.6] * 5, [0.4, 0.4, 0.6, 0.6, 1.0]], (300, 1))
    quality = (rng.random(chance.shape) < chance).astype(float)
    prior = fit_prior([PublicSet(texts=texts, specs=SPECS, quality=quality)])
    assert prior.difficulty_of(PARTING) > prior.difficulty_of(EASY_WORDS) + 0.05


def test_gains_are_those_of_dearer_backends_where_both_were_asked() -> None:
    cheap, dear = MODELS["mistral-nemo"], MODELS["o1-mini"]
    quality = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [np.nan, 1.0]])
    assert mean_gain(quality, (cheap, dear)).tolist()[:3] == [1.0, -1.0, 0.0]
    assert (mean_gain(quality[:3, ::-1], (dear, cheap)) == mean_gain(quality[:3], (cheap, dear))).all()
    assert np.isnan(mean_gain(quality, (cheap, dear))[3])
    assert np.isnan(mean_gain(quality, (cheap, cheap))).all()


def test_weights_of_gains_go_by_what_holds_within_sets_and_have_unit_deviation() -> None:
    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal((400, 3)) + np.array([0, 0, place]) for place in range(2)]
    gains = [x[:, 0] + 5.0 * place for place, x in enumerate(inputs)]  # the set with more of input 2 gains more
    weights = gain_weights(inputs, gains)
    assert weights[0] > 5 * np.abs(weights[1:]).max()
    assert np.mean([(x @ weights).std() for x in inputs]) == pytest.approx(1.0)
    assert (gain_weights(inputs, [np.full(400, np.nan)] * 2) == 0).all()


def test_abilities_go_by_tier_and_price_and_their_level_by_what_the_sets_show(prior: PublicPrior) -> None:
    assert (np.diff(prior.ability) > 0).all()
    levels = (-0.5, 0.0, 0.5)
    abler = fit_prior([planted_set(600, seed=seed, ability=1.0, level=level) for seed, level in enumerate(levels)])
    assert abler.ability - prior.ability == pytest.approx(np.ones(3), abs=0.3)


def test_what_was_not_asked_does_not_count_as_wrong(prior: PublicPrior) -> None:
    sets = [planted_set(600, seed=seed, level=level) for seed, level in enumerate((-0.5, 0.0, 0.5))]
    for each in sets:
        each.quality[::2, :3] = np.nan
    assert fit_prior(sets).ability == pytest.approx(prior.ability, abs=0.3)


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
