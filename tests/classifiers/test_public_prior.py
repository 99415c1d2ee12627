from __future__ import annotations

import hashlib
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

import penstock.classifiers
from penstock.backends import BackendSpec, Price
from penstock.backends.spec import TIERS
from penstock.classifiers.public_prior import load_prior, save_prior, worth_of

EASY = "What is the capital of France?"
HARD = (
    "Let $f(x) = x^3 - 3x + 1$ and let $a_1, a_2, a_3$ be the roots of $f$. Find the sum of the squares of all real"
    " solutions of $f(f(x)) = 0$, and prove that it is an integer."
)


def spec(tier_place: int, usd: float | None = 1.0, effort: str | None = None) -> BackendSpec:
    price = None if usd is None else Price(usd_per_1m_input=usd, usd_per_1m_output=usd)
    return BackendSpec(name="x", type="fake", tier=TIERS[tier_place], effort=effort, price=price)


def test_what_ships_finds_a_formula_harder_than_a_capital() -> None:
    prior = load_prior()
    assert prior.difficulty_of(HARD) > prior.difficulty_of(EASY) + 0.2


def test_what_ships_has_the_hash_that_its_card_tells() -> None:
    folder = resources.files(penstock.classifiers) / "data" / "prior"
    digest = hashlib.sha256((folder / "prior.safetensors").read_bytes()).hexdigest()
    assert digest in (folder / "README.md").read_text(encoding="utf-8")


def test_a_higher_tier_is_abler_and_a_greater_effort_too() -> None:
    prior = load_prior()
    assert (np.diff([prior.ability_of(spec(tier)) for tier in range(3)]) > 0).all()
    assert prior.ability_of(spec(2, effort="low")) < prior.ability_of(spec(2)) < prior.ability_of(spec(2, effort="max"))


def test_price_moves_the_ability_by_its_slope_and_none_does_not() -> None:
    prior = replace(load_prior(), price_slope=0.5, worth=np.zeros(3))
    assert prior.ability_of(spec(0, 0.1 * np.e)) == pytest.approx(prior.ability_of(spec(0, 0.1)) + 0.5)
    assert prior.ability_of(spec(0, None)) == prior.ability_of(spec(0, 0.4)) == prior.ability[0]
    assert np.isfinite(prior.ability_of(spec(0, 0.0)))


def test_a_high_price_tells_less_than_a_low_one_and_still_something() -> None:
    cheap, middling, dear = (worth_of(price) for price in (0.02, 0.2, 2.0))
    assert middling - cheap == pytest.approx(np.log(10))
    assert worth_of(10.0) - dear == pytest.approx(np.log(5) / 20)
    assert worth_of(0.4) == 0.0


def test_quality_falls_with_difficulty_and_being_unsure_draws_towards_one_half() -> None:
    sure, unsure = replace(load_prior(), spread=0.0), replace(load_prior(), spread=2.0)
    ability = np.array([2.0])
    assert sure.quality(ability, 0.0)[0] == pytest.approx(1 / (1 + np.exp(-2)))
    assert sure.quality(ability, 0.0) > sure.quality(ability, 1.0) > sure.quality(ability, 2.0) == 0.5
    assert 0.5 < unsure.quality(ability, 0.0)[0] < sure.quality(ability, 0.0)[0]


def test_the_same_prior_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "other"):
        save_prior(load_prior(), tmp_path / name)
    shipped = resources.files(penstock.classifiers) / "data" / "prior" / "prior.safetensors"
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes() == shipped.read_bytes()
