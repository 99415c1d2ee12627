"""Who is learned from, chosen by, and judged by."""

import random
from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.training.dataset import Dataset, build_dataset
from penstock.training.errors import TraceError
from penstock.training.split import Split, normalised, split_queries
from penstock.training.traces import Trace


def dataset_of(
    texts: Sequence[str], *, splits: Sequence[str] | None = None, groups: Sequence[str] | None = None
) -> Dataset:
    rows = [
        Trace(
            query_id=f"q{number}",
            query=text,
            backend="small",
            score=1.0,
            cost_usd=0.0,
            split=splits[number] if splits else "",
            group=groups[number] if groups else "",
        )
        for number, text in enumerate(texts)
    ]
    return build_dataset(rows)


def texts(n: int) -> list[str]:
    return [f"question number {number}" for number in range(n)]


def ids(dataset: Dataset, indexes: Iterable[int]) -> set[str]:
    return {dataset.query_ids[index] for index in indexes}


def parts(split: Split) -> list[set[int]]:
    return [set(part.tolist()) for part in (split.train, split.val, split.test)]


def test_every_query_falls_in_one_part() -> None:
    train, val, test = parts(split_queries(dataset_of(texts(400)), seed=0))
    assert train | val | test == set(range(400))
    assert len(train) + len(val) + len(test) == 400


def test_shares_are_about_as_asked() -> None:
    split = split_queries(dataset_of(texts(2000)), seed=0, test_share=0.3, val_share=0.1)
    assert 500 < len(split.test) < 700
    assert 90 < len(split.val) < 190


def test_the_order_of_rows_does_not_matter() -> None:
    shuffled = texts(200)
    random.Random(0).shuffle(shuffled)
    one, other = dataset_of(texts(200)), dataset_of(shuffled)
    a, b = split_queries(one, seed=1), split_queries(other, seed=1)
    assert {one.texts[index] for index in a.test} == {other.texts[index] for index in b.test}
    assert {one.texts[index] for index in a.val} == {other.texts[index] for index in b.val}


def test_more_queries_do_not_move_those_there_already() -> None:
    few, many = dataset_of(texts(100)), dataset_of(texts(300))
    before, after = split_queries(few, seed=1), split_queries(many, seed=1)
    assert ids(few, before.test) == ids(many, after.test) & set(few.query_ids)


def test_another_seed_splits_otherwise() -> None:
    dataset = dataset_of(texts(200))
    assert parts(split_queries(dataset, seed=0)) == parts(split_queries(dataset, seed=0))
    assert parts(split_queries(dataset, seed=0)) != parts(split_queries(dataset, seed=1))


def test_the_split_column_decides() -> None:
    marks = ["train"] * 6 + ["val"] * 3 + ["test"] * 3
    split = split_queries(dataset_of(texts(12), splits=marks), seed=0)
    assert [part.tolist() for part in (split.train, split.val, split.test)] == [
        [0, 1, 2, 3, 4, 5],
        [6, 7, 8],
        [9, 10, 11],
    ]


@pytest.mark.parametrize("mark", ["val", "validation", "dev", " VALID "])
def test_validation_goes_by_several_names(mark: str) -> None:
    split = split_queries(dataset_of(texts(12), splits=["Train"] * 6 + [mark] * 3 + ["TEST"] * 3), seed=0)
    assert split.val.tolist() == [6, 7, 8]


def test_validation_is_carved_out_of_training_where_it_is_not_marked() -> None:
    marks = ["train"] * 60 + ["test"] * 40
    train, val, test = parts(split_queries(dataset_of(texts(100), splits=marks), seed=0))
    assert test == set(range(60, 100))
    assert val
    assert train | val == set(range(60))
    assert not train & val


def test_unmarked_queries_are_never_drawn_for_test_where_others_are_marked() -> None:
    marks = ["test"] * 10 + [""] * 90
    train, val, test = parts(split_queries(dataset_of(texts(100), splits=marks), seed=0))
    assert test == set(range(10))
    assert train | val == set(range(10, 100))


def test_nothing_is_drawn_for_test_where_queries_are_marked_for_training_only() -> None:
    split = split_queries(dataset_of(texts(20), splits=["train"] * 20), seed=0)
    assert split.test.size == 0
    assert split.val.size > 0


