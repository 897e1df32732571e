"""The door of the data plane: HTTP in, one `Call`, one `Reply`, HTTP out. Raw ASGI; nothing of a body is parsed.

    POST /serving-endpoints/{name}/invocations
    POST /serving-endpoints/{name}/served-models/{entity}/invocations

The one place where the gateway's errors become HTTP, and where a client that left ends the work for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

import orjson

from headgate import errors
from headgate.access.principals import Principal
from headgate.clock import Clock, within
from headgate.gateway.call import Call, Reply, Whole
from headgate.gateway.watch import Watch
from headgate.settings import LimitSettings
from headgate.telemetry import metrics
from headgate.telemetry.counting import Metrics
from headgate.wire import request_body

logger = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_PREFIX = "/serving-endpoints/"
_HOW = "Send requests as POST /serving-endpoints/{name}/invocations."


@dataclass(frozen=True, slots=True)
class DoorNeeds:
    """What the door is made from."""

    answer: Callable[[Call], Awaitable[Reply]]
    """The pipeline."""
    authenticate: Callable[[str | None], Principal]
    limits: LimitSettings
    workspace_id: str
    clock: Clock
    counted: Metrics


class ClientLeft(Exception):
    """The connection was closed before the request was complete."""


class Routes:
    """An ASGI app for everything below `/serving-endpoints/`."""

    def __init__(self, needs: DoorNeeds) -> None:
        self.active = 0
        """Requests being worked on."""
        self.draining = False
        """Whether clients are told to connect anew after their answer."""
        self.idle = asyncio.Event()
        """Set when, while draining, nothing is being worked on any more."""
        self._needs = needs
        self._answer_call = needs.answer
        self._clock = needs.clock
        self._payload_bytes = needs.limits.payload_bytes
        self._execution_s = needs.limits.execution_s
        self._workspace = (b"x-databricks-org-id", needs.workspace_id.encode())

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        watch = Watch(receive)
        self.active += 1
        try:
            reply = await self._answer(scope, receive, watch)
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
            self.active -= 1
            if self.draining and not self.active:
                self.idle.set()
            await watch.stop()

    async def _answer(self, scope: Mapping[str, Any], receive: Receive, watch: Watch) -> Reply:
        """The reply to one request, whatever happens. Raises only ClientLeft and CancelledError."""
        call = Call("", None, scope["method"], scope["path"], dict(scope["headers"]), b"", 0, 0.0, 0.0, watch.abort)
        try:
            call.endpoint_name, call.entity_name = _target(call)
            call.arrived_s = self._clock.monotonic_s()
            call.deadline_s = call.arrived_s + self._execution_s
            await self._read(call, receive)
            watch.start()
            reply = await self._answer_call(call)
        except errors.HeadgateError as error:
            reply = self._refuse(call, error)
        except ClientLeft:
            raise
        except Exception:
            logger.exception("request %s %s %s failed", call.request_id, call.method, call.path)
            message = f"Request {call.request_id} failed inside the server. Its log says why."
            reply = self._refuse(call, errors.InternalError(message))
        if call.request_id:
            reply.headers.append((b"x-databricks-request-id", call.request_id.encode()))
        reply.headers.append(self._workspace)
        return reply

    async def _read(self, call: Call, receive: Receive) -> None:
        """Fills in the body, up to the limit. Raises ClientLeft, Unauthenticated, DeadlineExceeded."""
        announced = call.headers.get(b"content-length", b"0")
        call.body_bytes = int(announced) if announced.isdigit() else 0
        header = call.headers.get(b"authorization")
        if call.body_bytes > self._payload_bytes:
            self._needs.authenticate(None if header is None else header.decode("latin-1"))
            await request_body.discard(receive)
            return
        message = await receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            call.body = message.get("body", b"")
            call.body_bytes = len(call.body)
            return
        # Only somebody known may have a large body kept in memory.
        self._needs.authenticate(None if header is None else header.decode("latin-1"))
        try:
            await within(self._execution_s, self._read_rest(call, message, receive))
        except asyncio.TimeoutError:
            raise errors.DeadlineExceeded(f"The request body did not arrive within {self._execution_s:g} s.") from None

    async def _read_rest(self, call: Call, message: Message, receive: Receive) -> None:
        pieces: list[bytes] = []
        size = 0
        while message["type"] == "http.request":
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
            if size > self._payload_bytes or not message.get("more_body", False):
                call.body_bytes = size
                call.body = b"" if size > self._payload_bytes else b"".join(pieces)
                if message.get("more_body", False):
                    await request_body.discard(receive)
                return
            message = await receive()
        raise ClientLeft

    async def _send(self, reply: Reply, send: Send, watch: Watch) -> None:
        headers = reply.headers
        if reply.length is None:
            watch.start_now(self._execution_s)
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

    def _refuse(self, call: Call, error: errors.HeadgateError) -> Reply:
        if not call.endpoint.name:
            self._needs.counted.number(metrics.REFUSED, error.error_code).add()
        body = orjson.dumps(error.body())
        headers = [(b"content-type", b"application/json")]
        headers += [(name.encode(), value.encode()) for name, value in error.headers.items()]
        if call.deployment is not None:
            headers.append(call.deployment.served_header)
        return Reply(error.http_status, headers, Whole(body), len(body))


def _target(call: Call) -> tuple[str, str | None]:
    """Endpoint and served entity of the path. Raises EndpointNotFound, MethodNotAllowed."""
    parts = call.path.split("/")
    if not parts[-1]:
        parts.pop()
    count = len(parts)
    target: tuple[str, str | None]
    if count == 4 and parts[3] == "invocations":
        target = parts[2], None
    elif count == 6 and parts[3] == "served-models" and parts[5] == "invocations":
        target = parts[2], parts[4]
    else:
        raise errors.EndpointNotFound(f"There is nothing at {call.method} {call.path}. {_HOW}")
    if call.method != "POST":
        raise errors.MethodNotAllowed(f"{call.method} is not allowed here. {_HOW}", headers={"allow": "POST"})
    return target
