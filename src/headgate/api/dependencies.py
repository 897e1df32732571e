"""What the REST families are handed by the composition root, and how a handler asks for it."""

from __future__ import annotations

import dataclasses
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, cast

from fastapi import Depends, Request

from headgate.access.attempts import Attempts
from headgate.access.audit import AuditLog
from headgate.access.directory import Directory
from headgate.access.model_rights import ModelRights
from headgate.access.principals import Authenticator, Principal
from headgate.access.rights import Rights
from headgate.access.secrets import Vault
from headgate.api.language import resolving
from headgate.clock import Clock
from headgate.domain.environment import ModelDescription
from headgate.domain.request_record import InferenceTable
from headgate.store.endpoints import Endpoints
from headgate.store.grants import Grants
from headgate.store.identities import Identities
from headgate.store.replicas import Replicas
from headgate.store.servers import Servers


def _anybody(_caller: Principal, _model: str) -> None:
    """Lets everybody serve every model."""


def _anywhere(_caller: Principal, _endpoint_id: str, _table: InferenceTable) -> None:
    """Lets everybody keep requests in every table."""


@dataclass(frozen=True, slots=True)
class ApiDependencies:
    """All callables are synchronous and thread-safe: handlers run in threads."""

    authenticator: Authenticator
    directory: Callable[[], Directory]
    """Everybody there is, newest."""
    identities: Identities
    endpoints: Endpoints
    grants: Grants
    model_rights: ModelRights
    replicas: Replicas
    servers: Servers
    vault: Vault
    """Scopes and secrets."""
    resolve: Callable[[str, str], str]
    """(model, version or `@alias`) -> version. Raises ResourceDoesNotExist."""
    describe: Callable[[str, str], ModelDescription]
    """(model, version) -> what serving needs of it. Raises ResourceDoesNotExist, and InvalidState when it is not READY."""
    service_logs: Callable[[str, str], str]
    """(endpoint id, served entity name) -> what its processes wrote; empty when nothing."""
    build_logs: Callable[[str], str]
    """Environment key -> how it was built; empty when it was not."""
    metrics: Callable[[str], str]
    """Endpoint name -> its metrics as Prometheus text."""
    clock: Clock
    workspace_id: str
    """Digits."""
    admin_token_id: str = ""
    """Of the token that this house sets at every start."""
    attempts: Attempts = field(default_factory=Attempts)
    """To be asked before a credential is refused."""
    audit: AuditLog | None = None
    """None: nothing is written down."""
    gpu_available: bool = False
    external_url: str = ""
    """Base URL clients reach us under; empty: the one the request came to, which a handler finds here."""
    payload_bytes: int = 2 * 1024**2
    """Longest request body, files and tracking aside."""
    may_serve: Callable[[Principal, str], None] = _anybody
    """(who, model) -> nothing when they have EXECUTE on it. Raises ResourceDoesNotExist, PermissionDenied."""
    may_keep: Callable[[Principal, str, InferenceTable], None] = _anywhere
    """(who, endpoint id, table) -> nothing when they may have its requests kept there. Raises as `TableRights.require_to_keep`."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """What of `ai_gateway` this server cannot do, see `domain.ai_gateway.Surroundings`."""
    allow_private_addresses: bool = False
    """Whether external models may be at private addresses."""
    addresses: Callable[[str], Sequence[str]] = resolving.addresses
    """URL -> addresses that its host has; none: cannot be said."""
    new_id: Callable[[], str] = field(default=lambda: uuid.uuid4().hex)
    """Ids of endpoints, 32 hex digits."""
    pause: Callable[[float], None] = time.sleep
    """Blocks a handler's thread for so many seconds."""

    @property
    def rights(self) -> Rights:
        """What callers may do with endpoints."""
        return Rights(self.grants)


async def _given(request: Request) -> ApiDependencies:
    dependencies = cast(ApiDependencies, request.app.state.dependencies)
    if dependencies.external_url:
        return dependencies
    return dataclasses.replace(dependencies, external_url=str(request.base_url).rstrip("/"))


async def _caller(request: Request) -> Principal:
    return cast(Principal, request.state.principal)


Given = Annotated[ApiDependencies, Depends(_given)]
"""A handler's parameter of this type is the dependencies."""
Caller = Annotated[Principal, Depends(_caller)]
"""A handler's parameter of this type is who calls; the door has authenticated it."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One request, for handlers with many parameters of their own."""

    dependencies: ApiDependencies
    caller: Principal
    request: Request


async def _visit(request: Request) -> Visit:
    return Visit(await _given(request), await _caller(request), request)


Visiting = Annotated[Visit, Depends(_visit)]
"""A handler's parameter of this type is all of these."""


def base_url(dependencies: ApiDependencies, request: Request) -> str:
    """Scheme and host clients reach us under, without a slash at the end."""
    return (dependencies.external_url or str(request.base_url)).rstrip("/")
