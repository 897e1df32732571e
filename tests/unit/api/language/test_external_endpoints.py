"""Endpoints of external models: written, shown, changed; what is refused; where their secrets are and are not."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from tests.fakes import callers
from tests.fakes.api_house import ENDPOINTS, SEALER, ApiHouse
from tests.unit.api.language.conftest import KEY, PLAIN, create, external

from headgate.access import external_models
from headgate.access.secrets import SecretUnavailable
from headgate.domain.endpoint import ServedEntity
from headgate.store import routing

TWO = {"traffic_config": {"routes": [{"served_entity_name": "gpt-4-1", "traffic_percentage": 100}]}}


def put(api: ApiHouse, name: str, *entities: dict[str, Any], **more: Any) -> Any:
    return api.request("PUT", f"{ENDPOINTS}/{name}/config", {"served_entities": list(entities), **more})


def opened(api: ApiHouse, name: str) -> dict[str, str]:
    """What the gateway would hand to the provider's adapter."""
    [entity, *_] = routing.read(api.database).endpoints[name].entities
    assert entity.external is not None
    vault = api.app.state.dependencies.vault
    return dict(external_models.opened(vault, SEALER)(entity.external))


def test_an_endpoint_of_a_vendors_model_is_shown_as_databricks_shows_it(api: ApiHouse) -> None:
    found = create(api, "shown")
    assert (found["task"], found["endpoint_type"]) == ("llm/v1/chat", "EXTERNAL_MODEL")
    assert found["state"] == {"ready": "READY", "config_update": "NOT_UPDATING", "suspend": "NOT_SUSPENDED"}
    [entity] = found["config"]["served_entities"]
    assert entity.pop("creation_timestamp") > 0
    assert entity == {
        "name": "gpt-4-1",
        **external(),
        "type": "EXTERNAL_MODEL",
        "creator": "ada",
        "state": {"deployment": "DEPLOYMENT_READY", "deployment_state_message": ""},
    }
    assert "served_models" not in found["config"] and found["config"]["config_version"] == 1
    [route] = found["config"]["traffic_config"]["routes"]
    assert (route["served_entity_name"], route["traffic_percentage"]) == ("gpt-4-1", 100)


def test_a_list_shows_the_vendors_model_and_what_is_asked_of_the_gateway(api: ApiHouse) -> None:
    gateway = {"usage_tracking_config": {"enabled": True}}
    create(api, "listed", ai_gateway=gateway)
    [found] = [one for one in api.request("GET", ENDPOINTS).body["endpoints"] if one["name"] == "listed"]
    assert found["config"] == {"served_entities": [{"name": "gpt-4-1", **external()}]}
    assert (found["ai_gateway"], found["task"]) == (gateway, "llm/v1/chat")


def test_it_is_pending_until_control_has_seen_it(api: ApiHouse) -> None:
    body = {"name": "soon", "config": {"served_entities": [external()]}, "description": "d", "tags": [{"key": "a"}]}
    found = api.request("POST", ENDPOINTS, body).body
    assert found["state"]["config_update"] == "IN_PROGRESS" and found["config"]["served_entities"] == []
    assert found["pending_config"]["served_entities"][0]["state"]["deployment"] == "DEPLOYMENT_CREATING"
    assert (found["description"], found["tags"]) == ("d", [{"key": "a"}])


def test_traffic_may_be_split_over_vendors_and_one_may_wait_as_a_fallback(api: ApiHouse) -> None:
    other = {
        "name": "claude",
        "external_model": {
            "name": "claude-x",
            "provider": "anthropic",
            "task": "llm/v1/chat",
            "anthropic_config": {"anthropic_api_key_plaintext": PLAIN},
        },
    }
    spare = external(name="gpt-4.1-mini")
    routes = [
        {"served_entity_name": name, "traffic_percentage": share}
        for name, share in (("gpt-4-1", 70), ("claude", 30), ("gpt-4-1-mini", 0))
    ]
    create(api, "split", external(), other, spare, config={"traffic_config": {"routes": routes}})
    entities = routing.read(api.database).endpoints["split"].entities
    assert [(one.name, one.traffic_percentage) for one in entities] == [
        ("gpt-4-1", 70), ("claude", 30), ("gpt-4-1-mini", 0),
    ]  # fmt: skip
    assert len({one.deployment_key for one in entities} | {one.id for one in entities}) == 6


