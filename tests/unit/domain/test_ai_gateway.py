from __future__ import annotations

from typing import Any

import pytest

from headgate.domain import ai_gateway, rate_limits
from headgate.domain.ai_gateway import Surroundings
from headgate.errors import InvalidParameterValue

WHOLE: dict[str, Any] = {
    "usage_tracking_config": {"enabled": True},
    "inference_table_config": {
        "catalog_name": "main",
        "schema_name": "logs",
        "table_name_prefix": "chat",
        "enabled": True,
    },
    "rate_limits": [
        {"calls": 100, "renewal_period": "minute"},
        {"tokens": 10000, "key": "user", "principal": "ada@example.com", "renewal_period": "minute"},
    ],
    "guardrails": {"input": {"pii": {"behavior": "MASK"}, "safety": True, "invalid_keywords": ["x"]}, "output": {}},
    "fallback_config": {"enabled": True},
}
CHAT = Surroundings(ai_gateway.EXTERNAL_MODEL, "llm/v1/chat")
MINUTE = {"renewal_period": "minute"}


def test_what_was_written_comes_back_and_nothing_else() -> None:
    config = ai_gateway.parse(WHOLE | {"unknown": 1})
    assert config.to_json() == WHOLE
    ai_gateway.check(config, CHAT)
    assert config.rate_limits is not None and config.rate_limits[0].key == "endpoint"
    for empty in (None, {}):
        assert not ai_gateway.parse(empty)
        assert ai_gateway.parse(empty).to_json() == {}


def test_the_tables_prefix_is_the_endpoints_name_by_default() -> None:
    given = {"enabled": True, "catalog_name": "main", "schema_name": "logs"}
    table = ai_gateway.parse({"inference_table_config": given}).inference_table
    assert table is not None
    found = table.table("chat-1")
    assert found is not None and (found.catalog, found.schema, found.prefix) == ("main", "logs", "chat-1")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ([], "ai_gateway must be an object"),
        ({"rate_limits": {}}, "rate_limits must be a list"),
        ({"rate_limits": [{"calls": 1}]}, "rate_limits[0].renewal_period must be given"),
        ({"rate_limits": [{"calls": 1, "tokens": 1, **MINUTE}]}, "exactly one of calls and tokens"),
        ({"rate_limits": [MINUTE]}, "exactly one of calls and tokens"),
        ({"rate_limits": [{"calls": -1, **MINUTE}]}, "rate_limits[0].calls must be a whole number"),
        ({"rate_limits": [{"calls": True, **MINUTE}]}, "rate_limits[0].calls must be a whole number"),
        ({"rate_limits": [{"calls": 1, "key": "team", **MINUTE}]}, "key must be one of"),
        ({"rate_limits": [{"calls": 1, "key": ["user"], **MINUTE}]}, "key must be one of"),
        ({"rate_limits": [{"calls": 1, "key": "user_group", **MINUTE}]}, "principal is needed"),
        (
            {"rate_limits": [{"calls": 1, "principal": "ada", **MINUTE}]},
            "principal cannot be given with key 'endpoint'",
        ),
        ({"rate_limits": [{"calls": 1, **MINUTE}, {"calls": 2, "key": "endpoint", **MINUTE}]}, "both limit the calls"),
        (
            {"rate_limits": [{"calls": 1, "key": "user", "principal": str(n), **MINUTE} for n in range(21)]},
            "at most 20",
        ),
        (
            {"rate_limits": [{"calls": 1, "key": "user_group", "principal": str(n), **MINUTE} for n in range(6)]},
            "at most 5",
        ),
        ({"inference_table_config": {"enabled": True, "catalog_name": "main"}}, "schema_name is needed"),
        ({"inference_table_config": {"table_name_prefix": "../x"}}, "table_name_prefix must be"),
        ({"guardrails": {"input": {"pii": {"behavior": "HIDE"}}}}, "guardrails.input.pii.behavior must be one of"),
        ({"guardrails": {"output": {"safety": "yes"}}}, "guardrails.output.safety must be true or false"),
        ({"guardrails": {"input": {"valid_topics": [""]}}}, "valid_topics[0] must be text"),
        ({"fallback_config": {}}, "fallback_config.enabled is needed"),
        ({"usage_tracking_config": {"enabled": 1}}, "usage_tracking_config.enabled must be true or false"),
    ],
)
def test_what_is_wrong_is_named(body: Any, told: str) -> None:
    with pytest.raises(InvalidParameterValue) as refused:
        ai_gateway.parse(body)
    assert told in refused.value.message


