"""Anthropic's and Bedrock's adapters over real HTTP: the signature survives the client, streams survive the network, or say that they did not."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import aiohttp
import orjson
import pytest
import yarl
from tests.contract.providers import reading
from tests.fakes.vendor import bedrock
from tests.fakes.vendor.anthropic import Anthropic
from tests.fakes.vendor.scene import Said, Scene, ToolCall
from tests.fakes.vendor.server import Act, FakeVendor

from headgate.providers import catalogue
from headgate.providers.port import CHAT, Answer, Request, StreamReader, Target, VendorFailure

NOW_S = 1_760_000_000.0
BODY = b'{"model":"e","messages":[{"role":"user","content":"Hi"}],"max_tokens":9,"tools":[{"type":"function","function":{"name":"now"}}]}'
SCENE = Scene((Said("Let me look.", (ToolCall("call_1", "now", "{}"),), "Hm.", "tool_calls"),))
VENDORS = pytest.mark.parametrize("name", ["anthropic", "amazon-bedrock"])


@dataclass(frozen=True)
class Came:
    """How an exchange ended."""

    events: list[bytes]
    reader: StreamReader
    answer: Answer | None = None
    failure: VendorFailure | None = None


def target(name: str, url: str) -> Target:
    if name == "anthropic":
        return Target(name, "claude-x", CHAT, {"anthropic_api_key": "sk-x", "anthropic_api_base": url})
    config = {
        "aws_region": "eu-west-1",
        "bedrock_provider": "anthropic",
        "aws_access_key_id": bedrock.ACCESS_KEY,
        "aws_secret_access_key": bedrock.SECRET_KEY,
        "aws_endpoint_url": url,
    }
    return Target(name, "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.x-v1:0", CHAT, config)


async def exchange(name: str, act: Act, stream: bool) -> Came:
    async with FakeVendor([Anthropic(), bedrock.Bedrock()], act) as vendor:
        at = target(name, vendor.url)
        provider = catalogue.provider(name, at.config)
        out = provider.prepare(at, Request(BODY, stream), None, NOW_S)
        reader, events = provider.stream(at, True), list[bytes]()
        headers = {key.decode(): value.decode() for key, value in out.headers}
        # A signed address is sent as it stands: aiohttp would write the model's name in its own way.
        url = yarl.URL(out.url, encoded=True)
        async with aiohttp.ClientSession() as session:
            try:
                async with session.request(out.method, url, data=out.body, headers=headers) as answer:
                    if answer.status != 200:
                        names = {key.lower().encode(): value.encode() for key, value in answer.headers.items()}
                        failure = provider.failure(answer.status, names, await answer.read())
                        return Came([], reader, failure=failure)
                    if not stream:
                        return Came([], reader, provider.answer(at, await answer.read()))
                    async for chunk in answer.content.iter_any():
                        events += reader.feed(chunk)
            except aiohttp.ClientError:
                pass
        return Came(reading.events([*events, *reader.end()]), reader)


def run(name: str, act: Act, stream: bool = True) -> Came:
    return asyncio.run(exchange(name, act, stream))


@VENDORS
def test_a_whole_answer_arrives(name: str):
    came = run(name, Act(SCENE), stream=False)
    assert came.answer is not None
    assert reading.said(orjson.loads(came.answer.body)) == list(SCENE.choices)


@VENDORS
@pytest.mark.parametrize("act", [Act(SCENE), Act(SCENE, piece_bytes=1), Act(SCENE, piece_bytes=97), Act(SCENE, pause_s=0.005)],
                         ids=["as it should", "byte by byte", "torn", "a slow drip"])  # fmt: skip
def test_a_stream_arrives_whole(name: str, act: Act):
    came = run(name, act)
    assert came.events[-1] == reading.DONE and came.reader.complete
    assert reading.streamed(reading.payload(event) for event in came.events[:-1]) == list(SCENE.choices)
    assert came.reader.usage is not None and came.reader.usage.total_tokens == 20


@VENDORS
@pytest.mark.parametrize("after", [-1, 0, 10, 300, 900])
def test_a_vendor_that_hangs_up_is_an_error_event(name: str, after: int):
    came = run(name, Act(SCENE, hang_up_after_bytes=after))
    assert reading.DONE not in came.events and not came.reader.complete
    assert reading.payload(came.events[-1])["error_code"] == "TEMPORARILY_UNAVAILABLE"


@VENDORS
@pytest.mark.parametrize(("status", "shown"), [(429, 429), (529, 503), (503, 503), (401, 401)])
def test_refusals_arrive(name: str, status: int, shown: int):
    came = run(name, Act(status=status, message="not now", headers={"retry-after": "3"}))
    assert came.failure is not None and came.failure.status == shown
    assert came.failure.retry_after_s == (3.0 if shown != 401 else None)
