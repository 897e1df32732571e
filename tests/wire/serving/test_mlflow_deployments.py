"""mlflow.deployments, oldest supported and current, deploys endpoints."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from tests.wire import clients
from tests.wire.serving.conftest import Served

pytestmark = pytest.mark.wire
WALK = Path(__file__).with_name("mlflow_walk.py")


@pytest.mark.parametrize("requirements", [(), clients.OLD_MLFLOW], ids=["current", "2.22"])
def test_mlflow_creates_updates_and_deletes_endpoints(served: Served, requirements: tuple[str, ...]) -> None:
    python = clients.client_python(*requirements) if requirements else Path(sys.executable)
    environ = {**served.environ(), "MLFLOW_DISABLE_TELEMETRY": "true"}
    seen: Any = clients.run_client(python, WALK.read_text(), environ).json()

    assert seen["empty"] == []
    assert seen["created"][0] == "walk"
    assert (seen["listed"], seen["got"], seen["updated"]) == (["walk"], 1, 2)
    assert seen["tags"] == {"tags": [{"key": "a", "value": "1"}]}
    assert "Serving endpoint with name walk already exists" in seen["taken"]
    model = seen["vendors"]["config"]["served_entities"][0]["external_model"]
    assert model == {"name": "gpt-4", "provider": "openai", "task": "llm/v1/chat", "openai_config": {}}
    assert (seen["vendors"]["task"], seen["vendors"]["endpoint_type"]) == ("llm/v1/chat", "EXTERNAL_MODEL")
    limits = {"rate_limits": [{"calls": 10, "key": "endpoint", "renewal_period": "minute"}]}
    assert seen["vendors limits"] == seen["vendors gateway"] == limits
    assert seen["deleted"] == seen["vendors deleted"] == {}
    assert "Serving endpoint with name walk not found" in seen["gone"][1]
