"""Confidence in answers that have only begun."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.backends import Completion, Query
from penstock.classifiers import fit_confidence, read_signals, signal_names
from penstock.classifiers.early import EarlyConfidence, beginning
from penstock.classifiers.persist import Arrays, dump, load
from penstock.classifiers.signals import EARLY, SIGNALS


def early() -> EarlyConfidence:
    """Returns one whose models say that answers without a wrong sum are right."""
    good, bad = "So 2 + 2 = 4 and 3 + 4 = 7. " * 3, "So 2 + 2 = 5 and 3 + 4 = 9. " * 3
    texts = [good, bad] * 60
    values = np.stack([read_signals(Query.from_text("?"), Completion(text=text[:40]), EARLY) for text in texts])
    model, _ = fit_confidence(
        values=values,
        estimates=np.full(len(texts), 0.5),
        labels=np.array([1.0, 0.0] * 60),
        backend_of=np.zeros(len(texts), dtype=np.int64),
        folds=np.arange(len(texts)) // 2 % 5,
        backends=("small",),
        kinds=EARLY,
    )
    return EarlyConfidence(
        lengths=(20, 40),
        models=(model, model),
        needed=np.array([0.5, 0.9]),
        release=np.array([0.7, 0.95]),
        give_up=0.1,
        release_risk=0.05,
        give_up_risk=0.01,
    )


def test_early_signals_are_some_of_the_signals() -> None:
    assert set(EARLY) < set(SIGNALS)
    assert set(signal_names(EARLY)) < set(signal_names())


@pytest.mark.parametrize(("n_signs", "place"), [(0, None), (19, None), (20, 0), (39, 0), (40, 1), (5000, 1)])
def test_a_checkpoint_is_the_longest_that_was_reached(n_signs: int, place: int | None) -> None:
    assert early().checkpoint(n_signs) == place


@pytest.mark.parametrize(("needed", "threshold"), [(0.2, 0.7), (0.5, 0.7), (0.6, 0.95), (0.9, 0.95), (0.91, np.inf)])
def test_the_threshold_is_that_of_the_next_confidence_that_was_learned_about(needed: float, threshold: float) -> None:
    assert early().release_from(needed) == threshold


def test_a_beginning_has_its_share_of_what_is_known_of_the_tokens() -> None:
    whole = Completion(
        text="abcdefgh",
        reasoning="hm",
        logprobs=(-1.0, -2.0, -3.0, -4.0),
        reasoning_logprobs=(-9.0,),
        entropies=(0.1, 0.2, 0.3, 0.4),
        margins=(1.0, 2.0, 3.0, 4.0),
    )
    begun = beginning(whole, 4)
    assert (begun.text, begun.reasoning) == ("abcd", "hm")
    assert begun.logprobs == (-1.0, -2.0)
    assert (begun.entropies, begun.margins) == ((0.1, 0.2), (1.0, 2.0))
    assert begun.reasoning_logprobs == (-9.0,)


def test_a_beginning_is_judged_by_what_is_seen_in_it_and_not_behind_it() -> None:
    model, query = early(), Query.from_text("?")

    def judged(text: str, checkpoint: int = 1) -> float:
        return model.confidence(query, Completion(text=text), checkpoint=checkpoint, backend="small", estimate=0.5)

    good, bad = "So 2 + 2 = 4 and 3 + 4 = 7. ", "So 2 + 2 = 5 and 3 + 4 = 9. "
    assert judged(good * 2) > 0.8 > 0.2 > judged(bad * 2)
    assert judged(good * 2 + bad * 5) == judged(good * 2)


def test_what_was_learned_of_beginnings_can_be_saved() -> None:
    arrays: Arrays = {}
    known = early()
    again = load(dump(known, "early", arrays), arrays)
    assert again.lengths == known.lengths
    assert again.give_up == known.give_up
    np.testing.assert_array_equal(again.release, known.release)
    np.testing.assert_array_equal(again.models[0].shared, known.models[0].shared)


def test_models_of_beginnings_know_what_they_were_trained_with() -> None:
    assert early().models[0].signals == signal_names(EARLY)
