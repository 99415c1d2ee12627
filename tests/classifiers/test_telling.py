"""How far long work has come."""

from __future__ import annotations

import pytest

from penstock.classifiers.telling import counting, tell, telling


def test_everything_counted_is_told_of_before_it_is_done() -> None:
    said: list[str] = []
    with telling(said.append):
        for letter in counting("ab", "letter"):
            said.append(letter)
    assert said == ["letter 1 of 2", "a", "letter 2 of 2", "b"]


def test_loops_inside_loops_tell_of_both() -> None:
    said: list[str] = []
    with telling(said.append):
        for _ in counting("ab", "fold"):
            for _ in counting("c", "tree"):
                break
        tell("done")
    assert said == ["fold 1 of 2", "fold 1 of 2: tree 1 of 1", "fold 2 of 2", "fold 2 of 2: tree 1 of 1", "done"]


def test_nobody_is_told_after_the_work() -> None:
    said: list[str] = []
    with telling(said.append):
        tell("inside")
    tell("outside")
    assert said == ["inside"]


def test_nobody_is_told_after_work_that_failed() -> None:
    said: list[str] = []
    with pytest.raises(ZeroDivisionError), telling(said.append):
        _fail_within_a_loop()
    tell("outside")
    assert said == ["fold 1 of 1"]


def test_the_inner_listener_is_told_alone() -> None:
    outer: list[str] = []
    inner: list[str] = []
    with telling(outer.append):
        with telling(inner.append):
            tell("fold 1")
        tell("done")
    assert (inner, outer) == (["fold 1"], ["done"])


def _fail_within_a_loop() -> None:
    for fold in counting([0], "fold"):
        _ = 1 / fold
