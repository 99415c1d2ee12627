"""The router as a library: shared by threads, tasks and event loops, cancelled, closed."""

from __future__ import annotations

import asyncio
import copy
import inspect
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from penstock.backends import (
    BackendError,
    Chunk,
    Completion,
    ConfigError,
    FakeBackend,
    InvalidRequest,
    MalformedReply,
    PenstockError,
    Query,
    RateLimited,
    ServerFailed,
)
from penstock.router import (
    AllBackendsFailed,
    BackendBusy,
    NoBackendFree,
    NoFeasibleBackend,
    Router,
    UnknownPolicy,
    Wishes,
    read_config,
)
from penstock.router.asked import make_query
from penstock.router.http_error import HttpError
from penstock.router.sink import JsonlSink

from .serving import (
    HELLO,
    MODELS,
    PATIENCE_S,
    BreakingBackend,
    ListSink,
    WaitingBackend,
    make_judging_router,
    make_router,
    write_models,
)

SOURCES = Path(__file__).resolve().parents[2] / ".src"
CLOSED = "the router is closed"


@pytest.fixture(name="router")
def cold_router(tmp_path: Path) -> Iterator[Router]:
    with make_router(tmp_path) as router:
        yield router


def echo() -> FakeBackend:
    """Returns a backend that takes its time and answers each query differently."""

    async def answer(query: Query) -> str:
        await asyncio.sleep(0.005)
        return f"about {query.text}"

    return FakeBackend(answer)


def n_threads() -> int:
    return sum(thread.name == "penstock" for thread in threading.enumerate())


def test_ask_tells_the_answer_and_how_it_came_about(router: Router) -> None:
    answer = router.ask("What is 17 * 23?")
    assert (answer.text, answer.backend, answer.path) == ("It is 391.", "small", "small")
    assert answer.cost_usd > 0
    assert answer.decision.estimates.quality[0] < answer.confidence < 1  # no slip is seen in it
    assert "small" in answer.decision.explain()


def test_ask_takes_messages_parameters_and_wishes(tmp_path: Path) -> None:
    lrm = FakeBackend(answer="ok")
    with make_router(tmp_path, lrm=lrm) as router:
        answer = router.ask(messages=HELLO, policy="auto", wishes=Wishes(deny=("small",)), max_tokens=7)
    assert answer.backend == "lrm"
    assert dict(lrm.queries[0].params) == {"max_tokens": 7}


@pytest.mark.parametrize(
    "given",
    [{"deny": ["small"]}, {"wishes": {"deny": ["small"]}}, {"wishes": Wishes(deny=("lrm",)), "deny": ("small",)}],
)
def test_a_wish_may_come_as_an_argument_of_its_own(tmp_path: Path, given: dict[str, Any]) -> None:
    lrm = FakeBackend(answer="ok")
    with make_router(tmp_path, lrm=lrm) as router:
        assert router.ask("Why?", **given).backend == "lrm"
    assert dict(lrm.queries[0].params) == {}


@pytest.mark.parametrize("given", [{"max_cost_usd": -1}, {"wishes": {"speed": 1}}, {"wishes": "cheap"}])
def test_what_is_no_wish_is_refused(router: Router, given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"wishes"):
        router.ask("Why?", **given)


@pytest.mark.parametrize("given", [{}, {"text": "a", "messages": HELLO}, {"messages": []}, {"messages": "hi"}])
def test_ask_wants_one_question(router: Router, given: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        router.ask(**given)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"model": "small"}, r"^model: is the router's to choose; expected policy="),
        ({"stream": True}, r"^stream: expected a call of `stream` or `astream`$"),
    ],
)
def test_a_field_that_would_be_lost_is_refused(router: Router, given: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidRequest, match=told):
        router.ask("Why?", **given)


def test_a_policy_that_is_no_name_is_told_so(router: Router) -> None:
    with pytest.raises(UnknownPolicy, match="expected the name of a policy or a backend, got Policy"):
        router.ask("Why?", policy=router.policy("auto"))  # type: ignore[arg-type]  # as a caller without types may


