"""Short-lived tokens: fetched once for all who wait, ahead of their end, and anew when refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import orjson
import pytest
from tests.unit.gateway.vendors.parts import Answering, HandClock, Said, ScriptedUpstream, model

from headgate.gateway.vendors import tokens
from headgate.gateway.vendors.judging import Failed
from headgate.gateway.vendors.tokens import Source, Tokens
from headgate.gateway.vendors.vendor import Opened, opened
from headgate.upstream.port import CONNECT, Lane, Sending, UpstreamFailed

ENTRA = {
    "openai_api_type": "azuread",
    "openai_api_base": "https://ours.openai.azure.com",
    "openai_api_version": "2026-01-01",
    "openai_deployment_name": "d",
    "microsoft_entra_tenant_id": "t",
    "microsoft_entra_client_id": "c",
    "microsoft_entra_client_secret": "entra-secret",
}
ARN = "arn:aws:iam::123456789012:instance-profile/ours"
PROFILE = {"aws_region": "eu-west-1", "bedrock_provider": "anthropic", "instance_profile_arn": ARN}


def entra(name: str = "gpt", **more: str) -> Opened:
    return opened(model(name, fields={**ENTRA, **more}), {**ENTRA, **more}, 0.0)


def issued(lives_s: float = 3600) -> Answering:
    """A new token every time: `token-1`, `token-2` …"""
    numbers: Iterator[int] = iter(range(1, 1000))

    def answer(sending: Sending, lane: Lane) -> Said:
        return Said(said=orjson.dumps({"access_token": f"token-{next(numbers)}", "expires_in": lives_s}))

    return answer


class House:
    def __init__(self, answer: Answering) -> None:
        self.upstream, self.clock = ScriptedUpstream(answer), HandClock()
        self.tokens = Tokens(self.upstream, self.clock)
        self.source: Source = self.tokens.of(entra())

    async def token(self) -> str:
        """As `attempts` asks."""
        held = self.source.held()
        return (await self.source.fetched() if held is None else held).value

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)


def test_all_who_wait_share_one_fetch_and_all_vendors_of_a_config_one_source() -> None:
    async def main() -> None:
        house = House(issued())
        house.upstream.released.clear()
        waiting = [asyncio.create_task(house.token()) for _ in range(20)]
        await house.settle()
        house.upstream.released.set()
        assert set(await asyncio.gather(*waiting)) == {"token-1"} and len(house.upstream.asked) == 1
        ((_, lane),) = house.upstream.asked
        assert lane.name == "openai tokens", "whoever hangs on the vendor's own lane holds up no token"
        assert house.tokens.of(entra("another model")) is house.source
        assert house.tokens.of(entra(microsoft_entra_client_id="x")) is not house.source

    asyncio.run(main())


def test_one_who_leaves_does_not_take_the_token_from_the_others() -> None:
    async def main() -> None:
        house = House(issued())
        house.upstream.released.clear()
        first, second = (asyncio.create_task(house.token()) for _ in range(2))
        await house.settle()
        first.cancel()
        await house.settle()
        house.upstream.released.set()
        assert await second == "token-1"

    asyncio.run(main())


def test_the_next_token_is_fetched_ahead_while_this_one_is_used() -> None:
    async def main() -> None:
        house = House(issued(3600))
        assert await house.token() == "token-1"
        house.clock.s += 3600 - tokens.MARGIN_S - 1
        assert await house.token() == "token-1" and len(house.upstream.asked) == 1
        house.clock.s += 2
        assert await house.token() == "token-1", "nobody waits for the next one"
        await house.settle()
        assert await house.token() == "token-2" and len(house.upstream.asked) == 2

    asyncio.run(main())


def test_while_tokens_cannot_be_fetched_the_last_one_serves_to_its_end() -> None:
    async def main() -> None:
        answers = iter([Said(said=orjson.dumps({"access_token": "token-1", "expires_in": 3600}))])
        house = House(lambda sending, lane: next(answers, UpstreamFailed(CONNECT, "Nobody is there.")))
        assert await house.token() == "token-1"
        house.clock.s += 3600 - tokens.LAST_S - 1
        for _ in range(10):
            assert await house.token() == "token-1"
            await house.settle()
        assert len(house.upstream.asked) == 2, "and is not asked for with every request"
        house.clock.s += 2
        with pytest.raises(Failed) as failed:
            await house.token()
        assert failed.value.failure.status == 503 and failed.value.failure.retryable

    asyncio.run(main())


def test_a_token_that_lives_for_seconds_is_not_fetched_with_every_request() -> None:
    async def main() -> None:
        house = House(issued(60))
        for _ in range(5):
            assert await house.token() == "token-1"
            await house.settle()
        house.clock.s += 31
        await house.token()
        await house.settle()
        assert await house.token() == "token-2"

    asyncio.run(main())


def test_a_refused_token_is_dropped_once() -> None:
    async def main() -> None:
        house = House(issued())
        refused = await house.source.fetched()
        house.source.drop(refused)
        assert await house.token() == "token-2"
        house.source.drop(refused)  # another request that had the first one
        assert await house.token() == "token-2"

    asyncio.run(main())


def test_a_refusal_is_told_without_the_secret_and_another_entity_may_do_better() -> None:
    async def main() -> None:
        said = Said(400, orjson.dumps({"error": "invalid", "error_description": "AADSTS7: entra-secret is expired"}))
        house = House(lambda sending, lane: said)
        with pytest.raises(Failed) as failed:
            await house.token()
        assert failed.value.failure.retryable and not failed.value.counts
        assert "AADSTS7: *** is expired" in failed.value.failure.message

    asyncio.run(main())


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"access_token": 5, "expires_in": "soon"}'])
def test_what_is_no_token_is_a_failure_of_the_vendor(body: bytes) -> None:
    async def main() -> None:
        house = House(lambda sending, lane: Said(said=body))
        with pytest.raises(Failed) as failed:
            await house.token()
        assert failed.value.failure.status == 503

    asyncio.run(main())


def test_an_instance_profile_is_asked_of_the_metadata_service_and_nobody_else_may_go_there() -> None:
    async def main() -> None:
        keys = {"AccessKeyId": "a", "SecretAccessKey": "s", "Token": "t", "Expiration": "2100-01-01T00:00:00Z"}
        said = [b"session", orjson.dumps({"InstanceProfileArn": ARN}), b"role", orjson.dumps(keys)]
        answers = iter(said)
        upstream = ScriptedUpstream(lambda sending, lane: Said(said=next(answers)))
        source = Tokens(upstream, HandClock()).of(opened(model("m", "amazon-bedrock", fields=PROFILE), PROFILE, 0.0))
        assert orjson.loads((await source.fetched()).value) == ["a", "s", "t"]
        assert [sending.url.partition("/latest/")[2] for sending, _ in upstream.asked] == [
            "api/token",
            "meta-data/iam/info",
            "meta-data/iam/security-credentials/",
            "meta-data/iam/security-credentials/role",
        ]
        assert all(lane.metadata_service for _, lane in upstream.asked)
        entra_upstream = ScriptedUpstream(issued())
        await Tokens(entra_upstream, HandClock()).of(entra()).fetched()
        assert not entra_upstream.asked[0][1].metadata_service

    asyncio.run(main())


def test_closing_ends_what_is_being_fetched() -> None:
    async def main() -> None:
        house = House(issued())
        house.upstream.released.clear()
        waiting = asyncio.create_task(house.token())
        await house.settle()
        await house.tokens.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())
