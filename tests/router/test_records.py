from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from penstock.backends import Completion, Query, RateLimited, Usage
from penstock.router import Answer, Config, Outcome, Policy, Pool, Step
from penstock.router.content import Content, NoContent, PlainContent
from penstock.router.records import AnswerRef, feedback_record, records_of, unanswered_records
from penstock.training.rows import parse_trace

from .pieces import price, spec

QUERY = Query.from_messages([{"role": "user", "content": "my secret question"}], params={"user": "me"})
USAGE = Usage(input_tokens=10, output_tokens=20, reasoning_tokens=5)
STEPS = (
    Step(backend="small", completion=None, error=RateLimited("slow down"), confidence=0.0, cost_usd=0.0),
    Step(
        backend="mid",
        completion=Completion(
            text="my secret answer",
            usage=USAGE,
            logprobs=(-0.5, -0.25),
            entropies=(0.6, 0.3),
            margins=(1.0, 2.0),
            latency_s=1.5,
        ),
        error=None,
        confidence=0.7,
        cost_usd=0.001,
    ),
    Step(backend="lrm", completion=Completion(text="other"), error=None, confidence=0.2, cost_usd=0.01),
)


def answered() -> Answer:
    """Returns an answer that took three calls: one failed, the second one's answer is returned."""
    backends = {name: spec(name, price=price(1, 2)) for name in ("small", "mid", "lrm")}
    outcome = Outcome(steps=STEPS, chosen=1)
    assert outcome.step.completion is not None
    return Answer(
        trace_id="trace-1",
        decision=Pool(backends, None).decide(QUERY, Policy(name="auto")),
        outcome=outcome,
        completion=outcome.step.completion,
        latency_s=2.0,
    )


def records(content: Content) -> list[dict[str, Any]]:
    """Returns the records of that answer, as they are read back from JSON."""
    found: list[dict[str, Any]] = orjson.loads(orjson.dumps(records_of(QUERY, answered(), content=content)))
    return found


def test_every_call_leaves_a_record_in_order() -> None:
    found = records(NoContent())
    assert [record["backend"] for record in found] == ["small", "mid", "lrm"]
    assert [record["step"] for record in found] == [0, 1, 2]
    assert [record["final"] for record in found] == [False, True, False]
    assert {record["query_id"] for record in found} == {"trace-1"}
    assert {record["policy"] for record in found} == {"auto"}


def test_a_record_has_the_columns_of_a_trace() -> None:
    record = records(PlainContent())[1]
    assert record["response"] == "my secret answer"
    assert record["logprobs"] == [-0.5, -0.25]
    assert (record["entropies"], record["margins"]) == ([0.6, 0.3], [1.0, 2.0])
    assert record["messages"] == [{"role": "user", "content": "my secret question"}]
    assert (record["input_tokens"], record["output_tokens"], record["reasoning_tokens"]) == (10, 20, 5)
    assert (record["cost_usd"], record["latency_s"], record["confidence"]) == (0.001, 1.5, 0.7)


def test_a_failed_call_is_recorded_by_the_kind_of_its_error() -> None:
    record = records(PlainContent())[0]
    assert (record["error"], record["cost_usd"], record["confidence"]) == ("RateLimited", 0.0, 0.0)
    assert "response" not in record
    assert "input_tokens" not in record


def test_a_verdict_is_recorded_where_one_was_read_and_no_zero_where_none_was() -> None:
    lost = replace(STEPS[2], confidence=0.0, judged="mid", is_given_up=True, is_beside=True)
    read = replace(STEPS[2], confidence=0.05, judged="mid", verdict=0.05)
    decision = answered().decision
    found = unanswered_records(QUERY, [lost, read], trace_id="trace-1", decision=decision, content=NoContent())
    assert [record["verdict"] for record in found] == [None, 0.05]


def test_of_an_answer_that_was_given_up_the_beginning_is_not_recorded_whether_or_not_another_came() -> None:
    step = replace(STEPS[1], is_given_up=True)
    answer = replace(answered(), outcome=Outcome(steps=(step, STEPS[2]), chosen=1))
    unanswered = unanswered_records(QUERY, [step], trace_id="trace-1", decision=answer.decision, content=PlainContent())
    for record in (records_of(QUERY, answer, content=PlainContent())[0], *unanswered):
        assert record["given_up"]
        assert "messages" in record
        assert "response" not in record


def test_whose_draft_was_checked_is_recorded_and_read_back_as_a_trace() -> None:
    steps = (STEPS[1], replace(STEPS[2], draft_of=STEPS[1].backend))
    answer = replace(answered(), outcome=Outcome(steps=steps, chosen=1))
    first, checked = records_of(QUERY, answer, content=PlainContent())
    assert "draft_of" not in first
    assert checked["draft_of"] == parse_trace(checked).draft_of == STEPS[1].backend


def test_without_content_nothing_is_recorded_that_anybody_wrote() -> None:
    assert "secret" not in orjson.dumps(records(NoContent())).decode()


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_feedback_finds_its_trace_by_query_and_backend(score: float) -> None:
    record = feedback_record(AnswerRef(trace_id="trace-1", backend="mid"), score)
    assert record == {"query_id": "trace-1", "backend": "mid", "score": score}


def test_the_answer_tells_its_story_as_json() -> None:
    told = orjson.loads(orjson.dumps(answered().as_dict()))
    assert (told["trace_id"], told["policy"], told["backend"], told["path"]) == (
        "trace-1",
        "auto",
        "mid",
        "small!>mid>lrm",
    )
    assert told["confidence"] == 0.7
    assert told["cost_usd"] == pytest.approx(0.011)
    assert [step["error"] for step in told["steps"]] == ["slow down", None, None]
    assert [step["output_tokens"] for step in told["steps"]] == [0, 20, 0]


def test_the_default_trace_log_keeps_content_out() -> None:
    config = Config(path=Path("models.yaml"), backends={}, policies={}, default_policy="auto", artefact=None)
    assert (config.traces.folder, config.traces.content) == (None, "off")
