"""The general door of the data plane: HTTP in, one `Call`, one `Reply`, HTTP out. Raw ASGI; nothing of a body is parsed.

`paths` says what there is. Takes any request, one task each, also from the middle of its way, where `direct` could not go on. The one place where the
gateway's errors become HTTP.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

import orjson

from headgate import errors
from headgate.access.attempts import Attempts
from headgate.access.principals import Principal
from headgate.clock import Clock, within
from headgate.gateway import paths
from headgate.gateway.call import Call, Head, Headers, Reply, Whole
from headgate.gateway.exchanges import Answer, Exchange
from headgate.gateway.pipeline import Pipeline
from headgate.gateway.refusals import Note, Refusals, unheard
from headgate.gateway.watch import Watch
from headgate.settings import LimitSettings
from headgate.telemetry import metrics
from headgate.telemetry.counting import Metrics
from headgate.wire import request_body

logger = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class DoorNeeds:
    """What the door is made from."""

    pipeline: Pipeline
    authenticate: Callable[[str | None], Principal]
    attempts: Attempts
    limits: LimitSettings
    workspace_id: str
    clock: Clock
    counted: Metrics
    models: Callable[[Head, Principal], Awaitable[Reply]]
    """`ModelsList.reply`."""
    note: Note = unheard


class ClientLeft(Exception):
    """The connection was closed before the request was complete."""


class Routes:
    """An ASGI app for everything below `/serving-endpoints/` and `/ai-gateway/`; what it knows of requests is shared with `direct`."""

    def __init__(self, needs: DoorNeeds) -> None:
        self.active = 0
        """Requests being worked on."""
        self.draining = False
        """Whether clients are told to connect anew after their answer."""
        self.idle = asyncio.Event()
        """Set when, while draining, nothing is being worked on any more."""
        self.pipeline = needs.pipeline
        self.clock = needs.clock
        self.authenticate = needs.authenticate
        self.attempts = needs.attempts
        self.payload_bytes = needs.limits.payload_bytes
        self.execution_s = needs.limits.execution_s
        self.prefix = f"/{needs.workspace_id}{paths.ORDINARY}"
        """What paths of our workspace begin with, whose rest is as after `/serving-endpoints/`."""
        self.workspace = (b"x-databricks-org-id", needs.workspace_id.encode())
        """A header of every answer."""
        self.refusals = Refusals(needs.note, needs.clock)
        self._counted = needs.counted
        self._models = needs.models

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        self.active += 1
        watch = Watch(receive)
        await self._respond(self._answer(scope, receive, watch), send, watch)

    def resume(self, call: Call, waiting: Awaitable[None] | None, begun: tuple[Exchange, Answer] | None) -> App:
        """An ASGI app for the rest of one request, see `Pipeline.answer`. Its body is read, and it is counted as active."""

        async def rest(scope: Any, receive: Receive, send: Send) -> None:
            watch = Watch(receive)
            await self._respond(self._finish(call, watch, waiting, begun), send, watch)

        return rest

    def deliver(self, call: Call, reply: Reply) -> App:
        """An ASGI app that sends this. Its call is counted as active."""

        async def rest(scope: Any, receive: Receive, send: Send) -> None:
            watch = Watch(receive)
            call.abort = watch.abort
            await self._respond(_ready(self._signed(call, reply)), send, watch)

        return rest

    def knows(self, head: Head) -> bool:
        """Whether its token is a valid one."""
        try:
            self.authenticate(head.authorization)
        except errors.HeadgateError:
            return False
        return True

    async def admit(self, authorization: str | None, address: str) -> Principal:
        """Who is calling. Raises Unauthenticated, for one who seems to guess not at once."""
        try:
            return self.authenticate(authorization)
        except errors.Unauthenticated:
            await self.attempts.hold(authorization, address)
            raise

    def done(self) -> None:
        """One of the active requests is over."""
        self.active -= 1
        if self.draining and not self.active:
            self.idle.set()

    def refuse(self, call: Call | None, error: Exception) -> tuple[int, Headers, bytes]:
        """What is answered when something went wrong: status, headers but those of every answer, body."""
        raised = error
        if not isinstance(error, errors.HeadgateError):
            what = "" if call is None else f" {call.request_id} {call.head.method} {call.head.path}"
            logger.error("request%s failed", what, exc_info=error)
            name = "" if call is None else f" {call.request_id}"
            error = errors.InternalError(f"Request{name} failed inside the server. Its log says why.")
        if call is None or not call.endpoint.name:
            self._counted.number(metrics.REFUSED, error.error_code).add()
            if call is not None:
                self.refusals.tell(call, error)
        body = orjson.dumps(error.body())
        headers = [(b"content-type", b"application/json")]
        headers += [(name.encode(), value.encode()) for name, value in error.headers.items()]
        if call is not None and call.deployment is not None:
            headers += [call.deployment.served_header, *call.headers]
        # It knows the frames it passed, and some of those know it: the request's body would stay until the next collection.
        raised.__traceback__ = None
        return error.http_status, headers, body

    async def _respond(self, answer: Awaitable[Reply], send: Send, watch: Watch) -> None:
        try:
            reply = await answer
            try:
                await self._send(reply, send, watch)
            finally:
                await reply.chunks.aclose()
        except ClientLeft:
            pass
        except asyncio.CancelledError:
            if not watch.aborted:
                raise
        finally:
            self.done()
            await watch.stop()

    async def _answer(self, scope: Mapping[str, Any], receive: Receive, watch: Watch) -> Reply:
        """The reply to one request, whatever happens. Raises only ClientLeft and CancelledError."""
        call = None
        try:
            head = _head(scope, self.prefix)
            arrived_s = self.clock.monotonic_s()
            call = Call(head, b"", 0, arrived_s, arrived_s + self.execution_s)
            call.address = address(scope)
            if head.api == paths.MODELS:
                return await self._list(call)
            await self._read(call, receive)
        except ClientLeft:
            raise
        except Exception as error:  # noqa: BLE001 - this is a door: `refuse` logs what is not meant for clients
            reply = _whole(*self.refuse(call, error))
            reply.headers.append(self.workspace)
            return reply
        return await self._finish(call, watch, None, None)

    async def _list(self, call: Call) -> Reply:
        """Raises HeadgateError."""
        call.principal = await self.admit(call.head.authorization, call.address)
        reply = await self._models(call.head, call.principal)
        reply.headers.append(self.workspace)
        return reply

    async def _finish(
        self, call: Call, watch: Watch, waiting: Awaitable[None] | None, begun: tuple[Exchange, Answer] | None
    ) -> Reply:
        """Raises only CancelledError."""
        call.abort = watch.abort
        watch.start()
        try:
            reply = await self.pipeline.answer(call, waiting, begun)
        except Exception as error:  # noqa: BLE001 - this is a door
            reply = _whole(*self.refuse(call, error))
        return self._signed(call, reply)

    def _signed(self, call: Call, reply: Reply) -> Reply:
        reply.headers.append((b"x-databricks-request-id", call.request_id.encode()))
        reply.headers.append(self.workspace)
        return reply

    async def _read(self, call: Call, receive: Receive) -> None:
        """Fills in the body, up to the limit. Raises ClientLeft, Unauthenticated, DeadlineExceeded."""
        announced = call.head.headers.get(b"content-length", b"0")
        call.body_bytes = int(announced) if announced.isdigit() else 0
        if call.body_bytes > self.payload_bytes:
            await self.admit(call.head.authorization, call.address)
            await request_body.discard(receive)
            return
        message = await receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            call.body = message.get("body", b"")
            call.body_bytes = len(call.body)
            return
        # Only somebody known may have a large body kept in memory.
        await self.admit(call.head.authorization, call.address)
        try:
            await within(self.execution_s, self._read_rest(call, message, receive))
        except asyncio.TimeoutError:
            raise errors.DeadlineExceeded(f"The request body did not arrive within {self.execution_s:g} s.") from None

    async def _read_rest(self, call: Call, message: Message, receive: Receive) -> None:
        pieces: list[bytes] = []
        size = 0
        while message["type"] == "http.request":
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
            if size > self.payload_bytes or not message.get("more_body", False):
                call.body_bytes = size
                call.body = b"" if size > self.payload_bytes else b"".join(pieces)
                if message.get("more_body", False):
                    await request_body.discard(receive)
                return
            message = await receive()
        raise ClientLeft

    async def _send(self, reply: Reply, send: Send, watch: Watch) -> None:
        headers = reply.headers
        if reply.length is None:
            watch.start_now(self.execution_s)
        else:
            headers.append((b"content-length", b"%d" % reply.length))
        if self.draining:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        sent = 0
        async for chunk in reply.chunks:
            sent += len(chunk)
            await send({"type": "http.response.body", "body": chunk, "more_body": sent != reply.length})
        if sent != reply.length:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _ready(reply: Reply) -> Reply:
    return reply


def _whole(status: int, headers: Headers, body: bytes) -> Reply:
    return Reply(status, headers, Whole(body), len(body))


def _head(scope: Mapping[str, Any], prefix: str) -> Head:
    """Raises EndpointNotFound, MethodNotAllowed."""
    method, path = scope["method"], scope["path"]
    return paths.head(
        method, path, paths.target(method, paths.within_workspace(path, prefix)), paths.headers_of(scope["headers"])
    )


def address(scope: Mapping[str, Any]) -> str:
    """Where the client's connection comes from."""
    return scope["client"][0] if scope.get("client") else ""
