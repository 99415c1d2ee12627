"""A transformers model in this process, from a folder or a hub id; needs the extra `local`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import ClassVar

from .errors import BackendError, BackendTimeout, ConfigError
from .local_model import DTYPES, MAX_BATCH, ModelSettings, locate_model
from .local_row import Call
from .local_worker import Worker, acquire_worker, release_worker
from .options import check_options, option
from .spec import BackendSpec
from .types import Chunk, Completion, Query


class LocalBackend:
    """One model at one reasoning effort, loaded when it is first asked.

    Concurrent queries are generated as one batch that they join and leave between two tokens. Backends
    with the same model and options, such as one model at several efforts, share the loaded model and
    its batches. `logprobs` are natural logarithms under the model's own distribution (temperature 1,
    before any filter), of the answer's tokens only, without the token that ends it. `output_tokens`
    counts every token generated, that one and the thinking included.

    Sampling follows the query (`temperature`, `top_p`, `top_k`, `repetition_penalty`, `seed`, `stop`,
    `max_tokens`) and else the model's generation config. Stop strings cut the answer, not the
    thinking. Tools reach the template; a call to one comes back as the text that the model wrote.
    Loading counts neither as latency nor towards a timeout.

    Raises:
        ConfigError: an option is unknown or wrong, the folder holds no model, or torch is missing.
    """

    OPTIONS: ClassVar[dict[str, str]] = {
        "device": "where the model runs: cpu, cuda, cuda:1, mps or auto (a GPU if there is one); default auto",
        "dtype": "precision of the weights: float32, bfloat16, float16 or auto (float32 on a CPU, else as saved)",
        "max_batch": "how many queries are generated together; the others wait; default 16",
        "threads": "CPU threads of the model; default 1 below 50M parameters, else as torch decides",
        "template": "further variables for the chat template, such as {enable_thinking: false}",
    }

    def __init__(self, spec: BackendSpec) -> None:
        self.spec = spec
        self._settings = _read_settings(spec)
        self._worker: Worker | None = None
        self._calls: set[Call] = set()
        self._is_closed = False

    async def complete(self, query: Query) -> Completion:
        """Returns the whole completion."""
        completion = None
        async with aclosing(self.stream(query)) as chunks:
            async for chunk in chunks:
                completion = chunk.completion
        assert completion is not None, "a stream that raises nothing ends with the completion"
        return completion

    async def stream(self, query: Query) -> AsyncGenerator[Chunk, None]:
        """Yields pieces as they come and ends with the one that carries the `completion`."""
        worker = await self._ready_worker()
        loop = asyncio.get_running_loop()
        events: asyncio.Queue[tuple[Chunk | BackendError, float]] = asyncio.Queue()  # with the time of arrival

        def arrive(event: Chunk | BackendError) -> None:
            events.put_nowait((event, loop.time()))

        call = Call(query, self.spec, lambda event: loop.call_soon_threadsafe(arrive, event))
        timeout, started = self.spec.timeout, loop.time()
        first_token_s: float | None = None
        too_late = [
            loop.call_later(limit_s, arrive, self._timed_out(what, limit_s))
            for what, limit_s in (("the first token", timeout.first_token_s), ("the answer", timeout.total_s))
        ]
        self._calls.add(call)
        worker.submit(call)
        try:
            while True:
                event, arrived = await events.get()
                if isinstance(event, BackendError):
                    raise event
                if first_token_s is None:
                    first_token_s = arrived - started
                    too_late[0].cancel()
                if event.completion is not None:
                    timed = replace(event.completion, latency_s=arrived - started, first_token_s=first_token_s)
                    yield Chunk(completion=timed)
                    return
                if event.text or event.reasoning:
                    yield event
        finally:
            call.cancel()
            self._calls.discard(call)
            for timer in too_late:
                timer.cancel()

    async def aclose(self) -> None:
        """Ends open calls and, with the last backend that shares it, frees the model and its thread."""
        self._is_closed = True
        for call in self._calls:
            call.deliver(BackendError("was closed while answering", backend=self.spec.name))
            call.cancel()
        worker, self._worker = self._worker, None
        if worker is not None and release_worker(worker):
            await asyncio.to_thread(worker.join)

    def _timed_out(self, what: str, limit_s: float) -> BackendTimeout:
        return BackendTimeout(f"{what} took more than {limit_s:g} s", backend=self.spec.name)

    async def _ready_worker(self) -> Worker:
        """Returns the worker once its model is loaded.

        Raises:
            BackendError: the backend is closed, or the model cannot be loaded; the next call tries again.
        """
        if self._is_closed:
            raise BackendError("is closed", backend=self.spec.name)
        if self._worker is None:
            self._worker = acquire_worker(self._settings)
        worker = self._worker
        try:
            await asyncio.wrap_future(worker.loaded)
        except ConfigError as error:
            if self._worker is worker:
                self._worker = None
                if release_worker(worker):
                    await asyncio.to_thread(worker.join)
            raise BackendError(str(error), backend=self.spec.name) from error
        if self._worker is not worker:
            raise BackendError("was closed while answering", backend=self.spec.name)
        return worker


def _read_settings(spec: BackendSpec) -> ModelSettings:
    """Returns which model to load and how; checks every option."""
    where = f"backends.{spec.name}"
    check_options(spec, LocalBackend.OPTIONS)
    option(spec, "template", Mapping, expected="a mapping of names to values")
    device = option(spec, "device", str, expected="a name", default="auto")
    if not re.fullmatch(r"[a-z]+(:\d+)?", device):
        raise ConfigError(f"{where}.device: expected cpu, cuda, cuda:1, mps or auto, got {device!r}")
    dtype = option(spec, "dtype", str, expected="a name", default="auto")
    if dtype not in DTYPES:
        raise ConfigError(f"{where}.dtype: expected one of {', '.join(DTYPES)}, got {dtype!r}")
    max_batch = option(spec, "max_batch", int, expected="a whole number", default=MAX_BATCH)
    threads = option(spec, "threads", int, expected="a whole number")
    for key, value in (("max_batch", max_batch), ("threads", threads)):
        if value is not None and value < 1:
            raise ConfigError(f"{where}.{key}: expected a whole number from 1, got {value}")
    model = locate_model(spec.model, where=f"{where}.model")
    return ModelSettings(model=model, device=device, dtype=dtype, max_batch=max_batch, threads=threads)
