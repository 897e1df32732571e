"""MLflow with `MLFLOW_REGISTRY_URI=databricks-uc` and local tracking works unmodified, oldest and newest supported."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from tests.wire import clients

pytestmark = pytest.mark.wire
MLFLOWS = {
    "2.22": ("mlflow==2.22.*", "sqlalchemy<2.1", "databricks-sdk>=0.59,<1", "scikit-learn"),
    "current": (),
}


@pytest.fixture(params=list(MLFLOWS))
def python(request: pytest.FixtureRequest) -> Path:
    requirements = MLFLOWS[request.param]
    return clients.client_python(*requirements) if requirements else Path(sys.executable)


def test_mlflow_registers_finds_loads_and_deletes_models(server: Any, python: Path, tmp_path: Path) -> None:
    script = Path(__file__).with_name("mlflow_walk.py").read_text()
    seen = clients.run_client(python, script, server.environ(), arguments=[str(tmp_path)]).json()

    assert seen["version"] == ["1", "READY", "admin", "main.default.churn", True]
    assert seen["timestamps"]
    assert seen["model"] == ["Who leaves", {"team": "growth"}, {"Champion": "2"}]
    assert seen["second"] == ["2", "Second", {"stage": "prod"}, ["Champion"]]
    assert seen["versions"] == ["2", "1"]
    assert seen["models"] == ["main.default.churn", "other.place.churn"]
    assert seen["pages"] == [["main.default.churn"], ["other.place.churn"], ""]
    assert {"MLmodel", "python_env.yaml", "requirements.txt"} <= set(seen["downloaded"])
    assert seen["predicted"] == seen["spelled_differently"] == seen["renamed"]
    assert seen["registered_again"] == "3"
    assert seen["copied"] == "1"
    assert seen["uri"] == "models:/main.default.churn/1"
    codes = {case: code for case, (code, _) in seen["refusals"].items()}
    assert codes == {
        "duplicate": "RESOURCE_ALREADY_EXISTS",
        "two levels": "INVALID_PARAMETER_VALUE",
        "no such model": "RESOURCE_DOES_NOT_EXIST",
        "no such version": "RESOURCE_DOES_NOT_EXIST",
        "no such alias": "RESOURCE_DOES_NOT_EXIST",
        "alias to nothing": "RESOURCE_DOES_NOT_EXIST",
    }
    assert seen["tags_left"] == [{}, {}]
    assert seen["after_deletion"] == ["2", "1"]
    assert seen["number_not_reused"] == "4"
    assert seen["left"] == ["main.default.copy", "other.place.churn"]
    assert all(path.startswith(("main/default/copy/1/", "other/place/churn/1/")) for path in server.published())