def test_the_legacy_form_takes_vendors_models_too(api: ApiHouse) -> None:
    answer = api.request("POST", ENDPOINTS, {"name": "legacy-llm", "config": {"served_models": [external()]}})
    assert answer.body["pending_config"]["served_entities"][0]["external_model"] == external()["external_model"]


def test_a_key_in_plain_text_is_sealed_and_shown_nowhere(api: ApiHouse) -> None:
    found = create(api, "plain", external({"openai_api_key_plaintext": PLAIN}))
    assert found["config"]["served_entities"][0]["external_model"]["openai_config"] == {}
    assert opened(api, "plain") == {"openai_api_key": PLAIN}
    stored = api.endpoints.get("plain").serving
    assert stored is not None and PLAIN not in json.dumps(stored.config.to_json())
    assert PLAIN not in repr(stored) and PLAIN not in repr(routing.read(api.database).endpoints["plain"])


def test_a_get_answer_that_is_sent_back_keeps_the_key(api: ApiHouse) -> None:
    found = create(api, "again", external({"openai_api_key_plaintext": PLAIN, "openai_organization": "us"}))
    config = found["config"]
    assert api.request("PUT", f"{ENDPOINTS}/again/config", config).status == 200
    api.activate("again")
    assert opened(api, "again")["openai_api_key"] == PLAIN


def test_a_key_is_not_kept_for_another_address(api: ApiHouse) -> None:
    create(api, "moved", external({"openai_api_key_plaintext": PLAIN}))
    answer = put(api, "moved", external({"openai_api_base": "https://api.openai.com/v1"}))
    assert answer.status == 400 and "openai_api_key is missing" in answer.body["message"]


def test_a_new_key_takes_the_place_of_the_old_one(api: ApiHouse) -> None:
    create(api, "rekeyed", external({"openai_api_key_plaintext": PLAIN}))
    keys = {routing.read(api.database).endpoints["rekeyed"].entities[0].deployment_key}
    assert put(api, "rekeyed", external({"openai_api_key_plaintext": "sk-2"})).status == 200
    api.activate("rekeyed")
    assert opened(api, "rekeyed") == {"openai_api_key": "sk-2"}
    entity = routing.read(api.database).endpoints["rekeyed"].entities[0]
    assert entity.deployment_key not in keys


def test_a_secret_is_opened_as_it_is_now(api: ApiHouse) -> None:
    create(api, "by-reference")
    assert opened(api, "by-reference") == {"openai_api_key": "sk-1"}
    revision = api.database.revision("secrets")
    api.request("POST", "/api/2.0/secrets/put", {"scope": "llm", "key": "openai", "string_value": "sk-rotated"})
    assert opened(api, "by-reference") == {"openai_api_key": "sk-rotated"}
    assert api.database.revision("secrets") > revision
    api.request("POST", "/api/2.0/secrets/put", {"scope": "llm", "key": "openai", "string_value": "sk-1"})


def test_an_endpoint_that_was_stopped_starts_with_its_key(api: ApiHouse) -> None:
    create(api, "paused", external({"openai_api_key_plaintext": PLAIN}))
    stopped = api.request("POST", f"{ENDPOINTS}/paused/config:stop").body
    assert stopped["config"]["served_entities"][0]["state"]["deployment_state_message"] == "Stopped"
    assert routing.read(api.database).endpoints["paused"].state == "STOPPED"
    api.request("POST", f"{ENDPOINTS}/paused/config:start")
    api.activate("paused")
    assert opened(api, "paused") == {"openai_api_key": PLAIN}
    assert api.request("DELETE", f"{ENDPOINTS}/paused").body == {}


def test_timeouts_are_ours_and_shown_when_they_were_written(api: ApiHouse) -> None:
    found = create(api, "hasty", external(timeouts={"first_byte_s": 2, "total_s": 30.5}))
    assert found["config"]["served_entities"][0]["external_model"]["timeouts"] == {"first_byte_s": 2.0, "total_s": 30.5}
    [entity] = routing.read(api.database).endpoints["hasty"].entities
    assert entity.external is not None and (entity.external.first_byte_s, entity.external.total_s) == (2.0, 30.5)


