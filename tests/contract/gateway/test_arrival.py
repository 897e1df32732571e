"""How much, and how slowly, anybody may send before it is known who they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.contract.gateway.bench import Bench, Run, until
from tests.contract.gateway.wire import PATH, Wire, on, request
from tests.fakes.worker import FakeWorker, silence

from headgate.gateway import http

START = b"POST %b HTTP/1.1\r\nhost: x\r\n" % PATH.encode()
CHUNKED = START + b"authorization: Bearer secret\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.fixture
def door() -> str:
    """These tests choose their door themselves."""
    return ""


@pytest.mark.parametrize(
    ("first", "piece"),
    [
        (START + b"x-long: ", b"a" * 1024),
        (START, b"x-many: a\r\n" * 100),
        (b"POST /", b"a" * 1024),
        (CHUNKED + b"0\r\nx-trailer: ", b"a" * 1024),
        (CHUNKED + b"1;", b"a" * 1024),
    ],
    ids=["a header", "headers", "an address", "a trailer", "what frames a chunk"],
)
def test_what_is_no_body_has_an_end(tmp_path: Path, run: Run, first: bytes, piece: bytes) -> None:
    async def live(bench: Bench, worker: FakeWorker) -> None:
        wire = Wire(bench)
        wire.send(first)
        sent = 0
        while not wire.transport.closed:
            wire.send(piece)
            sent += len(piece)
            assert sent <= http.APART_BYTES + len(piece)
        if first.startswith(CHUNKED):
            return  # its request was on its way
        ((status, headers, body),) = wire.answers
        assert (status, json.loads(body)["error_code"], headers["connection"]) == (400, "BAD_REQUEST", "close")

    on(tmp_path, run, live)


def test_bodies_in_many_small_pieces_are_no_matter(tmp_path: Path, run: Run) -> None:
    async def live(bench: Bench, worker: FakeWorker) -> None:
        wire = Wire(bench)
        wire.send(CHUNKED)
        for _ in range(http.APART_BYTES // 4):
            wire.send(b"1\r\na\r\n")
        wire.send(b"0\r\n\r\n")
        wire.send(request(b"next"))
        await wire.answered(2)
        assert [len(body) for body in wire.bodies] == [http.APART_BYTES // 4, 4]

    on(tmp_path, run, live)


@pytest.mark.parametrize("before", [b"", request()])
@pytest.mark.parametrize("sent", [START, CHUNKED, CHUNKED + b"1\r\na\r\n", request(b"12345")[:-1]])
def test_a_client_that_stops_in_the_middle_is_given_up(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, before: bytes, sent: bytes
) -> None:
    async def live(bench: Bench, worker: FakeWorker) -> None:
        wire = Wire(bench)
        if before:
            wire.send(before)
            await wire.answered(1)
        wire.send(sent)
        await until(lambda: wire.transport.closed)

    monkeypatch.setattr(http, "ARRIVAL_S", 0.05)
    on(tmp_path, run, live)


def test_a_connection_without_a_request_is_given_up(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def live(bench: Bench, worker: FakeWorker) -> None:
        wire = Wire(bench)
        await until(lambda: wire.transport.closed)

    monkeypatch.setattr(http, "ARRIVAL_S", 0.05)
    on(tmp_path, run, live)


def test_a_head_that_drips_is_given_up_and_a_body_that_drips_is_not(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def live(bench: Bench, worker: FakeWorker) -> None:
        head, body = Wire(bench), Wire(bench)
        head.send(START)
        body.send(CHUNKED)
        body.protocol._arrival.cancel()  # by hand, as if much time had passed
        head.send(b"x-a")
        body.send(b"1\r\na\r\n")
        body.protocol._look_for_rest()
        head.protocol._look_for_rest()
        assert (head.transport.closed, body.transport.closed) == (True, False)
        body.send(b"0\r\n\r\n")
        await body.answered(1)
        assert body.protocol._arrival is None

    on(tmp_path, run, live)


def test_who_waits_for_an_answer_is_not_given_up(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def live(bench: Bench, worker: FakeWorker) -> None:
        worker.behave = silence
        wire = Wire(bench)
        wire.send(request())
        await until(lambda: len(worker.received) == 1)
        assert wire.protocol._arrival is None
        worker.received[0].reply(b"late")
        await wire.answered(1)

    on(tmp_path, run, live)
