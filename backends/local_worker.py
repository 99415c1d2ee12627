"""The thread that owns a local model, and who shares it."""

from __future__ import annotations

import logging
import threading
from collections import deque
from concurrent.futures import Future
from queue import Empty, SimpleQueue

from .errors import BackendError, ConfigError, ServerFailed
from .local_batch import Batch, Step
from .local_model import LocalModel, ModelSettings, load_model
from .local_row import Call, Row, open_row

logger = logging.getLogger(__name__)


class Worker:
    """Loads a model in a thread of its own and answers calls there, as many at a time as one batch takes."""

    def __init__(self, settings: ModelSettings) -> None:
        self.settings = settings
        self.loaded: Future[None] = Future()  # ends with ConfigError when the model cannot be loaded
        self.loaded.set_running_or_notify_cancel()  # a waiter that gives up must not cancel it for the others
        self._inbox: SimpleQueue[Call | None] = SimpleQueue()  # None: stop
        self._thread = threading.Thread(target=self._run, name=f"penstock-local {settings.model}", daemon=True)
        self._thread.start()

    def submit(self, call: Call) -> None:
        """Queues a call; it joins the batch before the next token, or when a row becomes free."""
        self._inbox.put(call)

    def stop(self) -> None:
        """Asks the thread to end; calls that are still open fail."""
        self._inbox.put(None)

    def join(self) -> None:
        """Waits until the thread has ended and the model is free."""
        self._thread.join()

    def _run(self) -> None:
        import torch

        try:
            model = load_model(self.settings)
        except ConfigError as error:
            self.loaded.set_exception(error)
            return
        self.loaded.set_result(None)
        with torch.inference_mode():
            self._serve(model)

    def _serve(self, model: LocalModel) -> None:
        """Generates until it is told to stop."""
        capacity = self.settings.max_batch if model.can_stack else 1
        batch = Batch(model)
        waiting: deque[Call] = deque()
        while self._receive(waiting, is_idle=not batch.rows and not waiting):
            joining = self._open(waiting, capacity - len(batch.rows), model)
            running = batch.rows + joining
            try:
                _hand_out(batch.join(joining))
                _hand_out(batch.advance())
            except Exception as error:  # a dead thread would leave every caller waiting for ever
                logger.exception("a batch of %d failed", len(running))
                batch.clear()
                for row in running:
                    row.call.deliver(ServerFailed(f"generating failed: {error}", backend=row.call.spec.name))
            if not batch.rows:
                batch.clear()  # frees the memory of the last rows while nobody asks
        for call in [row.call for row in batch.rows] + list(waiting):
            call.deliver(BackendError("was closed while answering", backend=call.spec.name))

    def _receive(self, waiting: deque[Call], *, is_idle: bool) -> bool:
        """Moves what has arrived to `waiting`; sleeps while idle. Returns False when told to stop."""
        try:
            call = self._inbox.get(block=is_idle)
            while call is not None:
                waiting.append(call)
                call = self._inbox.get_nowait()
        except Empty:
            return True
        return False

    @staticmethod
    def _open(waiting: deque[Call], n_free: int, model: LocalModel) -> list[Row]:
        """Returns rows for the calls at the head of the queue; calls that cannot be answered are told so."""
        rows: list[Row] = []
        while waiting and len(rows) < n_free:
            call = waiting.popleft()
            if call.is_cancelled:
                continue
            try:
                rows.append(open_row(call, model))
            except BackendError as error:
                call.deliver(error)
            except Exception as error:  # as above: one odd query must not end the thread
                logger.exception("a query could not be prepared")
                call.deliver(ServerFailed(f"preparing the prompt failed: {error}", backend=call.spec.name))
        return rows


def _hand_out(steps: list[Step]) -> None:
    for step in steps:
        step.row.accept(step.choice)


_lock = threading.Lock()
_workers: dict[ModelSettings, tuple[Worker, int]] = {}  # with how many backends hold it


def acquire_worker(settings: ModelSettings) -> Worker:
    """Returns the worker for `settings`, started if there is none; to be given back with `release_worker`."""
    with _lock:
        worker, n_holders = _workers.get(settings) or (Worker(settings), 0)
        _workers[settings] = (worker, n_holders + 1)
        return worker


def release_worker(worker: Worker) -> bool:
    """Gives a worker back. Returns whether that was its last holder: then it has been told to stop."""
    with _lock:
        _, n_holders = _workers[worker.settings]
        if n_holders > 1:
            _workers[worker.settings] = (worker, n_holders - 1)
            return False
        del _workers[worker.settings]
    worker.stop()
    return True
