from __future__ import annotations

import numpy as np
import pytest

from penstock.backends import Completion, Query
from penstock.classifiers import ConfidenceModel, FitError, fit_confidence, read_signals
from penstock.classifiers.persist import Arrays, dump, load
from penstock.classifiers.phrasing import FittedPhrasing, fit_phrasing, phrase_keys, phrase_words
from penstock.classifiers.ridge import FloatArray
from penstock.classifiers.sparse import IntArray
from penstock.classifiers.terms import KeyArray

N = 600
QUESTION = "A crate holds {} jars and a shelf {}. How many jars are on a shelf of crates?"
RIGHT, WRONG = "There are {0} * {1} = {2} jars in all. {2}", "There are {0} + {1} = {2} jars in all. {2}"


def answers(*, seed: int = 0) -> tuple[list[Query], list[Completion], FloatArray]:
    """Returns questions, answers and scores: what multiplies is mostly right, what adds up mostly wrong."""
    rng = np.random.default_rng(seed)
    queries, completions = [], []
    is_product = rng.random(N) < 0.5
    for one, other, product in zip(*rng.integers(10, 99, (2, N)).tolist(), is_product, strict=True):
        queries.append(Query.from_text(QUESTION.format(one, other)))
        said = (RIGHT if product else WRONG).format(one, other, one * other if product else one + other)
        completions.append(Completion(text=said))
    return queries, completions, (rng.random(N) < np.where(is_product, 0.9, 0.2)).astype(float)


def fitted(labels: FloatArray, *, folds: IntArray | None = None) -> FittedPhrasing | None:
    queries, completions, _ = answers()
    keys = [phrase_keys(query, completion) for query, completion in zip(queries, completions, strict=True)]
    return fit_phrasing(keys, labels, np.arange(N) % 2, np.arange(N) % 5 if folds is None else folds)


def learned(labels: FloatArray | None = None) -> tuple[ConfidenceModel, FloatArray, FloatArray]:
    """Returns a confidence, what it told out of fold, and the scores it was taught."""
    queries, completions, scores = answers()
    labels = scores if labels is None else labels
    pairs = [*zip(queries, completions, strict=True)]
    model, told = fit_confidence(
        values=np.stack([read_signals(*pair) for pair in pairs]),
        estimates=np.full(N, 0.5),
        labels=labels,
        backend_of=np.arange(N) % 2,
        folds=np.arange(N) % 5,
        backends=("small", "lrm"),
        phrases=[phrase_keys(*pair) for pair in pairs],
    )
    return model, told, labels


def test_numbers_are_told_by_where_they_come_from() -> None:
    words = phrase_words("He pays $1,200 for 2.5 days.", "1200 / 2.5 = 480, and 480 * 7 is 3,360.00")
    assert words == ["#asked", "/", "#asked.", "=", "#new", ",", "and", "#said", "*", "#new", "is", "#new."]


def test_figures_do_not_change_how_an_answer_is_written() -> None:
    one = phrase_keys(Query.from_text("3 boxes of 4?"), Completion(text="3 * 4 = 12"))
    other = phrase_keys(Query.from_text("15 boxes of 20?"), Completion(text="15 * 20 = 300"))
    slip = phrase_keys(Query.from_text("15 boxes of 20?"), Completion(text="15 * 21 = 315"))
    assert np.array_equal(one, other)
    assert not np.array_equal(one, slip)


def test_reasoning_is_read_as_well() -> None:
    query = Query.from_text("3 boxes of 4?")
    thought = Completion(text="12", reasoning="Let me add them up.")
    assert not np.array_equal(phrase_keys(query, thought), phrase_keys(query, Completion(text="12")))


def test_a_way_of_writing_that_tends_to_be_wrong_is_learned() -> None:
    found = fitted(answers()[2])
    assert found is not None
    query = Query.from_text(QUESTION.format(7, 8))
    right = found.phrasing.read(query, Completion(text=RIGHT.format(7, 8, 56)))
    wrong = found.phrasing.read(query, Completion(text=WRONG.format(7, 8, 15)))
    assert right[0] > 0.1
    assert wrong[0] < -0.1


