"""Which addresses nobody but this machine can reach."""

from __future__ import annotations

import ipaddress


def is_loopback(host: str) -> bool:
    """Returns whether a host, by name or address, is this very machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, or the path of a Unix socket
        return host.lower() == "localhost"
