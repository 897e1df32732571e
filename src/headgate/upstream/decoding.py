"""Bodies that come compressed although we ask for none. Called by `connection`; bounded, since a vendor is not trusted."""

from __future__ import annotations

import zlib


class Unreadable(Exception):
    """The body is not what its head says, or swells beyond the bound."""


class Decoder:
    """One compressed body, piece by piece."""

    __slots__ = ("_encoding", "_most_bytes", "_stream", "fed")

    def __init__(self, encoding: bytes, most_bytes: int) -> None:
        """`most_bytes`: that one piece may become. Raises Unreadable for an encoding nobody asked for."""
        if encoding not in (b"gzip", b"x-gzip", b"deflate"):
            raise Unreadable
        self._stream = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib, as its first bytes say
        self._most_bytes = most_bytes
        self._encoding = encoding
        self.fed = False
        """Whether there was any of it."""

    def feed(self, piece: bytes) -> bytes:
        """What can be read now; may be empty. Raises Unreadable."""
        if not self.fed and self._encoding == b"deflate" and piece[0] & 0x0F != 8:
            self._stream = zlib.decompressobj(-zlib.MAX_WBITS)  # some servers leave the zlib header away
        self.fed = True
        try:
            out = self._stream.decompress(piece, self._most_bytes)
        except zlib.error:
            raise Unreadable from None
        if self._stream.unconsumed_tail or self._stream.unused_data:
            raise Unreadable
        return out

    @property
    def complete(self) -> bool:
        """Whether the compressed body had its end."""
        return self._stream.eof
