"""Every kind of model is served from its own environment, and what cannot be served says why."""

from __future__ import annotations

import math
from typing import Any

import pytest
from tests.scenario.house import House, entity, until

pytestmark = pytest.mark.scenario
SPLIT = {"dataframe_split": {"columns": ["a", "b", "c"], "data": [[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]]}}


def do(text: str) -> dict[str, Any]:
    return {"dataframe_records": [{"do": text}]}


@pytest.fixture(scope="module")
def behaving(house: House) -> str:
    house.create("behaving", entity("behaving", min_provisioned_concurrency=1, max_provisioned_concurrency=2))
    return "behaving"


@pytest.mark.parametrize("model", ["churn", "boosted", "lightly"])
def test_a_classifier_predicts_in_every_format(house: House, model: str) -> None:
    house.create(f"formats-{model}", entity(model))
    records = [dict(zip("abc", row, strict=True)) for row in SPLIT["dataframe_split"]["data"]]
    columns = {"a": [1.0, -1.0], "b": [0.0, 0.0], "c": [0.0, 0.0]}
    for body in (SPLIT, {"dataframe_records": records}, {"inputs": columns}, {"instances": records}):
        assert house.predict(f"formats-{model}", body).json == {"predictions": [1, 0]}, body
    csv = house.request(
        "POST", f"/serving-endpoints/formats-{model}/invocations", b"a,b,c\n1,0,0\n-1,0,0\n", Content_Type="text/csv"
    )
    assert (csv.status, csv.json) == (200, {"predictions": [1, 0]})
    house.delete(f"formats-{model}")


def test_a_torch_model_takes_tensors(house: House) -> None:
    house.create("torched", entity("torched"))
    answer = house.predict("torched", {"inputs": [[1.0, 2.0, 3.0]]}).json
    assert math.isfinite(answer["predictions"][0][0])
    house.delete("torched")


def test_a_model_with_predict_stream_streams(house: House) -> None:
    house.create("streaming", entity("streaming"))
    answer = house.predict("streaming", {"dataframe_records": [{"prompt": "to be or"}], "stream": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.body == b'data: {"word":"to"}\n\ndata: {"word":"be"}\n\ndata: {"word":"or"}\n\ndata: [DONE]\n\n'
    plain = house.predict("streaming", {"dataframe_records": [{"prompt": "to be"}]})
    assert plain.json == {"predictions": ["to be"]}
    house.delete("streaming")


def test_environments_with_conflicting_pins_serve_side_by_side(house: House) -> None:
    house.create(
        "conflict", entity("conflicting"), entity("versioned"), routes={"conflicting-1": 50, "versioned-1": 50}
    )
    path = "/serving-endpoints/conflict/served-models/{}/invocations"
    first = house.request("POST", path.format("conflicting-1"), SPLIT)
    second = house.request("POST", path.format("versioned-1"), SPLIT)
    assert first.json == {"predictions": ["4.14.1", "4.14.1"]}
    assert second.json == {"predictions": ["one", "one"]}
    house.delete("conflict")


@pytest.mark.parametrize(
    ("model", "texts"),
    [
        ("unloadable", ["from another planet"]),
        ("unimportable", ["a_package_nobody_has", "requirements"]),
        ("impossible", ["scipy"]),
    ],
)
def test_a_model_that_cannot_be_served_fails_the_create_and_says_why(
    house: House, model: str, texts: list[str]
) -> None:
    house.api("POST", "", {"name": model, "config": {"served_entities": [entity(model)]}})
    found = house.settled(model, "UPDATE_FAILED")
    assert found["state"]["ready"] == "NOT_READY"
    state = found["pending_config"]["served_entities"][0]["state"]
    assert state["deployment"] == "DEPLOYMENT_FAILED"
    for text in texts:
        assert text in state["deployment_state_message"]
    house.delete(model)


def test_a_failing_predict_is_a_400_with_its_stack(house: House, behaving: str) -> None:
    answer = house.request("POST", f"/serving-endpoints/{behaving}/invocations", do("raise boom"))
    assert answer.status == 400
    assert answer.json["error_code"] == "BAD_REQUEST"
    assert "boom" in answer.json["stack_trace"]


def test_a_request_that_kills_its_worker_twice_is_a_500_and_the_model_comes_back(house: House, behaving: str) -> None:
    answer = house.request("POST", f"/serving-endpoints/{behaving}/invocations", do("exit"))
    assert answer.status == 500
    assert answer.json["error_code"] == "INTERNAL_ERROR"
    assert answer.headers["x-databricks-request-id"] in answer.json["message"]
    assert house.predict(behaving, do("nothing")).json == {"predictions": ["done"]}


def test_prints_and_log_records_come_to_the_service_log(house: House, behaving: str) -> None:
    house.predict(behaving, do("print hello"))

    def logged() -> bool:
        logs = house.api("GET", f"/{behaving}/served-models/behaving-1/logs")["logs"]
        return "printed hello" in logs and "warned hello" in logs

    until(logged, "both lines are in the log")


def test_a_replica_sees_nothing_of_the_server_s_environment(house: House, behaving: str) -> None:
    names = house.predict(behaving, do("names")).json["predictions"][0].split(",")
    assert not [name for name in names if name.startswith(("HEADGATE", "DATABRICKS"))]


def test_environment_variables_reach_their_entity_only(house: House, behaving: str) -> None:
    house.create("variables", entity("behaving", environment_vars={"GREETING": "hello"}))
    assert house.predict("variables", do("environment GREETING")).json == {"predictions": ["hello"]}
    assert house.predict(behaving, do("environment GREETING")).json == {"predictions": [""]}
    house.delete("variables")
