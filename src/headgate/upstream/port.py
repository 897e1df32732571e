"""What the gateway asks of the room `upstream`: one request to a vendor, its answer in pieces. Knows no vendor, no dialect, no database."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

CONNECT = "connect"
"""No connection could be made: the vendor has not seen the request."""
TIMEOUT = "timeout"
LOST = "lost"
"""The connection broke before the answer was complete."""
GARBAGE = "garbage"
"""What came is no HTTP, or too long."""
FORBIDDEN = "forbidden"
"""The address may not be reached; see `domain.outbound`."""
BUSY = "busy"
"""The provider's connections are in use and its queue is full."""


class UpstreamFailed(Exception):
    """No (complete) answer came. `kind`: one of the above. `message` is fit for clients: it shows no secret and no address of ours."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class Abandoned(asyncio.CancelledError):
    """Cancelled once the request was on its way: the vendor may have worked on it. Other cancellations say that it has not seen it."""


class Sending(Protocol):
    """A request as it is to be sent; `providers.port.Outgoing` is one. Its URL is sent as it stands: it may be signed."""

    @property
    def method(self) -> str: ...

    @property
    def url(self) -> str: ...

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]: ...

    @property
    def body(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Patience:
    """How long, in seconds, one request waits for what. `first_byte_s` begins when it is sent, `total_s` when it is asked for."""

    connect_s: float
    first_byte_s: float
    idle_s: float
    total_s: float

    def overdue(self) -> str:
        """What is said once `total_s` is over."""
        return f"The provider did not finish within {self.total_s:g} s."


@dataclass(frozen=True, slots=True)
class Lane:
    """On whose account a request goes: requests of one lane share connections and a queue, and hold up nobody of another (a bulkhead)."""

    name: str
    """The provider's name, and its host where its owner chose that."""
    patience: Patience
    metadata_service: bool = False
    """Whether it may go to the cloud's metadata service, which is otherwise forbidden: only for an instance profile's credentials."""


class Response(Protocol):
    """The head of an answer is there. Either all of it is read (`body`, or `chunk` until it is empty) or `close` drops the connection."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[bytes, bytes]:
        """Lower-case names; of several of a name the last."""
        ...

    @property
    def complete(self) -> bool:
        """Whether all of it is here, taken or not."""
        ...

    async def body(self) -> bytes:
        """All of it, at most the setting `providers.answer_bytes`. Raises UpstreamFailed."""
        ...

    async def chunk(self) -> bytes:
        """What has come since, as soon as there is anything; empty at the end of a complete answer. Raises UpstreamFailed."""
        ...

    def close(self) -> None:
        """Nobody reads on. Does nothing once everything was read."""
        ...


class Upstream(Protocol):
    """One per server process."""

    async def send(self, sending: Sending, lane: Lane) -> Response:
        """The answer once its head is there, whatever its status; redirects are not followed. Raises UpstreamFailed, Abandoned."""
        ...

    async def close(self) -> None:
        """Drops all connections."""
        ...
