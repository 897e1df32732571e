"""A transport for `http` under which head and body of an answer, and several answers of one turn, are one system call."""

from __future__ import annotations

import asyncio
from typing import Any


class OneWriteTransport:
    """A transport that keeps what is written until the end of the turn. Everything else is the real one's."""

    __slots__ = ("_loop", "_out", "_transport", "get_extra_info", "is_closing", "pause_reading", "resume_reading")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._out: list[bytes] = []
        self.get_extra_info = transport.get_extra_info
        self.is_closing = transport.is_closing
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading

    def write(self, data: bytes) -> None:
        """Later in this turn."""
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(data)

    def write_now(self, data: bytes) -> None:
        """At once, after what was written before."""
        if self._out:
            self._out.append(data)
        elif not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Everything written before goes out first."""
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _flush(self) -> None:
        out, self._out = self._out, []
        # uvloop's transports raise on write once the client has gone.
        if out and not self._transport.is_closing():
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))
