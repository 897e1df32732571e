"""POST /api/2.0/serving-endpoints: what is echoed, what is filled in, what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from tests.fakes.api_house import ENDPOINTS, ApiHouse

CHURN: dict[str, Any] = {"entity_name": "main.default.churn", "entity_version": "1"}


def test_a_new_endpoint_only_has_a_pending_config(api: ApiHouse) -> None:
    body = api.create("fresh").body
    assert body["state"] == {"ready": "NOT_READY", "config_update": "IN_PROGRESS", "suspend": "NOT_SUSPENDED"}
    assert body["config"] == {"served_entities": [], "served_models": [], "traffic_config": {"routes": []}}
    pending = body["pending_config"]
    assert pending["config_version"] == 1
    assert pending["start_time"] == body["creation_timestamp"] == body["last_updated_timestamp"]
    assert body == api.get("fresh").body


def test_what_was_left_out_is_filled_in(api: ApiHouse) -> None:
    body = api.create("defaults").body
    assert len(body["id"]) == 32 and int(body["id"], 16) >= 0
    assert (body["creator"], body["permission_level"]) == ("ada", "CAN_MANAGE")
    assert (body["description"], body["route_optimized"], body["tags"]) == ("", False, [])
    (entity,) = body["pending_config"]["served_entities"]
    assert entity["name"] == "churn-1"
    assert (entity["workload_type"], entity["workload_size"]) == ("CPU", "Small")
    assert entity["scale_to_zero_enabled"] is False
    assert "min_provisioned_concurrency" not in entity and "environment_vars" not in entity
    assert body["pending_config"]["traffic_config"]["routes"] == [
        {"served_model_name": "churn-1", "served_entity_name": "churn-1", "traffic_percentage": 100}
    ]


def test_served_models_mirror_served_entities(api: ApiHouse) -> None:
    pending = api.create("mirror", {**CHURN, "environment_vars": {"A": "b"}}).body["pending_config"]
    (entity,), (model,) = pending["served_entities"], pending["served_models"]
    assert (model["model_name"], model["model_version"]) == ("main.default.churn", "1")
    differing = {"entity_name", "entity_version", "model_name", "model_version", "type"}
    same = {key: value for key, value in entity.items() if key not in differing}
    assert same == {key: value for key, value in model.items() if key not in differing}


def test_the_legacy_form_makes_the_same_endpoint(api: ApiHouse) -> None:
    model = {"model_name": "main.default.churn", "model_version": "1", "scale_to_zero_enabled": True}
    routes = [{"served_model_name": "churn-1", "traffic_percentage": "100"}]
    config = {"served_models": [model], "traffic_config": {"routes": routes}}
    pending = api.request("POST", ENDPOINTS, {"name": "legacy", "config": config}).body["pending_config"]
    assert pending["served_entities"][0]["entity_name"] == "main.default.churn"
    assert pending["served_entities"][0]["scale_to_zero_enabled"] is True
    assert pending["traffic_config"]["routes"][0]["traffic_percentage"] == 100


def test_everything_beside_the_config_is_echoed(api: ApiHouse) -> None:
    body = api.create(
        "beside",
        tags=[{"key": "b", "value": "2"}, {"key": "a"}],
        description="d",
        email_notifications={"on_update_failure": ["a@example.com"]},
        telemetry_config={"table_names": {"logs_table": "c.s.l"}},
        budget_policy_id="p",
    ).body
    assert body["tags"] == [{"key": "a"}, {"key": "b", "value": "2"}]
    assert body["description"] == "d"
    assert body["email_notifications"] == {"on_update_failure": ["a@example.com"]}
    assert body["telemetry_config"] == {"inference_table_config": {"name": "c.s.l_payload"}}
    assert body["effective_budget_policy_id"] == "p" and "budget_policy_id" not in body


def test_an_endpoint_may_have_only_a_name(api: ApiHouse) -> None:
    body = api.request("POST", ENDPOINTS, {"name": "bare", "telemetry_config": {}}).body
    assert body["state"] == {"ready": "NOT_READY", "config_update": "NOT_UPDATING", "suspend": "NOT_SUSPENDED"}
    assert "pending_config" not in body and "telemetry_config" not in body


def test_an_alias_is_resolved_when_the_endpoint_is_created(api: ApiHouse) -> None:
    body = api.create("aliased", {"entity_name": "main.default.churn", "entity_version": "@Champion"}).body
    (entity,) = body["pending_config"]["served_entities"]
    assert (entity["name"], entity["entity_version"]) == ("churn-Champion", "2")
    assert entity["followed_alias"] == "Champion"
    assert body["pending_config"]["served_models"][0]["followed_alias"] == "Champion"


def test_a_version_may_be_a_number_and_unknown_fields_are_ignored(api: ApiHouse) -> None:
    config = {"name": "tolerant", "served_entities": [{**CHURN, "entity_version": 1, "colour": "red"}]}
    answer = api.request("POST", ENDPOINTS + "/", {"name": "tolerant", "config": config, "colour": "red"})
    assert answer.status == 200
    assert answer.body["pending_config"]["served_entities"][0]["entity_version"] == "1"


def test_a_taken_name_is_a_conflict(api: ApiHouse) -> None:
    api.create("twice")
    expected = (409, "RESOURCE_ALREADY_EXISTS", "Serving endpoint with name twice already exists")
    assert api.create("twice").error == expected


def test_an_unknown_model_or_alias_does_not_exist(api: ApiHouse) -> None:
    for version in ("9", "@Nobody"):
        status, code, message = api.create("unknown", {**CHURN, "entity_version": version}).error
        assert (status, code) == (404, "RESOURCE_DOES_NOT_EXIST")
        assert "main.default.churn" in message and "register it" in message


def test_a_model_without_signature_inputs_is_refused(api: ApiHouse) -> None:
    api.models.signatures[("main.default.mute", "1")] = '{"outputs": "[]"}'
    status, code, message = api.create("mute", {"entity_name": "main.default.mute", "entity_version": "1"}).error
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert "no signature with inputs" in message and "input_example" in message


EXTERNAL = {"external_model": {"name": "g", "provider": "openai", "task": "llm/v1/chat", "openai_config": {"openai_api_key_plaintext": "k"}}}  # fmt: skip
SCALE = "scaleToZeroEnabled is undefined. Please set it to either true or false."


def one(**more: Any) -> dict[str, Any]:
    return {"config": {"served_entities": [{**CHURN, **more}]}}


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("name missing", {"name": None}, "Invalid request: name: input should be a valid string."),
    ("reserved name", {"name": "databricks-x"}, "reserved prefix"),
    ("empty config", {"config": {}}, "no served_entities"),
    ("16 entities", {"config": {"served_entities": [CHURN] * 16}}, "served_models cannot contain more than 15 elements"),
    ("duplicates", {"config": {"served_entities": [CHURN] * 2}}, "Cannot create 2+ served entities"),
    ("legacy without scale flag", {"config": {"served_models": [{"model_name": "a.b.c", "model_version": "1"}]}}, SCALE),
    ("two forms", {"config": {"served_entities": [CHURN], "served_models": [
        {"model_name": "a.b.c", "model_version": "1", "scale_to_zero_enabled": True}]}}, "not both"),
    ("mixed", {"config": {"served_entities": [EXTERNAL, CHURN]}}, "either external models or models of its own"),
    ("foundation model", {"config": {"served_entities": [{"foundation_model": {}}]}}, "foundation_model is not supported"),
    ("throughput", one(max_provisioned_throughput=9), "max_provisioned_throughput is not supported yet"),
    ("gpu", one(workload_type="GPU_SMALL"), "served_entities[0]: workload_type GPU_SMALL needs a GPU"),
    ("secret", one(environment_vars={"K": "{{secrets/s/k/x}}"}), "is not a reference to a secret"),
    ("shape", {"config": {"served_entities": {}}}, "config.served_entities: input should be a valid list"),
    ("nested shape", one(environment_vars={"K": 1}), "config.served_entities[0].environment_vars.K: input should be"),
    ("flag as text", one(scale_to_zero_enabled="yes"), "scale_to_zero_enabled: input should be a valid boolean"),
    ("route without name", {"config": {"served_entities": [CHURN], "traffic_config": {"routes": [
        {"traffic_percentage": 100}]}}}, "needs one served_entity_name"),
    ("percentage", {"config": {"served_entities": [CHURN], "traffic_config": {"routes": [
        {"served_entity_name": "churn-1", "traffic_percentage": 99.5}]}}}, "routes[0].traffic_percentage"),
    ("capture", {"config": {"served_entities": [CHURN], "auto_capture_config": {"catalog_name": "c"}}},
     "auto_capture_config.schema_name is needed"),
    ("gateway", {"ai_gateway": {"rate_limits": [{"calls": 1}]}}, "ai_gateway.rate_limits[0].renewal_period"),
    ("limits", {"rate_limits": [{"calls": 1}]}, "rate_limits[0].renewal_period must be given"),
    ("NUL in text", {"description": "a\x00b"}, "description: text cannot contain the NUL character"),
    ("half a character", {"tags": [{"key": "\ud800"}]}, "tags[0].key"),
    ("empty tag key", {"tags": [{"key": ""}]}, "tags[0].key"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "message"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_a_body_that_cannot_be_is_refused_with_a_readable_message(
    api: ApiHouse, body: dict[str, Any], message: str
) -> None:
    status, code, told = api.request("POST", ENDPOINTS, {"name": "refused", **body}).error
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE")
    assert message in told
    assert api.get("refused").status == 404


def test_gateway_and_capture_settings_that_switch_nothing_on_are_accepted(api: ApiHouse) -> None:
    capture = {"enabled": False, "catalog_name": "c"}
    config = {"served_entities": [CHURN], "auto_capture_config": capture}
    gateway = {"usage_tracking_config": {"enabled": False}, "guardrails": {"input": {"pii": {"behavior": "NONE"}}}}
    answer = api.request(
        "POST", ENDPOINTS, {"name": "inert", "config": config, "ai_gateway": gateway, "rate_limits": []}
    )
    assert answer.body["pending_config"]["auto_capture_config"] == capture


def test_a_list_shows_summaries_of_what_serves(api: ApiHouse) -> None:
    api.create("listed")
    api.activate("listed")
    for path in (ENDPOINTS, ENDPOINTS + "/"):
        found = {endpoint["name"]: endpoint for endpoint in api.request("GET", path).body["endpoints"]}
        assert found["listed"]["config"] == {
            "served_entities": [{"name": "churn-1", "entity_name": "main.default.churn", "entity_version": "1"}],
            "served_models": [{"name": "churn-1", "model_name": "main.default.churn", "model_version": "1"}],
        }
        assert "pending_config" not in found["listed"] and "permission_level" not in found["listed"]


def test_an_empty_list_still_has_its_key(tmp_path: Any) -> None:
    house = ApiHouse(tmp_path)
    assert house.request("GET", ENDPOINTS).body == {"endpoints": []}
    house.close()


def test_a_machine_with_a_gpu_takes_gpu_types(tmp_path: Any) -> None:
    house = ApiHouse(tmp_path, gpu_available=True)
    assert house.create("gpu", {**CHURN, "workload_type": "GPU_SMALL"}).status == 200
    house.close()
