"""Which heads of requests are for `direct`, and the memory of those that came before. Asked by `http`; parses no HTTP.

A client sends the same head again and again. What httptools made of one is remembered by its bytes, so that it need not be
parsed again when the very same come at the beginning of a message.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from headgate import errors
from headgate.gateway import paths
from headgate.gateway.call import Head

_REMEMBERED = 1024
_REMEMBERED_BYTES = 4096
"""Longer heads are not remembered."""

_ELSEWHERE = frozenset((b"transfer-encoding", b"expect", b"upgrade"))
"""What needs more than a body of known length that is already on its way."""


class Parser(Protocol):
    """What is asked of httptools' parser of requests."""

    def get_http_version(self) -> str: ...

    def get_method(self) -> bytes: ...

    def should_keep_alive(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class KnownHead:
    """A head as the parser told it."""

    head: Head
    url: bytes
    fields: list[tuple[bytes, bytes]]
    keep_alive: bool
    body_bytes: int


class Heads:
    """See the module."""

    def __init__(self, prefix: str) -> None:
        """`prefix` is `Routes.prefix`."""
        self._prefix = prefix
        self.known: dict[bytes, KnownHead] = {}
        """By their bytes."""

    def read(self, url: bytes, fields: list[tuple[bytes, bytes]], parser: Parser) -> KnownHead | None:
        """The head that was just parsed; None when the request is not for `direct`."""
        target = _target(url, self._prefix)
        if target is None or parser.get_method() != b"POST" or parser.get_http_version() != "1.1":
            return None
        headers = paths.headers_of(fields)
        length = headers.get(b"content-length", b"0")
        if not _ELSEWHERE.isdisjoint(headers) or not length.isdigit():
            return None
        head = paths.head("POST", url.partition(b"?")[0].decode("ascii"), target, headers)
        return KnownHead(head, url, fields, parser.should_keep_alive(), int(length))

    def remember(self, content: bytes, known: KnownHead) -> None:
        """These bytes, all of a head and nothing else, were parsed as this."""
        if len(content) <= _REMEMBERED_BYTES:
            if len(self.known) >= _REMEMBERED:
                self.known.clear()
            self.known[content] = known


@lru_cache(maxsize=1024)
def _target(url: bytes, prefix: str) -> paths.Target | None:
    """None for what is not a plain path that requests for models are posted to."""
    if b"#" in url or not url.isascii():
        return None
    path = paths.within_workspace(url.partition(b"?")[0].decode("ascii"), prefix)
    if not path.startswith((paths.ORDINARY, paths.GATEWAY)) or "%" in path:
        return None
    try:
        return paths.target("POST", path)
    except errors.HeadgateError:
        return None
