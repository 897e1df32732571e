"""Vendors that are slow, half-open, gone, or too much; clients that leave or do not read."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable

import pytest
from tests.contract.upstream.conftest import Run
from tests.contract.upstream.raw_vendor import (
    CHUNKED,
    DEADLINE_S,
    END,
    LANE,
    Answering,
    Clients,
    Heard,
    RawVendor,
    Writer,
    body_of,
    failure_of,
    framed,
    head,
    patient,
    post,
    saying,
    until,
    whole,
)

from headgate.language_settings import ProviderSettings
from headgate.telemetry import metrics
from headgate.upstream.answer import HELD_BYTES
from headgate.upstream.port import BUSY, CONNECT, GARBAGE, LOST, TIMEOUT


def then_silent(*written: bytes) -> Answering:
    async def answer(heard: Heard, writer: Writer) -> None:
        for piece in written:
            writer.write(piece)
        await asyncio.Event().wait()

    return answer


def dripping(piece: bytes, pause_s: float = 0.02) -> Answering:
    """A stream that never ends."""

    async def answer(heard: Heard, writer: Writer) -> None:
        writer.write(CHUNKED)
        while True:
            writer.write(framed(piece))
            await writer.drain()
            await asyncio.sleep(pause_s)

    return answer


def reset(writer: Writer) -> None:
    """Ends it as a crashed machine does."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@pytest.mark.parametrize(
    ("answering", "patience", "told"),
    [
        (then_silent(), {"first_byte_s": 0.1}, "did not begin to answer within 0.1 s"),
        (then_silent(b"HTTP/1.1 2"), {"first_byte_s": 0.1}, "did not begin to answer within 0.1 s"),
        (then_silent(CHUNKED), {"first_byte_s": 0.1}, "did not begin to answer within 0.1 s"),
        (then_silent(CHUNKED, framed(b"one")), {"idle_s": 0.1}, "said nothing for 0.1 s"),
        (then_silent(), {"total_s": 0.1}, "did not finish within 0.1 s"),
        (dripping(b"one"), {"total_s": 0.3, "idle_s": 10}, "did not finish within 0.3 s"),
    ],
)
def test_who_takes_too_long_has_failed(
    run: Run, clients: Clients, answering: Answering, patience: dict[str, float], told: str
) -> None:
    async def main() -> None:
        async with RawVendor(answering) as vendor, clients.opened() as client:
            failed = await failure_of(body_of(client, vendor.url, patient(**patience)))
            assert (failed.kind, told in failed.message) == (TIMEOUT, True), failed.message
            assert clients.number(metrics.UPSTREAM_CONNECTIONS, "openai", "in_use") == 0
            assert clients.number(metrics.UPSTREAM_FAILURES, "openai", TIMEOUT) == 1

    run(main())


def test_a_stream_that_drips_is_alive(run: Run, clients: Clients) -> None:
    async def main() -> None:
        async with RawVendor(dripping(b"one", 0.05)) as vendor, clients.opened() as client:
            stream = await client.send(post(vendor.url), patient(first_byte_s=20, idle_s=10))
            for _ in range(5):
                assert await stream.chunk() == b"one"
            stream.close()
            await until(lambda: vendor.left or not vendor._tasks)

    run(main())


def test_a_stream_whose_vendor_falls_silent_still_shows_what_came(run: Run, clients: Clients) -> None:
    async def main() -> None:
        async with RawVendor(then_silent(CHUNKED, framed(b"one"))) as vendor, clients.opened() as client:
            stream = await client.send(post(vendor.url), patient(idle_s=0.5))
            assert await stream.chunk() == b"one"
            assert (await failure_of(stream.chunk())).kind == TIMEOUT
            assert (await failure_of(stream.chunk())).kind == TIMEOUT
            assert clients.number(metrics.UPSTREAM_FAILURES, "openai", TIMEOUT) == 1

    run(main())


@pytest.mark.parametrize("written", [b"", b"HTTP/1.1 200", CHUNKED, CHUNKED + framed(b"one"), CHUNKED + b"5\r\non"])
@pytest.mark.parametrize("ending", [Writer.close, reset])
def test_a_connection_that_breaks_is_told_as_lost(run: Run, clients: Clients, written: bytes, ending: object) -> None:
    async def answer(heard: Heard, writer: Writer) -> None:
        writer.write(written)
        await writer.drain()
        assert callable(ending)
        ending(writer)

    async def main() -> None:
        async with RawVendor(answer) as vendor, clients.opened() as client:
            assert (await failure_of(body_of(client, vendor.url))).kind == LOST
            assert clients.number(metrics.UPSTREAM_CONNECTIONS, "openai", "in_use") == 0
            assert vendor.connections == 1

    run(main())


