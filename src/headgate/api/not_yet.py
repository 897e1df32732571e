"""Operations that clients know and this server does not have yet: a clear 501 rather than a route that is unknown.

They are left out of the API's own OpenAPI document, which lists what works.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body

from headgate.api.dependencies import Caller, Given
from headgate.api.endpoint_wishes import asks_for_something
from headgate.api.serving_endpoints import PREFIX, find
from headgate.domain.grants import CAN_MANAGE
from headgate.errors import NotSupported

_THROUGHPUT = (
    "Provisioned throughput is for foundation models, which this server does not serve yet. "
    "Serve a custom model with POST /api/2.0/serving-endpoints."
)


def routes() -> APIRouter:
    """The family."""
    router = APIRouter(prefix=PREFIX, include_in_schema=False)
    router.post("/pt")(provisioned_throughput)
    router.put("/pt/{name}/config")(provisioned_throughput)
    router.get("/get-model-optimization-info/{model}/{version}")(provisioned_throughput)
    router.put("/{name}/rate-limits")(put_rate_limits)
    router.put("/{name}/ai-gateway")(put_ai_gateway)
    return router


async def provisioned_throughput() -> None:
    """Foundation models."""
    raise NotSupported(_THROUGHPUT)


def put_rate_limits(
    name: str, body: Annotated[dict[str, Any], Body()], dependencies: Given, caller: Caller
) -> dict[str, Any]:
    """Clearing limits works, since there are none; setting them does not."""
    find(dependencies, caller, name, CAN_MANAGE)
    if asks_for_something(body.get("rate_limits")):
        raise NotSupported("Rate limits are not supported yet: they would not be enforced.")
    return {"rate_limits": []}


def put_ai_gateway(
    name: str, body: Annotated[dict[str, Any], Body()], dependencies: Given, caller: Caller
) -> dict[str, Any]:
    """Switching everything off works, since nothing is on; switching something on does not."""
    find(dependencies, caller, name, CAN_MANAGE)
    if asks_for_something(body):
        raise NotSupported("AI Gateway features are not supported yet: they would not be enforced.")
    return body
