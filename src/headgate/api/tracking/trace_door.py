"""A door of its own for served models that write traces, in front of the application: whoever shows one of their credentials gets no further.

Raw ASGI. What may be asked for is in `tracking.tracing_rules`; everything without such a credential passes untouched.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from headgate import errors
from headgate.access.attempts import Attempts
from headgate.api import error_bodies
from headgate.api.tracking import artifact_files
from headgate.api.tracking.artifact_store import ArtifactStore
from headgate.api.tracking.artifact_urls import experiment_of_trace
from headgate.api.tracking.pages import mlflow_version
from headgate.api.tracking.proxy import Tracking, body_of
from headgate.store.tracking_credentials import Deployed
from headgate.tracking import credentials, locations, tracing_rules
from headgate.tracking.credentials import Holders

logger = logging.getLogger(__name__)

_MARK = f"Bearer {credentials.PREFIX}".encode()


class TraceDoor:
    """`app` with that door in front. Guessing is slowed as at every other door."""

    def __init__(self, app: FastAPI, tracking: Tracking, store: ArtifactStore, holders: Holders) -> None:
        self._app = app
        self._attempts: Attempts = app.state.dependencies.attempts
        self._tracking = tracking
        self._store = store
        self._holders = holders

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        token = _token(scope) if scope["type"] == "http" else None
        if token is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            response = await self._answer(request, token)
        except errors.HeadgateError as error:
            if error.http_status in (401, 403):
                logger.warning("a served model's credential was refused: %s %s", request.method, scope["path"])
            response = error_bodies.response(error)
        except Exception:
            logger.exception("a served model's trace could not be taken: %s %s", request.method, scope["path"])
            response = error_bodies.response(
                errors.InternalError("The trace could not be taken; the server's log says why.")
            )
        await response(scope, receive, send)

    async def _answer(self, request: Request, token: str) -> Response:
        deployed = await asyncio.to_thread(self._holders.of, token)
        if deployed is None:
            await self._attempts.hold(token, request.client.host if request.client else "")
            raise errors.Unauthenticated("This credential of a served model is not good any more.")
        path: str = request.scope["path"]
        asked = tracing_rules.Request(request.method, path, request.headers, request.query_params)
        allowed = tracing_rules.allowed(asked, deployed.experiment_id)
        if path == "/version":
            return PlainTextResponse(mlflow_version(self._tracking))
        if path.startswith(tracing_rules.ARTIFACTS):
            file = locations.of_path(path.removeprefix(tracing_rules.ARTIFACTS))
            await artifact_files.receive(request, self._store, file)
            return Response("{}", media_type="application/json")
        body = await body_of(request, self._tracking.body_bytes)
        if allowed.needs_body:
            trace_id = tracing_rules.check_body(path, body, deployed.experiment_id)
            if trace_id is not None:
                # MLflow moves a trace that exists into the experiment of whoever writes it again.
                with contextlib.suppress(errors.ResourceDoesNotExist):
                    await self._check_trace(trace_id, deployed)
        # MLflow 2 asks these in the middle of a prediction, and tries again on what sounds transient.
        waits = not path.startswith("/api/2.0/")
        if allowed.trace_id is not None:
            await self._check_trace(allowed.trace_id, deployed)
        return await self._tracking.forward(request, path, body, waits=waits)

    async def _check_trace(self, trace_id: str, deployed: Deployed) -> None:
        if await experiment_of_trace(self._tracking, trace_id) != deployed.experiment_id:
            raise tracing_rules.refused(deployed.experiment_id)


def _token(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"authorization" and value.startswith(_MARK):
            return str(value[len(b"Bearer ") :].decode("latin-1"))
    return None
