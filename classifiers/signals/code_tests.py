"""A verifier: whether the Python code in an answer runs, and passes the tests that the question gives."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator

from ...backends import Completion, Query
from ..code_blocks import python_blocks
from ..sandbox import Verdict, run_python

_MAX_CHARACTERS = 20_000
_MAX_TESTS = 20
_DOCTEST = re.compile(r"^[ \t]*>>> ([^\n]+)\n[ \t]*(?!>>>)(\S[^\n]*)$", re.MULTILINE)
_ASSERT = re.compile(r"^[ \t]*(assert [^\n]+)$", re.MULTILINE)
_EXAMPLE = re.compile(
    r"^(?![ \t]*(?:assert\b|>>>))[^\n(]{0,80}?[`\s]?(\w+\([^\n]{0,200}?\))`?\s*"
    r"(?:==|=>|->|→|=|returns?|should (?:return|be|give)|gives|is)\s*`?([^\s`][^\n`]{0,200}?)[`.,;]*$",
    re.MULTILINE,
)


class CodeTestVerifier:
    """Whether the code runs without an error, which share of the tests it passes, and how many there are.

    It runs what a model wrote, held in as `sandbox` says, so it is read only where that was allowed.
    """

    names = ("runs", "share_passed", "log_tests")
    needs = "sandbox"

    def read(self, query: Query, completion: Completion) -> tuple[float, ...]:
        """Returns the numbers in the order of `names`; NaN where there is no code, or nothing can be told of it."""
        verdict = run_answer(query, completion)
        if verdict is None or verdict.runs is None:
            return (math.nan,) * len(self.names)
        passed = verdict.passed or ()
        return (
            float(verdict.runs),
            sum(passed) / len(passed) if passed else math.nan,
            math.log1p(len(passed)),
        )


def run_answer(query: Query, completion: Completion) -> Verdict | None:
    """Returns what comes of running the code of an answer, None where there is none, or no process can be started.

    The latest results are kept.
    """
    program = "\n\n".join(python_blocks(query.text[:_MAX_CHARACTERS], completion.text[:_MAX_CHARACTERS]))
    try:
        return run_python(program, checks_in(query.text[:_MAX_CHARACTERS])) if program else None
    except OSError:
        return None


def checks_in(question: str) -> tuple[str, ...]:
    """Returns the tests that a question gives, as statements that raise where they fail.

    >>> checks_in("Write f.  For example:\\nf(2) -> 4\\nassert f(3) == 6")
    ('assert f(3) == 6', 'assert (f(2)) == (4)')
    """
    found = [statement.strip() for statement in _ASSERT.findall(question)]
    found += [f"assert ({call}) == ({value})" for call, value in _examples(question)]
    return tuple([test for test in dict.fromkeys(found) if _is_test(test)][:_MAX_TESTS])


def _examples(question: str) -> Iterator[tuple[str, str]]:
    """Yields calls and what they are said to come to, a literal."""
    for call, value in (*_DOCTEST.findall(question), *_EXAMPLE.findall(question)):
        try:
            if isinstance(ast.parse(call, mode="eval").body, ast.Call):
                ast.literal_eval(value)
                yield call, value
        except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
            continue


def _is_test(statement: str) -> bool:
    try:
        body = ast.parse(statement).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return len(body) == 1 and isinstance(body[0], ast.Assert)
