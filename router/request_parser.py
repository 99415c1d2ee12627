"""The parser of requests, llhttp, and what it leaves to be done: addresses, and requests for another protocol."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import unquote

import httptools

from .asgi import Headers


def make_parser(reader: object) -> httptools.HttpRequestParser:
    """Returns a parser, which calls the methods `on_...` of its reader."""
    parser = httptools.HttpRequestParser(reader)
    # What comes behind a request that says `connection: close` is not read, and no reason to refuse that one.
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


def asks_for_upgrade(parser: httptools.HttpRequestParser) -> bool:
    """Returns whether the request would go on in another protocol; not whether it asks for a tunnel."""
    return parser.should_upgrade() and parser.get_method() != b"CONNECT"


def without_upgrade(parser: httptools.HttpRequestParser, url: bytes, headers: Headers) -> bytes:
    """Returns the head of a request as if it did not ask for an upgrade, for a new parser: the one that has read it
    would pass over its body. Java's client asks so with every request.
    """
    lines = [b"%b %b HTTP/%b" % (parser.get_method(), url, parser.get_http_version().encode())]
    lines += [b"%b: %b" % header for header in headers if header[0] != b"upgrade"]
    return b"\r\n".join(lines) + b"\r\n\r\n"


@lru_cache(maxsize=64)
def parts_of(url: bytes) -> tuple[str, bytes, bytes]:
    """Returns the path of an address, as it is meant and as it was written, and what stands behind its question mark.

    >>> parts_of(b"/v1/models/a%20b?after=1")
    ('/v1/models/a b', b'/v1/models/a%20b', b'after=1')
    """
    parsed = httptools.parse_url(url)
    return unquote(parsed.path.decode("ascii")), parsed.path, parsed.query or b""
