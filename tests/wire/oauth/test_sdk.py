"""databricks-sdk, oldest supported and current, with a client id and a secret only, and with a person at a browser."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from tests.scenario.house import TOKEN, House
from tests.wire import clients
from tests.wire.oauth.conftest import Provider, grant, new_robot

pytestmark = pytest.mark.wire
HERE = Path(__file__).parent
OLD = "databricks-sdk==0.59.0"


@pytest.fixture(params=["new", "old"])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def walk(script: str, version: str, environ: dict[str, str]) -> Any:
    python = Path(sys.executable) if version == "new" else clients.client_python(OLD)
    more = {**environ, "ADMIN_TOKEN": TOKEN, "SDK": version}
    return clients.run_client(python, (HERE / script).read_text(), more).json()


def test_a_program_needs_a_client_id_and_a_secret_only(house: House, version: str) -> None:
    robot = new_robot(house, f"walk {version}", "CAN_QUERY")
    seen = walk("sdk_walk.py", version, robot.environ(house))
    assert (seen["auth"], seen["me"]) == ("oauth-m2m", robot.client_id)
    workspace = house.request("GET", "/.well-known/databricks-config").json["workspace_id"]
    url = f"{house.url}/{workspace}/serving-endpoints/quick/invocations"
    assert seen["endpoint"] == [True, url, "CAN_QUERY"]
    assert (seen["data plane"], seen["again"], seen["ordinary path"]) == ([1.0, 1.0], [1.0], [1.0])
    assert seen["secrets"] == ["ACTIVE", True, 2, True] and seen["left"] == 1
    assert seen["with a new secret"] == robot.client_id and seen["account"] == [True, 1]
    kind, message = seen["refusals"]["personal token"]
    assert kind == "PermissionDenied" and "OAuth tokens only" in message
    assert "invalid_client" in seen["refusals"]["wrong secret"][1]


def test_a_person_logs_in_with_a_browser(house: House, provider: Provider, version: str, tmp_path: Path) -> None:
    name = f"ada.{version}@example.com"
    environ = {"DATABRICKS_HOST": house.url, "HOME": str(tmp_path), "PERSON": f"ada-{version}"}
    provider.account(f"ada-{version}", email=name, name="Ada", groups=["engineering"])
    grant(house, {"group_name": "engineers", "permission_level": "CAN_QUERY"})
    seen = walk("browser_walk.py", version, environ)
    assert (seen["auth"], seen["me"]) == ("external-browser", name)
    assert seen["pages"] == [["provider", 200], ["Let a program in?", 200], ["program", 200]]
    assert seen["again"] == [name, []], "the second program needs no browser"
    assert seen["predictions"] == [1.0]


MLFLOW = """
import json, os
import mlflow
from mlflow.deployments import get_deploy_client

mlflow.set_tracking_uri("databricks")
experiment = mlflow.create_experiment("/" + os.environ["DATABRICKS_CLIENT_ID"])
answer = get_deploy_client("databricks").predict(endpoint="quick", inputs={"dataframe_records": [{"a": 1.0}]})
print(json.dumps([bool(experiment), answer["predictions"]]))
"""


def test_mlflow_needs_no_more(house: House, version: str) -> None:
    robot = new_robot(house, f"mlflow {version}", "CAN_QUERY")
    python = Path(sys.executable) if version == "new" else clients.client_python(*clients.OLD_MLFLOW)
    outcome = clients.run_client(python, MLFLOW, {**robot.environ(house), "MLFLOW_DISABLE_TELEMETRY": "true"})
    assert outcome.json() == [True, [1.0]]
