from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from penstock.classifiers import HEADS, ArtefactError, QueryModel
from penstock.classifiers.estimates import UNFAMILIAR

from .planted import model_of

EASY, HARD = "name the capital colour animal fruit", "prove the integral theorem polynomial eigenvalue"
LONG = "prove the theorem of the river " * 2000


@pytest.mark.parametrize("head", sorted(set(HEADS) - {"mean", "finetune"}))
def test_a_hard_query_is_told_from_an_easy_one(head: str) -> None:
    model = model_of(300, head=head)
    easy, hard = model.estimate(EASY), model.estimate(HARD)
    assert hard.quality[0] < easy.quality[0] - 0.2
    assert hard.difficulty > easy.difficulty
    assert hard.cost_usd[0] > easy.cost_usd[0]


def test_estimates_have_a_column_a_backend(model: QueryModel) -> None:
    estimates = model.estimate(EASY)
    assert estimates.backends == ("small", "mid", "lrm")
    assert estimates.source == "trained"
    for values in (estimates.quality, estimates.cost_usd, estimates.output_tokens, estimates.latency_s):
        assert values.shape == (3,)
        assert values.dtype == np.float64
    assert ((estimates.quality > 0) & (estimates.quality < 1)).all()
    assert (estimates.cost_usd > 0).all()
    assert np.isnan(estimates.latency_s).all()  # no trace told
    assert 0 < estimates.difficulty < 1


def test_many_queries_are_estimated_as_one_by_one(model: QueryModel) -> None:
    texts = [EASY, HARD, "", LONG, "漢字?", "\ud800"]
    for text, batch in zip(texts, model.estimate_all(texts), strict=True):
        one = model.estimate(text)
        assert one.quality == pytest.approx(batch.quality, abs=1e-5)
        assert one.cost_usd == pytest.approx(batch.cost_usd, rel=1e-4)
        assert one.difficulty == pytest.approx(batch.difficulty, abs=1e-5)
        assert one.input_tokens == batch.input_tokens
        assert (one.backends, one.source) == (batch.backends, batch.source)


def test_no_queries_have_no_estimates(model: QueryModel) -> None:
    assert model.estimate_all([]) == []


def test_all_tokens_of_a_long_query_are_counted(model: QueryModel) -> None:
    assert model.estimate(LONG).input_tokens == pytest.approx(6 * 2000, rel=0.02)


def test_training_queries_are_looked_at_once_for_all_that_ask_how_familiar_a_query_is(model: QueryModel) -> None:
    looks = []

    class Counted:
        def familiarity(self, embeddings: np.ndarray) -> np.ndarray:
            looks.append(embeddings)
            return model.neighbours.familiarity(embeddings)

    estimates = replace(model, neighbours=Counted()).estimate(EASY)
    assert not looks
    assert estimates.familiarity == estimates.familiarity == model.estimate(EASY).familiarity
    assert estimates.is_unfamiliar == (estimates.familiarity < UNFAMILIAR)
    assert len(looks) == 1


def test_estimating_twice_gives_the_same(model: QueryModel) -> None:
    assert (model.estimate(HARD).quality == model.estimate(HARD).quality).all()


def test_a_model_of_another_encoder_is_refused(model: QueryModel) -> None:
    with pytest.raises(ArtefactError, match="train again"):
        replace(model, encoder_id="static:0123456789abcdef")


def test_a_query_in_another_language_is_less_familiar_than_one_like_the_training_queries() -> None:
    model = model_of(300)
    assert model.estimate("今日の天気はどうですか").familiarity < model.estimate(EASY).familiarity
    assert model.estimate_all([HARD])[0].familiarity == pytest.approx(model.estimate(HARD).familiarity, abs=0.02)
