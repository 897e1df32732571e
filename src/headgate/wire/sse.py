"""Server-sent events: read from vendors whatever way they frame them, written with `data:` lines only.

Asked by the vendors' stream readers and the gateway. MLflow's client raises on any other line (`event:`, `id:`, a comment), so none is
ever written.
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from headgate.errors import HeadgateError

DONE = b"data: [DONE]\n\n"
MOST_BYTES = 16 * 1024 * 1024
"""Of one event; what is longer is not one."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its data with the lines joined, and its name where the vendor gives one."""

    data: bytes
    name: bytes = b""


class NotEvents(Exception):
    """What came cannot be events: more bytes than an event may have, and no end of it."""


class Splitter:
    """Bytes in, in pieces of any length, whole events out. LF, CRLF and CR end lines; comments and events without data are dropped."""

    __slots__ = ("_carriage_return", "_held", "_looked_at")

    def __init__(self) -> None:
        self._held = bytearray()
        self._looked_at = 0
        self._carriage_return = False

    @property
    def holds(self) -> bool:
        """Whether a part has come of an event that is not whole yet."""
        return bool(self._held)

    def feed(self, chunk: bytes) -> list[Event]:
        """The events this chunk completes. Raises NotEvents."""
        if b"\r" in chunk or self._carriage_return:
            chunk = self._with_line_feeds(chunk)
        self._held += chunk
        end = self._held.rfind(b"\n\n", self._looked_at)
        if end < 0:
            # The last byte may be half of an end.
            self._looked_at = max(0, len(self._held) - 1)
            if len(self._held) > MOST_BYTES:
                raise NotEvents(f"more than {MOST_BYTES} bytes without the end of an event")
            return []
        whole = bytes(self._held[:end])
        del self._held[: end + 2]
        self._looked_at = 0
        return [event for block in whole.split(b"\n\n") if (event := _event(block)) is not None]

    def end(self) -> list[Event]:
        """The stream is over: an event that no empty line ended, so one that may be cut off."""
        event = _event(bytes(self._held))
        self._held, self._looked_at = bytearray(), 0
        return [event] if event is not None else []

    def _with_line_feeds(self, chunk: bytes) -> bytes:
        """CRLF and CR are LF; of a CRLF cut in two the LF is dropped."""
        if self._carriage_return and chunk.startswith(b"\n"):
            chunk = chunk[1:]
            if not chunk:
                self._carriage_return = False
                return chunk
        self._carriage_return = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _event(block: bytes) -> Event | None:
    data: list[bytes] = []
    name = b""
    for line in block.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return Event(b"\n".join(data), name) if data else None


def event(payload: bytes) -> bytes:
    """One event with this JSON. Line feeds in it, where a vendor wrote several `data:` lines, mean no more than spaces; clients read line by line."""
    return b"data: " + payload.replace(b"\n", b" ") + b"\n\n"


def error_event(error: HeadgateError) -> bytes:
    """The last event of a stream that failed after it began; no `[DONE]` follows it.

    OpenAI's clients raise on `error`, everything else knows `error_code` and `message`.
    """
    said = {
        **error.body(),
        "error": {"message": error.message, "type": error.error_code.lower(), "code": error.error_code},
    }
    return event(orjson.dumps(said))
