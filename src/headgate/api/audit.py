"""`GET /api/2.0/audit/events` (extension): the audit log, newest first, for administrators. Columns follow Databricks' `system.access.audit`."""

from __future__ import annotations

import base64
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from headgate import errors
from headgate.access.audit import AuditLog
from headgate.api.dependencies import Visit, Visiting
from headgate.domain.audit import OUTCOMES, AuditEvent, AuditFilter, AuditPlace

PREFIX = "/api/2.0/audit"
_MOST = 1000


class Asked(BaseModel):
    """What may be asked for in the query; everything must hold."""

    principal: str = ""
    """User name, application id or id of who called."""
    outcome: str = ""
    action_name: str = ""
    service_name: str = ""
    object: str = ""
    start_time: int = 0
    """Milliseconds since the epoch."""
    end_time: int | None = None
    """Not this and later ones."""
    max_results: int = 100
    page_token: str = ""


class UserIdentity(BaseModel):
    id: str
    user_name: str
    credential: str


class Response(BaseModel):
    status_code: int
    error_code: str


class Event(BaseModel):
    """One event; `response.status_code` is 0 as long as `outcome` is BEGUN."""

    event_id: str
    event_time: int
    workspace_id: str
    service_name: str
    action_name: str
    user_identity: UserIdentity
    source_ip_address: str
    user_agent: str
    request_id: str
    method: str
    path: str
    object: str
    outcome: str
    response: Response
    count: int


class Events(BaseModel):
    events: list[Event]
    next_page_token: str | None = None


def routes() -> APIRouter:
    """The family."""
    router = APIRouter(prefix=PREFIX, tags=["audit"])
    router.get("/events", response_model_exclude_none=True)(list_events)
    return router


def list_events(query: Annotated[Asked, Query()], visit: Visiting) -> Events:
    """Who changed or was refused what, from where, with what outcome; the newest first. Takes an administrator."""
    log = _log(visit)
    if query.outcome and query.outcome not in OUTCOMES:
        raise errors.InvalidParameterValue(f"outcome must be one of {', '.join(OUTCOMES)}.")
    limit = query.max_results
    if not 0 < limit <= _MOST:
        raise errors.InvalidParameterValue(f"max_results must be between 1 and {_MOST}.")
    wanted = AuditFilter(
        principal=query.principal,
        outcome=query.outcome,
        action=query.action_name,
        service=query.service_name,
        object=query.object,
        since_ms=_time(query.start_time),
        until_ms=None if query.end_time is None else _time(query.end_time),
    )
    found = log.search(wanted, limit + 1, _place(query.page_token) if query.page_token else None)
    shown, workspace_id = found[:limit], visit.dependencies.workspace_id
    token = _token(shown[-1]) if len(found) > limit else None
    return Events(events=[_shown(event, workspace_id) for event in shown], next_page_token=token)


def _log(visit: Visit) -> AuditLog:
    if not visit.caller.admin:
        raise errors.PermissionDenied("Only administrators may read the audit log.")
    log = visit.dependencies.audit
    if log is None:
        raise errors.NotSupported("This server writes no audit log.")
    return log


def _time(milliseconds: int) -> int:
    if not 0 <= milliseconds < 2**62:
        raise errors.InvalidParameterValue("Times are milliseconds since the Unix epoch.")
    return milliseconds


def _token(event: AuditEvent) -> str:
    return base64.urlsafe_b64encode(f"{event.event_time_ms}.{event.event_id}".encode()).decode()


def _place(token: str) -> AuditPlace:
    try:
        time_ms, _, event_id = (
            base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode("ascii").partition(".")
        )
        return AuditPlace(_time(int(time_ms)), event_id.replace("\x00", ""))
    except ValueError:
        raise errors.InvalidParameterValue("page_token is not one that this server gave out.") from None


def _shown(event: AuditEvent, workspace_id: str) -> Event:
    return Event(
        event_id=event.event_id,
        event_time=event.event_time_ms,
        workspace_id=workspace_id,
        service_name=event.service_name,
        action_name=event.action_name,
        user_identity=UserIdentity(id=event.principal_id, user_name=event.principal_name, credential=event.credential),
        source_ip_address=event.source_ip_address,
        user_agent=event.user_agent,
        request_id=event.request_id,
        method=event.method,
        path=event.path,
        object=event.object,
        outcome=event.outcome,
        response=Response(status_code=event.status_code, error_code=event.error_code),
        count=event.count,
    )
