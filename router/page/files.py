"""The files of the page, as they are sent: from the package, nothing from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..asgi import Headers
from ..http_error import HttpError

FILES = "/page"
_FOLDER = Path(__file__).parent / "assets"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
# The browser is to run and load what comes from here and nothing else, and to write no text as HTML: a query, an answer
# or the name of a backend cannot become code.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS: Headers = (
    (b"cache-control", b"no-cache"),
    (b"content-security-policy", _POLICY.encode()),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFile:
    """One file of the page."""

    content: bytes
    content_type: bytes
    headers: Headers = _HEADERS


def page_file(path: str) -> PageFile:
    """Returns the file at a path of the sidecar: the page itself at `/`, the others below `/page/`.

    Raises:
        HttpError: there is none.
    """
    files = _files()
    name = "index.html" if path == "/" else path.removeprefix(f"{FILES}/")
    if name not in files:
        raise HttpError(404, f"no such file of the page; expected {FILES}/ and one of {', '.join(files)}")
    return files[name]


@cache
def _files() -> dict[str, PageFile]:
    """Returns every file, by name. Only what is in the folder can be had, whatever a path says."""
    return {
        path.name: PageFile(content=path.read_bytes(), content_type=f"{_TYPES[path.suffix]}; charset=utf-8".encode())
        for path in sorted(_FOLDER.iterdir())
        if path.suffix in _TYPES
    }
