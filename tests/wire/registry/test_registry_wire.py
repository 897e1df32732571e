"""What the registry's routes accept and how they refuse, over real HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = pytest.mark.wire

UC = "/api/2.0/mlflow/unity-catalog"
NAME = "main.default.churn"


def test_arguments_are_taken_from_query_and_body_and_unknown_ones_ignored(server: Any) -> None:
    created = server.call("POST", "registered-models/create", {"name": NAME, "deployment_job_id": None, "new": [1]})
    assert created["registered_model"]["name"] == NAME
    assert created["registered_model"]["user_id"] == "admin"
    assert server.call("GET", "registered-models/get", {"name": NAME})["registered_model"]["name"] == NAME
    version = server.call("POST", "model-versions/create", {"name": NAME, "source": "x"})["model_version"]
    assert version["version"] == "1" and "run_id" not in version
    assert server.call("GET", f"model-versions/get?name={NAME}&version=1&x=y") == {"model_version": version}
    assert server.call("POST", "registered-models/alias", {"name": NAME, "alias": "Champion", "version": 1}) == {}
    aliases = server.call("GET", "registered-models/search?max_results=5")["registered_models"][0]["aliases"]
    assert aliases == [{"alias": "Champion", "version": "1"}]
    assert server.call("DELETE", f"registered-models/alias?name={NAME}&alias=Champion") == {}
    assert server.call("DELETE", "registered-models/delete", {"name": NAME}) == {}
    flag = server.call("GET", "registered-models:is-databricks-sdk-models-artifact-repository-enabled")
    assert flag == {"is_databricks_sdk_models_artifact_repository_enabled": False}


def test_transfers_are_steered_to_urls_of_ours_while_they_are_possible(server: Any) -> None:
    server.call("POST", "registered-models/create", {"name": NAME})
    server.call("POST", "model-versions/create", {"name": NAME})
    credentials = {"name": NAME, "version": "1", "operation": "MODEL_VERSION_OPERATION_READ_WRITE"}
    answer = server.call("POST", "model-versions/generate-temporary-credentials", credentials)
    assert answer == {"credentials": {"storage_mode": "DEFAULT_STORAGE"}}
    reading = json.dumps({**credentials, "operation": "MODEL_VERSION_OPERATION_READ"}).encode()
    status, _, body = server.http("POST", f"{UC}/model-versions/generate-temporary-credentials", reading)
    assert status == 400 and json.loads(body)["error_code"] == "INVALID_STATE"
    for path in ("/Models/main/default/churn/1/MLmodel", "/Models/Main/Default/Churn/1/MLmodel"):
        status, _, body = server.http("POST", f"/api/2.0/fs/create-upload-url?path={path}")
        assert status == 200 and json.loads(body)["headers"] == []
        assert json.loads(body)["url"].startswith(server.url + "/api/2.0/fs/signed" + path + "?")


REFUSED: list[tuple[str, str, Any, int, str]] = [
    ("POST", "registered-models/create", b"{", 400, "INVALID_PARAMETER_VALUE"),
    ("POST", "registered-models/create", b"[]", 400, "INVALID_PARAMETER_VALUE"),
    ("POST", "registered-models/create", b"\xff", 400, "INVALID_PARAMETER_VALUE"),
    ("POST", "registered-models/create", b"[" * 100_000, 400, "INVALID_PARAMETER_VALUE"),
    ("POST", "registered-models/create", {}, 400, "INVALID_PARAMETER_VALUE"),
    ("POST", "registered-models/create", {"name": ["x"]}, 400, "INVALID_PARAMETER_VALUE"),
    ("POST", "registered-models/create", {"name": "churn"}, 400, "INVALID_PARAMETER_VALUE"),
    ("POST", "registered-models/create", {"name": NAME}, 409, "RESOURCE_ALREADY_EXISTS"),
    ("POST", "registered-models/create", {"name": "a.b.c", "description": "\0"}, 400, "INVALID_PARAMETER_VALUE"),
    (
        "POST",
        "registered-models/create",
        b'{"name": "a.b.c", "description": "\\ud800"}',
        400,
        "INVALID_PARAMETER_VALUE",
    ),
    ("POST", "registered-models/create", b" " * 5_000_000, 400, "INVALID_PARAMETER_VALUE"),
    ("GET", "registered-models/get?name=a.b.c", None, 404, "RESOURCE_DOES_NOT_EXIST"),
    ("GET", "registered-models/search?max_results=-1", None, 400, "INVALID_PARAMETER_VALUE"),
    ("GET", "registered-models/search?max_results=ten", None, 400, "INVALID_PARAMETER_VALUE"),
    ("POST", "registered-models/alias", {"name": NAME, "alias": "A", "version": "9"}, 404, "RESOURCE_DOES_NOT_EXIST"),
    ("POST", "model-versions/create", {"name": "a.b.c"}, 404, "RESOURCE_DOES_NOT_EXIST"),
    ("POST", "model-versions/create", {"name": NAME, "run_id": "x" * 257}, 400, "INVALID_PARAMETER_VALUE"),
    ("POST", "model-versions/finalize", {"name": NAME, "version": "9"}, 404, "RESOURCE_DOES_NOT_EXIST"),
    ("GET", f"model-versions/get?name={NAME}&version=one", None, 400, "INVALID_PARAMETER_VALUE"),
    ("GET", "model-versions/search?filter=nonsense", None, 400, "INVALID_PARAMETER_VALUE"),
]


def test_every_refusal_has_the_code_that_clients_know(server: Any) -> None:
    server.call("POST", "registered-models/create", {"name": NAME})
    for method, path, body, status, code in REFUSED:
        sent = json.dumps(body).encode() if isinstance(body, dict) else body
        found, _, answer = server.http(method, f"{UC}/{path}", sent)
        decoded = json.loads(answer)
        assert (found, decoded["error_code"]) == (status, code), (method, path, body, answer)
        assert set(decoded) == {"error_code", "message"}
