from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from penstock.router.views import N_CUT, median_estimates, views_of

from .pieces import estimates


def words(n: int, prefix: str = "w") -> str:
    return " ".join(f"{prefix}{place}" for place in range(n))


@pytest.mark.parametrize("where", ["before", "after"])
def test_what_stands_at_one_end_is_missing_from_two_views_of_three(where: str) -> None:
    gadget = words(N_CUT, "gadget")
    text = f"{gadget} {words(60)}" if where == "before" else f"{words(60)} {gadget}"
    seen = ["gadget" in view for view in views_of(text)]
    assert sorted(seen) == [False, False, True]


def test_a_short_query_is_cut_less_and_a_very_short_one_not_at_all() -> None:
    assert views_of("What is it?") == ["What is it?"]
    assert [len(view.split()) for view in views_of(words(16))] == [12, 12, 8]
    assert views_of("") == [""]


def test_views_keep_the_layout_of_what_is_left() -> None:
    assert views_of("a  b\n\nc\td  e") == ["b\n\nc\td  e", "a  b\n\nc\td", "b\n\nc\td"]


def test_one_view_out_of_three_cannot_move_an_estimate_past_the_others() -> None:
    honest = [estimates([0.3, 0.8], [0.1, 1.0]), estimates([0.4, 0.9], [0.2, 1.1])]
    for wild in (estimates([0.0, 1.0], [9.0, 9.0]), estimates([1.0, 0.0], [0.0, 0.0])):
        found = median_estimates([*honest, wild])
        for name in ("quality", "cost_usd"):
            low, high = getattr(honest[0], name), getattr(honest[1], name)
            assert (getattr(found, name) >= low).all()
            assert (getattr(found, name) <= high).all()


def test_the_views_are_looked_at_once_for_all_that_ask_how_familiar_the_query_is() -> None:
    looks = []

    def how_familiar() -> float:
        looks.append(None)
        return 0.5

    found = median_estimates([replace(estimates([0.3], [0.1]), how_familiar=how_familiar) for _ in range(3)])
    assert found.familiarity == found.familiarity == 0.5
    assert len(looks) == 3


def test_a_single_view_is_its_own_median() -> None:
    only = estimates([0.3, 0.8], [0.1, 1.0])
    found = median_estimates([only])
    np.testing.assert_array_equal(found.quality, only.quality)
