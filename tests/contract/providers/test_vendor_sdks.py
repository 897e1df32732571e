"""The vendors' own SDKs speak with the fake vendor: what it hears and says is what they say and hear."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import anthropic
import boto3
import botocore.config
import botocore.exceptions
import pytest
from anthropic.types import TextBlock, ThinkingBlock, ToolUseBlock
from tests.fakes.vendor.anthropic import Anthropic
from tests.fakes.vendor.bedrock import ACCESS_KEY, SECRET_KEY, Bedrock
from tests.fakes.vendor.scene import Said, Scene, ToolCall
from tests.fakes.vendor.server import Act, FakeVendor

from headgate.domain.usage import Usage

SCENE = Scene(
    (
        Said(
            "Let me look.",
            (ToolCall("call_1", "get_weather", '{"city":"Köln"}'), ToolCall("call_2", "now", "{}")),
            "Six by nine.",
            "tool_calls",
        ),
    ),
    Usage(1200, 30, 1000, 100, 20),
)
TOOLS: list[Any] = [{"name": "get_weather", "input_schema": {"type": "object", "properties": {}}}]
T = TypeVar("T")


def spoken(act: Act, speak: Callable[[str], T]) -> T:
    """What a client that blocks makes of one act of the vendor at this address."""

    async def play() -> T:
        async with FakeVendor([Anthropic(), Bedrock()], act) as vendor:
            return await asyncio.to_thread(speak, vendor.url)

    return asyncio.run(play())


def anthropics(url: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key="sk-x", base_url=url, max_retries=0)


ASKED: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "?"}], "tools": TOOLS}


@pytest.mark.parametrize("stream", [False, True])
def test_the_anthropic_sdk_reads_the_fake_vendor(stream: bool):
    def speak(url: str) -> anthropic.types.Message:
        with anthropics(url) as client:
            if not stream:
                return client.messages.create(**ASKED)
            with client.messages.stream(**ASKED) as said:
                return said.get_final_message()

    message = spoken(Act(SCENE), speak)
    thought, text, *uses = message.content
    assert isinstance(thought, ThinkingBlock) and thought.thinking == "Six by nine." and thought.signature
    assert isinstance(text, TextBlock) and text.text == "Let me look."
    assert [(use.id, use.name, use.input) for use in uses if isinstance(use, ToolUseBlock)] == [
        ("call_1", "get_weather", {"city": "Köln"}),
        ("call_2", "now", {}),
    ]
    assert message.stop_reason == "tool_use"
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens, message.usage.output_tokens) == (
        100,
        1000,
        30,
    )


@pytest.mark.parametrize(
    ("status", "expected"), [(429, anthropic.RateLimitError), (401, anthropic.AuthenticationError), (529, anthropic.OverloadedError)]
)  # fmt: skip
def test_the_anthropic_sdk_knows_the_fake_vendors_refusals(status: int, expected: type[Exception]):
    def speak(url: str) -> None:
        with anthropics(url) as client:
            client.messages.create(**ASKED)

    with pytest.raises(expected, match="not now"):
        spoken(Act(status=status, message="not now"), speak)


def boto(url: str) -> Any:
    return boto3.client(
        "bedrock-runtime",
        region_name="eu-west-1",
        endpoint_url=url,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=botocore.config.Config(retries={"total_max_attempts": 1}),
    )


CONVERSED: dict[str, Any] = {
    "modelId": "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.x-v1:0",
    "messages": [{"role": "user", "content": [{"text": "?"}]}],
}


def test_boto3_reads_the_fake_vendor_and_is_let_in_by_its_signature():
    def speak(url: str) -> Any:
        client = boto(url)
        try:
            return client.converse(**CONVERSED)
        finally:
            client.close()

    said = spoken(Act(SCENE), speak)
    thought, text, *uses = said["output"]["message"]["content"]
    assert thought["reasoningContent"]["reasoningText"]["text"] == "Six by nine."
    assert text == {"text": "Let me look."}
    assert [use["toolUse"]["input"] for use in uses] == [{"city": "Köln"}, {}]
    assert said["usage"]["cacheReadInputTokens"] == 1000


@pytest.mark.parametrize("piece_bytes", [0, 1, 50])
def test_boto3_reads_the_fake_vendors_streams(piece_bytes: int):
    def speak(url: str) -> list[Any]:
        client = boto(url)
        try:
            return list(client.converse_stream(**CONVERSED)["stream"])
        finally:
            client.close()

    events = spoken(Act(SCENE, piece_bytes=piece_bytes), speak)
    texts = [event["contentBlockDelta"]["delta"].get("text", "") for event in events if "contentBlockDelta" in event]
    assert "".join(texts) == "Let me look."
    assert events[-1]["metadata"]["usage"]["outputTokens"] == 30


def test_boto3_knows_the_fake_vendors_refusals():
    def speak(url: str) -> None:
        client = boto(url)
        try:
            client.converse(**CONVERSED)
        finally:
            client.close()

    with pytest.raises(botocore.exceptions.ClientError, match=r"ThrottlingException.*not now"):
        spoken(Act(status=429, message="not now"), speak)


def test_a_wrong_secret_is_not_let_in():
    def speak(url: str) -> None:
        client = boto3.client(
            "bedrock-runtime", region_name="eu-west-1", endpoint_url=url, aws_access_key_id=ACCESS_KEY, aws_secret_access_key="x"
        )  # fmt: skip
        try:
            client.converse(**CONVERSED)
        finally:
            client.close()

    with pytest.raises(botocore.exceptions.ClientError, match="UnrecognizedClientException"):
        spoken(Act(SCENE), speak)
