"""What passes to MLflow's server is what it has: a release that renames or drops a route is noticed here."""

from __future__ import annotations

import re

import pytest

from headgate.tracking import rules

pytestmark = pytest.mark.wire
# Answered by MLflow's server beside its described services.
UNDESCRIBED = {("GET", "/api/3.0/mlflow/server-info"), ("POST", "/api/2.0/mlflow/experiments/search-datasets")}


def test_every_open_route_is_one_that_the_server_has() -> None:
    from mlflow.protos import databricks_pb2, model_registry_pb2, service_pb2

    served = set(UNDESCRIBED)
    methods = (
        *service_pb2.MlflowService.DESCRIPTOR.methods,
        *model_registry_pb2.ModelRegistryService.DESCRIPTOR.methods,
    )
    for method in methods:
        for endpoint in method.GetOptions().Extensions[databricks_pb2.rpc].endpoints:
            path = f"/{endpoint.path.lstrip('/')}"
            served.add((endpoint.method, f"/api/{endpoint.since.major}.0{shape(path)}"))
    assert {(route.method, shape(route.path)) for route in rules.API} - served == set()


def shape(path: str) -> str:
    return re.sub(r"\{[^}]*\}|<[^>]*>", "{}", path)