@pytest.mark.parametrize(
    ("kind", "able"),
    [
        (ai_gateway.EXTERNAL_MODEL, set(WHOLE)),
        (ai_gateway.FOUNDATION_MODEL, set(WHOLE) - {"fallback_config"}),
        (ai_gateway.CUSTOM_MODEL, {"usage_tracking_config", "inference_table_config", "rate_limits"}),
        (ai_gateway.AGENT, {"inference_table_config"}),
        (ai_gateway.FEATURE_SPEC, set()),
    ],
)
def test_each_kind_of_endpoint_can_have_what_it_can_have(kind: str, able: set[str]) -> None:
    for section, value in WHOLE.items():
        config = ai_gateway.parse({section: value})
        if section in able:
            ai_gateway.check(config, Surroundings(kind, "llm/v1/chat"))
        else:
            with pytest.raises(InvalidParameterValue):
                ai_gateway.check(config, Surroundings(kind, "llm/v1/chat"))
    off = {"fallback_config": {"enabled": False}, "guardrails": {"input": {"pii": {"behavior": "NONE"}}}}
    ai_gateway.check(ai_gateway.parse(off), Surroundings(kind))


def test_what_this_server_lacks_is_refused_with_advice() -> None:
    missing = {ai_gateway.SAFETY: "name a judge endpoint in the settings"}
    config = ai_gateway.parse({"guardrails": {"input": {"safety": True}}})
    with pytest.raises(InvalidParameterValue, match=r"guardrails.input.safety cannot .* name a judge"):
        ai_gateway.check(config, Surroundings(ai_gateway.EXTERNAL_MODEL, "llm/v1/chat", missing))
    with pytest.raises(InvalidParameterValue, match="numbers"):
        given = {"guardrails": {"output": {"invalid_keywords": ["x"]}}}
        ai_gateway.check(ai_gateway.parse(given), Surroundings(ai_gateway.EXTERNAL_MODEL, "llm/v1/embeddings"))
    with pytest.raises(InvalidParameterValue, match="limit calls here"):
        tokens = ai_gateway.parse({"rate_limits": [{"tokens": 5, **MINUTE}]})
        ai_gateway.check(tokens, Surroundings(ai_gateway.CUSTOM_MODEL))


def test_a_table_in_use_is_not_exchanged_but_may_be_sent_again() -> None:
    before = ai_gateway.parse(WHOLE)
    ai_gateway.check_change(before, ai_gateway.parse(WHOLE))
    other = {"inference_table_config": WHOLE["inference_table_config"] | {"schema_name": "other"}}
    with pytest.raises(InvalidParameterValue, match="Inference tables is already enabled"):
        ai_gateway.check_change(before, ai_gateway.parse(other))
    ai_gateway.check_change(ai_gateway.parse(None), ai_gateway.parse(other))


def test_the_deprecated_form_knows_calls_of_endpoint_and_user_only() -> None:
    limits = rate_limits.parse_legacy([{"calls": "7", **MINUTE}, {"calls": 2, "key": "user", **MINUTE}])
    assert [limit.to_json() for limit in limits] == [{"calls": 7, **MINUTE}, {"calls": 2, "key": "user", **MINUTE}]
    for wrong in ({"tokens": 1}, {"calls": 1, "principal": "ada", "key": "user"}, {"calls": 1, "key": "user_group"}):
        with pytest.raises(InvalidParameterValue):
            rate_limits.parse_legacy([wrong | MINUTE])
    assert ai_gateway.limits_in_force(None, limits) == limits
    assert ai_gateway.limits_in_force(ai_gateway.parse({"rate_limits": []}), limits) == ()
    with pytest.raises(InvalidParameterValue, match="PUT …/ai-gateway"):
        ai_gateway.check_legacy(ai_gateway.parse(WHOLE), limits)
