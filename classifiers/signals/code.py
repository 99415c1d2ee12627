"""A verifier: whether the code in an answer is such. It is parsed, or its brackets are looked at, and never run."""

from __future__ import annotations

import ast
import math
import tomllib
import warnings

import orjson

from ...backends import Completion, Query
from ..brackets import is_balanced
from ..code_blocks import code_blocks
from .json_form import begins_as_json

_MAX_CHARACTERS = 20_000


class CodeVerifier:
    """The share of the blocks of code that parse, how much code there is, and whether the last fence was closed."""

    names = ("share_parsed", "log_lines", "is_closed")
    needs = "text"

    def read(self, query: Query, completion: Completion) -> tuple[float, ...]:
        """Returns the numbers in the order of `names`; NaN where there is no code of a language known here."""
        blocks = code_blocks(query.text[:_MAX_CHARACTERS], completion.text[:_MAX_CHARACTERS])
        if begins_as_json(completion.text):  # which is what `json` tells of
            blocks = [(language, code) for language, code in blocks if language != "json"]
        told = [(code, parses) for language, code in blocks if (parses := _parses(language, code)) is not None]
        if not told:
            return (math.nan,) * len(self.names)
        return (
            sum(parses for _, parses in told) / len(told),
            math.log1p(sum(code.count("\n") for code, _ in told)),
            float(completion.text.count("```") % 2 == 0),
        )


def _parses(language: str, code: str) -> bool | None:
    """Returns whether code is such of its language, None where that cannot be told."""
    try:
        if language == "python":
            with warnings.catch_warnings():  # a wrong escape is no error, and nothing to tell the server's operator
                warnings.simplefilter("ignore")
                ast.parse(code)
        elif language == "json":
            orjson.loads(code)
        elif language == "toml":
            tomllib.loads(code)
        else:
            return is_balanced(language, code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
