"""PUT config, stop, start, DELETE and PATCH on an endpoint whose deployments the test plays."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from tests.fakes.api_house import ENDPOINTS, Answer, ApiHouse

from headgate.store import tables


def put(api: ApiHouse, name: str, version: str = "2", **more: Any) -> Answer:
    entity = {"entity_name": "main.default.churn", "entity_version": version}
    return api.request("PUT", f"{ENDPOINTS}/{name}/config", {"served_entities": [entity], **more})


def running(api: ApiHouse, name: str) -> None:
    assert api.create(name).status == 200
    api.activate(name)


def test_the_old_config_serves_while_the_new_one_is_pending(api: ApiHouse) -> None:
    running(api, "during")
    body = put(api, "during").body
    assert body["state"] == {"ready": "READY", "config_update": "IN_PROGRESS", "suspend": "NOT_SUSPENDED"}
    assert (body["config"]["config_version"], body["pending_config"]["config_version"]) == (1, 2)
    assert body["config"]["served_entities"][0]["name"] == "churn-1"
    assert body["pending_config"]["served_entities"][0]["name"] == "churn-2"
    assert isinstance(body["pending_config"]["start_time"], int)


def test_success_swaps_the_configs(api: ApiHouse) -> None:
    running(api, "success")
    put(api, "success")
    api.activate("success")
    body = api.get("success").body
    assert body["state"]["config_update"] == "NOT_UPDATING"
    assert body["config"]["config_version"] == 2 and "pending_config" not in body


@pytest.fixture
def quiet(api: ApiHouse) -> Iterator[ApiHouse]:
    """The house is shared: a server that one test heard of must not hold up the others."""
    yield api
    with api.database.write() as connection:
        connection.execute(sa.delete(tables.servers))


def heard_of(api: ApiHouse, server: str, *, behind: int, seconds_ago: float = 0) -> None:
    """A server process says that its routing table is so many revisions behind the newest."""
    newest = api.database.revision("routing")
    api.servers.report(server, newest - behind, int((time.time() - seconds_ago) * 1000))


def test_an_update_is_over_once_the_last_server_routes_to_it(quiet: ApiHouse) -> None:
    running(quiet, "arriving")
    put(quiet, "arriving")
    quiet.activate("arriving")
    heard_of(quiet, "server-0", behind=0)
    heard_of(quiet, "server-1", behind=1)
    body = quiet.get("arriving").body
    assert body["state"] == {"ready": "READY", "config_update": "IN_PROGRESS", "suspend": "NOT_SUSPENDED"}
    assert (body["config"]["config_version"], body["pending_config"]["config_version"]) == (1, 2)
    [listed] = [e for e in quiet.request("GET", ENDPOINTS).body["endpoints"] if e["name"] == "arriving"]
    assert listed["state"] == body["state"] and listed["config"]["served_entities"][0]["name"] == "churn-1"
    heard_of(quiet, "server-1", behind=0)
    body = quiet.get("arriving").body
    assert body["state"]["config_update"] == "NOT_UPDATING"
    assert body["config"]["config_version"] == 2 and "pending_config" not in body


def test_a_first_deployment_is_not_ready_before_the_last_server_routes_to_it(quiet: ApiHouse) -> None:
    running(quiet, "first")
    heard_of(quiet, "server-0", behind=1)
    body = quiet.get("first").body
    assert body["state"] == {"ready": "NOT_READY", "config_update": "IN_PROGRESS", "suspend": "NOT_SUSPENDED"}
    assert body["config"]["served_entities"] == [] and body["pending_config"]["config_version"] == 1
    heard_of(quiet, "server-0", behind=0)
    assert quiet.get("first").body["state"] == {
        "ready": "READY",
        "config_update": "NOT_UPDATING",
        "suspend": "NOT_SUSPENDED",
    }


def test_a_server_that_is_not_heard_of_any_more_is_not_waited_for(quiet: ApiHouse) -> None:
    heard_of(quiet, "dead", behind=0, seconds_ago=6)
    heard_of(quiet, "dead-with-a-clock-that-was-ahead", behind=0, seconds_ago=-3600)
    running(quiet, "alone")
    assert quiet.get("alone").body["state"]["config_update"] == "NOT_UPDATING"


def test_a_change_elsewhere_does_not_make_an_endpoint_update(quiet: ApiHouse) -> None:
    running(quiet, "calm")
    heard_of(quiet, "server-0", behind=0)
    running(quiet, "other")
    assert quiet.get("calm").body["state"]["config_update"] == "NOT_UPDATING"
    assert quiet.get("other").body["state"]["config_update"] == "IN_PROGRESS"


def test_an_update_may_be_followed_by_the_next_while_it_arrives(quiet: ApiHouse) -> None:
    running(quiet, "hasty")
    heard_of(quiet, "server-0", behind=1)
    assert put(quiet, "hasty").status == 200


def test_failure_keeps_the_old_config_serving_and_says_why(api: ApiHouse) -> None:
    running(api, "failure")
    put(api, "failure")
    api.fail("failure", "m", churn_2="The model does not load: no module named torch")
    body = api.get("failure").body
    assert body["state"] == {"ready": "READY", "config_update": "UPDATE_FAILED", "suspend": "NOT_SUSPENDED"}
    assert body["config"]["config_version"] == 1
    assert body["pending_config"]["served_entities"][0]["state"] == {
        "deployment": "DEPLOYMENT_FAILED",
        "deployment_state_message": "The model does not load: no module named torch",
    }
    assert put(api, "failure", "3").body["pending_config"]["config_version"] == 3


def test_an_update_during_an_update_is_a_conflict(api: ApiHouse) -> None:
    api.create("busy")
    assert put(api, "busy").error == (
        409,
        "RESOURCE_CONFLICT",
        "Endpoint busy is currently updating. Wait for the update to complete before updating its config.",
    )


def test_the_config_of_an_answer_can_be_sent_back(api: ApiHouse) -> None:
    running(api, "roundtrip")
    config = api.get("roundtrip").body["config"]
    body = api.request("PUT", f"{ENDPOINTS}/roundtrip/config", config).body
    assert body["pending_config"]["traffic_config"] == config["traffic_config"]


def test_a_refused_update_changes_nothing(api: ApiHouse) -> None:
    running(api, "untouched")
    before = api.get("untouched").body
    assert put(api, "untouched", traffic_config={"routes": []}, served_models=[{}]).status == 400
    assert (
        api.request("PUT", f"{ENDPOINTS}/untouched/config", {}).error[2].startswith("The config has no served_entities")
    )
    assert api.get("untouched").body == before


def test_a_stopped_endpoint_is_started_with_the_same_config_as_a_new_version(api: ApiHouse) -> None:
    running(api, "pausing")
    stopped = api.request("POST", f"{ENDPOINTS}/pausing/config:stop").body
    assert stopped["state"] == {"ready": "NOT_READY", "config_update": "NOT_UPDATING", "suspend": "STOPPED"}
    assert api.request("POST", f"{ENDPOINTS}/pausing/config:stop").status == 200
    started = api.request("POST", f"{ENDPOINTS}/pausing/config:start", b"").body
    assert started["state"]["config_update"] == "IN_PROGRESS"
    assert started["pending_config"]["config_version"] == 2
    assert started["pending_config"]["served_entities"][0]["entity_version"] == "1"


def test_stop_and_start_are_refused_when_they_make_no_sense(api: ApiHouse) -> None:
    api.request("POST", ENDPOINTS, {"name": "never"})
    assert api.request("POST", f"{ENDPOINTS}/never/config:stop").error[:2] == (400, "INVALID_STATE")
    assert api.request("POST", f"{ENDPOINTS}/never/config:start").error[:2] == (400, "INVALID_STATE")
    api.create("starting")
    assert api.request("POST", f"{ENDPOINTS}/starting/config:stop").error[:2] == (409, "RESOURCE_CONFLICT")
    api.activate("starting")
    assert api.request("POST", f"{ENDPOINTS}/starting/config:start").error[:2] == (400, "INVALID_STATE")


def test_a_deleted_endpoint_is_gone_and_its_name_free(api: ApiHouse) -> None:
    api.create("shortlived")
    answer = api.request("DELETE", f"{ENDPOINTS}/shortlived")
    assert (answer.status, answer.body) == (200, {})
    expected = (404, "RESOURCE_DOES_NOT_EXIST", "Serving endpoint with name shortlived not found")
    assert api.get("shortlived").error == expected
    assert api.create("shortlived").status == 200


def test_tags_are_patched_and_answered_in_order(api: ApiHouse) -> None:
    api.create("tagged", tags=[{"key": "b", "value": "1"}, {"key": "d", "value": ""}])
    patch = {"add_tags": [{"key": "c", "value": "3"}, {"key": "a"}], "delete_tags": ["d", "unknown"]}
    expected = [{"key": "a"}, {"key": "b", "value": "1"}, {"key": "c", "value": "3"}]
    assert api.request("PATCH", f"{ENDPOINTS}/tagged/tags", patch).body == {"tags": expected}
    assert api.get("tagged").body["tags"] == expected


def test_notifications_are_replaced(api: ApiHouse) -> None:
    api.create("notified")
    wish = {"on_update_success": ["a@example.com"], "on_update_failure": []}
    answer = api.request("PATCH", f"{ENDPOINTS}/notified/notifications", {"email_notifications": wish})
    assert answer.body == {"name": "notified", "email_notifications": wish}
    assert api.get("notified").body["email_notifications"] == wish
    assert api.request("PATCH", f"{ENDPOINTS}/notified/notifications", {}).body["email_notifications"] == {}
    assert "email_notifications" not in api.get("notified").body


def test_telemetry_is_replaced_and_removed_but_not_during_an_update(api: ApiHouse) -> None:
    path = f"{ENDPOINTS}/observed/telemetry-config"
    api.create("observed")
    assert api.request("PATCH", path, {"telemetry_config": {}}).error[:2] == (409, "RESOURCE_CONFLICT")
    api.activate("observed")
    wish = {"telemetry_profile_id": "p", "table_names": {"logs_table": "c.s.l"}}
    kept = {"telemetry_profile_id": "p", "inference_table_config": {"name": "c.s.l_payload"}}
    assert api.request("PATCH", path, {"telemetry_config": wish}).body["telemetry_config"] == kept
    assert "telemetry_config" not in api.request("PATCH", path, {}).body


def test_description_and_budget_policy_are_replaced(api: ApiHouse) -> None:
    api.create("described")
    patched = api.request("PATCH", f"{ENDPOINTS}/described/description", {"name": "described", "description": "new"})
    assert patched.body["description"] == "new"
    path = f"{ENDPOINTS}/described/budget-policy"
    assert api.request("PATCH", path, {"budget_policy_id": "p"}).body["effective_budget_policy_id"] == "p"
    assert "effective_budget_policy_id" not in api.request("PATCH", path, {}).body


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "{n}"), ("DELETE", "{n}"), ("PUT", "{n}/config"), ("POST", "{n}/config:stop"), ("POST", "{n}/config:start"),
        ("GET", "{n}/metrics"), ("GET", "{n}/openapi"), ("PATCH", "{n}/tags"), ("PATCH", "{n}/notifications"),
        ("PATCH", "{n}/telemetry-config"), ("PATCH", "{n}/description"), ("PATCH", "{n}/budget-policy"),
        ("GET", "{n}/served-models/m/logs"), ("GET", "{n}/served-models/m/build-logs"), ("PUT", "{n}/ai-gateway"),
        ("PUT", "{n}/rate-limits"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["nobody", "no.body", "no\x00body"])
def test_every_operation_on_an_unknown_endpoint_says_so(api: ApiHouse, method: str, path: str, name: str) -> None:
    answer = api.request(method, f"{ENDPOINTS}/{path.format(n=name)}", {})
    assert answer.error == (404, "RESOURCE_DOES_NOT_EXIST", f"Serving endpoint with name {name} not found")


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "pt"), ("PUT", "pt/x/config"), ("GET", "get-model-optimization-info/m/1")]
)
def test_provisioned_throughput_says_that_it_is_not_there(api: ApiHouse, method: str, path: str) -> None:
    status, code, message = api.request(method, f"{ENDPOINTS}/{path}", {}).error
    assert (status, code) == (501, "NOT_IMPLEMENTED") and "Provisioned throughput" in message
