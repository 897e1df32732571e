"""Requests as vendors see them, and every form of answer HTTP knows."""

from __future__ import annotations

import asyncio
import gzip
import zlib

import pytest
from tests.contract.upstream.conftest import Run
from tests.contract.upstream.raw_vendor import (
    CHUNKED,
    END,
    HEADERS,
    LANE,
    Clients,
    Heard,
    RawVendor,
    Writer,
    body_of,
    failure_of,
    framed,
    head,
    post,
    saying,
    until,
    whole,
)

from headgate.telemetry import metrics
from headgate.upstream.answer import MOST_PIECES
from headgate.upstream.port import FORBIDDEN, GARBAGE, LOST


def test_a_request_is_sent_as_it_stands(run: Run, clients: Clients) -> None:
    async def main() -> None:
        async with RawVendor(saying(whole(b"hello", "x-a: 1", "X-A: 2"))) as vendor, clients.opened() as client:
            url = f"http://127.0.0.1:{vendor.port}/a//b/../%7Ec?sig=%2F+x&&empty="
            answer = await client.send(post(url, b'{"a": 1}'), LANE)
            assert (answer.status, answer.headers[b"x-a"], await answer.body()) == (200, b"2", b"hello")
            heard = vendor.heard[0]
            assert heard.line == "POST /a//b/../%7Ec?sig=%2F+x&&empty= HTTP/1.1"
            assert heard.body == b'{"a": 1}'
            assert heard.headers == {
                "host": f"127.0.0.1:{vendor.port}",
                "accept-encoding": "identity",
                "authorization": "Bearer sk-secret",
                "content-type": "application/json",
                "content-length": "8",
            }

    run(main())


def test_an_ipv6_address_stands_in_brackets(run: Run, clients: Clients) -> None:
    async def main() -> None:
        async with RawVendor(saying(whole(b"hello")), host="::1") as vendor, clients.opened() as client:
            assert await body_of(client, f"http://[::1]:{vendor.port}?a=1") == b"hello"
            assert vendor.heard[0].headers["host"] == f"[::1]:{vendor.port}"
            assert vendor.heard[0].line == "POST /?a=1 HTTP/1.1"

    run(main())


def test_a_large_request_arrives_whole(run: Run, clients: Clients) -> None:
    async def main() -> None:
        async with RawVendor(saying(whole(b"ok"))) as vendor, clients.opened() as client:
            body = bytes(range(256)) * 20_000
            answer = await client.send(post(vendor.url, body), LANE)
            assert await answer.body() == b"ok"
            assert vendor.heard[0].body == body

    run(main())


@pytest.mark.parametrize(
    ("written", "status", "body"),
    [
        (whole(b"one"), 200, b"one"),
        (whole(b""), 200, b""),
        (CHUNKED + framed(b"on", b"e") + END, 200, b"one"),
        (CHUNKED + framed(b"one") + b"0\r\nx-trailer: 1\r\n\r\n", 200, b"one"),
        (CHUNKED + b"3;name=value\r\none\r\n" + END, 200, b"one"),
        (head(status="204 No Content"), 204, b""),
        (head(status="100 Continue") + head("x: 1", status="103 Early Hints") + whole(b"one"), 200, b"one"),
        (whole(b"no", "location: http://169.254.169.254/", status="302 Found"), 302, b"no"),
        (whole(b"busy", "retry-after: 7", status="429 Too Many Requests"), 429, b"busy"),
        (whole(gzip.compress(b"one" * 50, mtime=0), "Content-Encoding: gzip"), 200, b"one" * 50),
        (whole(zlib.compress(b"one"), "content-encoding: deflate"), 200, b"one"),
        (whole(zlib.compress(b"one")[2:-4], "content-encoding: deflate"), 200, b"one"),
        (whole(b"one", "content-encoding: identity"), 200, b"one"),
    ],
)
def test_answers_are_read_whatever_their_form(
    run: Run, clients: Clients, written: bytes, status: int, body: bytes
) -> None:
    async def main() -> None:
        async with RawVendor(saying(written)) as vendor, clients.opened() as client:
            for _ in range(2):
                answer = await client.send(post(vendor.url), LANE)
                assert (answer.status, await answer.body()) == (status, body)
            assert vendor.connections == 1

    run(main())


