"""What the gateway is asked for: from `ai_gateway`, its legacy forms and the endpoint itself, and which of them holds."""

from __future__ import annotations

from typing import Any

import pytest

from headgate.domain import ai_gateway, gateway_route
from headgate.domain.endpoint import EndpointConfig, ServedEntity
from headgate.domain.external_model import ExternalModel
from headgate.domain.gateway_route import Wish
from headgate.domain.request_record import InferenceTable
from headgate.domain.routing import PLAIN

CALLS = {"calls": 7, "key": "endpoint", "renewal_period": "minute"}
TABLE = {"enabled": True, "catalog_name": "main", "schema_name": "logs"}
CAPTURE = {"catalog_name": "main", "schema_name": "old", "table_name_prefix": "p"}


def own(task: str = "", **more: Any) -> EndpointConfig:
    return EndpointConfig((ServedEntity("m-1", "main.default.m", "1", "1", task=task),), **more)


def vendors(task: str = "llm/v1/chat") -> EndpointConfig:
    model = ExternalModel("gpt", "openai", task, {})
    return EndpointConfig((ServedEntity("gpt", "", "", "", task=task, external_model=model),))


@pytest.mark.parametrize(
    ("config", "kind", "task"),
    [
        (EndpointConfig(), ai_gateway.CUSTOM_MODEL, None),
        (own(), ai_gateway.CUSTOM_MODEL, None),
        (own("llm/v1/chat"), ai_gateway.CUSTOM_MODEL, "llm/v1/chat"),
        (own("agent/v2/chat"), ai_gateway.AGENT, "agent/v2/chat"),
        (
            EndpointConfig((*own("agent/v2/chat").served_entities, *own().served_entities)),
            ai_gateway.CUSTOM_MODEL,
            None,
        ),
        (vendors(), ai_gateway.EXTERNAL_MODEL, "llm/v1/chat"),
        (vendors("llm/v1/embeddings"), ai_gateway.EXTERNAL_MODEL, "llm/v1/embeddings"),
    ],
)
def test_the_kind_and_task_are_those_of_what_is_served(config: EndpointConfig, kind: str, task: str | None) -> None:
    found = gateway_route.made(Wish("e"), config)
    assert (found.kind, found.task) == (kind, task)


def test_who_asks_for_nothing_gets_the_one_plain_route() -> None:
    off = {"usage_tracking_config": {"enabled": False}, "fallback_config": {"enabled": False}, "guardrails": {}}
    for wish in (Wish("e"), Wish("e", {}, [], {}), Wish("e", off)):
        assert gateway_route.made(wish, own()) is PLAIN


@pytest.mark.parametrize(
    ("gateway", "legacy", "amounts"),
    [
        (None, [], []),
        (None, [CALLS], [7]),
        ({"fallback_config": {"enabled": True}}, [CALLS], [7]),
        ({"rate_limits": [{**CALLS, "calls": 3}]}, [CALLS], [3]),
        ({"rate_limits": []}, [CALLS], []),
    ],
)
def test_limits_of_the_gateway_take_the_place_of_deprecated_ones(
    gateway: dict[str, Any] | None, legacy: list[dict[str, Any]], amounts: list[int]
) -> None:
    found = gateway_route.made(Wish("e", gateway, legacy), vendors())
    assert [limit.amount for limit in found.rate_limits] == amounts


@pytest.mark.parametrize(
    ("gateway", "capture", "table"),
    [
        (None, None, None),
        (None, CAPTURE, InferenceTable("main", "old", "p", "legacy")),
        (None, {**CAPTURE, "enabled": False}, None),
        (TABLE, None, InferenceTable("main", "logs", "e")),
        (TABLE, CAPTURE, InferenceTable("main", "logs", "e")),
        ({**TABLE, "enabled": False}, CAPTURE, None),
    ],
)
def test_the_table_of_the_gateway_takes_the_place_of_the_legacy_one(
    gateway: dict[str, Any] | None, capture: dict[str, Any] | None, table: InferenceTable | None
) -> None:
    wish = Wish("e", None if gateway is None else {"inference_table_config": gateway})
    assert gateway_route.made(wish, own(auto_capture_config=capture)).inference_table == table
