"""AWS's binary event stream (`application/vnd.amazon.eventstream`): bytes in pieces of any length, whole messages out, every checksum checked.

A message is: total length, length of the headers, checksum of these two (4 bytes each); headers; payload; checksum of all before it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from zlib import crc32

_PRELUDE_BYTES = 12
_LEAST_BYTES = 16
MOST_BYTES = 24 * 1024 * 1024
"""Of one message; what claims to be longer is garbage."""

_FIXED_BYTES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Of a header's value, by its type; types 6 (bytes) and 7 (text) carry their length."""
_TEXT = 7


class Garbled(Exception):
    """These bytes are no event stream, or were changed on their way. The message says what does not hold."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `headers`: those of type text, which is all that Bedrock sends."""

    headers: Mapping[str, str]
    payload: bytes


class Decoder:
    """Keeps what is not a whole message yet. After Garbled it is of no more use: the stream's boundaries are lost."""

    __slots__ = ("_held", "_needed")

    def __init__(self) -> None:
        self._held = bytearray()
        self._needed = _PRELUDE_BYTES

    @property
    def held_bytes(self) -> int:
        """How much of a message has come that is not whole."""
        return len(self._held)

    def feed(self, chunk: bytes) -> list[Message]:
        """The messages this chunk completes. Raises Garbled; messages before the fault in the same chunk are lost with it."""
        self._held += chunk
        found: list[Message] = []
        while len(self._held) >= self._needed:
            if self._needed == _PRELUDE_BYTES:
                self._needed = _total_bytes(self._held)
                continue
            found.append(_message(bytes(self._held[: self._needed])))
            del self._held[: self._needed]
            self._needed = _PRELUDE_BYTES
        return found


def _total_bytes(prelude: bytearray) -> int:
    total, headers, checksum = struct.unpack_from(">III", prelude)
    if crc32(prelude[:8]) != checksum:
        raise Garbled("the checksum of a message's beginning does not hold")
    if not _LEAST_BYTES + headers <= total <= MOST_BYTES:
        raise Garbled(f"a message of {total} bytes with {headers} bytes of headers cannot be")
    return int(total)


def _message(whole: bytes) -> Message:
    headers_end = _PRELUDE_BYTES + struct.unpack_from(">I", whole, 4)[0]
    if crc32(whole[:-4]) != struct.unpack(">I", whole[-4:])[0]:
        raise Garbled("the checksum of a message does not hold")
    return Message(_headers(whole[_PRELUDE_BYTES:headers_end]), whole[headers_end:-4])


def _headers(block: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    at = 0
    try:
        while at < len(block):
            name, at = _counted(block, at, 1)
            kind = block[at]
            at += 1
            if kind in _FIXED_BYTES:
                at += _FIXED_BYTES[kind]
            elif kind in (6, _TEXT):
                value, at = _counted(block, at, 2)
                if kind == _TEXT:
                    headers[name.decode()] = value.decode()
            else:
                raise Garbled(f"a header of unknown type {kind}")
    except (IndexError, UnicodeDecodeError) as error:
        raise Garbled("the headers of a message cannot be read") from error
    if at != len(block):
        raise Garbled("the headers of a message end in the middle of one")
    return headers


def _counted(block: bytes, at: int, length_bytes: int) -> tuple[bytes, int]:
    """Bytes that begin with how many they are, and where they end."""
    begin = at + length_bytes
    end = begin + int.from_bytes(block[at:begin], "big")
    if end > len(block):
        raise IndexError(end)
    return block[begin:end], end