def test_nobody_there_is_told_as_no_connection(run: Run, clients: Clients) -> None:
    async def main() -> None:
        with socket.socket() as bound:  # bound, not listening: nobody else gets this port
            bound.bind(("127.0.0.1", 0))
            async with clients.opened() as client:
                failed = await failure_of(body_of(client, f"http://127.0.0.1:{bound.getsockname()[1]}/"))
        assert (failed.kind, "127" in failed.message) == (CONNECT, False)
        assert clients.number(metrics.UPSTREAM_FAILURES, "openai", CONNECT) == 1
        assert clients.number(metrics.UPSTREAM_CONNECTIONS, "openai", "in_use") == 0

    run(main())


def test_a_vendor_that_takes_no_connection_is_given_up(run: Run, clients: Clients) -> None:
    """The TLS handshake is part of making a connection: one that never begins is the half-open vendor."""

    async def main() -> None:
        async with RawVendor(then_silent()) as vendor, clients.opened() as client:
            failed = await failure_of(body_of(client, vendor.url.replace("http:", "https:"), patient(connect_s=0.2)))
            assert (failed.kind, failed.message) == (CONNECT, "The provider took no connection within 0.2 s.")
            failed = await failure_of(body_of(client, vendor.url.replace("http:", "https:"), patient(total_s=0.2)))
            assert (failed.kind, failed.message) == (TIMEOUT, "The provider did not finish within 0.2 s.")
            assert clients.number(metrics.UPSTREAM_CONNECTIONS, "openai", "in_use") == 0

    run(main())


def test_an_answer_that_is_too_long_is_not_read_further(run: Run, clients: Clients) -> None:
    settings = ProviderSettings(allow_private_addresses=True, answer_bytes=1000)
    endless = dripping(b"x" * 600)

    async def main() -> None:
        for answering in (saying(whole(b"x" * 1001)), endless):
            async with RawVendor(answering) as vendor, clients.opened(settings) as client:
                assert (await failure_of(body_of(client, vendor.url))).kind == GARBAGE
        async with RawVendor(saying(whole(b"x" * 1000))) as vendor, clients.opened(settings) as client:
            assert len(await body_of(client, vendor.url)) == 1000

    run(main())


def test_a_slow_reader_makes_the_vendor_wait(run: Run, clients: Clients) -> None:
    sent = 0

    async def answer(heard: Heard, writer: Writer) -> None:
        nonlocal sent
        writer.write(CHUNKED)
        for _ in range(2000):
            writer.write(framed(b"x" * 10_000))
            await writer.drain()
            sent += 10_000
        writer.write(END)

    async def main() -> None:
        async with RawVendor(answer) as vendor, clients.opened() as client:
            stream = await client.send(post(vendor.url), patient(idle_s=0.5))
            await until(lambda: stream._paused)
            seen = len(await stream.chunk())
            assert seen < HELD_BYTES + 1_000_000
            await until(lambda: stream._paused)
            await asyncio.sleep(0.7)  # longer than the vendor may be silent: but it is we who do not listen
            assert sent < 20_000_000
            while piece := await stream.chunk():
                seen += len(piece)
            assert seen == 20_000_000
            # The connection reads again, for the next one.
            assert (await client.send(post(vendor.url), LANE)).status == 200
            assert vendor.connections == 1

    run(main())


def test_whoever_leaves_ends_the_connection_and_frees_its_place(run: Run, clients: Clients) -> None:
    async def main() -> None:
        for answering in (then_silent(), then_silent(CHUNKED), then_silent(CHUNKED, framed(b"one"))):
            async with RawVendor(answering) as vendor, clients.opened() as client:
                asking = asyncio.ensure_future(body_of(client, vendor.url))
                await until(lambda vendor=vendor: vendor.heard)
                await asyncio.sleep(0.02)
                assert clients.number(metrics.UPSTREAM_CONNECTIONS, "openai", "in_use") == 1
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)
                assert asking.cancelled()
                assert clients.number(metrics.UPSTREAM_FAILURES, "openai", LOST) == 0
                assert clients.number(metrics.UPSTREAM_CONNECTIONS, "openai", "in_use") == 0
                assert clients.number(metrics.UPSTREAM_CONNECTIONS, "openai", "idle") == 0

    run(main())


