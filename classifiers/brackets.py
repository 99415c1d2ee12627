"""Whether brackets, strings and comments of a piece of code are closed: what a slip or a cut leaves open."""

from __future__ import annotations

import re

_BLOCK = r"/\*(?:.*?\*/|(?P<open>))"
_COMMENT = rf"//[^\n]*|{_BLOCK}"
_STRING = r'"""(?:.*?""")|"(?:\\.|[^"\\\n])*+"'
# A lone quote is an apostrophe, or a lifetime in Rust.
_SIGN = r"'(?:\\[^\n']{1,10}|[^'\\\n])'"
# What is put into a template may hold templates.
_TEMPLATE = r"`(?:\\.|\$\{(?:[^{}]|\{[^{}]*+\})*+\}|[^`\\])*+`"
_TEXT = rf"'(?:\\.|[^'\\\n])*+'|{_TEMPLATE}"
_PATTERN = (
    r"(?:(?<=[(,=:\[!&|?{};>])|(?<=\breturn))[ \t]{0,9}/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n]){0,40}\]|[^/\\\n\[]){1,80}/"
)
_BRACKET = r"(?P<bracket>[()\[\]{}])"


def _reader(*parts: str) -> re.Pattern[str]:
    return re.compile("|".join((r"\\.", *parts, _BRACKET)), re.DOTALL)


_READERS = {
    "c": _reader(_COMMENT, _STRING, _SIGN, r"`[^`]*`"),
    "script": _reader(_COMMENT, _PATTERN, _STRING, _TEXT),
    "php": _reader(_COMMENT, r"#(?!\[)[^\n]*", _STRING, _TEXT),
    "style": _reader(_BLOCK, _STRING, _TEXT),
    "sql": _reader(r"--[^\n]*", _BLOCK, r"'[^']*'", r'"[^"]*"', r"`[^`]*`"),
}
_LANGUAGES = {
    **dict.fromkeys(("c", "cpp", "c++", "h", "cs", "csharp", "c#", "java", "go", "golang", "rust", "rs"), "c"),
    **dict.fromkeys(("kotlin", "kt", "scala", "swift"), "c"),
    **dict.fromkeys(("javascript", "js", "typescript", "ts", "dart"), "script"),
    "php": "php",
    **dict.fromkeys(("css", "scss", "less"), "style"),
    **dict.fromkeys(("sql", "mysql", "postgresql", "postgres", "sqlite", "plsql", "tsql"), "sql"),
}
_CLOSING = {")": "(", "]": "[", "}": "{"}


def is_balanced(language: str, code: str) -> bool | None:
    """Returns whether every bracket and comment is closed, in the right order; None for a language not known here.

    >>> is_balanced("js", "f('(', [1, 2]) // )"), is_balanced("js", "f(["), is_balanced("cobol", "(")
    (True, False, None)
    """
    kind = _LANGUAGES.get(language)
    if kind is None:
        return None
    opened: list[str] = []
    for found in _READERS[kind].finditer(code):
        if found["open"] is not None:
            return False
        sign = found["bracket"]
        if sign in _CLOSING:
            if not opened or opened.pop() != _CLOSING[sign]:
                return False
        elif sign:
            opened.append(sign)
    return not opened
