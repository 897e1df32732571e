"""A served model's traces arrive in the experiment it names, with a credential that is good for nothing else."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from tests.scenario.house import House, content, entity, files, until
from tests.wire.tracking.test_mlflow_clients import run

pytestmark = [pytest.mark.wire, pytest.mark.scenario]
NEW_TRACE = "/api/3.0/mlflow/traces"
OTHERS_TRACE = "tr-" + "7" * 32
OF = '{{"trace": {{"trace_info": {{"trace_id": "%s", "trace_location": {{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {{"experiment_id": "{%s}"}}}}, "request_time": "2026-01-01T00:00:00Z", "state": "IN_PROGRESS"}}}}%s}}'
# What model code may try with its credential, and what it is answered. {mine} and {other} are experiments.
ATTEMPTS = (
    ("GET", "/api/2.0/mlflow/experiments/get?experiment_id={mine}", "", 200),
    ("GET", "/api/2.0/mlflow/experiments/get?experiment_id={other}", "", 403),
    ("POST", "/api/2.0/mlflow/experiments/search", "{{}}", 403),
    ("POST", "/api/2.0/mlflow/runs/create", '{{"experiment_id": "{mine}"}}', 403),
    ("POST", "/api/2.0/mlflow/traces", '{{"experiment_id": "{other}", "timestamp_ms": 1}}', 403),
    ("POST", "/api/2.0/mlflow/traces", OF % ("", "mine", ', "experiment_id": "{other}", "timestamp_ms": 1'), 403),
    ("POST", NEW_TRACE, OF % (OTHERS_TRACE, "mine", ""), 403),
    ("PUT", "/api/2.0/mlflow-artifacts/artifacts/{mine}/run/artifacts/x", "x", 403),
    ("PUT", "/api/2.0/mlflow-artifacts/artifacts/{other}/tr-1/artifacts/traces.json", "x", 403),
    ("PUT", "/api/2.0/mlflow-artifacts/artifacts/{mine}/tr-1/artifacts/traces.json", "{{}}", 200),
    ("GET", "/api/2.0/mlflow-artifacts/artifacts/{mine}/tr-1/artifacts/traces.json", "", 403),
    ("GET", "/api/2.0/serving-endpoints", "", 403),
    ("POST", "/serving-endpoints/traced/invocations", "{{}}", 401),
    ("GET", "/metrics", "", 401),
)


@pytest.fixture(scope="module")
def experiments(tracked: House) -> Iterator[dict[str, str]]:
    made = run(tracked, "databricks", "current", "serve_walk.py", ["served"])
    others = (OF % (OTHERS_TRACE, "other", "")).format(**names(made))
    assert tracked.request("POST", NEW_TRACE, json.loads(others)).status == 200
    attempts = [(method, path.format(**names(made)), body.format(**names(made))) for method, path, body, _ in ATTEMPTS]
    variables = {
        "ENABLE_MLFLOW_TRACING": "true",
        "MLFLOW_EXPERIMENT_ID": made["experiment"],
        "ATTEMPTS": json.dumps(attempts),
    }
    tracked.create("traced", entity("traced", environment_vars=variables))
    yield made
    tracked.delete("traced")


def names(made: dict[str, str]) -> dict[str, str]:
    return {"mine": made["experiment"], "other": made["other"]}


def traces(house: House, experiment: str) -> list[Any]:
    where = {"locations": [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}]}
    found = house.request("POST", f"{NEW_TRACE}/search", where)
    assert found.status == 200, found
    return [trace for trace in found.json.get("traces", []) if trace["state"] == "OK"]


def predict(house: House, number: float) -> Any:
    body = {"dataframe_split": {"columns": ["number"], "data": [[number]]}}
    return house.predict("traced", body).json["predictions"]


def test_every_prediction_is_a_trace_with_its_spans(tracked: House, experiments: dict[str, str]) -> None:
    assert [predict(tracked, number) for number in (1, 2, 3)] == [[2.0], [4.0], [6.0]]
    found = until(lambda: len(kept := traces(tracked, experiments["experiment"])) == 3 and kept, "three traces")
    trace_id = found[0]["trace_id"]
    answer = tracked.request("GET", f"/mlflow/ajax-api/3.0/mlflow/get-trace-artifact?request_id={trace_id}")
    assert [span["name"] for span in answer.json["spans"]] == ["answering", "looking"]


def test_the_credential_is_good_for_that_and_nothing_else(tracked: House, experiments: dict[str, str]) -> None:
    told = predict(tracked, -1)
    assert told == [float(status) for *_, status in ATTEMPTS]


def test_predictions_go_on_while_tracking_says_nothing(tracked: House, experiments: dict[str, str]) -> None:
    known = len(traces(tracked, experiments["experiment"]))
    (pid,) = tracked.pids("tracking")
    os.kill(pid, signal.SIGSTOP)
    try:
        assert [predict(tracked, number) for number in (5, 6)] == [[10.0], [12.0]]
    finally:
        os.kill(pid, signal.SIGCONT)
    until(lambda: len(traces(tracked, experiments["experiment"])) >= known + 2, "the traces arrive afterwards")


def test_predictions_go_on_while_tracking_is_away(tracked: House, experiments: dict[str, str]) -> None:
    for pid in tracked.pids("tracking"):
        tracked.kill(pid)
    assert predict(tracked, 5) == [10.0]


def test_nothing_the_house_keeps_or_writes_holds_the_credential(tracked: House, experiments: dict[str, str]) -> None:
    kept = [path for path in files(tracked.data_dir) if "environments" not in path.parts]
    assert kept and [path for path in kept if b"hgtrace_" in content(path)] == []
    assert b"hgtrace_" not in tracked.log.read_bytes()
    shown = json.dumps(tracked.api("GET", "/traced"))
    assert "hgtrace_" not in shown and "MLFLOW_TRACKING" not in shown
