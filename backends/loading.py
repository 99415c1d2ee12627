"""Loads of transformers models, one at a time and without a sound."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

# transformers switches torch's defaults for the whole process while it loads: of two loads at once, either one
# or any later one can end with empty weights, or without an error with random ones.
_one_at_a_time = threading.Lock()


@contextmanager
def loading() -> Iterator[None]:
    """Makes other loads wait, and keeps transformers from drawing bars into the output of the program that loads."""
    logging: Any = import_module("transformers.utils.logging")
    with _one_at_a_time:
        was_enabled = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()
        try:
            yield
        finally:
            if was_enabled:
                logging.enable_progress_bar()
