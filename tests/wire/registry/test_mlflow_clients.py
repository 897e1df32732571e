"""MLflow with `MLFLOW_REGISTRY_URI=databricks-uc` and local tracking works unmodified, oldest and newest supported, as whoever it is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from tests.fakes import callers
from tests.wire import clients
from tests.wire.registry.conftest import TOKEN

pytestmark = pytest.mark.wire
MLFLOWS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "2.22": (clients.OLD_MLFLOW, {}),
    "current": ((), {}),
    "current, native": ((), {"MLFLOW_ENABLE_UC_NATIVE_MODEL_REGISTRY": "true"}),
}
UC = "/api/2.1/unity-catalog"
REFUSED = {"rea": "PERMISSION_DENIED", "stan": "RESOURCE_DOES_NOT_EXIST"}


@pytest.mark.parametrize("mlflow", list(MLFLOWS))
def test_mlflow_registers_finds_loads_and_deletes_models(server: Any, mlflow: str, tmp_path: Path) -> None:
    requirements, environ = MLFLOWS[mlflow]
    python = clients.client_python(*requirements) if requirements else Path(sys.executable)
    script = Path(__file__).with_name("mlflow_walk.py").read_text()
    environ = {**server.environ(), **environ, **profiles(server, tmp_path)}
    seen = clients.run_client(python, script, environ, arguments=[str(tmp_path)]).json()

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
        "two levels": "INTERNAL_ERROR" if "native" in mlflow else "INVALID_PARAMETER_VALUE",
        "no such model": "RESOURCE_DOES_NOT_EXIST",
        "no such version": "RESOURCE_DOES_NOT_EXIST",
        "no such alias": "RESOURCE_DOES_NOT_EXIST",
        "alias to nothing": "RESOURCE_DOES_NOT_EXIST",
    }
    assert seen["tags_left"] == [{}, {}]
    assert seen["after_deletion"] == ["2", "1"]
    assert seen["number_not_reused"] == "4"
    assert seen["left"] == ["main.default.copy", "other.place.churn"]
    _check_callers(seen)
    kept = ("main/default/copy/1/", "other/place/churn/1/", "main/team/churn/", "main/default/stans/1/")
    assert all(path.startswith(kept) for path in server.published())


def profiles(server: Any, folder: Path) -> dict[str, str]:
    """Ann, who owns a schema, Rea, who may execute what is in it, and Stan."""
    ask = callers.over_http(server.url, TOKEN)
    people = {name: callers.user(ask, f"{name}@example.com") for name in ("ann", "rea", "stan")}
    written = [f"[{name}]\nhost = {server.url}\ntoken = {one.token}\n" for name, one in people.items()]
    (folder / "profiles").write_text("".join(written))
    ask("POST", f"{UC}/schemas", {"catalog_name": "main", "name": "team"})
    ask("PATCH", f"{UC}/schemas/main.team", {"owner": "ann@example.com"})
    changes = {"changes": [{"principal": "rea@example.com", "add": ["USE_SCHEMA", "EXECUTE"]}]}
    ask("PATCH", f"{UC}/permissions/schema/main.team", changes)
    return {"DATABRICKS_CONFIG_FILE": str(folder / "profiles")}


def _check_callers(seen: Any) -> None:
    assert seen["owner"] == ["1", "2", "ann@example.com", seen["predicted"], ["main.team.churn"]]
    for who, code in REFUSED.items():
        assert {seen[who][what] for what in ("moves alias", "deletes")} == {code}
        # Everybody may create schemas in main, and so finds out which there are.
        assert seen[who]["registers"] == "PERMISSION_DENIED"
    assert seen["rea"]["sees"] == ["main.team.churn"] and seen["rea"]["finds"] == ["2", "1"]
    assert seen["rea"]["loads"] == seen["after rename"] == seen["predicted"]
    assert seen["stan"]["sees"] == seen["stan"]["finds"] == [] and seen["stan"]["own"] == "1"
    assert seen["stan"]["loads"] == "RESOURCE_DOES_NOT_EXIST"