def test_an_answer_without_a_length_ends_with_its_connection(run: Run, clients: Clients) -> None:
    async def answer(heard: Heard, writer: Writer) -> None:
        writer.write(head("x: 1") + b"on")
        writer.write(b"e")
        writer.close()

    async def main() -> None:
        async with RawVendor(answer) as vendor, clients.opened() as client:
            assert await body_of(client, vendor.url) == b"one"
            assert await body_of(client, vendor.url) == b"one"
            assert vendor.connections == 2

    run(main())


@pytest.mark.parametrize(
    "written",
    [
        whole(b"one", "connection: close"),
        b"HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\none",
        whole(b"one") + b"more",
        whole(b"one") + whole(b"two"),
    ],
)
def test_a_connection_that_is_done_or_said_too_much_is_not_used_again(
    run: Run, clients: Clients, written: bytes
) -> None:
    async def main() -> None:
        async with RawVendor(saying(written)) as vendor, clients.opened() as client:
            assert [await body_of(client, vendor.url) for _ in range(3)] == [b"one"] * 3
            assert vendor.connections == 3
            assert clients.number(metrics.UPSTREAM_OPENED, "openai") == 3
            assert clients.number(metrics.UPSTREAM_CONNECTIONS, "openai", "idle") == 0

    run(main())


def test_a_stream_is_handed_on_as_it_comes(run: Run, clients: Clients) -> None:
    async def main() -> None:
        async def answer(heard: Heard, writer: Writer) -> None:
            writer.write(CHUNKED)
            for number in range(3):
                await more.acquire()
                writer.write(framed(b"data: %d\n\n" % number))
            await more.acquire()
            writer.write(END)

        import asyncio

        more = asyncio.Semaphore(0)
        async with RawVendor(answer) as vendor, clients.opened() as client:
            stream = await client.send(post(vendor.url), LANE)
            assert clients.number(metrics.UPSTREAM_CONNECTIONS, "openai", "in_use") == 1
            seen = []
            for _ in range(3):
                more.release()
                seen.append(await stream.chunk())
            assert seen == [b"data: 0\n\n", b"data: 1\n\n", b"data: 2\n\n"]
            more.release()
            assert await stream.chunk() == b"" == await stream.chunk()
            assert clients.number(metrics.UPSTREAM_CONNECTIONS, "openai", "idle") == 1
            stream.close()
            assert clients.number(metrics.UPSTREAM_CONNECTIONS, "openai", "idle") == 1

    run(main())


def test_a_compressed_stream_is_handed_on_as_it_comes(run: Run, clients: Clients) -> None:
    packer = zlib.compressobj(wbits=31)
    first = packer.compress(b"data: 1\n\n") + packer.flush(zlib.Z_SYNC_FLUSH)
    last = packer.compress(b"data: 2\n\n") + packer.flush()

    async def main() -> None:
        import asyncio

        more = asyncio.Event()

        async def answer(heard: Heard, writer: Writer) -> None:
            writer.write(head("transfer-encoding: chunked", "content-encoding: gzip") + framed(first))
            await more.wait()
            writer.write(framed(last) + END)

        async with RawVendor(answer) as vendor, clients.opened() as client:
            stream = await client.send(post(vendor.url), LANE)
            assert await stream.chunk() == b"data: 1\n\n"
            more.set()
            assert await stream.chunk() == b"data: 2\n\n"
            assert await stream.chunk() == b""

    run(main())


_PACKED = gzip.compress(b"one" * 1000, mtime=0)
_BOMB = gzip.compress(bytes(2**23), mtime=0)


