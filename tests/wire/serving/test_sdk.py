"""databricks-sdk, oldest supported and current, runs every serving operation of custom models."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from tests.wire import clients
from tests.wire.serving.conftest import Served

pytestmark = pytest.mark.wire
WALK = Path(__file__).with_name("sdk_walk.py")
OLD = "databricks-sdk==0.59.0"


@pytest.fixture(params=["current", OLD])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def walk(served: Served, version: str) -> Any:
    python = Path(sys.executable) if version == "current" else clients.client_python(version)
    return clients.run_client(python, WALK.read_text(), served.environ()).json()


def test_the_sdk_runs_every_operation(served: Served, version: str) -> None:
    seen = walk(served, version)

    assert (seen["me"], seen["workspace"], seen["empty"]) == ("ada", 1234567890123456, 0)
    _check_created(seen)
    assert seen["legacy"][0] == 2
    assert seen["legacy"][1]["entity_name"] == "main.default.fraud" and seen["legacy"][1]["workload_size"] == "Medium"
    assert seen["pending"] == ["IN_PROGRESS", 3]
    shares = {route["served_entity_name"]: route["traffic_percentage"] for route in seen["split"]["routes"]}
    assert shares == {"churn-1": 80, "churn-2": 20}
    assert seen["failed"][0] == "OperationFailed" and "UPDATE_FAILED" in seen["failed"][1]
    message = "The model does not load: add torch to its requirements."
    told = {"deployment": "DEPLOYMENT_FAILED", "deployment_state_message": message}
    assert seen["after failure"] == ["READY", "UPDATE_FAILED", 3, 4, told]
    assert seen["tags"] == [{"key": "a", "value": "1"}]
    _check_recent_operations(seen, version)
    assert (seen["logs"], seen["build logs"]) == ("", "")
    assert "request_count_total" in seen["metrics"]
    if seen["openapi"] is not None:  # older SDKs drop the document
        assert seen["openapi"] == ["/served-models/churn-1/invocations", "/served-models/churn-2/invocations"]
    assert seen["stopped"] == {"ready": "NOT_READY", "config_update": "NOT_UPDATING", "suspend": "STOPPED"}
    assert seen["started"] == 5
    assert (seen["deleted"], seen["gone"]) == (None, "ResourceDoesNotExist")


def _check_created(seen: Any) -> None:
    created = seen["created"]
    assert seen["get"] and created["state"] == {"ready": "READY", "config_update": "NOT_UPDATING"}
    (entity,) = created["config"]["served_entities"]
    assert (entity["name"], entity["entity_version"], entity["scale_to_zero_enabled"]) == ("churn-Champion", "2", True)
    assert entity["environment_vars"] == {"A": "b"}
    assert entity["state"]["deployment"] == "DEPLOYMENT_READY"
    # Then what it follows: this server has no registry that knows the alias.
    assert entity["state"]["deployment_state_message"].startswith("Scaled to zero. The alias Champion")
    assert created["config"]["served_models"][0]["model_name"] == "main.default.churn"
    assert created["tags"] == [{"key": "team", "value": "growth"}]
    assert [found["name"] for found in seen["listed"]] == ["walk"]


def _check_recent_operations(seen: Any, version: str) -> None:
    if version == OLD:
        return
    assert seen["notifications"] == {"name": "walk", "email_notifications": {"on_update_failure": ["a@example.com"]}}
    assert seen["telemetry"] == {"telemetry_profile_id": "p", "inference_table_config": {"name": "c.s.l_payload"}}
    assert seen["telemetry removed"] is True


def test_the_sdk_raises_its_own_errors_with_our_messages(served: Served, version: str) -> None:
    refusals = walk(served, version)["refusals"]
    assert {case: kind for case, (kind, _) in refusals.items()} == {
        "unknown": "ResourceDoesNotExist",
        "taken": "ResourceAlreadyExists",
        "unknown model": "ResourceDoesNotExist",
        "bad name": "InvalidParameterValue",
        "bad size": "InvalidParameterValue",
        "unknown entity": "ResourceDoesNotExist",
        "limits": "NotImplemented",
        "gateway": "NotImplemented",
    }
    assert refusals["unknown"][1] == "Serving endpoint with name nobody not found"
    assert "use one of Small, Medium, Large" in refusals["bad size"][1]
    assert "there are: churn-1, churn-2" in refusals["unknown entity"][1]
