"""The code that an answer holds, by language."""

from __future__ import annotations

import re

_FENCE = re.compile(r"^[ \t]*```[ \t]*([\w+#-]*)[^\n]*\n(.*?)(?:^[ \t]*```|\Z)", re.DOTALL | re.MULTILINE)
_ASKS_PYTHON = re.compile(r"\bpython\b|\bdef \w+\(", re.IGNORECASE)
_BEGINS_AS_PYTHON = re.compile(r"\s*(?:def|class|import|from|async def|@\w+)\b")
_TRANSCRIPT = re.compile(r"\s*>>> ")  # of a session, results and all, which is no program
_PYTHON = ("python", "py", "python3")


def code_blocks(question: str, answer: str) -> list[tuple[str, str]]:
    """Returns language, in small letters, and text of the blocks of code in an answer.

    A fence without a language is Python where the question speaks of it, and so is an answer that is code alone.

    >>> code_blocks("Well?", "```js\\nf()\\n```"), code_blocks("In Python?", "def f(): pass")
    ([('js', 'f()\\n')], [('python', 'def f(): pass')])
    """
    if "```" in answer:
        found = [(language.lower(), code) for language, code in _FENCE.findall(answer)]
    else:
        found = [("", answer)] if _BEGINS_AS_PYTHON.match(answer) else []
    if any(not language for language, _ in found) and _ASKS_PYTHON.search(question):
        found = [(language or "python", code) for language, code in found]
    named = [("python" if language in _PYTHON else language, code) for language, code in found if language]
    return [(language, code) for language, code in named if language != "python" or not _TRANSCRIPT.match(code)]


def python_blocks(question: str, answer: str) -> list[str]:
    """Returns the blocks of Python in an answer."""
    return [code for language, code in code_blocks(question, answer) if language == "python"]
