"""How good an answer is, from 0 to 1: one small file a kind of grader.

A grader is named `kind` or `kind:argument`, such as `exact:ignore_case` or `judge:large`; one of somebody else's is
named `package.module:Name`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from ...backends import Completion, Query, resolve
from ..errors import BadRow
from ..prompts import Prompt
from .numeric import final_number

GRADERS = {
    "exact": "penstock.training.graders.exact:ExactGrader",
    "numeric": "penstock.training.graders.numeric:NumericGrader",
    "regex": "penstock.training.graders.regex:RegexGrader",
    "multiple_choice": "penstock.training.graders.multiple_choice:MultipleChoiceGrader",
    "json_schema": "penstock.training.graders.json_schema:JsonSchemaGrader",
    "python": "penstock.training.graders.python:PythonGrader",
    "judge": "penstock.training.graders.judge:JudgeGrader",
}

Ask = Callable[[Query], Awaitable[Completion]]  # raises BackendError; a backend's `complete` is one
AskOf = Callable[[str], Ask]  # the way to ask the backend of that name; raises ConfigError where there is none


class Grader(Protocol):
    """Scores answers. Built as `Type(argument, ask_of)`, where `argument` is what its name has behind the colon."""

    def check(self, prompt: Prompt) -> None:
        """Raises BadRow where the prompt lacks what answers to it are graded by; called before anything is asked."""
        ...

    async def grade(self, prompt: Prompt, completion: Completion) -> float:
        """Returns the score of an answer, from 0 to 1.

        Raises:
            BackendError: a backend that has to be asked for it failed.
            TraceError: the answer cannot be graded.
        """
        ...


def create_grader(name: str, ask_of: AskOf) -> Grader:
    """Returns the grader of that name.

    Raises:
        ConfigError: there is none, or its argument is wrong.
    """
    kind, _, argument = name.partition(":")
    if kind in GRADERS:
        grader: Grader = resolve(kind, GRADERS, what="grader")(argument, ask_of)
        return grader
    found = resolve(name, GRADERS, what="grader")
    if isinstance(found, type):
        own: Grader = found("", ask_of)
        return own
    return create_grader(f"python:{name}", ask_of)


def runs_code(name: str) -> bool:
    """Returns whether a grader of that name runs code that is not a part of Penstock."""
    kind = name.partition(":")[0]
    return kind == "python" or (":" in name and kind not in GRADERS)


def guess_grader(prompt: Prompt) -> str:
    """Returns the name of the grader that the columns of a prompt speak for.

    Raises:
        BadRow: they speak for none.
    """
    if prompt.schema is not None:
        return "json_schema"
    if prompt.pattern is not None:
        return "regex"
    if prompt.choices:
        return "multiple_choice"
    if not prompt.answers:
        raise BadRow("column answer: missing, and no column grader, pattern, schema or choices; expected one of them")
    return "numeric" if all(_is_number(answer) for answer in prompt.answers) else "exact"


def _is_number(answer: str) -> bool:
    """Returns whether an answer is a number and nothing else, save a currency or percent sign."""
    bare = answer.strip().removeprefix("$").removesuffix("%")
    return final_number(bare) is not None and not any(sign.isalpha() for sign in bare)


__all__ = ["GRADERS", "Ask", "AskOf", "Grader", "create_grader", "guess_grader", "runs_code"]