REFUSED: list[tuple[str, list[dict[str, Any]], str]] = [
    ("mixed", [external(), {"entity_name": "main.default.churn", "entity_version": "1"}], "either external models or"),
    ("tasks", [external(), {**external(task="llm/v1/embeddings"), "name": "x"}], "need the same task"),
    ("size", [{**external(), "workload_size": "Small"}], "served_entities[0]: external_model cannot be combined with workload_size"),
    ("entity", [{**external(), "entity_name": "main.default.churn"}], "cannot be combined with entity_name"),
    ("throughput", [{**external(), "provisioned_model_units": 1}], "not supported for external models"),
    ("no config", [external(openai_config=None)], "external_model.openai_config is missing"),
    ("no key", [external({})], "openai_config.openai_api_key is missing"),
    ("palm", [external(provider="palm", palm_config={"palm_api_key": KEY})], "Use google-cloud-vertex-ai"),
    ("unknown", [external(provider="acme")], "'acme' is unknown; use one of"),
    ("not theirs", [{"external_model": {"name": "claude", "provider": "anthropic", "task": "llm/v1/embeddings",
        "anthropic_config": {"anthropic_api_key": KEY}}}], "task llm/v1/embeddings is not supported by the provider anthropic"),
    ("inside", [external({"openai_api_key": KEY, "openai_api_base": "https://inside.example/v1"})],
        "a private address. The administrator can allow those: setting providers.allow_private_addresses"),
    ("metadata", [external({"openai_api_key": KEY, "openai_api_base": "http://metadata.example"})], "where no model is served"),
    ("plain http", [external({"openai_api_key": KEY, "openai_api_base": "http://api.openai.com"})], "use https"),
    ("name", [{**external(), "name": "a.b"}], "not a valid served entity name"),
    ("twice", [external(), external()], "Cannot create 2+ served entities with the same name"),
    ("timeout", [external(timeouts={"total_s": 0})], "timeouts.total_s must be a number of seconds above 0"),
    ("reference", [external({"openai_api_key": "sk-oops"})], "must be a reference to a secret"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "entities", "message"), REFUSED, ids=[case for case, *_ in REFUSED])
def test_what_cannot_be_is_refused_with_a_reason(
    api: ApiHouse, case: str, entities: list[dict[str, Any]], message: str
) -> None:
    config = {"served_entities": entities}
    status, code, said = api.request("POST", ENDPOINTS, {"name": "refused", "config": config}).error
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE") and message in said and "sk-oops" not in said


def test_a_private_address_is_fine_where_the_administrator_says_so(api: ApiHouse) -> None:
    dependencies = api.app.state.dependencies
    try:
        api.app.state.dependencies = dataclasses.replace(dependencies, allow_private_addresses=True)
        create(api, "inside", external({"openai_api_key": KEY, "openai_api_base": "http://inside.example/v1"}))
    finally:
        api.app.state.dependencies = dependencies


def test_a_secret_that_is_not_there_is_named_with_its_field(api: ApiHouse) -> None:
    body = {"name": "x", "config": {"served_entities": [external({"openai_api_key": "{{secrets/llm/none}}"})]}}
    status, code, said = api.request("POST", ENDPOINTS, body).error
    assert (status, code) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert said.startswith("served entity gpt-4-1: external_model: openai_api_key refers to {{secrets/llm/none}}")


def test_a_secret_takes_read_of_whoever_writes_it_into_a_config_or_takes_the_endpoint_over(api: ApiHouse) -> None:
    bob = callers.user(api.as_admin, "bob@example.com")
    body = {"name": "bobs", "config": {"served_entities": [external()]}}
    refused = api.request("POST", ENDPOINTS, body, token=bob.token)
    assert refused.status == 404 and "openai_api_key refers to {{secrets/llm/openai}}" in refused.body["message"]
    create(api, "handed")
    taken = api.request("PATCH", f"{ENDPOINTS}/handed/creator", {"user_name": bob.name})
    assert taken.status == 404 and "refers to {{secrets/llm/openai}}" in taken.body["message"]
    allowed = {"scope": "llm", "principal": bob.name, "permission": "READ"}
    api.as_admin("POST", "/api/2.0/secrets/acls/put", allowed)
    assert api.request("POST", ENDPOINTS, body, token=bob.token).status == 200
    assert api.request("PATCH", f"{ENDPOINTS}/handed/creator", {"user_name": bob.name}).body["creator"] == bob.name


