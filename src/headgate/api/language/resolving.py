"""The addresses that a URL's host has, as far as this machine can say. Blocks for as long as the resolver takes."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit


def addresses(url: str) -> list[str]:
    """As text; empty when the name is not known here or cannot be asked for now."""
    parts = urlsplit(url)
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return list(dict.fromkeys(str(one[4][0]) for one in found))