def test_an_unknown_policy_is_told_those_that_are_known(router: Router) -> None:
    with pytest.raises(UnknownPolicy, match="expected one of auto, best, small, lrm"):
        router.ask("Why?", policy="gpt")


def test_a_wish_for_a_budget_reaches_the_backend(tmp_path: Path) -> None:
    told: list[int | None] = []

    def answer(query: Query) -> str:
        told.append(query.reasoning_budget)
        return "It is 391."

    with make_router(tmp_path, small=FakeBackend(answer)) as router:
        router.ask("What is 17 * 23?", wishes=Wishes(budget=300))
        list(router.stream("What is 17 * 23?", wishes=Wishes(budget=200)))
        router.ask("What is 17 * 23?")
    assert told == [300, 200, None]


def test_route_calls_nothing_and_needs_no_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ABSENT_KEY", raising=False)
    text = "backends: {far: {type: openai, model: m, price: {input: 1, output: 1}, api_key_env: ABSENT_KEY}}"
    with Router.from_config(write_models(tmp_path, text)) as router:
        assert router.route("Why?").backend == "far"


def test_stream_ends_with_the_answer(router: Router) -> None:
    *pieces, last = router.stream("What is 17 * 23?")
    assert [piece.text for piece in pieces] == ["It", " is", " 391."]
    assert all(piece.answer is None for piece in pieces)
    assert last.answer is not None
    assert last.answer.text == "It is 391."


def test_threads_may_share_a_router(tmp_path: Path) -> None:
    with make_router(tmp_path, small=echo()) as router, ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda number: router.ask(str(number)).text, range(64))
        assert list(answers) == [f"about {number}" for number in range(64)]


def test_threads_may_stream_at_the_same_time(tmp_path: Path) -> None:
    def text_of(number: int) -> str:
        return "".join(chunk.text for chunk in router.stream(str(number)))

    with make_router(tmp_path, small=echo()) as router, ThreadPoolExecutor(8) as pool:
        assert list(pool.map(text_of, range(32))) == [f"about {number}" for number in range(32)]


def test_tasks_may_share_a_router(tmp_path: Path) -> None:
    async def run() -> list[str]:
        async with make_router(tmp_path, small=echo()) as router:
            answers = await asyncio.gather(*(router.aask(str(number)) for number in range(64)))
        return [answer.text for answer in answers]

    assert asyncio.run(run()) == [f"about {number}" for number in range(64)]


def test_one_event_loop_after_another_may_ask(tmp_path: Path) -> None:
    async def text() -> str:
        answer = await router.aask("a")
        streamed = "".join([chunk.text async for chunk in router.astream("b")])
        return f"{answer.text}, {streamed}"

    with make_router(tmp_path, small=echo()) as router:
        assert [asyncio.run(text()), asyncio.run(text()), router.ask("c").text] == [
            "about a, about b",
            "about a, about b",
            "about c",
        ]


def test_all_ways_of_asking_use_one_background_thread(tmp_path: Path) -> None:
    before = n_threads()
    with make_router(tmp_path) as router:
        assert n_threads() == before
        router.ask("a")
        asyncio.run(ask_and_forget(router))
        list(router.stream("b"))
        assert n_threads() == before + 1
    assert n_threads() == before


async def ask_and_forget(router: Router) -> None:
    await router.aask("a")


def test_after_live_on_backends_run_on_that_loop_whoever_asks(tmp_path: Path) -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    def answer(query: Query) -> str:
        loops.append(asyncio.get_running_loop())
        return "ok"

    async def run() -> None:
        home = asyncio.get_running_loop()
        router = make_router(tmp_path, small=FakeBackend(answer))
        router.live_on(home)
        await router.aask("a")
        await asyncio.to_thread(router.ask, "b")
        await asyncio.to_thread(lambda: list(router.stream("c")))
        assert [chunk.text async for chunk in router.astream("d")] == ["ok", ""]
        with pytest.raises(PenstockError, match="would wait for itself"):
            router.ask("e")
        with pytest.raises(PenstockError, match="would wait for itself"):
            router.close()
        await router.aclose()
        assert loops == [home] * 4

    asyncio.run(run())


