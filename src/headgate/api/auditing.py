"""What of a REST request goes into the audit log, and when. Called by the door around every request; decides nothing else.

Changes are written down before they are made and before they are answered; refusals, and what is asked without a token (`/oidc`,
`/login`), on the way out. Runs, metrics, traces and files' contents are data, not changes: only their deletion is written down.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headgate import errors
from headgate.access.audit import AuditLog
from headgate.access.principals import Principal
from headgate.clock import Clock
from headgate.domain.audit import DONE, FAILED, REFUSED, AuditEvent

_LOOKING = ("GET", "HEAD", "OPTIONS")
_TRACKING = re.compile(r"/(ajax-)?api/\d\.0/(preview/)?mlflow/(?!unity-catalog/)|/graphql$")
_OF_TRACKING = re.compile(r"/experiments/(create|update|set-|delete)|/(delete|restore)[a-z-]*$")
"""What of tracking is a change."""
_LOOKS_BY_POST = re.compile(
    r"/(search[a-z-]*|create-download-url|create-upload-url|create-upload-part-urls|credentials-for-(read|write)|"
    r"generate-temporary-credentials|temporary-model-version-credentials|emit-lineage)$"
)
_PAGES = "/mlflow"
"""MLflow's pages call its API below this; they tell who calls when they know it, see `api.tracking.pages`."""
_FILES = ("/api/2.0/fs/files/", "/api/2.0/mlflow-artifacts/")
_SEEN = "audited"
_WITHOUT_TOKEN = ("/oidc/", "/login", "/logout")
_COMES_BACK = "/login/callback"
"""A login, although it is asked for with GET."""
_SECRET = "/api/2.0/secrets/get"
"""Looking at this is written down as well."""


def is_change(method: str, path: str) -> bool:
    """Whether a request with a valid token is written down whatever becomes of it."""
    path = path.removeprefix(_PAGES)
    if method in _LOOKING or not path.startswith(("/api/", "/ajax-api/")):
        return False
    if method == "DELETE":
        return True
    if _TRACKING.match(path):
        return _OF_TRACKING.search(path) is not None
    return not path.startswith(_FILES) and _LOOKS_BY_POST.search(path) is None


@dataclass(frozen=True, slots=True)
class Auditing:
    """Of one application."""

    log: AuditLog
    clock: Clock
    routes: Sequence[APIRoute]

    def record(self, scope: Scope, request_id: str) -> Record:
        """For one request."""
        scope.setdefault("state", {})[_SEEN] = True
        return Record(self, scope, request_id)


class Record:
    """What is written down of one request."""

    def __init__(self, auditing: Auditing, scope: Scope, request_id: str) -> None:
        self._of = auditing
        self._scope = scope
        self._request_id = request_id
        self._began: tuple[str, int] | None = None
        """Id and time of the event, once it is in the log."""

    async def begin(self) -> None:
        """Before its handler is called. Raises TemporarilyUnavailable: then it must not be."""
        state = self._scope.get("state", {})
        if "principal" in state and is_change(self._scope["method"], self._scope["path"]):
            event = self._event(self._scope["path"])
            await asyncio.to_thread(self._of.log.begin, event)
            self._began = event.event_id, event.event_time_ms

    async def answered(self, status: int) -> None:
        """Before its answer begins."""
        scope = self._scope
        principal, error = scope.get("state", {}).get("principal"), scope.get("state", {}).get("error")
        outcome = _outcome(status, error, principal)
        if self._began is not None:
            await asyncio.to_thread(self._of.log.finish, self._described(status, outcome, error))
        elif outcome == REFUSED or scope["path"] == _SECRET or self._is_without_token():
            self._of.log.note(self._described(status, outcome, error))

    def _is_without_token(self) -> bool:
        path = self._scope["path"]
        return path == _COMES_BACK or (self._scope["method"] not in _LOOKING and path.startswith(_WITHOUT_TOKEN))

    def _described(self, status: int, outcome: str, error: errors.HeadgateError | None) -> AuditEvent:
        path, method = self._scope["path"], self._scope["method"]
        for route in self._of.routes:
            found = route.path_regex.match(path) if method in (route.methods or ()) else None
            if found is not None:
                named = "/".join(str(value) for value in found.groupdict().values())
                event = self._event(route.path_format, str(route.tags[0]) if route.tags else "", route.name, named)
                break
        else:
            event = self._event(path)
        return event.ended(outcome, status, error.error_code if error else "")

    def _event(self, path: str, service: str = "", action: str = "", named: str = "") -> AuditEvent:
        scope, state = self._scope, self._scope.get("state", {})
        principal: Principal | None = state.get("principal")
        client = scope.get("client")
        event_id, at_ms = self._began or (uuid.uuid4().hex, self._of.clock.now_ms())
        return AuditEvent(
            event_id=event_id,
            event_time_ms=at_ms,
            method=scope["method"],
            path=path,
            principal_id=principal.id if principal else "",
            principal_name=principal.user_name if principal else "",
            credential=principal.credential if principal else "",
            source_ip_address=client[0] if client else "",
            user_agent=Headers(scope=scope).get("user-agent", ""),
            service_name=service,
            action_name=action,
            object=state.get("audit_object") or named,
            request_id=self._request_id,
        )


class Outside:
    """Around what answers in front of the door, such as the one for traces: refusals there are written down as well."""

    def __init__(self, app: ASGIApp, auditing: Auditing) -> None:
        self._app = app
        self._auditing = auditing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def watched(message: Message) -> None:
            refused = message["type"] == "http.response.start" and message["status"] in (401, 403)
            if refused and _SEEN not in scope.get("state", {}):
                await self._auditing.record(scope, "").answered(message["status"])
            await send(message)

        await self._app(scope, receive, watched)


def _outcome(status: int, error: errors.HeadgateError | None, principal: Principal | None) -> str:
    if status in (401, 403):
        return REFUSED
    if isinstance(error, errors.Hidden) and not (principal and principal.admin):
        return REFUSED
    return DONE if status < 400 else FAILED