def test_a_scope_that_was_made_again_is_another_one(api: ApiHouse) -> None:
    secret = {"scope": "fleeting", "key": "k", "string_value": "sk-first"}
    for _ in range(2):
        api.as_admin("POST", "/api/2.0/secrets/scopes/create", {"scope": "fleeting"})
        api.as_admin("POST", "/api/2.0/secrets/put", secret)
        if api.request("GET", f"{ENDPOINTS}/trusting").status == 404:
            create(api, "trusting", external({"openai_api_key": "{{secrets/fleeting/k}}"}))
            assert opened(api, "trusting") == {"openai_api_key": "sk-first"}
            api.as_admin("POST", "/api/2.0/secrets/scopes/delete", {"scope": "fleeting"})
            secret["string_value"] = "sk-of-somebody-else"
    with pytest.raises(SecretUnavailable, match="was made anew"):
        opened(api, "trusting")


def test_an_endpoint_stays_of_its_kind(api: ApiHouse) -> None:
    create(api, "external-forever")
    own = {"entity_name": "main.default.churn", "entity_version": "1"}
    answer = put(api, "external-forever", own)
    assert answer.status == 400 and "cannot change between external models" in answer.body["message"]
    api.create("own-forever")
    assert put(api, "own-forever", external()).status == 400


def test_it_has_no_logs_no_telemetry_and_metrics(api: ApiHouse) -> None:
    create(api, "quiet", telemetry_config={"telemetry_profile_id": "p"})
    assert "telemetry_config" not in api.get("quiet").body
    path = f"{ENDPOINTS}/quiet"
    for kind in ("logs", "build-logs"):
        assert api.request("GET", f"{path}/served-models/gpt-4-1/{kind}").body == {"logs": ""}
    assert b"request_count_total" in api.request("GET", f"{path}/metrics").raw
    refused = api.request("PATCH", f"{path}/telemetry-config", {"telemetry_config": {"telemetry_profile_id": "p"}})
    assert "not supported for endpoint type 'EXTERNAL_MODELS'" in refused.body["message"]


@pytest.mark.parametrize(
    ("task", "asked", "answered"),
    [
        ("llm/v1/chat", "messages", "choices"),
        ("llm/v1/completions", "prompt", "choices"),
        ("llm/v1/embeddings", "input", "data"),
    ],
)
def test_its_openapi_document_says_what_its_task_takes_and_gives(
    api: ApiHouse, task: str, asked: str, answered: str
) -> None:
    name = task.rpartition("/")[2]
    create(api, name, external(task=task))
    document = api.request("GET", f"{ENDPOINTS}/{name}/openapi").body
    assert list(document["paths"]) == ["/invocations", "/served-models/gpt-4-1/invocations"]
    operation = document["paths"]["/invocations"]["post"]
    assert operation["requestBody"]["content"]["application/json"]["schema"]["required"] == [asked]
    assert operation["responses"]["200"]["content"]["application/json"]["schema"]["required"] == [answered]


def test_a_served_entity_keeps_its_id_while_the_same_model_is_served(api: ApiHouse) -> None:
    create(api, "kept")
    [before] = routing.read(api.database).endpoints["kept"].entities
    put(api, "kept", external(), external(name="gpt-5"), **TWO)
    api.activate("kept")
    same, other = routing.read(api.database).endpoints["kept"].entities
    assert (same.id, same.deployment_key) == (before.id, before.deployment_key) and len(same.id) == 32
    assert other.id != same.id
    custom = ServedEntity("churn-1", "main.default.churn", "1", "1")
    assert len({custom.id("e"), custom.id("f"), same.id}) == 3
