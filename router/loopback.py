"""Which addresses nobody but this machine can reach."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from .asgi import Scope


@lru_cache(maxsize=64)  # the same few addresses, again and again
def is_loopback(host: str) -> bool:
    """Returns whether a host, by name or address, is this very machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, or the path of a Unix socket
        return host.lower() == "localhost"


def is_local(scope: Scope) -> bool:
    """Returns whether both ends of a request's connection are on this very machine."""
    ends = (scope.get("client"), scope.get("server"))
    return all(end is not None and is_loopback(str(end[0])) for end in ends)
