"""Operations that clients know and this server does not have yet: a clear 501 rather than a route that is unknown.

They are left out of the API's own OpenAPI document, which lists what works.
"""

from __future__ import annotations

from fastapi import APIRouter

from headgate.api.serving_endpoints import PREFIX
from headgate.errors import NotSupported

_THROUGHPUT = (
    "Provisioned throughput is for foundation models, which this server does not serve yet. "
    "Serve a custom or an external model with POST /api/2.0/serving-endpoints."
)


def routes() -> APIRouter:
    """The family."""
    router = APIRouter(prefix=PREFIX, include_in_schema=False)
    router.post("/pt")(provisioned_throughput)
    router.put("/pt/{name}/config")(provisioned_throughput)
    router.get("/get-model-optimization-info/{model}/{version}")(provisioned_throughput)
    return router


async def provisioned_throughput() -> None:
    """Foundation models."""
    raise NotSupported(_THROUGHPUT)
