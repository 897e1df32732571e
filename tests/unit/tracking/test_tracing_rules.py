from __future__ import annotations

import json

import pytest

from headgate import errors
from headgate.tracking import tracing_rules
from headgate.tracking.tracing_rules import Allowed, Request

V2, V3 = "/api/2.0/mlflow/traces", "/api/3.0/mlflow/traces"
TRACE = {"trace": {"trace_info": {"trace_location": {"mlflow_experiment": {"experiment_id": "7"}}}}}


def allowed(method: str, path: str, header: str = "", query: str = "") -> Allowed:
    headers = {"x-mlflow-experiment-id": header} if header else {}
    return tracing_rules.allowed(Request(method, path, headers, {"experiment_id": query} if query else {}), "7")


def test_traces_of_its_experiment_may_be_written() -> None:
    assert allowed("POST", "/v1/traces", "7") == Allowed()
    assert allowed("POST", "/api/3.0/mlflow/traces") == Allowed(needs_body=True)
    assert allowed("PATCH", "/api/2.0/mlflow/traces/abc") == Allowed(trace_id="abc")
    assert allowed("PUT", "/api/2.0/mlflow-artifacts/artifacts/7/tr-1/artifacts/traces.json") == Allowed()
    assert allowed("GET", "/api/2.0/mlflow/experiments/get", query="7") == Allowed()
    assert tracing_rules.check_body(V3, json.dumps(TRACE).encode(), "7") is None
    assert tracing_rules.check_body(V2, b'{"experiment_id": "7"}', "7") is None


@pytest.mark.parametrize("name", ["trace_id", "traceId"])
def test_a_trace_that_says_its_id_is_looked_up(name: str) -> None:
    info = {**TRACE["trace"]["trace_info"], name: "tr-1"}
    assert tracing_rules.check_body(V3, json.dumps({"trace": {"trace_info": info}}).encode(), "7") == "tr-1"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/traces"),
        ("GET", "/api/3.0/mlflow/traces"),
        ("GET", "/api/3.0/mlflow/traces/tr-1"),
        ("DELETE", "/api/3.0/mlflow/traces/tr-1/tags"),
        ("POST", "/api/3.0/mlflow/traces/search"),
        ("POST", "/api/3.0/mlflow/traces/delete-traces"),
        ("GET", "/api/2.0/mlflow/experiments/get"),
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts/7/run/artifacts/x"),
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts/8/tr-1/artifacts/x"),
        ("GET", "/api/2.0/mlflow-artifacts/artifacts/7/tr-1/artifacts/x"),
        ("GET", "/api/2.0/serving-endpoints"),
        ("GET", "/mlflow/"),
        ("POST", "/serving-endpoints/churn/invocations"),
    ],
)
def test_nothing_else_may(method: str, path: str) -> None:
    with pytest.raises(errors.PermissionDenied, match="only write traces into experiment 7"):
        allowed(method, path, "8", "8")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (V2, b'{"experiment_id": "8"}'),
        (V2, b"{}"),
        (V2, b"[]"),
        (V2, json.dumps({**TRACE, "experiment_id": "8"}).encode()),
        (V3, b'{"trace": 1}'),
        (V3, b'{"trace": {"trace_info": {}}, "experiment_id": "7"}'),
    ],
)
def test_a_body_that_names_another_experiment_is_refused(path: str, body: bytes) -> None:
    with pytest.raises(errors.PermissionDenied):
        tracing_rules.check_body(path, body, "7")


def test_a_body_that_is_nested_too_deeply_is_refused() -> None:
    with pytest.raises(errors.BadRequest):
        tracing_rules.check_body(V3, b"[" * 100_000, "7")


def test_a_path_that_leads_out_of_its_experiment_is_refused() -> None:
    with pytest.raises(errors.InvalidParameterValue):
        allowed("PUT", "/api/2.0/mlflow-artifacts/artifacts/7/tr-1/artifacts/../../../8/x")
