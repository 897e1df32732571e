"""What every REST request passes on its way in and out: path, caller, body limit, headers, the last resort for exceptions.

Raw ASGI around the FastAPI app. It decides nothing about a family; routes that authenticate by themselves are told to it.
"""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Sequence

from fastapi.routing import APIRoute
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headgate import errors
from headgate.access.principals import Principal
from headgate.api import error_bodies
from headgate.api.auditing import Auditing, Record
from headgate.api.dependencies import ApiDependencies
from headgate.wire import request_body

logger = logging.getLogger(__name__)

# File contents stream to disk, and tracking's bodies are read by its proxy: both have limits of their own.
_ELSEWHERE_BOUNDED = re.compile(r"/api/2\.0/fs/files/|/api/\d\.0/mlflow(-artifacts)?/(?!unity-catalog/)")


class Door:
    """Authenticates everything under `/api/` except `open_routes`; answers what nobody else caught."""

    def __init__(
        self, app: ASGIApp, dependencies: ApiDependencies, routes: Sequence[APIRoute], open_routes: Sequence[APIRoute]
    ) -> None:
        """`open_routes` are some of `routes`."""
        self._app = app
        self._authenticator = dependencies.authenticator
        self._attempts = dependencies.attempts
        self._workspace_id = dependencies.workspace_id
        self._payload_bytes = dependencies.payload_bytes
        audit = dependencies.audit
        self._auditing = None if audit is None else Auditing(audit, dependencies.clock, routes)
        self._open = [route.path_regex for route in open_routes]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Clients disagree about trailing slashes, and none follows redirects with its body and token.
        scope["path"] = scope["path"].rstrip("/") or "/"
        out = _Out(send, self._workspace_id)
        if self._auditing is not None:
            out.record = self._auditing.record(scope, out.request_id)
            scope.setdefault("state", {})["audit"] = out.record
        try:
            admitted = await self._admit(scope, receive)
            if out.record is not None:
                await out.record.begin()
            await self._app(scope, admitted, out)
        except _BodyTooLong as error:
            await request_body.discard(receive)
            await out.answer_if_possible(error, scope, receive)
        except errors.HeadgateError as error:
            await out.answer_if_possible(error, scope, receive)
        except Exception:
            logger.exception("request %s failed: %s %s", out.request_id, scope["method"], scope["path"])
            await out.answer_if_possible(
                errors.InternalError(
                    f"The server could not answer because of an error of its own (request id {out.request_id}). "
                    "Its log says more."
                ),
                scope,
                receive,
            )

    async def _admit(self, scope: Scope, receive: Receive) -> Receive:
        """Puts the caller into `request.state.principal`; returns a bounded `receive`.

        Raises Unauthenticated, for one who seems to guess not at once, and PermissionDenied.
        """
        path = scope["path"]
        if not path.startswith("/api/") or any(pattern.match(path) for pattern in self._open):
            return receive
        headers = Headers(scope=scope)
        principal = await self._caller(headers.get("authorization"), scope)
        if principal.endpoint_id is not None:
            raise errors.PermissionDenied("This token is good for querying one endpoint and for nothing else.")
        scope.setdefault("state", {})["principal"] = principal
        if _ELSEWHERE_BOUNDED.match(path):
            return receive
        declared = headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > self._payload_bytes:
            raise self._too_long()
        return self._bounded(receive)

    async def _caller(self, authorization: str | None, scope: Scope) -> Principal:
        try:
            return self._authenticator.authenticate(authorization)
        except errors.Unauthenticated:
            client = scope.get("client")
            await self._attempts.hold(authorization, client[0] if client else "")
            raise

    def _bounded(self, receive: Receive) -> Receive:
        left = self._payload_bytes

        async def bounded() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise self._too_long()
            return message

        return bounded

    def _too_long(self) -> _BodyTooLong:
        return _BodyTooLong(f"The request body is longer than the {self._payload_bytes} bytes allowed.")


class _BodyTooLong(errors.InvalidParameterValue):
    """Its body is still on the way when it is raised."""


class _Out:
    """`send` that adds our headers and knows whether an answer has begun."""

    def __init__(self, send: Send, workspace_id: str) -> None:
        self._send = send
        self._workspace_id = workspace_id
        self._begun = False
        self.record: Record | None = None
        self.request_id = str(uuid.uuid4())

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._begun = True
            if self.record is not None:
                await self.record.answered(message["status"])
            headers = MutableHeaders(scope=message)
            headers["X-Databricks-Org-Id"] = self._workspace_id
            headers["x-databricks-request-id"] = self.request_id
        await self._send(message)

    async def answer_if_possible(self, error: errors.HeadgateError, scope: Scope, receive: Receive) -> None:
        """The error as an answer; an answer already begun can only be broken off, which the server does on an exception."""
        if self._begun:
            raise error
        scope.setdefault("state", {})["error"] = error
        await error_bodies.response(error)(scope, receive, self)
