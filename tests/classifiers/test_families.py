from __future__ import annotations

import tracemalloc

import numpy as np

from penstock.classifiers.families import numbers_of


def test_queries_of_one_family_have_one_number_and_others_another() -> None:
    names = ["text b", "group a", "text b", "text", ""]
    assert (numbers_of(names) == np.unique(names, return_inverse=True)[1]).all()
    assert numbers_of([]).shape == (0,)


def test_a_long_name_takes_no_room_in_the_others() -> None:
    names = [*map(str, range(100)), "long " * 200_000]
    tracemalloc.start()
    try:
        assert len(set(numbers_of(names).tolist())) == len(names)
        assert tracemalloc.get_traced_memory()[1] < len(names[-1])
    finally:
        tracemalloc.stop()
