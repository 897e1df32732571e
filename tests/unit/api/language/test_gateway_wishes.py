"""What is asked of the gateway: written at creation and by PUT, shown, checked against the kind of endpoint; legacy forms."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from tests.fakes.api_house import ENDPOINTS, ApiHouse
from tests.unit.api.language.conftest import create, external

from headgate.errors import PermissionDenied
from headgate.store import routing

CHURN = {"entity_name": "main.default.churn", "entity_version": "1"}
CALLS = {"calls": 7, "key": "endpoint", "renewal_period": "minute"}
EVERYTHING: dict[str, Any] = {
    "usage_tracking_config": {"enabled": True},
    "inference_table_config": {"enabled": True, "catalog_name": "main", "schema_name": "default"},
    "rate_limits": [CALLS, {"tokens": 100, "key": "user", "renewal_period": "minute"}],
    "guardrails": {"input": {"pii": {"behavior": "BLOCK"}, "invalid_keywords": ["x"]}},
    "fallback_config": {"enabled": True},
}


def put(api: ApiHouse, name: str, body: Any, what: str = "ai-gateway") -> Any:
    return api.request("PUT", f"{ENDPOINTS}/{name}/{what}", body)


def test_what_is_put_is_echoed_shown_and_in_the_routes(api: ApiHouse) -> None:
    create(api, "everything")
    assert put(api, "everything", EVERYTHING).body == EVERYTHING
    assert api.get("everything").body["ai_gateway"] == EVERYTHING
    gateway = routing.read(api.database).endpoints["everything"].gateway
    assert gateway.fallback and gateway.usage_tracked and gateway.guardrails and len(gateway.rate_limits) == 2
    assert gateway.inference_table is not None and gateway.inference_table.prefix == "everything"


def test_an_empty_body_clears_it(api: ApiHouse) -> None:
    create(api, "cleared", ai_gateway=EVERYTHING)
    assert api.get("cleared").body["ai_gateway"] == EVERYTHING
    for body in ({}, None):
        assert put(api, "cleared", body).body == {}
    assert "ai_gateway" not in api.get("cleared").body


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"guardrails": {"input": {"safety": True}}}, "guardrails.judge_endpoint"),
        ({"rate_limits": [{"calls": 1, "tokens": 1, "renewal_period": "minute"}]}, "exactly one of calls and tokens"),
        ({"inference_table_config": {"enabled": True}}, "catalog_name is needed"),
        ({"fallback_config": {}}, "fallback_config.enabled is needed"),
        ({"guardrails": {"input": {"invalid_keywords": ["\ud800"]}}}, "half a character"),
        ({"inference_table_config": {"enabled": False, "schema_name": "a\x00b"}}, "NUL"),
    ],
)
def test_what_cannot_be_asked_is_refused_at_creation_and_later(api: ApiHouse, body: Any, message: str) -> None:
    if api.request("GET", f"{ENDPOINTS}/judged").status != 200:
        create(api, "judged")
    assert message in put(api, "judged", body).error[2]
    config = {"served_entities": [external()]}
    assert message in api.request("POST", ENDPOINTS, {"name": "x", "config": config, "ai_gateway": body}).error[2]


def test_custom_models_have_limits_and_tables_but_no_guardrails(api: ApiHouse) -> None:
    api.create("custom-limited")
    wanted = {key: EVERYTHING[key] for key in ("usage_tracking_config", "inference_table_config")}
    assert put(api, "custom-limited", {**wanted, "rate_limits": [CALLS]}).status == 200
    assert "is not supported for endpoints that serve custom models" in put(api, "custom-limited", EVERYTHING).error[2]


def test_agents_have_tables_only(api: ApiHouse) -> None:
    describe = api.app.state.dependencies.describe
    before = api.app.state.dependencies
    as_agent = lambda *of: dataclasses.replace(describe(*of), task="agent/v1/responses")  # noqa: E731
    api.app.state.dependencies = dataclasses.replace(before, describe=as_agent)
    try:
        found = create(api, "agent", {**CHURN})
    finally:
        api.app.state.dependencies = before
    assert found["task"] == "agent/v1/responses"
    assert routing.read(api.database).endpoints["agent"].gateway.kind == "AGENT"
    assert put(api, "agent", {"inference_table_config": EVERYTHING["inference_table_config"]}).status == 200
    assert "serve agents" in put(api, "agent", {"rate_limits": [CALLS]}).error[2]


def test_a_table_in_use_cannot_be_exchanged(api: ApiHouse) -> None:
    create(api, "tabled", ai_gateway=EVERYTHING)
    other = {"inference_table_config": {**EVERYTHING["inference_table_config"], "schema_name": "other"}}
    assert "Inference tables is already enabled" in put(api, "tabled", other).error[2]


def test_a_table_takes_the_right_to_make_one_there(api: ApiHouse) -> None:
    create(api, "forbidden")
    before = api.app.state.dependencies
    capture = {"catalog_name": "main", "schema_name": "default", "enabled": True}

    def refuse(*_: Any) -> None:
        raise PermissionDenied("User does not have CREATE_TABLE on Schema 'main.default'.")

    api.app.state.dependencies = dataclasses.replace(before, may_keep=refuse)
    try:
        table = {"inference_table_config": EVERYTHING["inference_table_config"]}
        config = {"served_entities": [external()], "auto_capture_config": capture}
        for answer in (
            put(api, "forbidden", table),
            put(api, "forbidden", config, "config"),
            api.request("POST", ENDPOINTS, {"name": "x", "ai_gateway": table}),
            api.request("POST", ENDPOINTS, {"name": "x", "config": config}),
        ):
            assert answer.error[:2] == (403, "PERMISSION_DENIED")
    finally:
        api.app.state.dependencies = before


def test_limits_of_the_deprecated_api_hold_until_the_gateway_has_its_own(api: ApiHouse) -> None:
    create(api, "deprecated", rate_limits=[CALLS])
    amounts = lambda: [one.amount for one in routing.read(api.database).endpoints["deprecated"].gateway.rate_limits]  # noqa: E731
    assert amounts() == [7]
    assert put(api, "deprecated", {"rate_limits": [{**CALLS, "calls": 9}]}, "rate-limits").body == {
        "rate_limits": [{**CALLS, "calls": 9}]
    }
    assert amounts() == [9]
    assert put(api, "deprecated", {"rate_limits": [{**CALLS, "calls": 3}]}).status == 200
    assert amounts() == [3]
    refused = put(api, "deprecated", {"rate_limits": [CALLS]}, "rate-limits")
    assert "change them with PUT …/ai-gateway" in refused.error[2]
    assert put(api, "deprecated", {}).status == 200 and amounts() == []
    assert put(api, "deprecated", {"rate_limits": []}, "rate-limits").body == {"rate_limits": []}


def test_auto_capture_is_shown_with_its_table_and_cannot_be_changed(api: ApiHouse) -> None:
    capture = {"catalog_name": "main", "schema_name": "default", "table_name_prefix": "p", "enabled": True}
    found = create(api, "captured", {**CHURN}, config={"auto_capture_config": capture})
    state = {"payload_table": {"name": "p_payload", "status": "READY", "status_message": ""}}
    assert found["config"]["auto_capture_config"] == {**capture, "state": state}
    config = {"served_entities": [CHURN], "auto_capture_config": {**capture, "state": state}}
    assert put(api, "captured", config, "config").status == 200  # an answer that is sent back
    api.activate("captured")
    config["auto_capture_config"] = {**capture, "schema_name": "other"}
    assert "schema_name cannot be changed" in put(api, "captured", config, "config").error[2]
    config["auto_capture_config"] = {**capture, "enabled": False}
    assert put(api, "captured", config, "config").status == 200
    api.activate("captured")
    assert routing.read(api.database).endpoints["captured"].gateway.inference_table is None
    config["auto_capture_config"] = capture
    assert "cannot be enabled again" in put(api, "captured", config, "config").error[2]


def test_a_config_must_suit_what_is_asked_of_the_gateway(api: ApiHouse) -> None:
    guarded = {"guardrails": {"output": {"pii": {"behavior": "MASK"}}}}
    create(api, "suited", ai_gateway=guarded)
    config = {"served_entities": [external(task="llm/v1/embeddings")]}
    assert "output is not supported for embeddings" in put(api, "suited", config, "config").error[2]


def test_a_config_can_be_changed_where_a_judge_is_no_more(api: ApiHouse) -> None:
    before = api.app.state.dependencies
    api.app.state.dependencies = dataclasses.replace(before, missing={})
    try:
        create(api, "orphaned", ai_gateway={"guardrails": {"input": {"safety": True}}})
    finally:
        api.app.state.dependencies = before
    assert put(api, "orphaned", {"served_entities": [external(name="gpt-5")]}, "config").status == 200
