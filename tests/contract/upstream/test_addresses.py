"""Connections are made to addresses that were judged, and to no others."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest
from tests.contract.upstream.conftest import Run
from tests.contract.upstream.raw_vendor import (
    LANE,
    PATIENCE,
    Clients,
    RawVendor,
    body_of,
    failure_of,
    patient,
    post,
    saying,
    until,
    whole,
)
from tests.contract.upstream.test_bulkhead import MovedClock

from headgate.language_settings import ProviderSettings
from headgate.upstream.addresses import REMEMBERED_S
from headgate.upstream.port import CONNECT, FORBIDDEN, Lane

STRICT = ProviderSettings()
METADATA = Lane("amazon-bedrock", PATIENCE, metadata_service=True)


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://10.1.2.3/",
        "https://[::ffff:10.1.2.3]/",
        "https://0x7f000001/",
        "https://2130706433/",
        "https://localhost/",
        "http://8.8.8.8/",
        "http://169.254.169.254/latest",
    ],
)
def test_addresses_inside_are_not_reached(run: Run, clients: Clients, url: str) -> None:
    async def main() -> None:
        async with clients.opened(STRICT) as client:
            failed = await failure_of(client.send(post(url), LANE))
            assert failed.kind == FORBIDDEN, failed.message
            assert not any(character.isdigit() for character in failed.message)

    run(main())


def test_the_metadata_service_is_forbidden_even_where_private_addresses_are_not(run: Run, clients: Clients) -> None:
    async def main() -> None:
        async with clients.opened() as client:
            for url in ("http://169.254.169.254/latest", "http://[fd00:ec2::254]/", "http://100.100.100.200/"):
                assert (await failure_of(client.send(post(url), LANE))).kind == FORBIDDEN

    run(main())


def test_a_lane_may_be_led_to_the_metadata_service_and_nowhere_else(run: Run, clients: Clients) -> None:
    async def main() -> None:
        async with clients.opened(STRICT) as client:
            for url in ("http://127.0.0.1/", "http://169.254.1.1/"):
                assert (await failure_of(client.send(post(url), METADATA))).kind == FORBIDDEN
            resolver = client._resolver
            origin = client._new_target("http://169.254.169.254/latest", METADATA).origin
            assert await resolver.addresses(origin) == ("169.254.169.254",)
            # Not the same origin, so its connections are nobody else's.
            assert origin != client._new_target("http://169.254.169.254/latest", LANE).origin

    run(main())


def test_a_name_that_turns_inward_is_refused_when_it_does(run: Run, clients: Clients) -> None:
    """DNS rebinding: public when it was configured and when it was first asked, this machine the next time."""
    answers = [["203.0.114.7"], ["127.0.0.1"], ["203.0.114.7", "127.0.0.1"]]
    asked = 0

    def lookup(host: str, port: int) -> list[str]:
        nonlocal asked
        asked += 1
        return answers[asked - 1]

    async def main() -> None:
        clock = MovedClock()
        async with RawVendor(saying(whole(b"inside"))) as vendor, clients.opened(STRICT, lookup, clock) as client:
            url = f"https://rebinding.test:{vendor.port}/"
            origin = client._new_target(url, LANE).origin
            assert await client._resolver.addresses(origin) == ("203.0.114.7",)
            assert await client._resolver.addresses(origin) == ("203.0.114.7",)
            assert asked == 1
            for number in (2, 3):
                clock.now_s += REMEMBERED_S
                assert (await failure_of(client.send(post(url), LANE))).kind == FORBIDDEN
                assert asked == number
            assert vendor.connections == 0

    run(main())


def test_a_connection_goes_to_the_address_that_was_judged(run: Run, clients: Clients) -> None:
    async def main() -> None:
        async with RawVendor(saying(whole(b"one"))) as vendor:
            lookup = lambda host, port: ["127.0.0.1"]  # noqa: E731
            async with clients.opened(lookup=lookup) as client:
                assert await body_of(client, f"http://nowhere.test:{vendor.port}/") == b"one"
                assert vendor.heard[0].headers["host"] == f"nowhere.test:{vendor.port}"

    run(main())


def test_the_next_address_is_tried(run: Run, clients: Clients) -> None:
    async def main() -> None:
        async with RawVendor(saying(whole(b"one"))) as vendor:
            # 127.0.0.2 refuses at once; a full backlog takes nothing and says nothing.
            full = socket.create_server(("127.0.0.3", vendor.port), backlog=0)
            fillers = []
            for _ in range(3):
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.3", vendor.port))
                fillers.append(filler)
            for first in ("127.0.0.2", "127.0.0.3"):
                lookup = lambda host, port, first=first: [first, "127.0.0.1"]  # noqa: E731
                async with clients.opened(lookup=lookup) as client:
                    assert await body_of(client, f"http://two.test:{vendor.port}/") == b"one"
            for each in (*fillers, full):
                each.close()

    run(main())


def test_a_name_without_addresses_is_no_connection(run: Run, clients: Clients) -> None:
    def lookup(host: str, port: int) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    async def main() -> None:
        async with clients.opened(lookup=lookup) as client:
            assert (await failure_of(body_of(client, "https://nowhere.test/"))).kind == CONNECT

    run(main())


def test_a_name_server_that_hangs_holds_up_nobody_else(run: Run, clients: Clients) -> None:
    over, asked = threading.Event(), []

    def lookup(host: str, port: int) -> list[str]:
        asked.append(host)
        if host == "hangs.test":
            over.wait(30)
        return ["127.0.0.1"]

    async def main() -> None:
        async with RawVendor(saying(whole(b"one"))) as vendor, clients.opened(lookup=lookup) as client:
            hanging = [
                asyncio.ensure_future(failure_of(body_of(client, "http://hangs.test/", patient(connect_s=0.3))))
                for _ in range(20)
            ]
            await until(lambda: asked)
            assert await body_of(client, f"http://other.test:{vendor.port}/") == b"one"
            assert {failed.kind for failed in await asyncio.gather(*hanging)} == {CONNECT}
            assert asked.count("hangs.test") == 1

    try:
        run(main())
    finally:
        over.set()
