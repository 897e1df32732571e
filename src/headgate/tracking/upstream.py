"""Requests to the child, over its Unix socket. Bodies stream both ways; nothing is held whole.

Used by `api.tracking`. httpx is imported with the first request: an installation that never tracks never loads it.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from headgate import errors
from headgate.tracking.child import PREFIX, Child

if TYPE_CHECKING:
    import httpx

Header = tuple[bytes, bytes]

_CONNECTIONS = 64
_CONNECT_S = 5.0
_WAIT_FOR_CONNECTION_S = 30.0
_IDLE_S = 30.0
_PATH_SAFE = "/:@!$&'()*+,;=-._~"
_AWAY = "The tracking server went away while it worked on this request. Try again."
_SOON = {"retry-after": "1"}
# Of one connection (RFC 9110), of the way between two hosts, or ours to say.
_NOT_FORWARDED = frozenset(
    {b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer", b"transfer-encoding",
     b"upgrade", b"host", b"content-length", b"authorization", b"cookie", b"set-cookie", b"origin", b"referer", b"expect",
     b"accept-encoding", b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-prefix",
     b"x-mlflow-workspace", b"x-script-name", b"date", b"server"}
)  # fmt: skip


class _NotBegun(errors.TemporarilyUnavailable):
    """The request can be sent again: it did not arrive, or changes nothing."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for the child."""

    method: str
    path: str
    """As on our host, below `PREFIX` or not."""
    query: bytes = b""
    headers: Sequence[Header] = ()
    body: bytes | AsyncIterator[bytes] = b""
    waits: bool = True
    """Whether it may wait for the child to start; InvalidState is raised otherwise."""


@dataclass(slots=True)
class Answered:
    """What came back. Read `pieces` to the end, or `close`."""

    status: int
    headers: list[Header]
    _response: httpx.Response

    @property
    def length(self) -> bytes | None:
        """Of the body, if the child said so."""
        return dict(self._response.headers.raw).get(b"content-length")

    def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes."""
        return self._response.aiter_raw()

    async def read(self) -> bytes:
        """The whole body; for answers that are known to be small."""
        return await self._response.aread()

    async def close(self) -> None:
        """Gives the connection back."""
        await self._response.aclose()


@dataclass(slots=True)
class Upstream:
    """The child as something to ask."""

    child: Child
    deadline_s: float
    """Most time between two pieces of an answer."""
    _client: httpx.AsyncClient | None = None

    async def ask(self, asked: Asked) -> Answered:
        """The child's answer to one request. Raises TemporarilyUnavailable, DeadlineExceeded, InvalidState."""
        await self._ready(asked)
        try:
            return await self._send(asked)
        except _NotBegun:
            # It died since it was last asked.
            await self._ready(asked)
            return await self._send(asked)

    async def close(self) -> None:
        """Ends all connections."""
        await self.child.close()
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _ready(self, asked: Asked) -> None:
        if asked.waits:
            await self.child.ensure()
        elif not await self.child.is_up():
            raise errors.InvalidState("The tracking server is starting.")

    async def _send(self, asked: Asked) -> Answered:
        import httpx

        client = self._connected()
        path = asked.path if asked.path.startswith(PREFIX) else PREFIX + asked.path
        target = quote(path, safe=_PATH_SAFE).encode() + (b"?" + asked.query if asked.query else b"")
        url = httpx.URL("http://localhost").copy_with(raw_path=target)
        content = asked.body if asked.body or not isinstance(asked.body, bytes) else None
        headers = [*forwarded(asked.headers), (b"accept-encoding", b"identity")]
        try:
            request = client.build_request(asked.method, url, headers=headers, content=content)
            response = await client.send(request, stream=True)
        except httpx.TimeoutException as error:
            raise errors.DeadlineExceeded("The tracking server did not answer in time. Try again.") from error
        except httpx.ConnectError as error:
            self.child.failed()
            raise _NotBegun(_AWAY, headers=_SOON) from error
        except httpx.TransportError as error:
            self.child.failed()
            # What only looks may be asked twice; whether anything else was done before it died, nobody knows.
            kind = _NotBegun if asked.method in ("GET", "HEAD") else errors.TemporarilyUnavailable
            raise kind(_AWAY, headers=_SOON) from error
        return Answered(response.status_code, forwarded(response.headers.raw), response)

    def _connected(self) -> httpx.AsyncClient:
        if self._client is None:
            import httpx

            logging.getLogger("httpx").setLevel(logging.WARNING)  # else it tells of every request
            limits = httpx.Limits(
                max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS, keepalive_expiry=_IDLE_S
            )
            self._client = httpx.AsyncClient(
                transport=httpx.AsyncHTTPTransport(uds=str(self.child.socket), limits=limits),
                timeout=httpx.Timeout(self.deadline_s, connect=_CONNECT_S, pool=_WAIT_FOR_CONNECTION_S),
                follow_redirects=False,
                trust_env=False,
            )
        return self._client


def forwarded(headers: Sequence[Header] | Mapping[bytes, bytes]) -> list[Header]:
    """The headers that go on to the other side, names in lower case."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    lowered = [(name.lower(), value) for name, value in pairs]
    # What the connection header names is of that connection, too.
    named = {part.strip().lower() for name, value in lowered if name == b"connection" for part in value.split(b",")}
    return [(name, value) for name, value in lowered if name not in _NOT_FORWARDED and name not in named]
