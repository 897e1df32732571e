"""Judges what is asked of the gateway for an endpoint: `ai_gateway`, and its legacy forms. Called by the endpoint routes before they write."""

from __future__ import annotations

import dataclasses

from headgate.access.principals import Principal
from headgate.api.dependencies import ApiDependencies
from headgate.domain import ai_gateway, gateway_route, rate_limits
from headgate.domain.ai_gateway import AiGatewayConfig, Surroundings
from headgate.domain.endpoint import Endpoint, EndpointConfig
from headgate.domain.rate_limits import RateLimit
from headgate.domain.request_record import InferenceTable


def check(dependencies: ApiDependencies, caller: Principal, endpoint: Endpoint, wanted: AiGatewayConfig) -> None:
    """Whether the caller may ask that for this endpoint in place of what it has.

    Raises InvalidParameterValue; ResourceDoesNotExist, PermissionDenied and ResourceAlreadyExists for a table that they cannot have.
    """
    ai_gateway.check(wanted, _surroundings(dependencies, endpoint))
    ai_gateway.check_change(ai_gateway.parse(endpoint.ai_gateway), wanted)
    table = wanted.inference_table
    _keep(dependencies, caller, endpoint, None if table is None else table.table(endpoint.name))


def check_legacy(dependencies: ApiDependencies, endpoint: Endpoint, limits: tuple[RateLimit, ...]) -> None:
    """The same for limits of the deprecated API."""
    ai_gateway.check_legacy(ai_gateway.parse(endpoint.ai_gateway), limits)
    ai_gateway.check(AiGatewayConfig(rate_limits=limits), _surroundings(dependencies, endpoint))


def check_config(dependencies: ApiDependencies, caller: Principal, endpoint: Endpoint, config: EndpointConfig) -> None:
    """Whether what is asked for the endpoint suits a config of it, and what that asks itself (`auto_capture_config`)."""
    surroundings = _surroundings(dependencies, endpoint, config)
    # Not that this server still has what was asked for when it had it.
    suiting = dataclasses.replace(surroundings, missing={})
    ai_gateway.check(ai_gateway.parse(endpoint.ai_gateway), suiting)
    ai_gateway.check(AiGatewayConfig(rate_limits=rate_limits.parse_legacy(list(endpoint.rate_limits))), suiting)
    captured = ai_gateway.captured(config.auto_capture_config)
    if captured is not None:
        ai_gateway.check(AiGatewayConfig(inference_table=captured), surroundings)
        _keep(dependencies, caller, endpoint, captured.table(endpoint.name))


def _keep(dependencies: ApiDependencies, caller: Principal, endpoint: Endpoint, table: InferenceTable | None) -> None:
    if table is not None:
        dependencies.may_keep(caller, endpoint.id, table)


def _surroundings(
    dependencies: ApiDependencies, endpoint: Endpoint, config: EndpointConfig | None = None
) -> Surroundings:
    newest = endpoint.wanted or endpoint.serving
    config = config or (newest.config if newest else EndpointConfig())
    task = config.task if config.is_external else None
    return Surroundings(gateway_route.kind_of(config), task, dependencies.missing)
