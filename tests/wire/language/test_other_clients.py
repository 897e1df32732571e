"""Databricks' own clients, Anthropic's and MLflow's on the same endpoints."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from tests.scenario.language_house import SAID
from tests.wire import clients
from tests.wire.language.conftest import Language, seen

pytestmark = [pytest.mark.wire, pytest.mark.scenario]
WORDS = ["Hello,", " wide", " world."]
VECTORS = [[0.5, -0.25], [1.0, 2.0]]
CALLS = [["call_1", "weather", {"city": "Paris"}], ["call_2", "weather", {"city": "Oslo"}]]
# The same as in tests/wire/serving, so that it is built once.
KINDS = [
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
]


def test_databricks_clients_talk_embed_and_call_tools(language: Language, older: Path) -> None:
    told = language.walk("databricks_walk.py", older)
    assert told["restricted"] == []
    got = seen(told)
    way = [["weather", "weather"], SAID, SAID, VECTORS, ["NotFoundError", 404]]
    assert got.pop("chat_databricks_tools") == [CALLS, CALLS]
    assert got == {
        "sdk_open_ai_client": [SAID, SAID],
        "sdk_langchain_client": [SAID, SAID],
        "databricks_openai": {"serving": way, "mlflow": way, "openai": way},
        "databricks_openai_asynchronous": SAID,
        "chat_databricks": [SAID, 20, WORDS, [20], [SAID, SAID]],
        "chat_databricks_through_the_gateway": [SAID, SAID],
        "chat_databricks_reasoning": [["reasoning", "text"], "Because.", "Because."],
        "chat_databricks_structured": {"city": "Paris", "degrees": 21},
        "chat_databricks_responses": [SAID, SAID],
        "databricks_embeddings": [VECTORS, VECTORS[0]],
    }


@pytest.mark.parametrize("requirements", [(), ("databricks-sdk==0.59.0",)], ids=["current", "0.59"])
def test_databricks_sdk_queries_chat_completions_and_embeddings(
    language: Language, requirements: tuple[str, ...]
) -> None:
    python = clients.client_python(*requirements) if requirements else sys.executable
    got = seen(language.walk("sdk_walk.py", python))
    query = got["sdk_query"]
    kind, _, message = query.pop("refused")
    assert kind == "BadRequest" and "That is not a question." in message
    assert query == {
        "chat": [SAID, 20, "talk", "chat.completion"],
        "completions": [" upon a time", 20],
        "embeddings": [VECTORS, 1],
        "unknown": "NotFound",
    }
    assert got["through_one_entity"] == SAID


@pytest.mark.parametrize("version", ["0", "2"])
def test_anthropic_s_sdk_asks_any_vendor_s_model(
    language: Language, version: str, request: pytest.FixtureRequest
) -> None:
    """Version 0 sends its key as x-api-key, version 2 as a bearer token."""
    python: Path | str = sys.executable if version == "2" else request.getfixturevalue("older")
    base = f"{language.there.house.url}/serving-endpoints/anthropic"
    told = language.walk("anthropic_walk.py", python, BASE=base, MODELS="claude,talk")
    assert told["version"].startswith(version)
    got = seen(told)
    failures = got.pop("failures")
    assert "Slow down." in failures["limited"][2]
    assert {name: one[:2] for name, one in failures.items()} == {
        "unknown": ["NotFoundError", 404],
        "token": ["AuthenticationError", 401],
        "limited": ["RateLimitError", 429],
        "limited elsewhere": ["RateLimitError", 429],
        "refused": ["BadRequestError", 400],
        "no messages": ["BadRequestError", 400],
        "embeddings": ["BadRequestError", 400],
    }
    called = [CALLS, "tool_use", CALLS, SAID]
    assert got == {
        "whole": {key: ["message", "assistant", SAID, "end_turn", 9] for key in ["claude", "talk"]},
        "streamed": {key: [WORDS, SAID, "end_turn", 9] for key in ["claude", "talk"]},
        "events": dict.fromkeys(["claude", "talk"], KINDS),
        "tools": {"claude-tools": called, "tools": called},
        "thinking": [["thinking", "text"], "Let me see.", "Because."],
        "bearer_token": SAID,
        "asynchronous": [[SAID], SAID],
        "listed": [True, "claude"],
        "a_stream_that_breaks": {key: ["APIStatusError", "Hello, wide"] for key in ["claude-cut", "cut"]},
    }


@pytest.mark.parametrize("requirements", [(), clients.OLD_MLFLOW], ids=["current", "2.22"])
def test_mlflow_s_deployment_client_predicts_streams_and_governs(
    language: Language, requirements: tuple[str, ...]
) -> None:
    python = clients.client_python(*requirements) if requirements else sys.executable
    got = seen(language.walk("mlflow_walk.py", python))
    assert "That is not a question." in got.pop("refused")
    limits, tracking, model = got.pop("made_and_governed")
    assert limits == [{"calls": 5, "key": "endpoint", "renewal_period": "minute"}] and tracking == {"enabled": True}
    assert model["openai_config"] == {"openai_api_base": "https://example.com/v1"}
    assert got == {
        "predict": {"chat": SAID, "completions": " upon a time", "embeddings": VECTORS, "claude": SAID},
        "predict_stream": dict.fromkeys(["talk", "claude", "converse"], SAID),
    }


def test_no_answer_of_the_api_shows_a_vendor_s_key(language: Language) -> None:
    said = json.dumps(language.there.house.api("GET", ""))
    for name in ("claude", "converse", "gemini", "vllm"):
        said += json.dumps(language.there.house.api("GET", f"/{name}"))
    for secret in ("sk-plain", "sk-ant-plain", "custom-plain", "PRIVATE KEY", "plaintext"):
        assert secret not in said
