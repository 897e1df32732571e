"""Bodies that come compressed although we ask for none. Called by `connection`; bounded, since a vendor is not trusted."""

from __future__ import annotations

import zlib

GROWS = 32
"""A body becomes so many times as long, and AT_ONCE_BYTES at once where less came of it before. Text becomes four times as long, a bomb a thousand
times; unpacking happens on the event loop, where everybody else waits."""
AT_ONCE_BYTES = 1024 * 1024


class Unreadable(Exception):
    """The body is not what its head says, or swells beyond the bound."""


class Decoder:
    """One compressed body, piece by piece."""

    __slots__ = ("_encoding", "_room", "_stream", "fed")

    def __init__(self, encoding: bytes) -> None:
        """Raises Unreadable for an encoding nobody asked for."""
        if encoding not in (b"gzip", b"x-gzip", b"deflate"):
            raise Unreadable
        self._stream = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib, as its first bytes say
        self._room = AT_ONCE_BYTES
        self._encoding = encoding
        self.fed = False
        """Whether there was any of it."""

    def feed(self, piece: bytes) -> bytes:
        """What can be read now; may be empty. Raises Unreadable."""
        if not self.fed and self._encoding == b"deflate" and piece[0] & 0x0F != 8:
            self._stream = zlib.decompressobj(-zlib.MAX_WBITS)  # some servers leave the zlib header away
        self.fed = True
        try:
            room = min(self._room, AT_ONCE_BYTES) + GROWS * len(piece)
            out = self._stream.decompress(piece, room)
        except zlib.error:
            raise Unreadable from None
        self._room = room - len(out)
        if self._stream.unconsumed_tail or self._stream.unused_data:
            raise Unreadable
        return out

    @property
    def complete(self) -> bool:
        """Whether the compressed body had its end."""
        return self._stream.eof