def test_whoever_leaves_while_connecting_frees_its_place(run: Run, clients: Clients) -> None:
    async def left(work: Awaitable[object]) -> type[BaseException]:
        try:
            await work
        except asyncio.CancelledError as cancelled:
            return type(cancelled)
        raise AssertionError("it was not cancelled")

    async def main() -> None:
        async with RawVendor(then_silent()) as vendor, clients.opened() as client:
            asking = asyncio.ensure_future(left(body_of(client, vendor.url.replace("http:", "https:"))))
            await until(lambda: vendor.connections)
            asking.cancel()
            assert await asking is asyncio.CancelledError, "not Abandoned: nobody has seen the request"
            await until(lambda: vendor.left)
            assert clients.number(metrics.UPSTREAM_CONNECTIONS, "openai", "in_use") == 0

    run(main())


def test_a_kept_connection_that_was_just_closed_costs_nobody_a_failure(
    run: Run, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vendor closes when the second request has come, without a byte of answer: as if its end had been on the way."""
    monkeypatch.setattr("headgate.upstream.client.STALE_S", DEADLINE_S)

    async def answer(heard: Heard, writer: Writer) -> None:
        first_of_connection = heard.connection not in seen
        seen.append(heard.connection)
        if first_of_connection:
            writer.write(whole(b"one"))
        else:
            writer.close()

    seen: list[int] = []

    async def main() -> None:
        async with RawVendor(answer) as vendor, clients.opened() as client:
            assert await body_of(client, vendor.url) == b"one"
            assert await body_of(client, vendor.url) == b"one"
            assert seen == [1, 1, 2]
            assert clients.number(metrics.UPSTREAM_FAILURES, "openai", LOST) == 0

    run(main())


def test_what_was_begun_is_not_sent_again(run: Run, clients: Clients) -> None:
    async def answer(heard: Heard, writer: Writer) -> None:
        if len(vendor_heard) == 0:
            writer.write(whole(b"one"))
        else:
            writer.write(b"HTTP/1.1 200 OK\r\n")
            await writer.drain()
            writer.close()
        vendor_heard.append(heard)

    vendor_heard: list[Heard] = []

    async def main() -> None:
        async with RawVendor(answer) as vendor, clients.opened() as client:
            assert await body_of(client, vendor.url) == b"one"
            assert (await failure_of(body_of(client, vendor.url))).kind == LOST
            assert len(vendor_heard) == 2

    run(main())


def test_what_broke_after_a_while_is_not_sent_again(
    run: Run, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vendor may have worked on it."""
    monkeypatch.setattr("headgate.upstream.client.STALE_S", 0.05)
    heard: list[Heard] = []

    async def answer(one: Heard, writer: Writer) -> None:
        heard.append(one)
        if len(heard) == 1:
            writer.write(whole(b"one"))
        else:
            await asyncio.sleep(0.2)
            writer.close()

    async def main() -> None:
        async with RawVendor(answer) as vendor, clients.opened() as client:
            assert await body_of(client, vendor.url) == b"one"
            assert (await failure_of(body_of(client, vendor.url))).kind == LOST
            assert len(heard) == 2

    run(main())


def test_closing_the_client_fails_what_waits(run: Run, clients: Clients) -> None:
    async def main() -> None:
        async with RawVendor(then_silent(head("transfer-encoding: chunked"))) as vendor:
            async with clients.opened() as client:
                stream = await client.send(post(vendor.url), LANE)
                reading = asyncio.ensure_future(stream.chunk())
                await asyncio.sleep(0)
            assert (await failure_of(reading)).kind == LOST
            assert (await failure_of(client.send(post(vendor.url), LANE))).kind == BUSY
            assert [handle for handle in _timers() if not handle.cancelled()] == []

    run(main())


def _timers() -> list[asyncio.TimerHandle]:
    """asyncio's own loop can be asked; uvloop cannot."""
    return getattr(asyncio.get_running_loop(), "_scheduled", [])
