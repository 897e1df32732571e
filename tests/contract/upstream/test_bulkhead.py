"""Providers have bounded connections and queues of their own."""

from __future__ import annotations

import asyncio

from tests.contract.upstream.conftest import Run
from tests.contract.upstream.raw_vendor import (
    LANE,
    PATIENCE,
    Clients,
    Heard,
    RawVendor,
    Writer,
    body_of,
    failure_of,
    patient,
    post,
    saying,
    until,
    whole,
)

from headgate.clock import SystemClock
from headgate.language_settings import ProviderSettings
from headgate.telemetry import metrics
from headgate.upstream.bulkhead import IDLE_S
from headgate.upstream.port import BUSY, LOST, TIMEOUT, Lane

OTHER = Lane("anthropic", PATIENCE)
NARROW = ProviderSettings(allow_private_addresses=True, connections=2, waiting=3)


class Gate:
    """A vendor's answering that waits until it may."""

    def __init__(self) -> None:
        self.turns = asyncio.Semaphore(0)
        self.order: list[bytes] = []

    async def __call__(self, heard: Heard, writer: Writer) -> None:
        await self.turns.acquire()
        self.order.append(heard.body)
        writer.write(whole(heard.body))


class MovedClock(SystemClock):
    """A clock whose time is moved by hand."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic_s(self) -> float:  # type: ignore[override]
        return self.now_s


def test_requests_wait_in_order_for_a_bounded_number_of_connections(run: Run, clients: Clients) -> None:
    async def main() -> None:
        gate = Gate()
        async with RawVendor(gate) as vendor, clients.opened(NARROW) as client:

            async def ask(number: int) -> bytes:
                return await (await client.send(post(vendor.url, b"%d" % number), LANE)).body()

            asked = []
            for number in range(5):
                asked.append(asyncio.ensure_future(ask(number)))
                await until(lambda number=number: _waiting(clients) + len(vendor.heard) == number + 1)
            assert (len(vendor.heard), _waiting(clients)) == (2, 3)
            assert (await failure_of(ask(5))).kind == BUSY
            assert clients.number(metrics.UPSTREAM_FAILURES, "openai", BUSY) == 1
            # Nobody of another lane is held up.
            for _ in range(2):
                gate.turns.release()
            other = asyncio.ensure_future(client.send(post(vendor.url, b"other"), OTHER))
            for _ in range(4):
                gate.turns.release()
            assert await asyncio.gather(*asked) == [b"0", b"1", b"2", b"3", b"4"]
            assert await (await other).body() == b"other"
            assert [body for body in gate.order if body != b"other"][2:] == [b"2", b"3", b"4"]
            assert vendor.connections == 3
            assert clients.number(metrics.UPSTREAM_WAITING, "openai") == 0
            assert clients.number(metrics.UPSTREAM_CONNECTIONS, "openai", "in_use") == 0
            assert clients.number(metrics.UPSTREAM_CONNECTIONS, "openai", "idle") == 2

    run(main())


def test_who_leaves_the_queue_takes_no_place_along(run: Run, clients: Clients) -> None:
    async def main() -> None:
        gate = Gate()
        async with RawVendor(gate) as vendor, clients.opened(NARROW) as client:
            asked = [asyncio.ensure_future(body_of(client, vendor.url)) for _ in range(5)]
            await until(lambda: clients.number(metrics.UPSTREAM_WAITING, "openai") == 3)
            asked[3].cancel()
            await asyncio.gather(asked[3], return_exceptions=True)
            assert clients.number(metrics.UPSTREAM_WAITING, "openai") == 2
            # Its turn comes, and in the same turn of the loop it leaves.
            await until(lambda: len(vendor.heard) == 2)
            asked[0].cancel()
            asked[2].cancel()
            for _ in range(3):
                gate.turns.release()
            assert await asked[1] == b"{}" == await asked[4]
            await asyncio.gather(*asked, return_exceptions=True)
            assert clients.number(metrics.UPSTREAM_CONNECTIONS, "openai", "in_use") == 0
            assert clients.number(metrics.UPSTREAM_WAITING, "openai") == 0

    run(main())


def test_waiting_for_a_connection_counts_towards_the_whole(run: Run, clients: Clients) -> None:
    async def main() -> None:
        async with RawVendor(Gate()) as vendor, clients.opened(NARROW) as client:
            asked = [asyncio.ensure_future(body_of(client, vendor.url)) for _ in range(2)]
            await until(lambda: len(vendor.heard) == 2)
            failed = await failure_of(body_of(client, vendor.url, patient(total_s=0.1)))
            assert (failed.kind, failed.message) == (TIMEOUT, "No connection to the provider became free in time.")
            for one in asked:
                one.cancel()
            await asyncio.gather(*asked, return_exceptions=True)

    run(main())


def test_who_waits_when_the_client_is_closed_is_told(run: Run, clients: Clients) -> None:
    async def main() -> None:
        async with RawVendor(Gate()) as vendor:
            async with clients.opened(NARROW) as client:
                asked = [asyncio.ensure_future(body_of(client, vendor.url)) for _ in range(4)]
                await until(lambda: _waiting(clients) == 2)
            assert {(await failure_of(one)).kind for one in asked} == {LOST}

    run(main())


def test_a_place_is_free_as_soon_as_the_answer_is_there(run: Run, clients: Clients) -> None:
    """Not only when it was read."""
    settings = ProviderSettings(allow_private_addresses=True, connections=1, waiting=0)

    async def main() -> None:
        async with RawVendor(saying(whole(b"one"))) as vendor, clients.opened(settings) as client:
            answers = [await client.send(post(vendor.url), LANE) for _ in range(3)]
            assert [await answer.body() for answer in answers] == [b"one"] * 3
            assert vendor.connections == 1

    run(main())


def test_idle_connections_make_room_for_other_places(run: Run, clients: Clients) -> None:
    settings = ProviderSettings(allow_private_addresses=True, connections=1)

    async def main() -> None:
        async with RawVendor(saying(whole(b"1"))) as one, RawVendor(saying(whole(b"2"))) as two:
            async with clients.opened(settings) as client:
                assert await body_of(client, one.url) == b"1"
                assert await body_of(client, two.url) == b"2"
                await until(lambda: one.left == 1)
                assert clients.number(metrics.UPSTREAM_CONNECTIONS, "openai", "idle") == 1

    run(main())


def test_idle_connections_are_closed_after_a_while(run: Run, clients: Clients) -> None:
    async def main() -> None:
        clock = MovedClock()
        async with RawVendor(saying(whole(b"one"))) as vendor, clients.opened(clock=clock) as client:
            assert await body_of(client, vendor.url) == b"one"
            clock.now_s += IDLE_S - 1
            assert await body_of(client, vendor.url) == b"one"
            assert vendor.connections == 1
            clock.now_s += IDLE_S
            assert await body_of(client, vendor.url) == b"one"
            assert vendor.connections == 2
            clock.now_s += IDLE_S
            client._sweep()
            await until(lambda: vendor.left == 2)
            assert clients.number(metrics.UPSTREAM_CONNECTIONS, "openai", "idle") == 0

    run(main())


def test_a_vendor_says_how_long_it_keeps_connections(run: Run, clients: Clients) -> None:
    async def main() -> None:
        clock = MovedClock()
        said = whole(b"one", "Keep-Alive: timeout=5, max=100")
        async with RawVendor(saying(said)) as vendor, clients.opened(clock=clock) as client:
            for wait_s, connections in ((0, 1), (3.9, 1), (4.1, 2)):
                clock.now_s += wait_s
                assert await body_of(client, vendor.url) == b"one"
                assert vendor.connections == connections

    run(main())


def test_a_connection_that_its_vendor_closed_is_not_used(run: Run, clients: Clients) -> None:
    async def answer(heard: Heard, writer: Writer) -> None:
        writer.write(whole(b"one"))
        writer.close()

    async def main() -> None:
        async with RawVendor(answer) as vendor, clients.opened() as client:
            for number in range(3):
                assert await body_of(client, vendor.url) == b"one"
                await until(lambda: not clients.number(metrics.UPSTREAM_CONNECTIONS, "openai", "idle"))
                assert vendor.connections == number + 1
            assert clients.number(metrics.UPSTREAM_FAILURES, "openai", LOST) == 0

    run(main())


def _waiting(clients: Clients) -> float:
    return clients.number(metrics.UPSTREAM_WAITING, "openai")
