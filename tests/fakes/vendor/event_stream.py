"""AWS's binary event stream, as a vendor writes it."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from zlib import crc32


def message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message with text headers."""
    block = b"".join(_header(name.encode(), value.encode()) for name, value in headers.items())
    start = struct.pack(">II", 16 + len(block) + len(payload), len(block))
    whole = start + struct.pack(">I", crc32(start)) + block + payload
    return whole + struct.pack(">I", crc32(whole))


def _header(name: bytes, value: bytes) -> bytes:
    return bytes([len(name)]) + name + b"\x07" + struct.pack(">H", len(value)) + value
