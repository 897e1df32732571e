"""OpenAI's SDK, versions 2 and 3, over each of the doors it can use."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.scenario.language_house import SAID
from tests.wire.language.conftest import Language, seen
from tests.wire.language.scenes import EVERY_PROVIDER

pytestmark = [pytest.mark.wire, pytest.mark.scenario]
WORDS = ["Hello,", " wide", " world."]
CALLS = [["call_1", "weather", {"city": "Paris"}], ["call_2", "weather", {"city": "Oslo"}]]
RATIONED = (
    "REQUEST_LIMIT_EXCEEDED: User defined rate limit(s) exceeded for 'rationed'. "
    "Requests-per-minute (RPM) rate limit exceeded for user"
)
DOORS = ("/serving-endpoints", "/ai-gateway/mlflow/v1", "/ai-gateway/openai/v1")


@pytest.fixture(scope="module", params=["2", "3"])
def told(request: pytest.FixtureRequest, language: Language) -> dict[str, Any]:
    python: Path | str = sys.executable if request.param == "3" else request.getfixturevalue("older")
    bases = [language.there.house.url + door for door in DOORS]
    language.there.vendor.acts("flaky", *[{"status": 500}] * len(bases))
    told = language.walk("openai_walk.py", python, BASES=json.dumps(bases), VENDORS=",".join(EVERY_PROVIDER))
    assert told.pop("version").startswith(request.param)
    return {base.removeprefix(language.there.house.url): one for base, one in told.items()}


@pytest.mark.parametrize("door", DOORS)
def test_everything_openai_s_sdk_can_ask_is_answered_in_its_shapes(told: dict[str, Any], door: str) -> None:
    got = seen(told[door])
    failures = got.pop("failures")
    assert {name: one[:2] for name, one in failures.items()} == {
        "unknown": ["NotFoundError", 404],
        "token": ["AuthenticationError", 401],
        "refused": ["BadRequestError", 400],
        "limited": ["RateLimitError", 429],
        "down": ["InternalServerError", 500],
        "key": ["AuthenticationError", 401],
        "task": ["BadRequestError", 400],
        "no messages": ["BadRequestError", 400],
    }
    assert "That is not a question." in failures["refused"][2] and "Slow down." in failures["limited"][2]
    assert "sk-" not in failures["key"][2] and "credentials" in failures["key"][2]
    assert got.pop("other_vendors") == {name: [SAID, 20, SAID] for name in EVERY_PROVIDER}
    governed = got.pop("governed")
    kind, status, said = governed.pop("blocked")
    assert (
        (kind, status) == ("BadRequestError", 400) and "input_guardrail_triggered" in said and "<EMAIL_ADDRESS>" in said
    )
    status, said, retry_after = governed.pop("limited")
    assert status == 429 and RATIONED in str(said) and int(retry_after) > 0
    masked = "Write to <EMAIL_ADDRESS> for more."
    assert governed == {
        "blocked stream": ["BadRequestError", 400],
        "let through": SAID,
        "masked": masked,
        "masked stream": masked,
    }
    broken = got.pop("a_stream_that_breaks")
    assert broken == ["APIError", "Hello, wide"]
    assert got == {
        "whole": ["chat.completion", SAID, "stop", 20, 3, 2],
        "streamed": [WORDS, ["stop"], []],
        "streamed_with_usage": [0, 20, 1],
        "choices_and_logprobs": [["One.", "Two."], -0.25],
        "parallel_tools": [CALLS, "tool_calls", SAID],
        "streamed_tools": CALLS,
        "structured": {"city": "Paris", "degrees": 21},
        "reasoning": [["reasoning", "text"], "Let me see.", "Because.", True],
        "image": SAID,
        "responses": [SAID, "completed", 20],
        "responses_streamed": [SAID, "response.created", "response.completed", 20, SAID],
        "responses_tools": CALLS,
        "embeddings": [[[0.5, -0.25], [1.0, 2.0]], [0.5, -0.25], 11],
        "completions": [" upon a time", 20, " upon a time"],
        "asynchronous": [[SAID], SAID, "response.created", "response.completed"],
        "raw_headers": {"served-model-name": "talk", "content-type": "application/json"},
        "a_stranger": [["talk"], SAID, ["PermissionDeniedError", 403], ["NotFoundError", 404]],
        "models": [True, "talk", "model", ["NotFoundError", 404]],
        "a_failure_that_passes_is_tried_again": SAID,
    }


def test_the_vendor_gets_the_client_s_own_words_the_vendor_s_model_and_the_entity_s_key(language: Language) -> None:
    wish = {"messages": [{"role": "user", "content": "Grüße"}], "seed": 7, "temperature": 0.25, "max_tokens": 5}
    assert language.there.ask("talk", {**wish, "model": "whatever"}).status == 200
    heard = language.there.vendor.did("talk")["heard"][-1]
    assert json.loads(heard["body"]) == {**wish, "model": "a-model"}
    assert heard["headers"]["authorization"] == "Bearer sk-plain"
