"""A verifier: whether the Python code in an answer is such. It is parsed and never run."""

from __future__ import annotations

import ast
import math
import re
import warnings

from ...backends import Completion, Query

_MAX_CHARACTERS = 20_000
_FENCE = re.compile(r"^[ \t]*```(\w*)[^\n]*\n(.*?)(?:^[ \t]*```|\Z)", re.DOTALL | re.MULTILINE)
_PYTHON = re.compile(r"\bpython\b|\bdef \w+\(", re.IGNORECASE)


class CodeVerifier:
    """The share of Python code blocks that parse, how much code there is, and whether the last fence was closed."""

    names = ("share_parsed", "log_lines", "is_closed")
    needs = "text"

    def read(self, query: Query, completion: Completion) -> tuple[float, ...]:
        """Returns the numbers in the order of `names`; NaN where there is no Python."""
        blocks = python_blocks(query.text[:_MAX_CHARACTERS], completion.text[:_MAX_CHARACTERS])
        if not blocks:
            return (math.nan,) * len(self.names)
        n_lines = sum(code.count("\n") for code in blocks)
        return (
            sum(map(_parses, blocks)) / len(blocks),
            math.log1p(n_lines),
            float(completion.text.count("```") % 2 == 0),
        )


def python_blocks(question: str, answer: str) -> list[str]:
    """Returns the fenced Python of an answer; fences without a language count where the question speaks of Python."""
    if "```" not in answer:
        return []
    asks_python = _PYTHON.search(question) is not None
    return [
        code
        for language, code in _FENCE.findall(answer)
        if language.lower() in ("python", "py", "python3") or (not language and asks_python)
    ]


def _parses(code: str) -> bool:
    try:
        with warnings.catch_warnings():  # a wrong escape is no error, and nothing to tell the server's operator
            warnings.simplefilter("ignore")
            ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
