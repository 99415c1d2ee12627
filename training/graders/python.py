"""Grading by a Python function of one's own."""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import importlib.util
import math
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ...backends import Completion, ConfigError
from ..errors import TraceError
from ..prompts import Prompt
from ..rows import shown

if TYPE_CHECKING:
    from . import AskOf

Function = Callable[[str, dict[str, object]], Any]


class PythonGrader:
    """What `function(answer_text, row)` returns: a number from 0 to 1, or true or false.

    The name is `python:path/to/file.py:function` or `python:package.module:function`. The function gets the columns
    of the prompt's row, and is called in a thread, so that a slow one holds nobody up.
    """

    def __init__(self, argument: str, _ask_of: AskOf) -> None:
        self._name = f"python:{argument}"
        self._function = load_function(argument)

    def check(self, prompt: Prompt) -> None:
        """Accepts every prompt: only the function knows what it needs."""

    async def grade(self, prompt: Prompt, completion: Completion) -> float:
        """Returns what the function says.

        Raises:
            TraceError: the function raises, or returns anything else.
        """
        try:
            value = await asyncio.to_thread(self._function, completion.text, dict(prompt.row))
        except Exception as error:  # code of the user's, which may raise anything
            raise TraceError(f"grader {self._name} raised {type(error).__name__}: {error}") from error
        try:
            score = float(value)
        except (TypeError, ValueError):
            score = math.nan
        if isinstance(value, str) or not 0 <= score <= 1:
            raise TraceError(f"grader {self._name} returned {shown(value)}; expected a number from 0 to 1, or a bool")
        return score


def load_function(target: str) -> Function:
    """Returns the function that `file.py:function` or `package.module:function` names.

    Raises:
        ConfigError: there is none, or its file cannot be loaded.
    """
    source, _, name = target.rpartition(":")
    what = f"grader python:{target}"
    if not source or not name:
        raise ConfigError(f"{what}: expected python:path/to/file.py:function or python:package.module:function")
    try:
        module = _load_file(Path(source)) if source.endswith(".py") else importlib.import_module(source)
        function: Function = getattr(module, name)
    except Exception as error:  # code of the user's, which may raise anything
        raise ConfigError(f"{what}: cannot be loaded: {type(error).__name__}: {error}") from error
    if not callable(function):
        raise ConfigError(f"{what}: {shown(function)} is not a function")
    return function


def _load_file(path: Path) -> ModuleType:
    path = path.resolve(strict=True)
    # A name that no other module has, whatever the file is called.
    name = f"penstock_grader_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look there for the module they are defined in
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
