"""Keeping secrets, and what would spoil a log, out of words that others have written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import parse_qsl, urlsplit

MIN_SECRET_CHARS = 4  # shorter "keys" are placeholders, and hiding them would garble every message
_MIN_QUERY_CHARS = 16  # of an address: no key is shorter, and most other values are

_TOKEN = re.compile(r"\b(Bearer\s+|sk-)[\w.~+/=*-]{8,}", re.IGNORECASE)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def redact(text: str, secrets: Sequence[str]) -> str:
    """Returns `text` without the secrets, however they are escaped, and without whatever else looks like a key.

    >>> redact("bad key my-secret, sent as Bearer abcdefgh1234", ["my-secret"])
    'bad key ***, sent as Bearer ***'
    """
    for secret in secrets:
        if len(secret) >= MIN_SECRET_CHARS:
            text = _written(secret).sub("***", text)
    return _TOKEN.sub(r"\1***", text)


def secrets_in(url: str) -> list[str]:
    """Returns the values in the query of an address that may be keys.

    >>> secrets_in("https://example.com/v1?key=0123456789abcdef&api-version=2024-10-01-preview")
    ['0123456789abcdef']
    """
    pairs = parse_qsl(urlsplit(url).query)
    return [value for name, value in pairs if len(value) >= _MIN_QUERY_CHARS and "version" not in name.lower()]


def one_line(text: str) -> str:
    """Returns a text in one line, without signs that would move a terminal's cursor.

    >>> one_line("no\\n \\x1b[31mway")
    'no [31mway'
    """
    return " ".join(_CONTROLS.sub(" ", text).split())


@lru_cache(maxsize=256)
def _written(secret: str) -> re.Pattern[str]:
    """Returns what finds a secret as it is, and as JSON, an address or HTML may put it."""
    return re.compile("".join(sign if sign.isalnum() else _escaped(sign) for sign in secret))


def _escaped(sign: str) -> str:
    """Returns what finds a sign as such, behind backslashes (JSON may stand in JSON), or by its number."""
    plain, number = re.escape(sign), ord(sign)
    return rf"(?:(?i:%{number:02x}|\\{{1,2}}u{number:04x}|&#(?:{number}|x{number:x});|&[a-z]+;)|\\{{0,3}}{plain})"
