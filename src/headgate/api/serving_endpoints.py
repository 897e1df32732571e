"""`/api/2.0/serving-endpoints`: create, look, update, stop, start, delete. Writes wishes and reads facts; deploys nothing itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse

from headgate import errors
from headgate.access import rights
from headgate.access.principals import Principal
from headgate.api import endpoint_shapes, endpoint_wishes, in_force
from headgate.api.dependencies import ApiDependencies, Caller, Given
from headgate.api.endpoint_wishes import Writer
from headgate.api.language import external_models, gateway_wishes
from headgate.domain import ai_gateway, endpoint_rules, following, rate_limits, state
from headgate.domain.endpoint import Endpoint, Generation, Outcome
from headgate.domain.grants import CAN_MANAGE, CAN_VIEW
from headgate.domain.identity import WORKSPACE_ACCESS
from headgate.wire import endpoint_input as given
from headgate.wire import endpoint_output as shown
from headgate.wire.error_body import ErrorBody

PREFIX = "/api/2.0/serving-endpoints"

# The framework would document errors in the answer's own media type.
_JSON_ERRORS: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "What was wrong and what to do.",
        "content": {"application/json": {"schema": ErrorBody.model_json_schema()}},
    }
}


def routes() -> APIRouter:
    """The family."""
    router = APIRouter(prefix=PREFIX, tags=["serving endpoints"])
    router.post("", response_model_exclude_none=True)(create)
    router.get("", response_model_exclude_none=True, name="list")(show_all)
    router.get("/{name}", response_model_exclude_none=True)(get)
    router.delete("/{name}")(delete)
    router.put("/{name}/config", response_model_exclude_none=True)(update_config)
    router.post("/{name}/config:stop", response_model_exclude_none=True)(stop)
    router.post("/{name}/config:start", response_model_exclude_none=True)(start)
    router.get("/{name}/metrics", response_class=PlainTextResponse, responses=_JSON_ERRORS)(export_metrics)
    return router


def create(body: given.CreateEndpoint, request: Request, dependencies: Given, caller: Caller) -> shown.Endpoint:
    """Create an endpoint and begin to deploy its config. The caller gets CAN_MANAGE."""
    request.state.audit_object = body.name
    may_create(caller)
    endpoint_rules.check_name(body.name)
    writer = Writer(caller, dependencies.clock.now_ms())
    gateway = ai_gateway.parse(body.ai_gateway)
    wish = None if body.config is None else endpoint_wishes.deployable(dependencies, body.config, writer, None)
    telemetry = endpoint_wishes.written(body.telemetry_config) if wish and not wish.config.is_external else None
    limits = rate_limits.parse_legacy(body.rate_limits)
    endpoint = Endpoint(
        id=dependencies.new_id(),
        name=body.name,
        creator=caller.user_name,
        created_at_ms=writer.now_ms,
        updated_at_ms=writer.now_ms,
        wanted=None if wish is None else Generation(1, wish.config, Outcome.PENDING, writer.now_ms),
        description=body.description or "",
        tags={tag.key: tag.value for tag in body.tags or ()},
        email_notifications=endpoint_wishes.written(body.email_notifications),
        telemetry_config=endpoint_rules.telemetry(telemetry),
        route_optimized=bool(body.route_optimized),
        budget_policy_id=body.budget_policy_id,
        ai_gateway=gateway.to_json() or None,
        rate_limits=tuple(limit.to_json() for limit in limits),
    )
    gateway_wishes.check(dependencies, caller, dataclasses.replace(endpoint, ai_gateway=None), gateway)
    gateway_wishes.check_legacy(dependencies, endpoint, limits)
    seal = None
    if wish is not None:
        gateway_wishes.check_config(dependencies, caller, endpoint, wish.config)
        seal = external_models.sealing(dependencies, endpoint.id, wish.config, wish.plaintext)
    made = dependencies.endpoints.create(endpoint, manager=caller.id, seal=seal)
    return _located(dependencies, endpoint_shapes.detailed(made, (), CAN_MANAGE))


def show_all(dependencies: Given, caller: Caller) -> shown.EndpointList:
    """List the endpoints that the caller may see."""
    everything = dependencies.endpoints.all()
    levels = dependencies.rights.endpoint_levels(caller, (endpoint.id for endpoint in everything))
    visible = as_requests_see(dependencies, [endpoint for endpoint in everything if endpoint.id in levels])
    return shown.EndpointList(endpoints=[endpoint_shapes.summary(found) for found in visible])


def get(name: str, dependencies: Given, caller: Caller) -> shown.Endpoint:
    """Get one endpoint. Takes CAN_VIEW."""
    endpoint, level = seen(dependencies, caller, name, CAN_VIEW)
    return answer(dependencies, endpoint, level)


def delete(name: str, dependencies: Given, caller: Caller) -> shown.Nothing:
    """Delete an endpoint. Takes CAN_MANAGE."""
    find(dependencies, caller, name, CAN_MANAGE)
    dependencies.endpoints.delete(name, dependencies.clock.now_ms())
    in_force.wait_until_routed(dependencies)
    return shown.Nothing()


def update_config(name: str, body: given.ConfigInput, dependencies: Given, caller: Caller) -> shown.Endpoint:
    """Replace an endpoint's config; the old one serves until the new one is ready. Takes CAN_MANAGE."""
    before = find(dependencies, caller, name, CAN_MANAGE)
    writer = Writer(caller, dependencies.clock.now_ms())
    wish = endpoint_wishes.deployable(dependencies, body, writer, before)
    gateway_wishes.check_config(dependencies, caller, before, wish.config)
    seal = external_models.sealing(dependencies, before.id, wish.config, wish.plaintext)
    return answer(dependencies, dependencies.endpoints.add_generation(name, wish.config, writer.now_ms, seal))


