"""`PUT …/ai-gateway` and the deprecated `PUT …/rate-limits`: what is asked of the gateway, in force when the call returns. Takes CAN_MANAGE."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body

from headgate.api import in_force
from headgate.api.dependencies import Caller, Given
from headgate.api.language import gateway_wishes
from headgate.api.serving_endpoints import PREFIX, find
from headgate.domain import ai_gateway, rate_limits
from headgate.domain.grants import CAN_MANAGE
from headgate.wire.endpoint_input import Anything

Sent = Annotated[Anything | None, Body()]


def routes() -> APIRouter:
    """The family."""
    router = APIRouter(prefix=PREFIX + "/{name}", tags=["serving endpoints"])
    router.put("/ai-gateway")(put_ai_gateway)
    router.put("/rate-limits")(put_rate_limits)
    return router


def put_ai_gateway(name: str, dependencies: Given, caller: Caller, body: Sent = None) -> dict[str, Any]:
    """Replace what is asked of the gateway: limits, guardrails, tables, fallbacks. An empty body clears it. Takes CAN_MANAGE."""
    before = find(dependencies, caller, name, CAN_MANAGE)
    wanted = ai_gateway.parse(body)
    gateway_wishes.check(dependencies, caller, before, wanted)
    written = wanted.to_json()
    values: dict[str, Any] = {"ai_gateway": written or None}
    if wanted.rate_limits is not None:
        values["rate_limits"] = None  # or those of the deprecated API would come back when these are cleared
    dependencies.endpoints.change(name, dependencies.clock.now_ms(), **values)
    in_force.wait_until_routed(dependencies)
    return written


def put_rate_limits(name: str, dependencies: Given, caller: Caller, body: Sent = None) -> dict[str, Any]:
    """Replace an endpoint's rate limits (deprecated: use `PUT …/ai-gateway`). Takes CAN_MANAGE."""
    before = find(dependencies, caller, name, CAN_MANAGE)
    limits = rate_limits.parse_legacy((body or {}).get("rate_limits"))
    gateway_wishes.check_legacy(dependencies, before, limits)
    written = [limit.to_json() for limit in limits]
    dependencies.endpoints.change(name, dependencies.clock.now_ms(), rate_limits=written or None)
    in_force.wait_until_routed(dependencies)
    return {"rate_limits": written}
