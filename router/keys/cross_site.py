"""Keeping web pages out of a sidecar that asks for no key.

A browser sends what any page tells it to to any address, this machine's own too; that the page may not read the reply
saves no money. And a name of the page's own can be made to point here (DNS rebinding): then the browser takes the
sidecar for a part of the page's site, and only `Host` still shows the name.
"""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlsplit

from ..asgi import Scope
from ..http_error import HttpError
from ..loopback import is_local, is_loopback

_TELLING = frozenset((b"host", b"origin", b"sec-fetch-site"))


def refuse_cross_site(scope: Scope) -> None:
    """Returns nothing where a request can be of this machine's own programs and pages.

    `Host` is judged only where the connection ends at a loopback address: others are reached by names of their own.

    Raises:
        HttpError: a browser sent it for a page from elsewhere, or to a name that is not this machine's.
    """
    server = scope.get("server")
    is_local = server is not None and is_loopback(str(server[0]))
    for name, value in scope["headers"]:
        if name not in _TELLING:
            continue
        text = value.decode("latin-1").strip()
        if name == b"sec-fetch-site" and text == "cross-site":
            raise _refusal("sec-fetch-site: cross-site")
        if name == b"origin" and not _names_loopback(text):
            raise _refusal(f"origin: {text:.80}")
        if name == b"host" and is_local and not _names_loopback(f"//{text}"):
            raise _refusal(f"host: {text:.80}")


def refuse_from_afar(scope: Scope) -> None:
    """Returns nothing where a request is of this machine's own programs and pages, and comes from this machine.

    Raises:
        HttpError: it comes from elsewhere, or for a page from elsewhere.
    """
    if not is_local(scope):
        raise HttpError(403, "without API keys, this is told to this very machine only", code="not_local")
    refuse_cross_site(scope)


@lru_cache(maxsize=64)
def _names_loopback(address: str) -> bool:
    try:
        return is_loopback(urlsplit(address).hostname or "")
    except ValueError:  # brackets that do not close
        return False


def _refusal(header: str) -> HttpError:
    message = f"without API keys, only programs and pages of this machine may ask; the request says {header!r}"
    return HttpError(403, message, code="cross_site")
