"""The connection of a client: what goes without a task, what is handed over, and what becomes of it when somebody leaves."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from tests.contract.gateway.bench import Bench, Run, entity, until
from tests.contract.gateway.wire import PATH, Wire, on, request
from tests.contract.gateway.wire_client import Transport
from tests.fakes.worker import FakeWorker, Received, echo, silence

from headgate.gateway import http

COUNTED = 'headgate_requests_total{{code="{code}",endpoint="churn",served_entity="churn-1"}}'


@pytest.fixture
def door() -> str:
    """These tests choose their door themselves."""
    return ""


def test_a_request_needs_no_task_neither_the_first_nor_the_next(tmp_path: Path, run: Run) -> None:
    async def live(bench: Bench, worker: FakeWorker) -> None:
        wire = Wire(bench)
        for number in range(1, 4):
            wire.send(request(b"%d" % number))
            assert wire.tasks == 0
            await wire.answered(number)
        assert wire.bodies == [b"1", b"2", b"3"]
        assert bench.metric(COUNTED.format(code=200)) == 3

    on(tmp_path, run, live)


def test_a_head_that_came_before_is_not_parsed_again(tmp_path: Path, run: Run) -> None:
    async def live(bench: Bench, worker: FakeWorker) -> None:
        wire = Wire(bench)
        wire.send(request(b"first"))
        await wire.answered(1)
        other = Wire(bench)
        other.protocol.parser = None  # would fail
        other.send(request(b"other"))
        await other.answered(1)
        assert other.bodies == [b"other"]
        assert worker.received[1].meta["content_type"] == "application/json"

    on(tmp_path, run, live)


def test_answers_come_in_the_order_of_the_requests(tmp_path: Path, run: Run) -> None:
    async def backwards(request: Received) -> None:
        await asyncio.sleep(0.02 if request.body == b"1" else 0)
        request.reply(request.body)

    async def live(bench: Bench, worker: FakeWorker) -> None:
        worker.behave = backwards
        wire = Wire(bench)
        wire.send(b"".join(request(b"%d" % number) for number in range(1, 6)))
        await wire.answered(5)
        assert wire.bodies == [b"1", b"2", b"3", b"4", b"5"]
        wire.send(request(b"6"))
        await wire.answered(6)

    on(tmp_path, run, live)


def test_quick_ones_behind_one_that_is_held_wait_for_their_turn(tmp_path: Path, run: Run) -> None:
    async def live(bench: Bench, worker: FakeWorker) -> None:
        await bench.serve(entity(worker, share=100), entity(name="asleep", share=0))
        wire = Wire(bench)
        wire.send(request(b"held", "/serving-endpoints/churn/served-models/asleep/invocations"))
        wire.send(request(b"quick"))
        wire.send(request(b"quicker"))
        await until(lambda: bench.demands != [])
        assert wire.answers == [] and worker.received == []
        woken = await bench.worker()
        await bench.serve(entity(worker, share=100), entity(woken, name="asleep", share=0))
        await wire.answered(3)
        assert wire.bodies == [b"held", b"quick", b"quicker"]

    on(tmp_path, run, live)


def test_one_that_is_held_needs_no_task(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            await bench.serve(entity())
            wire = Wire(bench)
            wire.send(request())
            await until(lambda: bench.demands != [])
            assert wire.tasks == 0
            await bench.serve(entity(await bench.worker()))
            await wire.answered(1)
            assert wire.answers[0][0] == 200

    run(live())


def test_who_sends_much_ahead_is_not_read_further(tmp_path: Path, run: Run) -> None:
    async def live(bench: Bench, worker: FakeWorker) -> None:
        worker.behave = silence
        wire = Wire(bench)
        for _ in range(1000):
            wire.send(request())
        assert len(wire.protocol.pipeline) == 1, "the rest waits in the kernel"
        await until(lambda: len(worker.received) == 1)
        worker.behave = echo
        worker.received[0].reply(b"{}")
        await wire.answered(1000)

    on(tmp_path, run, live)


def test_who_does_not_read_is_not_answered_further(tmp_path: Path, run: Run) -> None:
    async def live(bench: Bench, worker: FakeWorker) -> None:
        wire = Wire(bench)
        wire.protocol.pause_writing()
        for _ in range(100):
            wire.send(request())
        await until(lambda: len(worker.received) == 1)
        assert wire.answers == []
        wire.protocol.resume_writing()
        await wire.answered(100)

    on(tmp_path, run, live)


def test_a_client_that_leaves_cancels_its_work_at_once(tmp_path: Path, run: Run) -> None:
    async def live(bench: Bench, worker: FakeWorker) -> None:
        worker.behave = silence
        wire = Wire(bench)
        wire.send(request())
        await until(lambda: len(worker.received) == 1)
        wire.transport.lose()
        assert bench.gateway.routes.active == 0
        await worker.received[0].cancelled.wait()
        assert bench.metric(COUNTED.format(code=499)) == 1
        worker.received[0].reply(b"too late")
        worker.behave = echo
        assert (await bench.ask()).status == 200

    on(tmp_path, run, live, window=1)


def test_a_client_that_leaves_with_requests_behind_one_that_a_task_has_ends_that(tmp_path: Path, run: Run) -> None:
    async def live(bench: Bench, worker: FakeWorker) -> None:
        worker.behave = silence
        wire = Wire(bench, http.OneWriteProtocol)
        direct = Wire(bench)
        direct.send(request())
        await until(lambda: len(worker.received) == 1)
        worker.received[0].stream()
        await until(lambda: direct.tasks == 1)
        direct.send(request())
        direct.transport.lose()
        wire.transport.lose()
        await worker.received[0].cancelled.wait()
        await until(lambda: direct.tasks == 0)

    on(tmp_path, run, live)


def test_a_client_that_leaves_the_queue_is_forgotten(tmp_path: Path, run: Run) -> None:
    async def live(bench: Bench, worker: FakeWorker) -> None:
        worker.behave = silence
        first, second, third = Wire(bench), Wire(bench), Wire(bench)
        for number, wire in enumerate((first, second, third)):
            wire.send(request(b"%d" % number))
        second.transport.lose()
        await until(lambda: len(worker.received) == 1)
        worker.behave = echo
        worker.received[0].reply(b"0")
        await third.answered(1)
        assert [received.body for received in worker.received] == [b"0", b"2"]

    on(tmp_path, run, live, window=1)


def test_a_queue_that_is_full_is_429_without_a_task(tmp_path: Path, run: Run) -> None:
    async def live(bench: Bench, worker: FakeWorker) -> None:
        worker.behave = silence
        wires = [Wire(bench) for _ in range(4)]
        for wire in wires:
            wire.send(request())
        assert [status for status, _, _ in wires[3].answers] == [429]
        assert wires[3].answers[0][1]["retry-after"] == "1"
        assert wires[3].tasks == 0
        for wire in wires:
            wire.transport.lose()

    on(tmp_path, run, live, window=1, limits={"queue_per_entity": 2})


def test_a_connection_goes_on_after_every_kind_of_answer(tmp_path: Path, run: Run) -> None:
    async def misbehave(received: Received) -> None:
        if received.body == b"refuse":
            received.reply(b"no", status=400)
        elif received.body == b"stream":
            received.stream()
            received.chunk(b"data: 1\n\n")
            received.end()
        else:
            received.reply(received.body)

    async def live(bench: Bench, worker: FakeWorker) -> None:
        worker.behave = misbehave
        wire = Wire(bench)
        asked = [
            (request(b"plain"), 200),
            (request(b"refuse"), 400),
            (request(b"stream"), 200),
            (request(headers={"authorization": ""}), 401),
            (request(headers={"authorization": "Bearer guest"}), 403),
            (request(path="/serving-endpoints/other/invocations"), 404),
            (request(path="/serving-endpoints/churn"), 404),
            (request(path=PATH, method="GET"), 405),
            (request(pieces=[b"in", b"pieces"]), 200),
            (request(b"x" * 200), 400),
            (request(pieces=[b"x" * 200]), 400),
            (request(b"plain", headers={"expect": "100-continue"}), 200),
            (request(b"plain", PATH + "?a=b"), 200),
            (request(b"plain", PATH + "/"), 200),
            (request(b"plain", "/serving-endpoints/chur%6e/invocations"), 200),
            (request(b""), 200),
            (request(b"plain"), 200),
        ]
        for data, status in asked:
            before = len(wire.transport.written)
            wire.send(data)
            complete = re.compile(rb"HTTP/1.1 %d " % status)
            await until(lambda before=before, complete=complete: bool(complete.search(wire.transport.written, before)))
            await until(lambda: wire.protocol.cycle.response_complete)
        assert not wire.transport.closed
        wire.send(request(b"", method="HEAD"))
        await until(lambda: wire.transport.written.count(b" 405 ") == 2)

    on(tmp_path, run, live, limits={"payload_bytes": 100})


def test_connection_close_and_http_1_0_are_answered_and_closed(tmp_path: Path, run: Run) -> None:
    async def live(bench: Bench, worker: FakeWorker) -> None:
        for data in (request(headers={"connection": "close"}), request().replace(b"HTTP/1.1", b"HTTP/1.0")):
            wire = Wire(bench)
            wire.send(data + request(b"never"))
            await until(lambda wire=wire: wire.transport.closed)
            (answer,) = wire.answers
            assert (answer[0], answer[1]["connection"], answer[2]) == (200, "close", b"{}")
        assert [received.body for received in worker.received] == [b"{}", b"{}"]

    on(tmp_path, run, live)


def test_a_server_that_drains_finishes_what_it_has_and_says_goodbye(tmp_path: Path, run: Run) -> None:
    async def live(bench: Bench, worker: FakeWorker) -> None:
        worker.behave = silence
        wire = Wire(bench)
        wire.send(request())
        await until(lambda: len(worker.received) == 1)
        draining = asyncio.ensure_future(bench.gateway.drain(30))
        await until(lambda: not bench.gateway.ready)
        worker.received[0].reply(b"in time")
        await draining
        (answer,) = wire.answers
        assert (answer[1]["connection"], answer[2]) == ("close", b"in time")
        assert wire.transport.closed

    on(tmp_path, run, live)


def test_uvicorns_shutdown_waits_for_a_request_in_flight(tmp_path: Path, run: Run) -> None:
    async def live(bench: Bench, worker: FakeWorker) -> None:
        worker.behave = silence
        idle, busy = Wire(bench), Wire(bench)
        busy.send(request())
        await until(lambda: len(worker.received) == 1)
        for wire in (idle, busy):
            wire.protocol.shutdown()
        assert idle.transport.closed and not busy.transport.closed
        worker.received[0].reply(b"in time")
        await busy.answered(1)
        assert busy.answers[0][1]["connection"] == "close"
        assert busy.transport.closed

    on(tmp_path, run, live)


def test_uvicorns_shutdown_waits_for_a_body_on_its_way(tmp_path: Path, run: Run) -> None:
    async def live(bench: Bench, worker: FakeWorker) -> None:
        wire, data = Wire(bench), request(b"precious")
        wire.send(data[:-5])
        wire.protocol.shutdown()
        wire.send(data[-5:])
        await wire.answered(1)
        assert (wire.bodies, wire.answers[0][1]["connection"]) == ([b"precious"], "close")
        assert wire.transport.closed

    on(tmp_path, run, live)


def test_a_body_that_stops_halfway_is_waited_for_by_a_task_and_then_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.setattr(http, "PATIENCE_S", 0.01)

    async def live(bench: Bench, worker: FakeWorker) -> None:
        wire, data = Wire(bench), request(b"precious")
        wire.send(data[:-5])
        await until(lambda: wire.tasks == 1)
        wire.send(data[-5:] + request(b"next"))
        await wire.answered(2)
        assert wire.bodies == [b"precious", b"next"]

    on(tmp_path, run, live)


def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_request(tmp_path: Path, run: Run) -> None:
    async def live(bench: Bench, worker: FakeWorker) -> None:
        wire = Wire(bench)
        wire.send(request(b"precious")[:-3])
        wire.transport.lose()
        assert bench.gateway.routes.active == 0
        assert worker.received == []

    on(tmp_path, run, live)


def test_a_large_body_of_a_stranger_is_left_to_uvicorn(tmp_path: Path, run: Run) -> None:
    async def live(bench: Bench, worker: FakeWorker) -> None:
        wire, body = Wire(bench), b"x" * 300_000
        wire.send(request(body, headers={"authorization": "Bearer wrong"})[:1000])
        assert wire.tasks == 1
        await wire.answered(1)
        assert wire.answers[0][0] == 401
        wire.transport.lose()
        known = Wire(bench)
        data = request(body)
        for start in range(0, len(data), 65536):
            known.send(data[start : start + 65536])
        assert known.tasks == 0
        await known.answered(1)
        assert known.bodies == [body]

    on(tmp_path, run, live)


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"POST / HTTP/9\r\n\r\n", b"\0" * 100])
def test_garbage_is_400_and_closed(tmp_path: Path, data: bytes, run: Run) -> None:
    async def live(bench: Bench, worker: FakeWorker) -> None:
        fresh, used = Wire(bench), Wire(bench)
        used.send(request())
        await used.answered(1)
        for wire, count in ((fresh, 1), (used, 2)):
            wire.send(data)
            assert [status for status, _, _ in wire.answers][count - 1 :] == [400]
            assert wire.transport.closed

    on(tmp_path, run, live)


def test_garbage_behind_a_request_in_flight_closes_and_cancels(tmp_path: Path, run: Run) -> None:
    async def live(bench: Bench, worker: FakeWorker) -> None:
        worker.behave = silence
        wire = Wire(bench)
        wire.send(request() + b"\0\0\0")
        assert wire.transport.closed
        await until(lambda: len(worker.received) == 1)
        await worker.received[0].cancelled.wait()

    on(tmp_path, run, live)


def test_an_idle_connection_is_closed_and_a_busy_one_is_not(tmp_path: Path, run: Run) -> None:
    async def live(bench: Bench, worker: FakeWorker) -> None:
        wire = Wire(bench)
        wire.protocol.timeout_keep_alive = 0.05
        for number in range(1, 4):
            wire.send(request())
            await wire.answered(number)
        worker.behave = silence
        wire.send(request(b"slow"))
        await until(lambda: len(worker.received) == 4)
        await until(lambda: wire.protocol.timeout_keep_alive_task is None)
        assert not wire.transport.closed
        worker.received[3].reply(b"slow")
        await until(lambda: wire.transport.closed)
        assert wire.bodies[3] == b"slow"

    on(tmp_path, run, live)


def test_a_transport_that_is_closed_is_never_written_to() -> None:
    transport = Transport(None)
    transport.closed = True
    with pytest.raises(AssertionError):
        transport.write(b"x")