def test_an_answer_of_no_known_word_is_like_the_mean() -> None:
    found = fitted(answers()[2])
    assert found is not None
    for text in ("", "Zwölf Gläser", "\ud800"):
        assert abs(found.phrasing.read(Query.from_text("?"), Completion(text=text))[0]) < 0.2


def test_no_score_is_learned_from_the_folds_that_it_is_used_to_judge() -> None:
    labels = answers()[2]
    folds = np.arange(N) % 5
    changed = labels.copy()
    changed[(folds == 1) | (folds == 3)] = 0.5
    before, after = fitted(labels), fitted(changed)
    assert before is not None
    assert after is not None
    for left_out, read in ((1, 3), (3, 1)):
        assert np.array_equal(before.scores[left_out, folds == read], after.scores[left_out, folds == read])
    assert not np.array_equal(before.scores[1, folds == 2], after.scores[1, folds == 2])
    assert np.array_equal(before.out_of_fold[folds == 3], before.scores[3, folds == 3])


def test_two_folds_are_too_few() -> None:
    assert fitted(answers()[2], folds=np.arange(N) % 2) is None


def test_confidence_listens_where_phrasing_pays() -> None:
    model, told, labels = learned()
    assert model.phrasing is not None
    assert told[labels == 1].mean() > told[labels == 0].mean() + 0.2


def test_confidence_does_not_read_what_tells_nothing() -> None:
    model, _, _ = learned(np.random.default_rng(1).permutation(answers()[2]))
    assert model.phrasing is None


def test_one_answer_is_judged_as_many_are() -> None:
    model, _, _ = learned()
    assert model.phrasing is not None
    queries, completions, _ = answers(seed=1)
    pairs = [*zip(queries, completions, strict=True)][:50]
    values = np.stack([[*read_signals(*pair), *model.phrasing.read(*pair)] for pair in pairs])
    together = model.judge(values, np.full(50, 0.5), backend="lrm")
    alone = [model.confidence(*pair, backend="lrm", estimate=0.5) for pair in pairs]
    assert alone == pytest.approx(together, rel=1e-6)
    assert np.ptp(together) > 0.3


def test_it_is_saved_with_its_confidence() -> None:
    model, _, _ = learned()
    arrays: Arrays = {}
    again = load(dump(model, "confidence", arrays), arrays)
    query, completion = Query.from_text(QUESTION.format(7, 8)), Completion(text=WRONG.format(7, 8, 15))
    assert again.confidence(query, completion, backend="small", estimate=0.5) == model.confidence(
        query, completion, backend="small", estimate=0.5
    )


def test_as_many_phrases_as_calls_are_asked_for() -> None:
    with pytest.raises(FitError, match="phrases: expected 600, one a call, got 3"):
        fit_confidence(
            values=np.stack([read_signals(q, c) for q, c in zip(*answers()[:2], strict=True)]),
            estimates=np.full(N, 0.5),
            labels=answers()[2],
            backend_of=np.arange(N) % 2,
            folds=np.arange(N) % 5,
            backends=("small", "lrm"),
            phrases=[phrase_keys(Query.from_text("?"), Completion(text="!"))] * 3,
        )


def test_of_many_answers_some_are_learned_from_and_all_are_scored_each_read_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("penstock.classifiers.phrasing._MOST_ANSWERS", 250)
    monkeypatch.setattr("penstock.classifiers.phrasing._AT_ONCE", 100)
    queries, completions, labels = answers()
    asked_for: list[int] = []

    class Lazily:
        def __len__(self) -> int:
            return N

        def __getitem__(self, place: int, /) -> KeyArray:
            asked_for.append(place)
            return phrase_keys(queries[place], completions[place])

    found = fit_phrasing(Lazily(), labels, np.arange(N) % 2, np.arange(N) % 5)
    assert found is not None
    assert sorted(asked_for) == list(range(N))
    is_right = labels > 0.5
    assert found.out_of_fold[is_right].mean() > found.out_of_fold[~is_right].mean() + 0.3
    assert np.isfinite(found.scores).all()
