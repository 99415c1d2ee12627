"""Traces as arrays of queries by backends."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from penstock.backends import BackendSpec, Price
from penstock.training.dataset import Dataset, build_dataset
from penstock.training.errors import TraceError
from penstock.training.traces import Trace, Traces, read_traces

SHARED_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
PRICE = Price(usd_per_1m_input=1.0, usd_per_1m_output=10.0)


def trace(query_id: str = "q1", backend: str = "small", score: float | None = 1.0, **changes: object) -> Trace:
    row = Trace(query_id=query_id, query=f"Why {query_id}?", backend=backend, score=score, cost_usd=0.5)
    return replace(row, **changes)  # type: ignore[arg-type]  # the tests name columns freely


def spec(name: str, price: Price | None = PRICE) -> BackendSpec:
    return BackendSpec(name=name, type="openai", price=price)


def specs(*names: str) -> dict[str, BackendSpec]:
    return {name: spec(name) for name in names}


def count_words(text: str) -> int:
    return len(text.split())


def test_cells_hold_means_over_draws_and_nan_where_nothing_was_observed() -> None:
    dataset = build_dataset(
        [
            trace("q1", "small", 1.0, draw=0, cost_usd=1.0, latency_s=2.0),
            trace("q1", "small", 0.0, draw=1, cost_usd=3.0),
            trace("q2", "mid", 0.25, output_tokens=7),
        ]
    )
    assert dataset.query_ids == ("q1", "q2")
    assert dataset.backends == ("mid", "small")
    np.testing.assert_array_equal(dataset.quality, [[np.nan, 0.5], [0.25, np.nan]])
    np.testing.assert_array_equal(dataset.cost_usd, [[np.nan, 2.0], [0.5, np.nan]])
    np.testing.assert_array_equal(dataset.n_draws, [[0, 2], [1, 0]])
    np.testing.assert_array_equal(dataset.latency_s, [[np.nan, 2.0], [np.nan, np.nan]])
    np.testing.assert_array_equal(dataset.output_tokens, [[np.nan, np.nan], [7.0, np.nan]])
    assert np.isnan(dataset.input_tokens).all()
    assert np.isnan(dataset.reasoning_tokens).all()


def test_draws_are_backends_of_their_own_where_these_are_known() -> None:
    rows = [trace(score=1.0), trace(score=0.0, draw=1), trace(score=0.5, draw=2)]
    dataset = build_dataset(rows, specs=specs("small", "small#2"))
    assert dataset.backends == ("small", "small#2")
    np.testing.assert_array_equal(dataset.quality, [[0.75, 0.0]])
    np.testing.assert_array_equal(dataset.n_draws, [[2, 1]])


def test_backends_are_sorted_whatever_the_order_of_the_rows() -> None:
    rows = [trace(backend=name) for name in ("mid", "lrm@low", "small", "lrm@high")]
    assert build_dataset(rows).backends == build_dataset(rows[::-1]).backends == ("lrm@high", "lrm@low", "mid", "small")


def test_backends_wanted_are_taken_in_that_order_and_others_left_out() -> None:
    rows = [trace(backend=name) for name in ("mid", "small", "big")]
    dataset = build_dataset(rows, backends=["small", "mid"])
    assert dataset.backends == ("small", "mid")
    assert "Rows of other backends (big) left out: 1." in dataset.notes


def test_queries_carry_text_messages_and_id() -> None:
    messages = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"})
    rows = [trace(), trace("q2", query="Be brief.\nWhy?", messages=messages)]
    dataset = build_dataset(rows)
    assert dataset.texts == ("Why q1?", "Be brief.\nWhy?")
    assert [query.id for query in dataset.queries] == ["q1", "q2"]
    assert dataset.queries[1].messages == messages


def test_labels_come_from_whichever_row_has_them() -> None:
    rows = [trace(split="train"), trace(backend="mid", task="logic", dataset="mine", group="g"), trace("q2")]
    dataset = build_dataset(rows)
    assert (dataset.tasks, dataset.datasets) == (("logic", ""), ("mine", ""))
    assert (dataset.splits, dataset.groups) == (("train", ""), ("g", ""))


def test_completion_is_the_answer_of_the_lowest_draw() -> None:
    rows = [
        trace(draw=3, response="late", score=0.0),
        trace(
            draw=1,
            response="early",
            logprobs=(-0.5,),
            entropies=(0.6,),
            margins=(2.0,),
            input_tokens=5,
            output_tokens=9,
            reasoning_tokens=4,
        ),
        trace(draw=2, response="between", score=0.0),
    ]
    rows[1] = replace(rows[1], latency_s=1.5, cost_usd=0.25)
    dataset = build_dataset(rows)
    completion = dataset.completion(0, 0)
    assert completion is not None
    assert (completion.text, completion.logprobs) == ("early", (-0.5,))
    assert (completion.entropies, completion.margins) == ((0.6,), (2.0,))
    assert (completion.latency_s, completion.cost_usd) == (1.5, 0.25)
    assert completion.usage.output_tokens == 9
    assert completion.usage.reasoning_tokens == 4
    assert not completion.usage.is_estimated
    assert dataset.completion_score(0, 0) == 1.0
    assert dataset.quality[0, 0] == pytest.approx(1 / 3)


def test_there_is_no_completion_without_a_recorded_text() -> None:
    dataset = build_dataset([trace(logprobs=(-0.5,)), trace("q2", "mid", response="so")])
    assert dataset.completion(0, dataset.backends.index("small")) is None
    assert dataset.completion(0, dataset.backends.index("mid")) is None
    assert math.isnan(dataset.completion_score(0, dataset.backends.index("mid")))
    answer = dataset.completion(1, dataset.backends.index("mid"))
    assert answer is not None
    assert answer.usage.is_estimated


def test_recorded_cost_is_kept_even_where_there_is_a_price() -> None:
    dataset = build_dataset([trace(input_tokens=1, output_tokens=1)], specs=specs("small"))
    assert dataset.cost_usd[0, 0] == 0.5
    assert not any("Cost" in note for note in dataset.notes)


def test_cost_comes_from_tokens_and_price() -> None:
    row = trace(cost_usd=None, input_tokens=1_000_000, output_tokens=100_000, reasoning_tokens=90_000)
    dataset = build_dataset([row], specs=specs("small"))
    assert dataset.cost_usd[0, 0] == pytest.approx(1.0 + 1.0)
    assert "Cost computed from the recorded tokens and the configured price: 1 rows (small)." in dataset.notes


def test_output_recorded_without_its_reasoning_has_it_added() -> None:
    row = trace(cost_usd=None, input_tokens=0, output_tokens=100_000, reasoning_tokens=200_000)
    assert build_dataset([row], specs=specs("small")).cost_usd[0, 0] == pytest.approx(3.0)


def test_cost_is_counted_from_text_where_there_are_no_tokens() -> None:
    row = trace(cost_usd=None, response="one two three")
    dataset = build_dataset([row], specs=specs("small"), count_tokens=count_words)
    assert dataset.cost_usd[0, 0] == pytest.approx((2 * 1.0 + 3 * 10.0) / 1e6)
    assert any("counting tokens of the text" in note and "1 rows (small)" in note for note in dataset.notes)
    completion = dataset.completion(0, 0)
    assert completion is not None
    assert completion.cost_usd == dataset.cost_usd[0, 0]


@pytest.mark.parametrize("n_priced", [0, 2])
def test_a_cost_that_cannot_be_had_names_the_backend_and_what_to_add(n_priced: int) -> None:
    rows = [trace("q0", "mid", cost_usd=None), *(trace(f"q{n}", "mid") for n in range(1, n_priced + 1))]
    with pytest.raises(TraceError, match=rf"backend 'mid': the cost of 1 of its {n_priced + 1} rows .* add .*cost_usd"):
        build_dataset(rows)
    with pytest.raises(TraceError, match=r"'mid'.*add to the rows cost_usd, or input_tokens and output_tokens"):
        build_dataset(rows, specs=specs("mid"))
    with pytest.raises(TraceError, match=r"'mid'.*add backends\.mid\.price to models\.yaml"):
        build_dataset(rows, specs={"mid": spec("mid", price=None)}, count_tokens=count_words)


def test_cost_without_a_trace_of_the_answer_is_guessed_from_the_backends_other_rows() -> None:
    rows = [trace("q0", cost_usd=None, output_tokens=8), trace("q1", cost_usd=None, response="one two")]
    dataset = build_dataset([*rows, trace("q2", cost_usd=None)], specs=specs("small"), count_tokens=count_words)
    assert dataset.cost_usd[2, 0] == pytest.approx((2 * 1.0 + 5 * 10.0) / 1e6)
    assert any(note.startswith("Cost guessed") and "1 rows (small)" in note for note in dataset.notes)


def test_cost_without_any_trace_of_an_answer_is_guessed_from_tier_and_effort() -> None:
    rows = [trace("q0", name, cost_usd=None) for name in ("small", "mid")]
    known = {"small": spec("small"), "mid": replace(spec("mid"), tier="lrm")}
    dataset = build_dataset(rows, specs=known, count_tokens=count_words)
    cost = dict(zip(dataset.backends, dataset.cost_usd[0], strict=True))
    assert 0 < cost["small"] < cost["mid"]


def test_a_backend_that_models_yaml_does_not_know_is_refused() -> None:
    with pytest.raises(TraceError, match=r"backend 'smal' .* not in models\.yaml; expected one of small, mid"):
        build_dataset([trace(backend="smal")], specs=specs("small", "mid"))


def test_a_backend_of_models_yaml_without_traces_is_refused_unless_allowed() -> None:
    with pytest.raises(TraceError, match="backend 'mid': no scored trace; the traces have small"):
        build_dataset([trace()], specs=specs("small", "mid"))
    assert build_dataset([trace()], specs=specs("small", "mid"), allow_missing=True).backends == ("small",)


def test_a_wanted_backend_without_traces_is_refused_or_left_unobserved() -> None:
    with pytest.raises(TraceError, match="backend 'mid': no scored trace"):
        build_dataset([trace()], backends=["small", "mid"])
    dataset = build_dataset([trace()], backends=["mid", "small"], allow_missing=True)
    np.testing.assert_array_equal(dataset.quality, [[np.nan, 1.0]])


def test_wanted_backends_that_leave_nothing_are_refused() -> None:
    with pytest.raises(TraceError, match="backend 'mid': no scored trace; the traces have small"):
        build_dataset([trace()], backends=["mid"], allow_missing=True)


def test_rows_without_a_score_are_left_out_and_counted() -> None:
    dataset = build_dataset([trace(), trace("q2", score=None), trace("q3", score=None, cost_usd=None)])
    assert dataset.query_ids == ("q1",)
    assert "Rows without a score left out: 2 of 3." in dataset.notes


def test_no_score_at_all_is_an_error() -> None:
    with pytest.raises(TraceError, match="none of 2 rows has a score"):
        build_dataset([trace(score=None), trace("q2", score=None)])


def test_no_rows_at_all_are_an_error() -> None:
    with pytest.raises(TraceError, match="none of 0 rows has a score"):
        build_dataset([])


def test_a_backend_of_one_class_is_noted() -> None:
    rows = [trace("q1", score=1.0), trace("q2", score=0.75), trace("q1", "mid", 0.0), trace("q2", "mid", 1.0)]
    assert build_dataset(rows).notes == ("Backend small is right on all of its 2 queries.",)


def test_notes_of_reading_come_along() -> None:
    rows = (trace("q1", score=0.0), trace("q2", score=1.0))
    assert build_dataset(Traces(rows=rows, notes=("Bad rows skipped: 1.",))).notes == ("Bad rows skipped: 1.",)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({}, "query_id 'q1', backend 'small', draw 0: two rows"),
        ({"backend": "mid", "query": "How?"}, "query_id 'q1' has two texts"),
        ({"backend": "mid", "split": "test"}, "query_id 'q1' has two values of split: 'train' and 'test'"),
    ],
)
def test_rows_made_by_hand_must_not_contradict_each_other(other: dict[str, object], message: str) -> None:
    first = trace(split="train")
    with pytest.raises(TraceError, match=message):
        build_dataset([first, replace(first, **other)])  # type: ignore[arg-type]  # as above


def example() -> Dataset:
    return build_dataset(
        [trace(f"q{n}", name, n / 4, response=f"{name} {n}") for n in range(4) for name in ("small", "mid")]
    )


def test_take_keeps_the_chosen_queries_in_that_order() -> None:
    part = example().take([2, 0])
    assert part.query_ids == ("q2", "q0")
    assert part.n_queries == 2
    assert part.texts == ("Why q2?", "Why q0?")
    np.testing.assert_array_equal(part.quality, [[0.5, 0.5], [0.0, 0.0]])
    answer = part.completion(0, part.backends.index("small"))
    assert answer is not None
    assert answer.text == "small 2"


def test_take_accepts_masks_arrays_and_nothing() -> None:
    dataset = example()
    assert dataset.take(np.array([True, False, False, True])).query_ids == ("q0", "q3")
    assert dataset.take(np.array([1, 1])).query_ids == ("q1", "q1")
    assert dataset.take([]).n_queries == 0
    assert dataset.take([]).quality.shape == (0, 2)


def test_real_traces_fill_the_arrays() -> None:
    path = SHARED_DATA / "mixed_9_open_models.parquet"
    if not path.exists():
        pytest.skip("../shared/data with real traces is not there")
    dataset = build_dataset(read_traces([path]))
    assert dataset.quality.shape == (6_108, 9)
    assert not np.isnan(dataset.quality).any()
    assert not np.isnan(dataset.cost_usd).any()
    assert set(dataset.splits) == {"train", "val", "test"}