def stop(name: str, dependencies: Given, caller: Caller) -> shown.Endpoint:
    """Stop an endpoint: it keeps its config and serves nothing. Takes CAN_MANAGE."""
    endpoint = find(dependencies, caller, name, CAN_MANAGE)
    endpoint_rules.check_stop(endpoint)
    stopped = dependencies.endpoints.stop(name, dependencies.clock.now_ms())
    in_force.wait_until_routed(dependencies)
    return answer(dependencies, stopped)


def start(name: str, dependencies: Given, caller: Caller) -> shown.Endpoint:
    """Start a stopped endpoint: deploys its config again, as a new version. Takes CAN_MANAGE."""
    endpoint = find(dependencies, caller, name, CAN_MANAGE)
    config = endpoint_wishes.with_secrets(dependencies, caller, endpoint_rules.config_to_start(endpoint))
    seal = external_models.sealing(dependencies, endpoint.id, config, {})
    return answer(dependencies, dependencies.endpoints.add_generation(name, config, dependencies.clock.now_ms(), seal))


def export_metrics(name: str, dependencies: Given, caller: Caller) -> PlainTextResponse:
    """An endpoint's metrics as Prometheus text. Takes CAN_VIEW."""
    find(dependencies, caller, name, CAN_VIEW)
    return PlainTextResponse(dependencies.metrics(name), media_type="text/plain; version=0.0.4; charset=utf-8")


def may_create(caller: Principal) -> None:
    """Raises PermissionDenied when somebody cannot have endpoints of their own."""
    if not caller.admin and WORKSPACE_ACCESS not in caller.entitlements:
        raise errors.PermissionDenied(
            f"User {caller.user_name} does not have the entitlement {WORKSPACE_ACCESS}, which creating endpoints takes. "
            "An administrator can give it to them or to a group of theirs."
        )


def find(dependencies: ApiDependencies, caller: Principal, name: str, wanted: str) -> Endpoint:
    """The endpoint of that name, for somebody with at least `wanted` on it. Raises ResourceDoesNotExist, PermissionDenied."""
    return seen(dependencies, caller, name, wanted)[0]


def seen(dependencies: ApiDependencies, caller: Principal, name: str, wanted: str) -> tuple[Endpoint, str]:
    """The same, and the caller's level."""
    # Not every database can even be asked for any text.
    level = dependencies.rights.endpoint_level_by_name(caller, name) if endpoint_rules.is_name(name) else None
    level = rights.require(level, wanted, name)
    return dependencies.endpoints.get(name), level


def answer(dependencies: ApiDependencies, endpoint: Endpoint, level: str = CAN_MANAGE) -> shown.Endpoint:
    """An endpoint in full, with the states of its replicas. `level` is the caller's."""
    [current] = as_requests_see(dependencies, [endpoint])
    rows = dependencies.replicas.of_endpoint(endpoint.id)
    followed = following.followed([current.serving.config] if current.serving else [])
    targets = dependencies.endpoints.targets(followed)
    return _located(dependencies, endpoint_shapes.detailed(current, rows, level, targets))


def _located(dependencies: ApiDependencies, found: shown.Endpoint) -> shown.Endpoint:
    if not found.route_optimized:
        return found
    workspace_url = f"{dependencies.external_url.rstrip('/')}/{dependencies.workspace_id}"
    return endpoint_shapes.with_data_plane(found, workspace_url)


def as_requests_see(dependencies: ApiDependencies, endpoints: Sequence[Endpoint]) -> list[Endpoint]:
    """Endpoints with updates that are over only once every server process routes to what is new (docs/decisions/0006)."""
    slowest = dependencies.servers.slowest_revision(dependencies.clock.now_ms())
    return [_before_arrival(dependencies, e) if state.is_arriving(e, slowest) else e for e in endpoints]


def _before_arrival(dependencies: ApiDependencies, endpoint: Endpoint) -> Endpoint:
    assert endpoint.wanted is not None
    before = dependencies.endpoints.served_before(endpoint.id, endpoint.wanted.number)
    return state.before_arrival(endpoint, before)
