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
    assert seen["limits"] == {"rate_limits": [{"calls": 9, "renewal_period": "minute"}]}
    assert seen["gateway"] == seen["gateway shown"] == {"usage_tracking_config": {"enabled": True}}
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
        "guardrails": "InvalidParameterValue",
    }
    assert "not supported for endpoints that serve custom models" in refusals["guardrails"][1]
    assert refusals["unknown"][1] == "Serving endpoint with name nobody not found"
    assert "use one of Small, Medium, Large" in refusals["bad size"][1]
    assert "there are: churn-1, churn-2" in refusals["unknown entity"][1]


def test_the_sdk_serves_vendors_models_behind_the_gateway(served: Served, version: str) -> None:
    python = Path(sys.executable) if version == "current" else clients.client_python(version)
    script = Path(__file__).with_name("external_sdk_walk.py").read_text()
    seen: Any = clients.run_client(python, script, served.environ()).json()

    created = seen["created"]
    assert (created["task"], created["state"]["ready"]) == ("llm/v1/chat", "READY")
    by_name = {entity["name"]: entity["external_model"] for entity in created["config"]["served_entities"]}
    assert by_name["gpt-4-1"]["openai_config"] == {"openai_api_key": "{{secrets/llm/openai}}"}
    assert by_name["claude"]["provider"] == "anthropic" and by_name["spare"]["name"] == "claude-small"
    assert "plaintext" not in str(created) and "sk-ant" not in str(created)
    shares = [route["traffic_percentage"] for route in created["config"]["traffic_config"]["routes"]]
    assert shares == [80, 20, 0]
    assert seen["created gateway"] == created["ai_gateway"] == {"fallback_config": {"enabled": True}}
    assert seen["gateway"]["rate_limits"][1] == {
        "key": "user_group", "principal": "analysts", "renewal_period": "minute", seen["unit"]: 50,
    }  # fmt: skip
    assert seen["gateway"] == seen["gateway shown"] == seen["gateway listed"]
    assert seen["cleared"] == {} and seen["updated"] == ["gpt-4-1"]
    assert seen["kind"][0] == "InvalidParameterValue" and "cannot change between" in seen["kind"][1]
    assert seen["palm"][0] == "InvalidParameterValue" and "google-cloud-vertex-ai" in seen["palm"][1]
    assert seen["no secret"][0] == "ResourceDoesNotExist" and "openai_api_key refers to" in seen["no secret"][1]
    assert (seen["logs"], seen["build logs"]) == ("", "")