def test_after_aclose_on_a_loop_of_its_own_every_use_says_so(tmp_path: Path) -> None:
    async def run() -> Router:
        router = make_router(tmp_path)
        router.live_on(asyncio.get_running_loop())
        await router.aask("a")
        await router.aclose()
        with pytest.raises(PenstockError, match=CLOSED):
            await router.aask("a")
        return router

    router = asyncio.run(run())
    with pytest.raises(PenstockError, match=CLOSED):
        router.ask("a")
    with pytest.raises(PenstockError, match=CLOSED):
        list(router.stream("a"))
    router.close()


def test_a_backend_that_blocks_on_its_own_router_is_refused(tmp_path: Path) -> None:
    def answer(query: Query) -> str:
        return router.ask("again").text

    with (
        make_router(tmp_path, small=FakeBackend(answer)) as router,
        pytest.raises(PenstockError, match="would wait for itself"),
    ):
        router.ask("a")


def test_cancelling_aask_ends_the_call_upstream(tmp_path: Path) -> None:
    small = WaitingBackend()

    async def run() -> None:
        task = asyncio.create_task(ask_and_forget(router))
        await asyncio.to_thread(small.has_begun.wait, PATIENCE_S)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with make_router(tmp_path, small=small) as router:
        asyncio.run(run())
        assert small.was_left.wait(PATIENCE_S)


def test_a_time_limit_around_aask_ends_the_call_upstream(tmp_path: Path) -> None:
    small = WaitingBackend()

    async def run() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await router.aask("a")

    with make_router(tmp_path, small=small) as router:
        asyncio.run(run())
        assert small.was_left.wait(PATIENCE_S)


def test_closing_a_stream_early_ends_the_call_upstream(tmp_path: Path) -> None:
    small = WaitingBackend()
    with make_router(tmp_path, small=small) as router:
        stream = router.stream("a")
        assert next(stream).text == "One"
        assert small.has_begun.wait(PATIENCE_S)
        assert not small.was_left.is_set()
        stream.close()  # type: ignore[attr-defined]  # it is a generator
        assert small.was_left.wait(PATIENCE_S)


def test_leaving_an_async_stream_early_ends_the_call_upstream(tmp_path: Path) -> None:
    small = WaitingBackend()

    async def run() -> None:
        async for chunk in router.astream("a"):
            assert chunk.text == "One"
            break

    with make_router(tmp_path, small=small) as router:
        asyncio.run(run())
        assert small.was_left.wait(PATIENCE_S)


def test_a_loop_that_dies_in_the_middle_of_a_stream_ends_the_call_upstream(tmp_path: Path) -> None:
    small = WaitingBackend()
    kept: list[Any] = []

    async def run() -> None:
        kept.append(router.astream("a"))
        assert (await anext(kept[0])).text == "One"

    with make_router(tmp_path, small=small) as router:
        asyncio.run(run())
        assert small.was_left.wait(PATIENCE_S)


@pytest.mark.parametrize("ask", [lambda router: router.ask("a"), lambda router: list(router.stream("a"))])
def test_ctrl_c_leaves_no_call_running(tmp_path: Path, ask: Callable[[Router], Any]) -> None:
    small = WaitingBackend()

    def interrupt() -> None:
        if small.has_begun.wait(PATIENCE_S):
            time.sleep(0.2)  # by then the main thread waits, too
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    with make_router(tmp_path, small=small) as router:
        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            ask(router)
        thread.join()
        assert small.was_left.wait(PATIENCE_S)
        assert router.ask("a", policy="lrm").text == "Surely 391."


def test_an_error_before_the_first_piece_falls_back(tmp_path: Path) -> None:
    with make_router(tmp_path, small=FakeBackend(answer=ServerFailed("down"))) as router:
        *pieces, last = router.stream("a")
    assert {piece.backend for piece in pieces} == {"lrm"}
    assert last.answer is not None
    assert last.answer.path == "small!>lrm"