def test_an_unknown_mark_is_refused() -> None:
    with pytest.raises(TraceError, match=r"column split: 'holdout' of query_id 'q3'; expected train, .* or nothing"):
        split_queries(dataset_of(texts(12), splits=["train"] * 3 + ["holdout"] * 9), seed=0)


def test_queries_marked_for_test_only_leave_nothing_to_train_on() -> None:
    with pytest.raises(TraceError, match="no query is left to train on"):
        split_queries(dataset_of(texts(12), splits=["test"] * 12), seed=0)


def test_where_twins_leave_nothing_to_train_on_it_is_said_so() -> None:
    told = "each of the 6 marked so has a twin that is marked for validation or test"
    with pytest.raises(TraceError, match=told):
        split_queries(dataset_of(["What is 7 - 2?"] * 12, splits=["train"] * 6 + ["test"] * 6), seed=0)


def test_a_twin_of_a_test_query_is_left_out_of_training() -> None:
    asked = [*texts(12), "Question  number 11!"]
    split = split_queries(dataset_of(asked, splits=["train"] * 6 + ["test"] * 6 + ["train"]), seed=0)
    assert 11 in split.test
    assert 12 not in set().union(*parts(split))
    assert split.notes == ("Queries left out because a twin is marked for validation or test: 1.",)


def test_an_unmarked_relative_of_a_test_query_is_left_out() -> None:
    groups = ["g1" if number in (0, 11) else f"own{number}" for number in range(12)]
    split = split_queries(dataset_of(texts(12), splits=[""] * 11 + ["test"], groups=groups), seed=0)
    assert 0 not in set().union(*parts(split))


@given(st.integers(0, 50), st.lists(st.integers(0, 20), min_size=30, max_size=80))
def test_groups_and_twins_are_never_parted(seed: int, numbers: list[int]) -> None:
    asked = [f"question {number * 7 % 13}" + "?" * (index % 3) for index, number in enumerate(numbers)]
    groups = [f"g{number}" if number % 2 else "" for number in numbers]
    dataset = dataset_of(asked, groups=groups)
    try:
        split = split_queries(dataset, seed=seed)
    except TraceError as error:
        assert "must stay together" in str(error)  # noqa: PT017 - a draw of one big family cannot be split
        return
    part_of = {index: number for number, part in enumerate(parts(split)) for index in part}
    assert len(part_of) == len(asked)
    for one in range(len(asked)):
        for other in range(one):
            if normalised(asked[one]) == normalised(asked[other]) or (groups[one] and groups[one] == groups[other]):
                assert part_of[one] == part_of[other]


@pytest.mark.parametrize("seed", range(30))
def test_ten_queries_give_three_parts_that_are_not_empty(seed: int) -> None:
    split = split_queries(dataset_of(texts(10)), seed=seed)
    assert all(part.size for part in (split.train, split.val, split.test))


def test_too_few_queries_are_refused() -> None:
    with pytest.raises(TraceError, match="9 queries with a score; expected at least 10"):
        split_queries(dataset_of(texts(9)), seed=0)


def test_one_big_group_is_refused() -> None:
    with pytest.raises(TraceError, match="2 groups of queries that must stay together; expected at least 3"):
        split_queries(dataset_of(texts(40), groups=["a"] * 20 + ["b"] * 20), seed=0)


def test_indexes_are_ascending_integers() -> None:
    split = split_queries(dataset_of(texts(50)), seed=3)
    for part in (split.train, split.val, split.test):
        assert part.dtype == np.int64
        assert (np.diff(part) > 0).all()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is  2 + 2?", "what is 2 + 2"),
        ("“Quoted”, really", "quoted really"),
        ("ｆｕｌｌ width", "full  WIDTH."),
        ("name the capital", "n\N{CYRILLIC SMALL LETTER A}me the c\N{CYRILLIC SMALL LETTER A}pital"),
        ("name the capital", "na\N{ZERO WIDTH SPACE}me the capital"),
    ],
)
def test_near_identical_texts_are_normalised_alike(one: str, other: str) -> None:
    assert normalised(one) == normalised(other)


@pytest.mark.parametrize(("one", "other"), [("7 - 2", "7 / 2"), ("3.5 m", "35 m"), ("a < b", "a > b"), ("?!", "...")])
def test_texts_that_ask_something_else_stay_apart(one: str, other: str) -> None:
    assert normalised(one) != normalised(other)