@pytest.mark.parametrize(
    "written",
    [
        whole(_PACKED[:-4], "content-encoding: gzip"),
        whole(_PACKED + b"more", "content-encoding: gzip"),
        whole(b"not packed", "content-encoding: gzip"),
        whole(b"one", "content-encoding: br"),
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"HTTP/1.1 abc\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        head("content-length: 3", "transfer-encoding: chunked") + b"one",
        head("content-length: 3", "content-length: 4") + b"one",
        CHUNKED + b"zz\r\n",
        head("upgrade: websocket", "connection: upgrade", status="101 Switching Protocols"),
        head("x: " + "y" * 100_000),
        head(*(f"x-{number}: y" for number in range(20_000))),
        CHUNKED + framed(b"one") + b"0\r\nx-trailer: " + b"y" * 2**20,
        CHUNKED + framed(b"one") + b"0\r\n" + b"x-trailer: y\r\n" * 2**16,
        CHUNKED + framed(b"one") + b"1;" + b"y" * 2**20,
        whole(_BOMB, "content-encoding: gzip"),
        CHUNKED.replace(b"content-type", b"content-encoding: gzip\r\nx")
        + framed(*(_BOMB[at : at + 512] for at in range(0, len(_BOMB), 512))),
    ],
)
def test_garbage_is_named_so(run: Run, clients: Clients, written: bytes) -> None:
    async def main() -> None:
        async with RawVendor(saying(written)) as vendor, clients.opened() as client:
            failed = await failure_of(body_of(client, vendor.url))
            assert failed.kind == GARBAGE
            assert clients.number(metrics.UPSTREAM_CONNECTIONS, "openai", "in_use") == 0
            assert clients.number(metrics.UPSTREAM_CONNECTIONS, "openai", "idle") == 0

    run(main())


def test_what_was_not_asked_for_ends_an_idle_connection(run: Run, clients: Clients) -> None:
    writers: list[Writer] = []

    async def answer(heard: Heard, writer: Writer) -> None:
        writer.write(whole(b"one"))
        writers.append(writer)

    async def main() -> None:
        async with RawVendor(answer) as vendor, clients.opened() as client:
            assert await body_of(client, vendor.url) == b"one"
            writers[0].write(whole(b"two"))
            await asyncio.wait_for(_gone(clients), 30)
            assert await body_of(client, vendor.url) == b"one"
            assert vendor.connections == 2

    async def _gone(clients: Clients) -> None:
        while clients.number(metrics.UPSTREAM_CONNECTIONS, "openai", "idle"):
            await asyncio.sleep(0.002)

    run(main())


def test_headers_cannot_become_a_second_request(run: Run, clients: Clients) -> None:
    async def main() -> None:
        async with RawVendor(saying(whole(b"one"))) as vendor, clients.opened() as client:
            for name, value in [(b"x", b"1\r\nhost: other"), (b"x\n", b"1"), (b"x", b"\0")]:
                failed = await failure_of(client.send(post(vendor.url, headers=(*HEADERS, (name, value))), LANE))
                assert failed.kind == FORBIDDEN
            framing = ((b"Content-Length", b"0"), (b"transfer-encoding", b"chunked"), (b"host", b"other"))
            await (await client.send(post(vendor.url, headers=(*HEADERS, *framing)), LANE)).body()
            assert [heard.body for heard in vendor.heard] == [b"{}"]
            assert vendor.heard[0].headers["host"] == f"127.0.0.1:{vendor.port}"

    run(main())


def test_addresses_that_are_none_are_refused(run: Run, clients: Clients) -> None:
    async def main() -> None:
        async with clients.opened() as client:
            for url in ("ftp://vendor/", "https://", "https://vendor/a b", "https://vendor/ä", "https://a:b@vendor/"):
                assert (await failure_of(client.send(post(url), LANE))).kind == FORBIDDEN

    run(main())


def test_a_truncated_answer_is_no_answer(run: Run, clients: Clients) -> None:
    async def answer(heard: Heard, writer: Writer) -> None:
        writer.write(whole(b"one")[:-1])
        writer.close()

    async def main() -> None:
        async with RawVendor(answer) as vendor, clients.opened() as client:
            assert (await failure_of(body_of(client, vendor.url))).kind == LOST

    run(main())


def test_a_whole_answer_in_many_small_pieces_is_put_together(run: Run, clients: Clients) -> None:
    """A piece takes more memory than its bytes: they are joined on the way."""
    body = bytes(number % 251 for number in range(5 * MOST_PIECES + 7))

    async def main() -> None:
        listening = asyncio.Event()

        async def answer(heard: Heard, writer: Writer) -> None:
            writer.write(CHUNKED)
            await listening.wait()
            writer.write(framed(*(body[at : at + 1] for at in range(len(body)))) + END)

        async with RawVendor(answer) as vendor, clients.opened() as client:
            response = await client.send(post(vendor.url), LANE)
            response._whole = True  # as `body` says, which would take them at once
            listening.set()
            await until(lambda: response.complete)
            assert len(response._pieces) < 2 * MOST_PIECES
            assert await response.body() == body

    run(main())