def test_an_error_after_the_first_piece_is_raised(tmp_path: Path) -> None:
    lrm = FakeBackend(answer="ok")
    with make_router(tmp_path, small=BreakingBackend(), lrm=lrm) as router:
        stream = router.stream("a")
        assert next(stream).text == "One"
        with pytest.raises(ServerFailed, match="the model fell over"):
            next(stream)
    assert not lrm.queries


class UnfinishedBackend(FakeBackend):
    """Breaks its contract: the stream ends without the completion."""

    async def stream(self, query: Query) -> Any:
        """Yields nothing of use."""
        yield Chunk()


def test_a_stream_without_its_completion_falls_back(tmp_path: Path) -> None:
    with make_router(tmp_path, small=UnfinishedBackend(answer="")) as router:
        *_, last = router.stream("a")
    assert last.answer is not None
    assert isinstance(last.answer.steps[0].error, MalformedReply)
    assert last.answer.path == "small!>lrm"


def test_an_answer_that_may_be_replaced_is_not_shown(tmp_path: Path) -> None:
    backends = {"small": FakeBackend(answer="all wrong"), "lrm": FakeBackend(answer="right")}
    with make_judging_router(tmp_path, backends) as router:
        whole, last = router.stream("a")
    assert (whole.text, whole.backend) == ("right", "lrm")
    assert last.answer is not None
    assert last.answer.path == "small>lrm"
    assert last.answer.cost_usd == sum(step.cost_usd for step in last.answer.steps)


def test_a_second_answer_that_is_worse_than_the_first_is_not_shown(tmp_path: Path) -> None:
    backends = {"small": FakeBackend(answer="maybe so"), "lrm": FakeBackend(answer="all wrong")}
    with make_judging_router(tmp_path, backends) as router:
        whole, last = router.stream("a")
    assert (whole.text, whole.backend) == ("maybe so", "small")
    assert last.answer is not None
    assert last.answer.path == "small>lrm"


def test_a_held_back_answer_that_is_good_is_shown_whole(tmp_path: Path) -> None:
    backends = {"small": FakeBackend(answer="right"), "lrm": FakeBackend(answer="right")}
    with make_judging_router(tmp_path, backends) as router:
        whole, _ = router.stream("a")
    assert (whole.text, whole.backend) == ("right", "small")
    assert not backends["lrm"].queries


def test_an_answer_that_is_final_in_any_case_is_shown_as_it_comes(tmp_path: Path) -> None:
    with make_judging_router(tmp_path, {"small": FakeBackend(answer="all wrong")}) as router:
        pieces = [chunk.text for chunk in router.stream("a", policy="small")]
    assert pieces == ["all", " wrong", ""]


def test_asking_and_streaming_take_the_same_path(tmp_path: Path) -> None:
    backends = {"small": FakeBackend(answer=RateLimited("slow")), "lrm": FakeBackend(answer="all wrong")}
    with make_judging_router(tmp_path, backends) as router:
        asked = router.ask("a")
        *_, last = router.stream("a")
    assert last.answer is not None
    assert asked.path == last.answer.path == "small!>lrm"
    assert asked.text == last.answer.text


@pytest.mark.parametrize("ask", [lambda router: router.ask("a"), lambda router: list(router.stream("a"))])
def test_a_request_that_fails_leaves_a_record_of_every_call(tmp_path: Path, ask: Callable[[Router], Any]) -> None:
    sink = ListSink()
    failing: dict[str, BackendError] = {"small": ServerFailed("down"), "lrm": RateLimited("slow")}
    backends = {name: FakeBackend(answer=error) for name, error in failing.items()}
    with make_judging_router(tmp_path, backends, sink=sink) as router, pytest.raises(AllBackendsFailed) as caught:
        ask(router)
    assert caught.value.causes == failing
    told = [(record["backend"], record["step"], record["error"], record["final"]) for record in sink.records]
    assert told == [("small", 0, "ServerFailed", False), ("lrm", 1, "RateLimited", False)]
    assert len({record["query_id"] for record in sink.records}) == 1
    assert all(record["query_id"] for record in sink.records)


