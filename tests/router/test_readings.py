"""Answers in words: every way to read them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from penstock.classifiers.final_answer import FinalAnswer
from penstock.classifiers.meaning import InWords, Meaning
from penstock.router import Outlook, Tried
from penstock.router.belief import evidence_of
from penstock.router.lookahead import gains
from penstock.router.readings import MOST_COMPARED, confidences, readings_of

from .pieces import outlook

# Likeness is that of the first coordinate alone, 4 log-odds where two are parallel and -4 where they are opposed.
TELLING = Meaning(
    mean=np.zeros(5), scale=np.ones(5), weights=np.array([4.0, 0, 0, 0, 0]), intercept=0.0, power=0.9,
    collision=np.array([-1.4, 0.0]),
)  # fmt: skip


def in_words(*direction: float) -> InWords:
    """Returns an answer that points there."""
    nothing: frozenset[str] = frozenset()
    vector = np.array(direction, dtype=np.float32)
    return InWords(whole=vector, end=vector, words=nothing, figures=nothing, end_figures=nothing)


THIS, THAT, NEITHER = in_words(1, 0), in_words(-1, 0), in_words(0, 1)


def seen(meaning: Meaning | None = TELLING, *, comparable: float = 0.0, n: int = 3, max_calls: int = 6) -> Outlook:
    """Returns an outlook on backends of which each is right six times in ten, whatever the others are."""
    known = outlook([0.6] * n, [0.001] * n, power=0.2, comparable=comparable, max_calls=max_calls)
    return replace(known, escalation=replace(known.escalation, meaning=meaning))


def says(*answers: InWords | FinalAnswer | None) -> tuple[Tried, ...]:
    """Returns calls that were made, in order, with answers that look as expected."""
    return tuple(Tried(place=p, confidence=0.6, cost_usd=0.001, answer=a) for p, a in enumerate(answers))


def test_answers_that_mean_the_same_are_believed_more_and_others_less() -> None:
    same, different = (confidences(seen(), says(THIS, other))[0] for other in (THIS, THAT))
    assert same > 0.85
    assert different < 0.5


def test_two_that_mean_the_same_are_believed_almost_as_two_final_answers_that_agree() -> None:
    final = FinalAnswer(kind="text", value="this")
    agreed = confidences(seen(comparable=1.0), says(final, final))[0]
    assert agreed - 0.05 < confidences(seen(), says(THIS, THIS))[0] <= agreed


def test_likeness_that_tells_everything_is_as_good_as_a_final_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.classifiers.meaning._CLIP", 40.0)
    sure = replace(TELLING, weights=TELLING.weights * 10, power=1.0)
    one, other = (FinalAnswer(kind="text", value=value) for value in ("this", "that"))
    exact, meant = seen(comparable=1.0, n=4), seen(sure, n=4)
    for final, words in (((one,), (THIS,)), ((one, other), (THIS, THAT)), ((one, other, one), (THIS, THAT, THIS))):
        assert confidences(meant, says(*words)) == pytest.approx(confidences(exact, says(*final)))
        gain, wanted = (gains(o, says(*a), lam=10.0, price=0.0) for o, a in ((meant, words), (exact, final)))
        np.testing.assert_allclose(gain, wanted)


def test_likeness_that_tells_nothing_changes_no_belief() -> None:
    silent = replace(TELLING, weights=np.zeros(5), power=0.5)
    for answers in ((THIS, THIS), (THIS, THAT, NEITHER)):
        alone = confidences(seen(None), says(*answers))
        assert confidences(seen(silent), says(*answers)) == pytest.approx(alone, abs=0.02)


def test_an_outvoted_answer_is_believed_least() -> None:
    first, second, third = confidences(seen(), says(THIS, THAT, THIS))
    assert first == pytest.approx(third)
    assert first > 0.75 > 0.2 > second


def test_answers_in_words_stand_alone_beside_a_final_answer() -> None:
    final = FinalAnswer(kind="number", value="7")
    mixed = confidences(seen(comparable=0.5), says(final, THIS, THIS))
    alone = confidences(seen(None, comparable=0.5), says(final, None, None))
    assert mixed == pytest.approx(alone)


def test_readings_sum_to_one_whatever_was_said() -> None:
    for answers in ((), (THIS,), (None, THIS), (THIS, THAT, NEITHER, THIS), (None, None)):
        for comparable in (0.0, 0.5, 1.0):
            shares = [r.share for r in readings_of(evidence_of(seen(comparable=comparable, n=4), says(*answers)))]
            assert sum(shares) == pytest.approx(1.0)


def test_of_many_answers_in_words_the_first_are_compared() -> None:
    n = MOST_COMPARED + 2
    chances = confidences(seen(n=n), says(*[THIS] * n))
    assert len(set(chances[:MOST_COMPARED].round(9))) == 1
    assert chances[0] > chances[-1]


def test_asking_another_is_worth_more_the_better_likeness_tells_what_it_means() -> None:
    meanings = (TELLING, replace(TELLING, power=0.3), None)
    worth = [gains(seen(each), says(THIS), lam=1.0, price=0.0)[1] for each in meanings]
    assert worth[0] > worth[1] > worth[2]


def test_a_first_call_counts_that_the_second_answer_may_mean_the_same() -> None:
    with_meaning, without = (gains(seen(each), (), lam=1.0, price=0.0)[0] for each in (TELLING, None))
    assert with_meaning > without


def test_calls_that_agree_end_the_cascade_and_calls_that_differ_go_on() -> None:
    agreed, differing = (gains(seen(), says(THIS, other), lam=60.0, price=0.0)[2] for other in (THIS, THAT))
    assert agreed <= 0 < differing
