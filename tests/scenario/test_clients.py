"""The official clients, each in an environment of its own, old and new, run every operation against the running house."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.scenario.house import TOKEN, House
from tests.wire import clients

pytestmark = [pytest.mark.scenario, pytest.mark.wire]
SCRIPTS = Path(__file__).parent / "clients"


def run(house: House, script: str, *requirements: str) -> dict[str, object]:
    python = clients.client_python(*requirements) if requirements else sys.executable
    environment = {
        "DATABRICKS_HOST": house.url,
        "DATABRICKS_TOKEN": TOKEN,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_REGISTRY_URI": "databricks-uc",
        "MLFLOW_TRACKING_URI": f"sqlite:///{house.data_dir.parent}/client-{len(requirements)}.db",
    }
    done = clients.run_client(python, (SCRIPTS / script).read_text(), environment).json()
    assert isinstance(done, dict)
    return done


@pytest.mark.parametrize("requirement", ["databricks-sdk==0.59.0", "databricks-sdk"])
def test_the_databricks_sdk_runs_every_operation(house: House, requirement: str) -> None:
    done = run(house, "sdk.py", requirement)
    assert done["done"] == [
        "me", "workspace_id", "create_and_wait", "errors", "list", "get", "query", "update_config_and_wait",
        "update_config served_models", "traffic split", "failed update", "patch", "notifications", "telemetry-config",
        "logs", "build_logs", "export_metrics", "get_open_api", "stop and start", "delete",
    ]  # fmt: skip


@pytest.mark.parametrize("requirements", [clients.OLD_MLFLOW, ()], ids=["2.22", "current"])
def test_mlflow_deploys_predicts_and_keeps_models(house: House, requirements: tuple[str, ...]) -> None:
    done = run(house, "mlflow_deployments.py", *requirements)
    assert done["done"] == [
        "create_endpoint", "list_endpoints", "predict", "predict error", "update_endpoint_config",
        "update_endpoint_tags", "delete_endpoint", "predict_stream", "registry",
    ]  # fmt: skip