def test_a_stream_that_breaks_leaves_a_record_too(tmp_path: Path) -> None:
    sink = ListSink()
    config = read_config(write_models(tmp_path))
    with make_router(tmp_path) as other:
        pool = other.pool
    with Router(config, pool, sink=sink, backends={"small": BreakingBackend()}) as router, pytest.raises(ServerFailed):
        list(router.stream("a"))
    assert [(record["backend"], record["error"]) for record in sink.records] == [("small", "ServerFailed")]


def test_a_full_disk_fails_no_request(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    (tmp_path / "traces.jsonl").symlink_to("/dev/full")
    sink = JsonlSink(tmp_path / "traces.jsonl")
    config = read_config(write_models(tmp_path))
    with make_router(tmp_path) as other:
        pool = other.pool
    with Router(config, pool, sink=sink) as router:
        answer = router.ask("a")
        router.feedback(answer.trace_id, 1.0)
    assert answer.text == "It is 391."
    assert sink.lost == 2
    assert "No space left on device" in caplog.text


def test_traces_hold_no_content_unless_it_is_asked_for(tmp_path: Path) -> None:
    for content in ("false", "true"):
        text = MODELS + f"traces: {{folder: log-{content}, content: {content}}}\n"
        with Router.from_config(write_models(tmp_path, text)) as router:
            router.ask("What is 17 * 23?")
    written = [(tmp_path / f"log-{content}" / "traces.jsonl").read_text() for content in ("false", "true")]
    assert ["It is" in text or "17 * 23" in text for text in written] == [False, True]  # 391 may be part of an id
    assert orjson.loads(written[1])["response"] == "It is 391."


def test_feedback_out_of_range_or_for_nobody_is_refused(router: Router) -> None:
    trace_id = router.ask("a").trace_id
    for given, said in (
        ((trace_id, 1.5, None), "from 0 to 1"),
        (("unknown", 1.0, None), "unknown trace id"),
        (("unknown", 1.0, "gpt"), "expected one of small, lrm"),
    ):
        with pytest.raises(PenstockError, match=said):
            router.feedback(given[0], given[1], backend=given[2])
    router.feedback("unknown", 1.0, backend="lrm")


def test_feedback_takes_the_numbers_of_numpy(router: Router) -> None:
    trace_id = router.ask("a").trace_id
    router.feedback(trace_id, np.float32(0.5))
    router.feedback(trace_id, np.int64(1))
    with pytest.raises(PenstockError, match="from 0 to 1"):
        router.feedback(trace_id, np.float32("nan"))


def test_an_answer_and_a_decision_equal_themselves_alone(router: Router) -> None:
    one, other = router.ask("a"), router.ask("a")
    assert one in [other, one]
    assert {one: 1}[one] == 1
    assert one != other
    assert pickle.loads(pickle.dumps(one)).as_dict() == one.as_dict()
    assert router.route("a") != router.route("a")


@pytest.mark.parametrize("make_copy", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_router_is_not_copied(router: Router, make_copy: Callable[[Router], object]) -> None:
    router.ask("a")
    with pytest.raises(
        TypeError, match=r"^a Router cannot be copied or pickled; share it, or make one in each process$"
    ):
        make_copy(router)


@pytest.mark.parametrize("is_used", [True, False])
def test_a_fork_says_that_it_needs_a_router_of_its_own(tmp_path: Path, is_used: bool) -> None:
    """In a process of its own, for a fork takes everything with it."""
    models = write_models(tmp_path, "backends: {only: {type: fake, answer: fine}}\n")
    script = f"""
import os, sys
from penstock.router import Router
from penstock.backends import PenstockError

router = Router.from_config({str(models)!r})
if {is_used}:
    router.ask("a")
child = os.fork()
if child:
    assert os.waitpid(child, 0)[1] == 0
    router.close()
else:
    try:
        print(router.ask("a").text)
        print([chunk.text for chunk in router.stream("a")])
    except PenstockError as error:
        print(error)
    router.close()
    sys.stdout.flush()
    os._exit(0)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],  # later versions of Python warn of a fork with threads
        env=os.environ | {"PYTHONPATH": str(SOURCES)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = "this process was forked from one that uses this router; make one here, with Router.from_config\n"
    assert (done.stdout, done.stderr, done.returncode) == (said if is_used else "fine\n['fine', '']\n", "", 0)


@pytest.mark.parametrize("ask", [lambda router: router.ask("a"), lambda router: list(router.stream("a"))])
def test_leaving_the_program_in_a_backend_reaches_its_caller_alone(
    tmp_path: Path, ask: Callable[[Router], Any]
) -> None:
    answers = iter([None, "still here"])
    small = FakeBackend(lambda _: next(answers) or sys.exit(3))
    with make_router(tmp_path, small=small) as router:
        with pytest.raises(SystemExit):
            ask(router)
        assert router.ask("a").text == "still here"


@pytest.mark.parametrize(
    "error",
    [
        NoFeasibleBackend({"small": "in deny"}),
        NoBackendFree({"small": "busy"}, retry_after_s=2.0),
        BackendBusy("busy", backend="small", retry_after_s=2.0),
        AllBackendsFailed({"small": ServerFailed("down", backend="small", status=500)}),
        HttpError(404, "none", code="model_not_found"),
        UnknownPolicy("no"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_error_reaches_a_caller_in_another_process(error: PenstockError) -> None:
    for made in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(made) is type(error)
        assert str(made) == str(error)
        assert vars(made).keys() == vars(error).keys()


class SlowToCloseBackend(FakeBackend):
    """Takes a moment to close."""

    async def aclose(self) -> None:
        """Waits, and notes that it was closed."""
        await asyncio.sleep(0.05)
        await super().aclose()


def test_backends_of_a_router_that_was_never_asked_are_closed_to_their_end(tmp_path: Path) -> None:
    small = SlowToCloseBackend(answer="4")
    router = make_router(tmp_path, small=small)
    router.backends()
    router.close()
    assert small.is_closed


def test_closing_twice_closes_once(tmp_path: Path) -> None:
    small = FakeBackend(answer="ok")
    router = make_router(tmp_path, small=small)
    router.ask("a")
    router.close()
    assert small.is_closed
    small.is_closed = False
    router.close()
    asyncio.run(router.aclose())
    assert not small.is_closed


def test_aclose_closes_what_runs_in_the_background(tmp_path: Path) -> None:
    small = FakeBackend(answer="ok")
    before = n_threads()

    async def run() -> None:
        async with make_router(tmp_path, small=small) as router:
            await router.aask("a")

    asyncio.run(run())
    assert small.is_closed
    assert n_threads() == before


def test_a_router_that_was_never_used_starts_no_thread(tmp_path: Path) -> None:
    before = n_threads()
    with make_router(tmp_path) as router:
        router.route("a")
        assert n_threads() == before


class UnclosableBackend(FakeBackend):
    """Cannot be closed."""

    async def aclose(self) -> None:
        """Fails."""
        raise OSError("stuck")


def test_one_backend_that_cannot_be_closed_does_not_keep_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lrm = FakeBackend(answer="ok")
    with make_router(tmp_path, small=UnclosableBackend(answer="ok"), lrm=lrm) as router:
        router.ask("a")
    assert lrm.is_closed
    assert "small: could not be closed: stuck" in caplog.text


class NeverClosedBackend(FakeBackend):
    """Never ends to close."""

    async def aclose(self) -> None:
        """Waits for what never comes."""
        await asyncio.Event().wait()


def test_one_backend_that_never_closes_is_waited_for_in_vain_only_for_a_while(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.router.fleet._CLOSE_S", 0.01)
    lrm = FakeBackend(answer="ok")

    async def live() -> None:
        router = make_router(tmp_path, small=NeverClosedBackend(answer="ok"), lrm=lrm)
        router.live_on(asyncio.get_running_loop())
        await router.aask("a")
        async with asyncio.timeout(PATIENCE_S):
            await router.aclose()

    asyncio.run(live())
    assert lrm.is_closed
    assert "small: was not closed within 0.01 s" in caplog.text


@pytest.mark.parametrize(
    "use",
    [
        lambda router: router.ask("a"),
        lambda router: list(router.stream("a")),
        lambda router: asyncio.run(ask_and_forget(router)),
        lambda router: router.backends(),
        lambda router: router.feedback("a", 1.0, backend="small"),
        lambda router: router.chat.completions.create(messages=HELLO),
    ],
)
def test_after_close_every_use_says_so(tmp_path: Path, use: Callable[[Router], Any]) -> None:
    router = make_router(tmp_path)
    router.ask("a")
    router.close()
    with pytest.raises(PenstockError, match=CLOSED):
        use(router)
    assert router.route("a").backend == "small"


@pytest.mark.parametrize(
    "ask",
    [
        lambda router: router.ask("a"),
        lambda router: list(router.stream("a")),
        lambda router: asyncio.run(ask_and_forget(router)),
    ],
)
def test_closing_in_the_middle_of_a_call_ends_it_on_both_sides(tmp_path: Path, ask: Callable[[Router], Any]) -> None:
    small = WaitingBackend()
    router = make_router(tmp_path, small=small)
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask, router)
        assert small.has_begun.wait(PATIENCE_S)
        router.close()
        assert small.was_left.is_set()
        with pytest.raises(PenstockError, match=CLOSED):
            asking.result(PATIENCE_S)


def test_closing_while_many_threads_ask_leaves_nobody_waiting(tmp_path: Path) -> None:
    router = make_router(tmp_path, small=echo())

    def ask(number: int) -> str:
        try:
            for _ in range(1000):
                router.ask(str(number))
        except PenstockError as error:
            return str(error)
        return "never closed"

    with ThreadPoolExecutor(8) as pool:
        asking = [pool.submit(ask, number) for number in range(8)]
        time.sleep(0.05)
        router.close()
        assert all(CLOSED in future.result(PATIENCE_S) for future in asking)


def test_a_router_that_is_dropped_ends_its_thread(tmp_path: Path) -> None:
    import gc

    before = n_threads()
    router = make_router(tmp_path)
    router.ask("a")
    assert n_threads() == before + 1
    del router
    gc.collect()
    assert n_threads() == before


def test_a_script_that_never_closes_its_router_ends_silently(tmp_path: Path) -> None:
    """Over a real connection, whose client complains when it is left open."""
    script = f"""
import asyncio, threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from penstock.router import Router

class Provider(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = b'{{"choices": [{{"message": {{"content": "391"}}, "finish_reason": "stop"}}]}}'
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words): ...

provider = HTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=provider.serve_forever, daemon=True).start()
path = Path({str(tmp_path)!r}) / "models.yaml"
url = f"http://127.0.0.1:{{provider.server_port}}/v1"
path.write_text("backends: {{near: {{type: openai, model: m, base_url: '%s', price: {{input: 0, output: 0}}}}}}" % url)
router = Router.from_config(path)
print(router.ask("What is 17 * 23?").text)

async def ask():
    print((await router.aask("What is 17 * 23?")).text)

asyncio.run(ask())
"""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", script],
        env=os.environ | {"PYTHONPATH": str(SOURCES)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("391\n391\n", "", 0)


def test_a_completion_that_knows_its_cost_is_charged_that(tmp_path: Path) -> None:
    with make_router(tmp_path, small=FakeBackend(answer=Completion(text="ok", cost_usd=0.25))) as router:
        assert router.ask("a").cost_usd == 0.25


def test_several_answers_at_once_are_refused_rather_than_paid_for_and_dropped() -> None:
    with pytest.raises(InvalidRequest, match="n: expected 1"):
        make_query("hello", None, {"n": 2})


@pytest.mark.parametrize("name", ["route", "ask", "aask", "stream", "astream"])
def test_every_way_of_asking_shows_the_same_parameters(name: str) -> None:
    parameters = list(inspect.signature(getattr(Router, name)).parameters)
    assert parameters == ["self", "text", "messages", "policy", "wishes", "params"]
