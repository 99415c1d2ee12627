"""What ships to judge answers by, before there are graded ones."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

import penstock.classifiers
from penstock.backends import Completion, Query
from penstock.classifiers import signal_names
from penstock.classifiers.public_confidence import (
    PUBLIC_SIGNALS,
    PublicConfidence,
    load_public_confidence,
    save_public_confidence,
)

QUESTION = "A box holds 12 pens. Ann has 3 boxes and gives 7 pens away. How many pens are left?"
SOUND = "Ann has 3 * 12 = 36 pens. She keeps 36 - 7 = 29 of them.\n\nThe answer is 29."
WITH_SLIP = "Ann has 3 * 12 = 38 pens. She keeps 38 - 7 = 31 of them.\n\nThe answer is 31."
ESTIMATE = 0.7


def told(question: str, answer: str, estimate: float = ESTIMATE) -> float:
    return load_public_confidence().confidence(
        Query.from_text(question), Completion(text=answer), backend="any", estimate=estimate
    )


def planted(**weights: float) -> PublicConfidence:
    """Returns a public confidence with these weights, at a scale of one half around 1."""
    given = {name.replace("__", "."): weight for name, weight in weights.items()}
    n = len(PUBLIC_SIGNALS)
    return PublicConfidence(
        mean=np.ones(n), scale=np.full(n, 2.0), weights=np.array([given.get(name, 0.0) for name in PUBLIC_SIGNALS])
    )


def test_what_ships_has_the_hash_that_its_card_tells() -> None:
    folder = resources.files(penstock.classifiers) / "data" / "prior"
    digest = hashlib.sha256((folder / "confidence.safetensors").read_bytes()).hexdigest()
    assert digest in (folder / "README.md").read_text(encoding="utf-8")


def test_what_ships_trusts_an_answer_with_a_slip_less_than_a_sound_one() -> None:
    assert told(QUESTION, WITH_SLIP) < ESTIMATE
    assert told(QUESTION, WITH_SLIP) < told(QUESTION, SOUND) - 0.1


def test_what_ships_trusts_a_better_backend_more_for_the_same_answer() -> None:
    assert told(QUESTION, SOUND, 0.3) < told(QUESTION, SOUND, 0.8)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (QUESTION, "That depends on whether the boxes are full."),
        ("How many moons has Mars?", "Mars has 2 moons."),
        (QUESTION, ""),
    ],
)
def test_an_answer_of_another_kind_than_the_public_ones_keeps_its_estimate(question: str, answer: str) -> None:
    assert told(question, answer) == ESTIMATE


def test_an_answer_to_a_query_that_brings_tools_keeps_its_estimate() -> None:
    tools = [{"type": "function", "function": {"name": "add"}}]
    query = Query.from_messages([{"role": "user", "content": QUESTION}], params={"tools": tools})
    completion = Completion(text=WITH_SLIP)
    told = load_public_confidence().confidence(query, completion, backend="any", estimate=ESTIMATE)
    assert told == ESTIMATE


def test_a_model_runs_code_only_where_it_goes_by_what_comes_of_that() -> None:
    model, names = load_public_confidence().model, signal_names()
    shared = model.shared.copy()
    shared[1 + names.index("code_tests.runs")] = 1.0
    assert not model.runs_code
    assert replace(model, scale=np.ones(len(names)), shared=shared).runs_code


def test_without_weights_the_confidence_is_the_estimate() -> None:
    told = planted().confidence(Query.from_text(QUESTION), Completion(text=SOUND), backend="any", estimate=ESTIMATE)
    assert told == pytest.approx(ESTIMATE)


def test_a_unit_of_a_signal_adds_its_weight_by_its_scale_and_no_other_signal_anything() -> None:
    model, names = planted(language__log_hedges=-0.5, arithmetic__any_wrong=-1.0).model, signal_names()
    per_unit = model.shared[1 : 1 + len(names)] * model.scale
    told = dict(zip(names, per_unit.tolist(), strict=True))
    assert {name: value for name, value in told.items() if value} == {
        "language.log_hedges": -1.0,
        "arithmetic.any_wrong": -2.0,
    }


def test_the_same_confidence_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    save_public_confidence(planted(language__log_hedges=0.25), first)
    save_public_confidence(planted(language__log_hedges=0.25), second)
    assert first.read_bytes() == second.read_bytes()
