"""What the adapters send and read, over real HTTP to the fake vendor, with everything that goes wrong on the way."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import dataclass

import aiohttp
import orjson
import pytest
from tests.contract.providers import reading
from tests.fakes.vendor import dialects, entra
from tests.fakes.vendor.server import Act, FakeVendor

from headgate.providers import catalogue
from headgate.providers.azure import Azure
from headgate.providers.port import CHAT, Outgoing, Provider, Request, StreamReader, Target, VendorFailure

NOW_S = 1_760_000_000.0
BODY = b'{"model":"the-endpoint","messages":[{"role":"user","content":"Hi"}],"max_tokens":9}'
TEXT = "Hello, wide world."


@dataclass(frozen=True)
class Came:
    """How an exchange ended."""

    events: list[bytes]
    reader: StreamReader
    failure: VendorFailure | None = None


async def stream(vendor: FakeVendor, act: Act) -> Came:
    """One streamed request as the gateway will make it: whatever breaks, `end` says what the client is told."""
    vendor.acts.append(act)
    target = Target("openai", "gpt-x", CHAT, {"openai_api_key": "sk-secret", "openai_api_base": f"{vendor.url}/v1"})
    provider = catalogue.provider("openai", target.config)
    out = provider.prepare(target, Request(BODY, stream=True), None, NOW_S)
    reader = provider.stream(target, False)
    events: list[bytes] = []
    async with aiohttp.ClientSession() as session:
        try:
            async with session.request(out.method, out.url, data=out.body, headers=_headers(out)) as answer:
                if answer.status != 200:
                    names = {name.lower().encode(): value.encode() for name, value in answer.headers.items()}
                    return Came([], reader, provider.failure(answer.status, names, await answer.read()))
                async for chunk in answer.content.iter_any():
                    events += reading.events(reader.feed(chunk))
        except aiohttp.ClientError:
            pass
    return Came(events + reading.events(reader.end()), reader)


def _headers(out: Outgoing) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in out.headers}


def run(act: Act) -> Came:
    async def played() -> Came:
        async with FakeVendor(dialects.all_of_them()) as vendor:
            return await stream(vendor, act)

    return asyncio.run(played())


def text(came: Came) -> str:
    chunks = [reading.payload(event) for event in came.events if event != reading.DONE]
    return "".join(said.text for said in reading.streamed(chunk for chunk in chunks if "choices" in chunk))


@pytest.mark.parametrize(
    "act",
    [Act(), Act(delay_s=0.05), Act(piece_bytes=1), Act(piece_bytes=13), Act(pause_s=0.01)],
    ids=["as it should", "late", "byte by byte", "torn", "a slow drip"],
)
def test_a_slow_or_torn_stream_arrives_whole(act: Act):
    came = run(act)
    assert came.events[-1] == reading.DONE and came.reader.complete
    assert text(came) == TEXT
    assert came.reader.usage is not None and came.reader.usage.total_tokens == 20


@pytest.mark.parametrize("after", [-1, 0, 10, 300, 700])
def test_a_vendor_that_hangs_up_is_an_error_event_not_an_end(after: int):
    came = run(Act(hang_up_after_bytes=after))
    assert reading.DONE not in came.events and not came.reader.complete
    assert reading.payload(came.events[-1])["error_code"] == "TEMPORARILY_UNAVAILABLE"
    assert TEXT.startswith(text(came))


@pytest.mark.parametrize("body", [b"<html>oops</html>", b"data: {oops\n\n", b"\x00\xff" * 500, b""])
def test_garbage_is_an_error_event(body: bytes):
    came = run(Act(body=body))
    assert [reading.payload(event)["error_code"] for event in came.events] == ["TEMPORARILY_UNAVAILABLE"]


@pytest.mark.parametrize(
    ("act", "status", "wait_s"),
    [
        (Act(status=429, headers={"retry-after": "2"}), 429, 2.0),
        (Act(status=500), 500, None),
        (Act(status=503, headers={"retry-after-ms": "1500", "retry-after": "2"}), 503, 1.5),
        (Act(status=400, message="context too long"), 400, None),
    ],
)
def test_refusals_arrive_with_their_status_and_when_to_come_again(act: Act, status: int, wait_s: float | None):
    came = run(act)
    assert came.failure is not None
    assert (came.failure.status, came.failure.retry_after_s) == (status, wait_s)
    assert act.message in came.failure.message
    assert not came.events


def test_the_vendor_notices_a_client_that_leaves():
    async def leave() -> int:
        async with FakeVendor(dialects.all_of_them(), Act(pause_s=0.02)) as vendor:
            async with aiohttp.ClientSession() as session:
                body = {"model": "m", "messages": [], "stream": True}
                url = f"{vendor.url}/v1/chat/completions"
                async with session.post(url, json=body, headers={"authorization": "Bearer x"}) as answer:
                    await answer.content.readany()
            for _ in range(3000):
                if vendor.left:
                    break
                await asyncio.sleep(0.01)
            return vendor.left

    assert asyncio.run(leave()) == 1


def test_azure_fetches_its_token_from_entra_and_is_let_in_with_it():
    async def play() -> tuple[int, str]:
        async with FakeVendor(dialects.all_of_them()) as vendor:
            provider: Provider = Azure(vendor.url)
            config = {
                "openai_api_type": "azuread",
                "openai_api_base": f"{vendor.url}/entra",
                "openai_api_version": "2025-06-01",
                "openai_deployment_name": "our gpt",
                "microsoft_entra_tenant_id": "tenant",
                "microsoft_entra_client_id": "client",
                "microsoft_entra_client_secret": entra.SECRET,
            }
            target = Target("openai", "gpt-x", CHAT, config)
            asking = provider.token_request(target, NOW_S)
            assert asking is not None
            async with aiohttp.ClientSession() as session:
                async with session.request(
                    asking.method, asking.url, data=asking.body, headers=_headers(asking)
                ) as got:
                    credential = provider.credential(await got.read(), NOW_S)
                assert credential.expires_at_s == NOW_S + 3599 and entra.TOKEN not in repr(credential)
                out = provider.prepare(target, Request(BODY), credential, NOW_S)
                async with session.request(out.method, out.url, data=out.body, headers=_headers(out)) as answer:
                    said = provider.answer(target, await answer.read())
                    return answer.status, orjson.loads(said.body)["choices"][0]["message"]["content"]

    assert asyncio.run(play()) == (200, TEXT)


def test_the_vendor_runs_as_a_process_and_is_scripted_over_http():
    process = subprocess.Popen([sys.executable, "-m", "tests.fakes.vendor"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()

        async def play() -> list[int]:
            async with aiohttp.ClientSession(headers={"authorization": "Bearer x"}) as session:
                acts = [
                    {"status": 429, "headers": {"retry-after": "1"}},
                    {"scene": {"choices": [{"text": "As told."}]}},
                ]
                await session.post(f"{url}/_acts", json=acts)
                statuses = []
                for _ in acts:
                    async with session.post(f"{url}/v1/chat/completions", data=BODY) as answer:
                        statuses.append(answer.status)
                        said = await answer.read()
                assert b"As told." in said
                async with session.get(f"{url}/_heard") as control:
                    assert len((await control.json())["heard"]) == 2
                return statuses

        assert asyncio.run(play()) == [429, 200]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
