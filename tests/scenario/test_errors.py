"""Every error of the API and the data plane that applies to custom models, as clients see it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.scenario.house import Answer, House, entity, until

pytestmark = pytest.mark.scenario
SE = "/api/2.0/serving-endpoints"
ROW = {"dataframe_split": {"columns": ["a", "b", "c"], "data": [[1.0, 0.0, 0.0]]}}
ONE = {"served_entities": [entity("versioned")]}


@pytest.fixture(scope="module")
def churn(house: House) -> Iterator[str]:
    house.create("wrongly", entity("churn"), entity("behaving"), routes={"churn-1": 100, "behaving-1": 0})
    yield "wrongly"
    house.delete("wrongly")


def is_error(answer: Answer, status: int, code: str, text: str = "") -> None:
    """An error body as every client can read it, and nothing else."""
    assert answer.status == status, answer
    assert answer.headers["content-type"].startswith("application/json"), answer.headers
    body = answer.json
    assert body["error_code"] == code, body
    assert text in body["message"], body
    assert "detail" not in body and "error" not in body
    assert answer.headers["x-databricks-org-id"].isdigit()


def many(count: int) -> dict[str, Any]:
    entities = [entity("versioned", name=f"e{number}") for number in range(count)]
    routes = [{"served_entity_name": "e0", "traffic_percentage": 100}]
    return {"served_entities": entities, "traffic_config": {"routes": routes}}


CREATES: list[tuple[str, Any, int, str, str]] = [
    ("duplicate name", {"name": "wrongly", "config": ONE}, 409, "RESOURCE_ALREADY_EXISTS", "Serving endpoint with name wrongly already exists"),
    ("bad name", {"name": "a b", "config": ONE}, 400, "INVALID_PARAMETER_VALUE", "a b"),
    ("long name", {"name": "a" * 64, "config": ONE}, 400, "INVALID_PARAMETER_VALUE", "63"),
    ("reserved name", {"name": "databricks-x", "config": ONE}, 400, "INVALID_PARAMETER_VALUE", "databricks-"),
    ("no name", {"config": ONE}, 400, "INVALID_PARAMETER_VALUE", "name"),
    ("16 entities", {"name": "x", "config": many(16)}, 400, "INVALID_PARAMETER_VALUE", "served_models cannot contain more than 15 elements"),
    ("same entity twice", {"name": "x", "config": {"served_entities": [entity("versioned")] * 2}}, 400, "INVALID_PARAMETER_VALUE", "Cannot create 2+ served entities"),
    ("legacy without scale flag", {"name": "x", "config": {"served_models": [{"model_name": "main.default.churn", "model_version": "1", "workload_size": "Small"}]}}, 400, "INVALID_PARAMETER_VALUE", "scaleToZeroEnabled is undefined. Please set it to either true or false."),
    ("unknown model", {"name": "x", "config": {"served_entities": [entity("nobody")]}}, 404, "RESOURCE_DOES_NOT_EXIST", "main.default.nobody"),
    ("unknown version", {"name": "x", "config": {"served_entities": [entity("churn", "77")]}}, 404, "RESOURCE_DOES_NOT_EXIST", "77"),
    ("unknown alias", {"name": "x", "config": {"served_entities": [entity("churn", "@Nobody")]}}, 404, "RESOURCE_DOES_NOT_EXIST", "Nobody"),
    ("traffic 99", {"name": "x", "config": {**ONE, "traffic_config": {"routes": [{"served_entity_name": "versioned-1", "traffic_percentage": 99}]}}}, 400, "INVALID_PARAMETER_VALUE", "100"),
    ("two entities, no traffic", {"name": "x", "config": {"served_entities": [entity("versioned"), entity("churn")]}}, 400, "INVALID_PARAMETER_VALUE", "traffic_config"),
    ("route to nobody", {"name": "x", "config": {**ONE, "traffic_config": {"routes": [{"served_entity_name": "z", "traffic_percentage": 100}]}}}, 400, "INVALID_PARAMETER_VALUE", "z"),
    ("unknown size", {"name": "x", "config": {"served_entities": [entity("versioned", workload_size="Huge")]}}, 400, "INVALID_PARAMETER_VALUE", "Huge"),
    ("GPU without one", {"name": "x", "config": {"served_entities": [entity("versioned", workload_type="GPU_SMALL")]}}, 400, "INVALID_PARAMETER_VALUE", "GPU"),
    ("31 variables", {"name": "x", "config": {"served_entities": [entity("versioned", environment_vars={f"V{n}": "" for n in range(31)})]}}, 400, "INVALID_PARAMETER_VALUE", "30"),
    ("not an object", [], 400, "BAD_REQUEST", "JSON object"),
    ("not JSON", b"{", 400, "BAD_REQUEST", "not valid JSON"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "status", "code", "text"), [row[1:] for row in CREATES], ids=[row[0] for row in CREATES]
)
def test_a_create_that_cannot_be(house: House, churn: str, body: Any, status: int, code: str, text: str) -> None:
    is_error(house.request("POST", SE, body), status, code, text)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/none"), ("DELETE", "/none"), ("PUT", "/none/config"), ("PATCH", "/none/tags"), ("GET", "/none/metrics"),
        ("GET", "/none/openapi"), ("POST", "/none/config:stop"), ("POST", "/none/config:start"),
        ("GET", "/none/served-models/x/logs"), ("GET", "/none/served-models/x/build-logs"),
    ],
)  # fmt: skip
def test_an_unknown_endpoint_on_the_control_plane(house: House, method: str, path: str) -> None:
    body = {"PUT": ONE, "PATCH": {"add_tags": []}}.get(method)
    is_error(
        house.request(method, SE + path, body),
        404,
        "RESOURCE_DOES_NOT_EXIST",
        "Serving endpoint with name none not found",
    )


def test_logs_of_an_unknown_entity_name_those_there_are(house: House, churn: str) -> None:
    is_error(house.request("GET", f"{SE}/{churn}/served-models/x/logs"), 404, "RESOURCE_DOES_NOT_EXIST", "churn-1")


@pytest.mark.parametrize("path", [SE, f"{SE}/wrongly", "/api/2.0/preview/scim/v2/Me"])
@pytest.mark.parametrize("token", [None, "wrong"])
def test_the_control_plane_wants_a_token(house: House, churn: str, path: str, token: str | None) -> None:
    is_error(house.request("GET", path, token=token), 401, "UNAUTHENTICATED", "Authorization")


@pytest.mark.parametrize("token", [None, "wrong"])
def test_the_data_plane_wants_a_token(house: House, churn: str, token: str | None) -> None:
    is_error(house.request("POST", f"/serving-endpoints/{churn}/invocations", ROW, token=token), 401, "UNAUTHENTICATED")


@pytest.mark.parametrize("path", ["/api/2.0/nothing", "/nothing", "/", "/serving-endpoints/wrongly/nothing"])
def test_an_unknown_route(house: House, churn: str, path: str) -> None:
    is_error(house.request("GET", path), 404, "ENDPOINT_NOT_FOUND")


QUERIES: list[tuple[str, str, Any, int, str, str]] = [
    ("unknown endpoint", "none/invocations", ROW, 404, "ENDPOINT_NOT_FOUND", "The given endpoint does not exist, please retry after checking the specified model and version deployment exists."),
    ("unknown entity", "wrongly/served-models/none/invocations", ROW, 404, "ENDPOINT_NOT_FOUND", ""),
    ("no format", "wrongly/invocations", {"x": 1}, 400, "BAD_REQUEST", "The input must be a JSON dictionary with exactly one of the input fields"),
    ("two formats", "wrongly/invocations", {"inputs": [1], "instances": [1]}, 400, "BAD_REQUEST", "exactly one of the input fields"),
    ("not JSON", "wrongly/invocations", b"{", 400, "BAD_REQUEST", ""),
    ("empty", "wrongly/invocations", b"", 400, "BAD_REQUEST", ""),
    ("missing column", "wrongly/invocations", {"dataframe_records": [{"a": 1.0}]}, 400, "INVALID_PARAMETER_VALUE", "Failed to enforce schema"),
    ("wrong type", "wrongly/invocations", {"dataframe_records": [{"a": "x", "b": 1.0, "c": 1.0}]}, 400, "BAD_REQUEST", "Data is not compatible with model signature"),
    ("predict fails", "wrongly/served-models/behaving-1/invocations", {"dataframe_records": [{"do": "raise boom"}]}, 400, "BAD_REQUEST", "Encountered an unexpected error while evaluating the model."),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "text"), [row[1:] for row in QUERIES], ids=[row[0] for row in QUERIES]
)
def test_a_query_that_cannot_be(
    house: House, churn: str, path: str, body: Any, status: int, code: str, text: str
) -> None:
    is_error(house.request("POST", f"/serving-endpoints/{path}", body), status, code, text)


def test_a_content_type_nobody_reads(house: House, churn: str) -> None:
    answer = house.request("POST", f"/serving-endpoints/{churn}/invocations", b"x", Content_Type="application/xml")
    assert answer.status == 415
    assert "This predictor only supports the following content types" in answer.body.decode()


def test_a_payload_that_is_too_large_is_a_400(house: House, churn: str) -> None:
    body = b'{"dataframe_records": [' + b" " * (16 * 1024 * 1024) + b"]}"
    is_error(house.request("POST", f"/serving-endpoints/{churn}/invocations", body), 400, "BAD_REQUEST", "16")


def test_an_endpoint_that_was_never_deployed(house: House) -> None:
    house.api("POST", "", {"name": "empty"})
    answer = house.request("POST", "/serving-endpoints/empty/invocations", ROW)
    is_error(answer, 400, "INVALID_STATE", "empty")
    house.delete("empty")


def test_limits_of_waiting_and_of_time(tmp_path_factory: pytest.TempPathFactory) -> None:
    from tests.scenario.conftest import FAST, register

    settings = FAST | {
        "HEADGATE_WORKERS": "1",
        "HEADGATE_ENVIRONMENTS_MODE": "local",
        "HEADGATE_LIMITS_QUEUE_PER_ENTITY": "1",
        "HEADGATE_LIMITS_EXECUTION_S": "8",
        "HEADGATE_LIMITS_WAKE_DEADLINE_S": "2",
    }
    with House(tmp_path_factory.mktemp("narrow") / "data", **settings) as house:
        register(house, "behaving", "once")
        is_busy(house)
        takes_too_long(house)
        does_not_wake(house)


NARROW = "/serving-endpoints/narrow/invocations"


def is_busy(house: House) -> None:
    """More requests than may wait are told to come back."""
    house.create("narrow", entity("behaving", min_provisioned_concurrency=1, max_provisioned_concurrency=1))
    under_way = house.data_dir.parent / "under-way"
    body = {"dataframe_records": [{"do": f"wait {under_way}"}]}
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(house.request, "POST", NARROW, body) for _ in range(8)]
        until(lambda: any(one.done() and one.result().status == 429 for one in asked), "somebody is refused")

        def all_are_done() -> bool:
            under_way.unlink(missing_ok=True)
            return all(one.done() for one in asked)

        until(all_are_done, "all others are served, one after the other")
        answers = [one.result() for one in asked]
    refused = [answer for answer in answers if answer.status == 429]
    assert refused and len(refused) < 8 and {a.status for a in answers} == {200, 429}
    for answer in refused:
        is_error(answer, 429, "REQUEST_LIMIT_EXCEEDED", "Too many concurrent requests. Consider increasing the provisioned concurrency of the served entity.")  # fmt: skip
        assert int(answer.headers["retry-after"]) >= 1


def takes_too_long(house: House) -> None:
    """A request past the execution limit is answered, and the entity serves again."""
    long = house.request("POST", NARROW, {"dataframe_records": [{"do": "sleep 60"}]})
    is_error(long, 504, "DEADLINE_EXCEEDED", "Request processing time exceeded limit")
    until(
        lambda: house.request("POST", NARROW, {"dataframe_records": [{"do": "x"}]}).status == 200,
        "the entity serves again after a request that did not end",
    )


def does_not_wake(house: House) -> None:
    """A sleeping entity that does not come up again: the held request is told why."""
    marker = house.data_dir.parent / "marker"
    house.create("asleep", entity("once", scale_to_zero_enabled=True, environment_vars={"MARKER": str(marker)}))
    until(lambda: not house.replica_pids_of("asleep"), "it sleeps")

    def told() -> Answer | None:
        """A process that needs longer than the deadline to fail has said nothing yet."""
        answer = house.request("POST", "/serving-endpoints/asleep/invocations", ROW)
        return answer if "too much for me" in answer.body.decode() else None

    is_error(until(told, "it is told why"), 504, "DEADLINE_EXCEEDED", "too much for me")
