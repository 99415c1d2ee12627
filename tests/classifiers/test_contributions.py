"""What each feature and head adds to the estimates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from penstock.backends import Query
from penstock.classifiers import QueryModel, Trained, no_escalation
from penstock.classifiers.contributions import ablations
from penstock.router import Policy, Pool
from penstock.router.flips import Flip, telling
from penstock.training import Trace, build_dataset, fit, split_queries


def learned(classifier: str) -> QueryModel:
    """Returns a model of queries of which only the digits tell how the small backend does."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(240):
        digits = " ".join("7" for _ in range(int(rng.integers(0, 30))))
        for backend, score in (
            ("small", float(rng.random() < (0.9 if len(digits) < 30 else 0.2))),
            ("wide", float(rng.random() < 0.7)),
        ):
            text = f"please consider {chr(97 + number % 26)}{chr(97 + number // 26)} {digits}"
            rows.append(Trace(query_id=str(number), query=text, backend=backend, score=score, cost_usd=0.01))
    dataset = build_dataset(rows)
    return fit(dataset, split_queries(dataset, seed=0), classifier=classifier).trained.model


def test_few_are_told_those_first_that_move_the_lead_most(blended: QueryModel) -> None:
    made = Pool({}, Trained(model=blended, confidence=None, escalation=no_escalation(2)))
    text = "please consider zz " + "7 " * 29
    decision = made.decide(Query.from_text(text), Policy(name="auto"))
    assert decision.backend == "wide"
    told = telling(made.contributions(text), decision, (Flip(figure="quality", now=0.7, then=0.2, backend="small"),))
    sizes = [abs(float(item.quality[1] - item.quality[0])) for item in told]
    assert 0 < len(told) <= 6
    assert sizes == sorted(sizes, reverse=True)
    shown = replace(decision, contributions=told)
    assert f"  {told[0].kind} {told[0].name}: small " in shown.explain()
    assert shown.as_dict()["contributions"][0]["quality"]["small"] == told[0].quality[0]


@pytest.fixture(scope="module", name="blended")
def blended_model() -> QueryModel:
    return learned("blend")


def test_digits_that_make_a_query_hard_take_from_the_small_backend_alone(blended: QueryModel) -> None:
    found = {item.name: item.quality for item in blended.contributions("please consider zz " + "7 " * 29)}
    assert found["digits"][0] < -0.005
    assert abs(found["digits"][1]) < abs(found["digits"][0])


def test_every_head_of_a_blend_is_told(blended: QueryModel) -> None:
    heads = [item for item in blended.contributions("please consider zz 7 7") if item.kind == "head"]
    assert heads
    assert {item.name for item in heads} <= {"stack", "irt", "linear", "trees"}
    assert any(abs(item.quality[0]) > 0.01 for item in heads)


def test_what_is_left_of_a_query_is_read_anew(blended: QueryModel) -> None:
    query = blended._featurizer.transform_one("please consider zz 7 7")
    query.products[0] = np.zeros(1, dtype=np.float32)
    rests = [rest for kind, _, _, rest in ablations(blended.quality, query) if kind != "head"]
    assert rests
    assert not any(rest.products for rest in rests)


def test_where_nothing_is_learned_nothing_contributes() -> None:
    found = learned("mean").contributions("please consider zz 7 7 7")
    assert all(not item.quality.any() for item in found)


def test_terms_that_a_query_has_none_of_are_not_left_out(blended: QueryModel) -> None:
    whole = blended._featurizer.transform_one("please consider zz 7 7")
    n = whole.n_words
    of_words = whole.but(columns=whole.columns[:n], weights=whole.weights[:n])
    of_frame = whole.but(columns=whole.columns[n:], weights=whole.weights[n:], n_words=0)
    told = [
        [name for kind, name, _, _ in ablations(blended.quality, query) if kind == "words"]
        for query in (whole, of_words, of_frame)
    ]
    assert told == [["words", "frame"], ["words"], ["frame"]]


def test_words_and_frame_are_left_out_one_at_a_time(blended: QueryModel) -> None:
    query = blended._featurizer.transform_one("please consider zz 7 7")
    rests = {name: rest for kind, name, _, rest in ablations(blended.quality, query) if kind == "words"}
    assert rests["words"].columns.tolist() == query.columns[query.n_words :].tolist()
    assert rests["frame"].columns.tolist() == query.columns[: query.n_words].tolist()
    assert (rests["words"].n_words, rests["frame"].n_words) == (0, query.n_words)
    assert 0 < query.n_words < len(query.columns)
