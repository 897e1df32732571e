"""What the gateway asks of a client's dialect. `stages.parse` puts one into calls; `choosing.of(call)` gives it to those after.

Pure: bytes in, bytes out. Vendors' dialects are the adapters' business (`providers`), not known here.
"""

from __future__ import annotations

from typing import Protocol

from headgate.errors import HeadgateError
from headgate.gateway.call import Call
from headgate.providers.capabilities import Capabilities

JSON = b"application/json"
EVENTS = b"text/event-stream; charset=utf-8"
"""Of answers and streams in every dialect. Without a charset `requests` takes text for Latin-1."""


class StreamWriter(Protocol):
    """One stream on its way to the client."""

    def feed(self, events: list[bytes]) -> list[bytes]:
        """What a vendor's reader, or a guarded stream, returned (events of the middle language), as the client reads it. One piece may hold several."""
        ...

    def failed(self, error: HeadgateError) -> bytes:
        """The last event of a stream that failed after it began; nothing may follow."""
        ...


class Dialect(Protocol):
    """Holds no state: one serves all requests."""

    @property
    def native(self) -> frozenset[str]:
        """Providers (`ExternalModel.provider`) that get the client's bytes and whose bytes are the client's answer: `providers.anthropic.passing`
        is asked instead of the adapter, and nothing of this dialect but `stream().failed`."""
        ...

    @property
    def api(self) -> str:
        """Of APIS: what a replica of ours is asked in its place; empty: what the client asked."""
        ...

    def includes_usage(self, call: Call) -> bool:
        """Whether the stream is to have the last chunk that says what was used: `Provider.stream`'s argument."""
        ...

    def request(self, call: Call, capabilities: Capabilities) -> bytes:
        """`call.body` in the middle language, for a vendor of these capabilities; asked once per attempt.

        Raises InvalidParameterValue naming what cannot be said there, MalformedRequest for what is no JSON object.
        """
        ...

    def answer(self, body: bytes) -> bytes:
        """A whole answer of the middle language as the client reads it."""
        ...

    def stream(self) -> StreamWriter:
        """A writer for one stream."""
        ...
