"""Builds what a server process serves: the gateway, the REST API, the one ASGI app over both, and uvicorn around it.

Part of the composition root (`app.py`), in a file of its own because only this role needs these imports.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import uvicorn

from headgate import asked, governed, recorded, tracked
from headgate.access import bootstrap, sealing
from headgate.access.attempts import Attempts
from headgate.access.audit import AuditLog
from headgate.access.directory import DirectorySource, Follower
from headgate.access.model_rights import ModelRights
from headgate.access.oauth import server as oauth_server
from headgate.access.oauth.server import AuthorizationServer
from headgate.access.principals import Authenticator, Principal
from headgate.access.rights import Rights
from headgate.access.secrets import Vault
from headgate.access.table_rights import TableRights
from headgate.api import sql, unity_catalog
from headgate.api.app import create_app
from headgate.api.auditing import Auditing, Outside
from headgate.api.dependencies import ApiDependencies
from headgate.api.model_registry import files, mlflow_registry
from headgate.api.oauth import families as oauth_families
from headgate.api.tracking import families as tracking_families
from headgate.clock import SystemClock
from headgate.domain import ai_gateway
from headgate.gateway import http
from headgate.gateway.front import Front
from headgate.gateway.plane import Gateway, GatewayDependencies
from headgate.gateway.presence import ServerRow
from headgate.gateway.switchboard import RoutingSource
from headgate.guardrails import configured
from headgate.registry import signing, storages
from headgate.registry.models import Registry
from headgate.replicas import logs
from headgate.settings import Settings
from headgate.store import routing, served_models
from headgate.store.activity import Activity
from headgate.store.audit import AuditEvents
from headgate.store.database import Database
from headgate.store.endpoints import Endpoints
from headgate.store.grants import Grants
from headgate.store.identities import Identities
from headgate.store.inference_tables import InferenceTables
from headgate.store.replicas import Replicas
from headgate.store.secrets import Secrets
from headgate.store.servers import Servers
from headgate.telemetry.counting import Metrics
from headgate.warehouse import presence
from headgate.warehouse.sql import shelf
from headgate.warehouse.sql.running import Queries
from headgate.warehouse.sql.statements import Statements
from headgate.warehouse.tables import places

_LOG_BYTES = 1024**2
_KEEP_ALIVE_S = 75
_STOP_MARGIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Shared:
    """What both doors of one server process use."""

    settings: Settings
    database: Database
    authenticator: Authenticator
    counted: Metrics
    workspace_id: str
    server_id: str
    sealer: sealing.Sealer
    follower: Follower
    attempts: Attempts
    oauth: AuthorizationServer
    audit: AuditLog
    models_at: str = ""
    """Where models run, if not in this house."""
    lifeline_fd: int = -1
    """Ends what this process starts when the house ends."""


def follower(database: Database, counted: Metrics, server_id: str) -> Follower:
    """Has the directory of everybody, read once. Call it on the event loop that will serve."""
    identities, servers = Identities(database), Servers(database)
    report = partial(servers.report_identity, server_id)
    made = Follower(DirectorySource(identities.revision, identities.read, report), counted)
    made.refresh()
    return made


def authorization_server(
    place: oauth_server.Place, verified: oauth_server.Verification, authenticator: Authenticator, follower: Follower
) -> AuthorizationServer:
    """What issues tokens and logs people in."""
    rights, endpoints = Rights(Grants(place.database)), Endpoints(place.database)

    def level(caller: Principal, endpoint_id: str) -> str | None:
        held = rights.endpoint_level(caller, endpoint_id)
        # Administrators have everything on whatever there is.
        return held if not caller.admin or endpoints.by_id(endpoint_id) is not None else None

    others = oauth_server.Others(authenticator, follower.now, follower.refresh, level)
    return oauth_server.build(place, verified, others)


def audit_log(settings: Settings, database: Database, counted: Metrics) -> AuditLog:
    """The audit log, which writes from now on; stop it at the end."""
    made = AuditLog(AuditEvents(database), SystemClock(), settings.audit.retention_s, counted)
    made.start()
    return made


def gateway(shared: Shared) -> Gateway:
    """The data plane. Call it on the event loop that will serve."""
    database, settings = shared.database, shared.settings
    activity, servers, me = Activity(database), Servers(database), shared.server_id
    needs = GatewayDependencies(
        authenticate=shared.authenticator.authenticate,
        attempts=shared.attempts,
        routing=RoutingSource(
            lambda: database.revision("routing"),
            recorded.announcing(routing.RoutingReader(database).read, settings),
        ),
        demand=activity.demand,
        report=lambda loads, now_ms: activity.report(me, loads, now_ms),
        server_row=ServerRow(lambda revision, at_ms: servers.report(me, revision, at_ms), lambda: servers.remove(me)),
        limits=settings.limits,
        load_report_s=settings.scaling.load_report_s,
        workspace_id=shared.workspace_id,
        counted=shared.counted,
        note=shared.audit.note,
        sharing=governed.limits(settings, database, me, shared.counted),
        directory=shared.follower.now,
        guardrails=settings.guardrails,
        finder=configured.finder(settings.guardrails),
        keeper=recorded.keeper(settings, shared.counted),
        vendors=asked.vendors(settings, database, shared.sealer, shared.counted),
        models_at=shared.models_at,
    )
    return Gateway(needs)


def front(shared: Shared, data_plane: Gateway) -> Front:
    """The one ASGI app of the process."""
    settings, database, clock = shared.settings, shared.database, SystemClock()
    storage = storages.open_storage(settings, storages.MODELS, clock, shared.models_at)
    registry = Registry(database, storage, clock)
    model_rights = ModelRights(database)
    table_rights = TableRights(InferenceTables(database), Rights(Grants(database)), model_rights)
    key = sealing.sealed_fact(database, shared.sealer, "url_signing_key", signing.new_key)
    signer = signing.UrlSigner(bytes.fromhex(key), clock)
    service, builds = settings.data_dir / "logs" / "service", settings.data_dir / "logs" / "builds"
    dependencies = ApiDependencies(
        authenticator=shared.authenticator,
        attempts=shared.attempts,
        directory=shared.follower.now,
        identities=Identities(database),
        endpoints=Endpoints(database, served_models.hold_within),
        grants=Grants(database),
        audit=shared.audit,
        model_rights=model_rights,
        may_serve=model_rights.require_to_serve,
        may_keep=table_rights.require_to_keep,
        replicas=Replicas(database),
        servers=Servers(database),
        vault=Vault(Secrets(database), shared.sealer, clock),
        resolve=registry.resolve,
        describe=storages.describing(settings, registry),
        service_logs=lambda endpoint, entity: logs.read_service_logs(service / endpoint / entity, _LOG_BYTES),
        build_logs=lambda key: logs.read_build_log(builds / f"{key}.log", _LOG_BYTES),
        metrics=shared.counted.render_endpoint,
        clock=clock,
        workspace_id=shared.workspace_id,
        admin_token_id=bootstrap.admin_token_id(bootstrap.own_house(settings).id),
        gpu_available=Path("/dev/nvidiactl").exists(),
        external_url=settings.external_url,
        payload_bytes=settings.limits.api_payload_bytes,
        missing=_missing(settings),
        allow_private_addresses=settings.providers.allow_private_addresses,
    )
    tracking = tracked.tracking(settings, shared.lifeline_fd, shared.models_at)
    artifacts = tracked.artifacts(settings, shared.models_at)
    tracked_families = tracking_families.closed(tracking, artifacts, signer)
    session_of = shared.oauth.sessions.principal_of
    tracked_open = tracking_families.opened(tracking, artifacts, signer, session_of)
    families = [mlflow_registry.routes(registry), unity_catalog.routes(registry)]
    # Before the registry's files, whose paths include those of artifacts.
    families += [*tracked_families, files.routes(registry, model_rights, signer)]
    families += oauth_families.closed(shared.oauth)
    families += sql.routes(_statements(settings, clock), table_rights)
    open_families = [*tracked_open, files.signed_routes(registry, signer), *oauth_families.opened(shared.oauth)]
    app = create_app(dependencies, families, open_families)
    door = Outside(
        tracked.trace_door(app, tracking, artifacts, tracked.holders(database, shared.follower.now)),
        Auditing(shared.audit, clock, app.state.routes),
    )
    return Front(data_plane, door, shared.counted)


def _missing(settings: Settings) -> dict[str, str]:
    """What of `ai_gateway` cannot be switched on here, and what to do about it."""
    found = dict(configured.guardrails_missing(settings.guardrails))
    no_tables = presence.missing()
    if no_tables is not None:
        found |= dict.fromkeys((ai_gateway.TABLE, ai_gateway.USAGE), no_tables)
    return found


def _statements(settings: Settings, clock: SystemClock) -> Statements:
    """What runs SQL, each query in a process of its own."""
    tables, limits = (
        settings.warehouse,
        shelf.Limits(settings.warehouse.result_kept_s, settings.warehouse.results_bytes),
    )
    kept = shelf.Shelf(settings.data_dir / "statements", limits, clock)
    return Statements(Queries(places.open_places(settings), tables), kept, tables)


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: `app.py` says when to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def http_server(app: Front, data_plane: Gateway, settings: Settings) -> uvicorn.Server:
    """uvicorn with httptools on the running loop. It stops after `should_exit`, once requests have finished."""
    config = uvicorn.Config(
        app,
        http=http.protocol(data_plane.routes),  # type: ignore[arg-type]
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        # Behind a proxy `external_url` says where we are; reading its headers costs every request.
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=math.ceil(settings.limits.shutdown_s + _STOP_MARGIN_S),
    )
    return _Server(config)
