"""The one ASGI app of a server process: the data plane, `/health` and `/metrics` here, everything else to the REST API.

Its lifespan starts and stops the gateway around the API's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson

from headgate import errors
from headgate.gateway import paths
from headgate.gateway.call import Call, Head, Headers
from headgate.gateway.plane import Gateway
from headgate.gateway.routes import Message, Receive, Send, address
from headgate.telemetry.counting import Metrics

App = Callable[[Any, Any, Any], Awaitable[None]]

_TEXT: Headers = [(b"content-type", b"text/plain; version=0.0.4; charset=utf-8")]
_JSON: Headers = [(b"content-type", b"application/json")]


class Front:
    """`GET /health`: 200 once requests can be served, else 503. `GET /metrics`: Prometheus text, for administrators."""

    def __init__(self, gateway: Gateway, api: App, counted: Metrics) -> None:
        self._gateway = gateway
        self._routes = gateway.routes
        self._api = api
        self._counted = counted

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = scope["path"]
            if path.startswith((paths.ORDINARY, paths.GATEWAY, self._routes.prefix)):
                await self._routes(scope, receive, send)
                return
            if path == "/health":
                await self._health(scope, send)
                return
            if path == "/metrics":
                await self._metrics(scope, send)
                return
        elif scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        await self._api(scope, receive, send)

    async def _lifespan(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        await self._gateway.start()
        stopped = False

        async def send_after_stop(message: Message) -> None:
            nonlocal stopped
            if message["type"].startswith("lifespan.shutdown") and not stopped:
                stopped = True
                await self._gateway.stop()
            await send(message)

        try:
            await self._api(scope, receive, send_after_stop)
        finally:
            if not stopped:
                await self._gateway.stop()

    async def _health(self, scope: Mapping[str, Any], send: Send) -> None:
        ready = self._gateway.ready
        body = orjson.dumps({"status": "ok" if ready else "not ready"})
        await _respond(send, 200 if ready else 503, _JSON, b"" if scope["method"] == "HEAD" else body)

    async def _metrics(self, scope: Mapping[str, Any], send: Send) -> None:
        headers = dict(scope["headers"])
        authorization = headers.get(b"authorization", b"").decode("latin-1") or None
        call = Call(Head("GET", "/metrics", "", None, headers, authorization, b""), b"", 0, 0.0, 0.0)
        call.address = address(scope)
        try:
            call.principal = caller = await self._routes.admit(authorization, call.address)
            if not caller.admin or caller.endpoint_id is not None:  # it names every endpoint
                raise errors.PermissionDenied("Only administrators may read the server's metrics.")
        except errors.HeadgateError as error:
            self._routes.refusals.tell(call, error, "metrics")
            more = [(name.encode(), value.encode()) for name, value in error.headers.items()]
            await _respond(send, error.http_status, [*_JSON, *more], orjson.dumps(error.body()))
            return
        await _respond(send, 200, _TEXT, await asyncio.to_thread(self._counted.render_all))


async def _respond(send: Send, status: int, headers: Headers, body: bytes) -> None:
    headers = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
