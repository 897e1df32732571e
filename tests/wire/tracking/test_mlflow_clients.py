"""MLflow's tracking client works unmodified, oldest and newest supported, as `databricks` and as a server of its own kind."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from tests.scenario.house import TOKEN, House
from tests.wire import clients

pytestmark = pytest.mark.wire
MLFLOWS: dict[str, tuple[str, ...]] = {"2.22": clients.OLD_MLFLOW, "current": ()}


def environ(house: House, tracking: str) -> dict[str, str]:
    """All that a user sets."""
    if tracking == "databricks":
        return {"MLFLOW_TRACKING_URI": "databricks", "DATABRICKS_HOST": house.url, "DATABRICKS_TOKEN": TOKEN}
    return {"MLFLOW_TRACKING_URI": house.url, "MLFLOW_TRACKING_TOKEN": TOKEN}


def run(house: House, tracking: str, mlflow: str, script: str, arguments: list[str]) -> Any:
    python = clients.client_python(*MLFLOWS[mlflow]) if MLFLOWS[mlflow] else Path(sys.executable)
    text = Path(__file__).with_name(script).read_text()
    told = {**environ(house, tracking), "MLFLOW_DISABLE_TELEMETRY": "true"}
    return clients.run_client(python, text, told, arguments=arguments).json()


@pytest.mark.parametrize("tracking", ["databricks", "http"])
@pytest.mark.parametrize("mlflow", list(MLFLOWS))
def test_mlflow_tracks_runs_artifacts_models_and_traces(
    tracked: House, mlflow: str, tracking: str, tmp_path: Path
) -> None:
    seen = run(tracked, tracking, mlflow, "mlflow_walk.py", [str(tmp_path), f"walk {mlflow} {tracking}"])

    assert seen["absent"] is None
    assert seen["user"] == ["admin", "admin", "growth"] and seen["still"] == "admin"
    assert seen["params"] == {"depth": "3", "kind": "tree"}
    assert seen["loss"] == [0.2, [1.0, 0.5, 1 / 3, 0.25, 0.2]] and seen["nan"] == "nan"
    assert seen["dataset"] == ["inputs"] and seen["searched"]
    root = "dbfs:/databricks/mlflow-tracking" if tracking == "databricks" else "mlflow-artifacts:"
    assert seen["root"] == f"{root}/EXPERIMENT/RUN/artifacts"
    assert seen["listed"] == ["deep", "hello.txt"] and seen["deep"] == [["deep/er/answer.json", 18]]
    assert seen["of a file"] == [] and seen["text"] == "hello" and seen["downloaded"] == {"answer": 42}
    assert seen["loaded"] == [0, 1]
    assert seen["trace"] == ["OK", ["double", "inner"]] and seen["tagged"] == "blue" and seen["spans again"] == [42]
    if mlflow == "current":
        assert seen["logged model"] == ["model"] and seen["feedback"] == ["good"] and seen["by tag"] == 1
    assert seen["deleted"] == ["deleted", 0] and seen["renamed"]
    assert seen["refusals"] == [
        "RESOURCE_DOES_NOT_EXIST", "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS", "INVALID_PARAMETER_VALUE",
    ]  # fmt: skip


def test_a_model_is_logged_registered_and_loaded_with_a_host_and_a_token_only(tracked: House, tmp_path: Path) -> None:
    seen = run(tracked, "databricks", "current", "register_walk.py", [str(tmp_path)])
    assert seen == {"version": "1", "run": True, "predicted": [0, 1], "from run": "2"}


def test_prompts_are_kept_and_models_of_the_plain_registry_are_not(tracked: House) -> None:
    seen = run(tracked, "http", "current", "prompt_walk.py", [])
    assert (
        seen["template"] == ["Hello {{name}}", "Dear {{name}}"] and seen["found"] == ["greeting"] and seen["alias"] == 2
    )
    assert seen["model"][0] == "INVALID_PARAMETER_VALUE" and "MLFLOW_REGISTRY_URI=databricks-uc" in seen["model"][1]


def test_artifacts_of_half_a_gigabyte_pass_through_in_small_pieces(tracked: House, tmp_path: Path) -> None:
    before = [memory(pid) for pid in [*tracked.pids("server"), *tracked.pids("tracking")]]
    seen = run(tracked, "databricks", "current", "large_walk.py", [str(tmp_path)])
    assert seen["size"] == 500 * 1024**2 and seen["same"]
    after = [memory(pid) for pid in [*tracked.pids("server"), *tracked.pids("tracking")]]
    assert sum(after) - sum(before) < 100 * 1024**2, (before, after)

    path = f"/api/2.0/fs/files/WorkspaceInternal/Mlflow/Artifacts/{seen['experiment']}/Runs/{seen['run']}/artifacts/large.bin"
    part = tracked.request("GET", path, Range="bytes=524287996-")
    assert (part.status, part.body, part.headers["content-range"]) == (
        206,
        b"\0end",
        "bytes 524287996-524287999/524288000",
    )


def memory(pid: int) -> int:
    """The most a process ever had resident, in bytes."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
