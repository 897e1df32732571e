"""One request to the child and its answer back, as a Starlette response. Called by the families of this folder."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.background import BackgroundTask

from headgate import errors
from headgate.tracking import child, rewriting
from headgate.tracking.upstream import Answered, Asked, Upstream

_LOOK_S = 2.0
_OFF = "Experiment tracking is switched off on this server (setting `tracking.start`)."


@dataclass(frozen=True, slots=True)
class Tracking:
    """What the families of this folder are made from."""

    upstream: Upstream
    enabled: bool = True
    always: bool = False
    """Whether the child runs from the start on, rather than from the first request on."""
    body_bytes: int = 16 * 1024**2
    """Longest request body, artifacts aside."""
    unavailable: Callable[[], str] = child.unavailable
    """Why tracking cannot work here; empty when it can."""

    def require(self) -> None:
        """Raises NotSupported when this server does no tracking."""
        problem = self.unavailable() if self.enabled else _OFF
        if problem:
            raise errors.NotSupported(problem)

    @contextlib.asynccontextmanager
    async def lifespan(self, _app: object) -> AsyncIterator[None]:
        """Around the life of the application: with `always`, keeps the child running."""
        keeping = asyncio.create_task(self._keep()) if self.always and not self.unavailable() else None
        try:
            yield
        finally:
            if keeping is not None:
                keeping.cancel()
                await asyncio.gather(keeping, return_exceptions=True)
            await self.upstream.close()

    async def _keep(self) -> None:
        while True:
            with contextlib.suppress(errors.HeadgateError):  # it is in the log, and tried again
                await self.upstream.child.look()
            await asyncio.sleep(_LOOK_S)

    async def ask(self, asked: Asked) -> Answered:
        """The child's answer. Raises NotSupported, TemporarilyUnavailable, DeadlineExceeded."""
        self.require()
        return await self.upstream.ask(asked)

    async def forward(self, request: Request, path: str, body: bytes, *, waits: bool = True) -> Response:
        """Sends the request on to `path` with that body; the answer as it comes. `waits`: see `Asked`."""
        proxied = rewriting.wants_proxied(request.headers.get("user-agent", ""))
        sent = rewriting.from_proxied(body) if proxied else body
        query = request.scope["query_string"]
        answered = await self.ask(Asked(request.method, path, query, request.scope["headers"], sent, waits))
        return streamed(answered, proxied=proxied and _is_json(answered))


async def body_of(request: Request, most_bytes: int) -> bytes:
    """The whole body. Raises InvalidParameterValue when it is too long."""
    held = bytearray()
    async for piece in request.stream():
        held += piece
        if len(held) > most_bytes:
            raise errors.InvalidParameterValue(f"The request body is longer than the {most_bytes} bytes allowed.")
    return bytes(held)


def streamed(answered: Answered, *, proxied: bool = False) -> Response:
    """The answer piece by piece; `proxied`: with artifact locations for clients of `http://…`."""
    pieces: AsyncIterator[bytes] = answered.pieces()
    if proxied:
        pieces = rewriting.to_proxied(pieces)
    response = StreamingResponse(pieces, answered.status, background=BackgroundTask(answered.close))
    response.raw_headers = [*answered.headers]
    if answered.length is not None and not proxied:
        response.raw_headers.append((b"content-length", answered.length))
    return response


def _is_json(answered: Answered) -> bool:
    return any(name == b"content-type" and value.startswith(b"application/json") for name, value in answered.headers)
