"""Replicas that die, hang or talk nonsense, clients that leave or do not read, streams that break, servers that stop."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from tests.contract.gateway.bench import DEADLINE_S, Bench, Client, Run, entity, until
from tests.fakes.worker import FakeWorker, Received, echo, silence

from headgate.gateway import exchanges, links
from headgate.gateway.stages.limit import Limit
from headgate_worker import protocol


def test_a_request_whose_replica_dies_is_tried_on_another(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            workers = [await bench.worker(), await bench.worker()]

            async def die(request: Received) -> None:
                victim = next(worker for worker in workers if request in worker.received)
                victim.die()
                for worker in workers:
                    worker.behave = echo

            for worker in workers:
                worker.behave = die
            await bench.serve(entity(*workers))
            response = await bench.ask(body=b"precious")
            assert (response.status, response.body) == (200, b"precious")
            assert [len(worker.received) for worker in workers] == [1, 1]
            assert bench.metric('headgate_requests_interrupted_total{endpoint="churn",served_entity="churn-1"}') == 1

    run(live())


def test_a_request_whose_only_replica_dies_waits_for_the_next(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            first = await bench.worker(silence)
            await bench.serve(entity(first))
            client = bench.send(body=b"precious")
            await until(lambda: len(first.received) == 1)
            first.die()
            await until(lambda: bench.demands != [])
            await bench.serve(entity(await bench.worker()))
            assert (await client.done()).body == b"precious"

    run(live())


def test_a_request_that_kills_two_replicas_is_500_with_its_id_and_not_tried_again(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            workers: list[FakeWorker] = []

            async def die(request: Received) -> None:
                next(worker for worker in workers if request in worker.received).die()

            workers += [await bench.worker(die) for _ in range(3)]
            await bench.serve(entity(*workers))
            await bench.linked(3)
            response = await bench.ask()
            assert (response.status, response.json()["error_code"]) == (500, "INTERNAL_ERROR")
            assert response.headers["x-databricks-request-id"] in response.json()["message"]
            assert sum(len(worker.received) for worker in workers) == 2

    run(live())


def test_a_replica_that_refuses_connections_does_not_count_as_killed(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            dead = [await bench.worker() for _ in range(3)]
            for worker in dead:
                worker.die()
            await bench.serve(entity(*dead))
            client = bench.send()
            await until(lambda: bench.demands != [])
            await bench.serve(entity(*dead, await bench.worker()))
            assert (await client.done()).status == 200

    run(live())


def test_a_replica_that_comes_back_at_its_address_is_used_again(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            worker = await bench.worker()
            await bench.serve(entity(worker))
            assert (await bench.ask()).status == 200
            worker.die()
            await until(lambda: not worker.peers)
            client = bench.send()
            worker.path.unlink()
            await worker.start()
            assert (await client.done()).status == 200

    run(live())


@pytest.mark.parametrize(
    ("kind", "payload"), [(protocol.REPLY, b"\xff"), (protocol.REPLY, b"\x02\0\0\0{}"), (protocol.CHUNK, b"x")]
)
def test_a_replica_that_breaks_the_protocol_is_as_dead(tmp_path: Path, kind: int, payload: bytes, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            answers = iter([lambda request: request.raw(kind, payload), lambda request: request.reply(b"{}")])

            async def babble(request: Received) -> None:
                next(answers)(request)

            await bench.serve(entity(await bench.worker(babble)))
            assert (await bench.ask()).status == 200
            assert bench.metric('headgate_requests_interrupted_total{endpoint="churn",served_entity="churn-1"}') == 1

    run(live())


def test_a_replica_of_another_protocol_version_is_not_used_and_named(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path, limits={"wake_deadline_s": 0.1}) as bench:
            worker = await bench.worker()
            worker.version = 99
            await bench.serve(entity(worker))
            await bench.told("speaks version 99")

    run(live())


def test_a_replica_that_does_not_answer_in_time_is_504_and_told_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.setattr(links, "OVERDUE_GRACE_S", 0.05)

    async def live() -> None:
        async with Bench(tmp_path, limits={"execution_s": 0.3}) as bench:
            worker = await bench.worker(silence, window=1)
            await bench.serve(entity(worker))
            await bench.linked(1)
            response = await bench.ask()
            assert (response.status, response.json()["message"]) == (504, "Request processing time exceeded limit")
            await asyncio.wait_for(worker.received[0].cancelled.wait(), DEADLINE_S)
            worker.behave = echo
            monkeypatch.setattr(links, "OVERDUE_GRACE_S", DEADLINE_S)
            assert (await bench.ask()).status == 200, "its slot is free again"

    run(live())


def test_a_client_that_leaves_cancels_its_work_and_frees_its_slot(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            worker = await bench.worker(silence, window=1)
            await bench.serve(entity(worker))
            executing = bench.send()
            await until(lambda: len(worker.received) == 1)
            waiting = bench.send()
            executing.leave()
            assert (await executing.done()).status == 0
            await asyncio.wait_for(worker.received[0].cancelled.wait(), DEADLINE_S)
            await until(lambda: len(worker.received) == 2)
            worker.received[0].reply(b"too late")
            worker.received[1].reply(b"in time")
            assert (await waiting.done()).body == b"in time"
            assert bench.metric('headgate_requests_total{code="499",endpoint="churn",served_entity="churn-1"}') == 1

    run(live())


def test_a_client_that_leaves_the_queue_is_skipped(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            worker = await bench.worker(silence, window=1)
            await bench.serve(entity(worker))
            first = bench.send()
            await until(lambda: len(worker.received) == 1)
            leaving, staying = bench.send(body=b"leaving"), bench.send(body=b"staying")
            leaving.leave()
            assert (await leaving.done()).status == 0
            worker.behave = echo
            worker.received[0].reply(b"first")
            assert (await first.done()).body == b"first"
            assert (await staying.done()).body == b"staying"
            assert [request.body for request in worker.received] == [b"{}", b"staying"]

    run(live())


def test_a_client_that_leaves_a_sleeping_endpoint_is_forgotten(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            await bench.serve(entity())
            client = bench.send()
            await until(lambda: bench.demands != [])
            client.leave()
            assert (await client.done()).status == 0
            worker = await bench.worker()
            await bench.serve(entity(worker))
            assert (await bench.ask(body=b"next")).body == b"next"
            assert len(worker.received) == 1

    run(live())


async def _streaming(bench: Bench) -> tuple[FakeWorker, Client]:
    """A request whose answer's head and first event are out."""
    worker = await bench.worker(silence, window=1)
    await bench.serve(entity(worker))
    await bench.linked(1)
    client = bench.send()
    await until(lambda: len(worker.received) == 1)
    worker.received[0].stream()
    worker.received[0].chunk(b"data: 1\n\n")
    await until(lambda: client.response.pieces == [b"data: 1\n\n"])
    return worker, client


def test_a_stream_is_passed_on_event_by_event(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            worker, client = await _streaming(bench)
            assert client.response.headers["content-type"] == "text/event-stream"
            assert client.response.headers["cache-control"] == "no-cache"
            assert "content-length" not in client.response.headers
            worker.received[0].chunk(b"data: 2\n\n")
            await until(lambda: len(client.response.pieces) == 2)
            worker.received[0].chunk(b"data: [DONE]\n\n")
            worker.received[0].end()
            response = await client.done()
            assert response.body == b"data: 1\n\ndata: 2\n\ndata: [DONE]\n\n"
            assert response.complete
            assert bench.metric('headgate_requests_total{code="200",endpoint="churn",served_entity="churn-1"}') == 1
            worker.behave = echo
            assert (await bench.ask()).status == 200, "its slot is free again"

    run(live())


def test_a_client_that_leaves_mid_stream_cancels_it(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            worker, client = await _streaming(bench)
            client.leave()
            await client.done()
            await asyncio.wait_for(worker.received[0].cancelled.wait(), DEADLINE_S)
            worker.behave = echo
            assert (await bench.ask()).status == 200, "its slot is free again"
            assert bench.metric('headgate_requests_total{code="499",endpoint="churn",served_entity="churn-1"}') == 1

    run(live())


def test_a_stream_whose_replica_dies_ends_with_an_error_event(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            worker, client = await _streaming(bench)
            worker.die()
            response = await client.done()
            last = json.loads(response.pieces[-1].removeprefix(b"data: "))
            assert response.headers["x-databricks-request-id"] in last["error"]["message"]
            assert response.complete
            assert bench.metric('headgate_requests_total{code="500",endpoint="churn",served_entity="churn-1"}') == 1

    run(live())


def test_a_stream_that_is_not_of_events_is_cut_when_its_replica_dies(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            worker = await bench.worker(silence)
            await bench.serve(entity(worker))
            client = bench.to_app("/serving-endpoints/churn/invocations")
            await until(lambda: len(worker.received) == 1)
            worker.received[0].stream("application/octet-stream")
            worker.received[0].chunk(b"half")
            await until(lambda: client.response.pieces == [b"half"])
            worker.die()
            with pytest.raises(Exception, match="The replica died while it streamed"):
                await client.done()
            assert not client.response.complete

    run(live())


def test_a_stream_without_a_first_event_is_tried_again(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            first, second = await bench.worker(silence), await bench.worker()
            await bench.serve(entity(first))
            client = bench.send(body=b"precious")
            await until(lambda: len(first.received) == 1)
            first.received[0].stream()
            first.die()
            await bench.serve(entity(second))
            assert (await client.done()).body == b"precious"

    run(live())


def test_a_stream_that_takes_too_long_ends_with_an_error_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.setattr(links, "OVERDUE_GRACE_S", DEADLINE_S)

    async def live() -> None:
        async with Bench(tmp_path, limits={"execution_s": 0.2}) as bench:
            worker, client = await _streaming(bench)
            monkeypatch.setattr(links, "OVERDUE_GRACE_S", 0.0)
            response = await client.done()
            assert response.pieces[-1] == b'data: {"error":{"message":"Request processing time exceeded limit"}}\n\n'
            await asyncio.wait_for(worker.received[0].cancelled.wait(), DEADLINE_S)

    run(live())


def test_a_client_that_does_not_read_its_stream_is_cut_off_and_others_are_not_held_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.setattr(links, "STREAM_BUFFER_BYTES", 100_000)

    async def live() -> None:
        async with Bench(tmp_path) as bench:
            worker = await bench.worker(silence)
            await bench.serve(entity(worker))
            lazy = bench.send()
            await until(lambda: len(worker.received) == 1)
            worker.received[0].stream()
            worker.received[0].chunk(b"x")
            await until(lambda: lazy.response.pieces == [b"x"])
            lazy.readable.clear()
            for _ in range(20):
                worker.received[0].chunk(b"x" * 10_000)
            await asyncio.wait_for(worker.received[0].cancelled.wait(), DEADLINE_S)
            await lazy.done()
            assert not lazy.response.complete
            worker.behave = echo
            assert (await bench.ask()).status == 200

    run(live())


def test_the_stream_buffer_is_larger_than_any_sensible_event() -> None:
    assert exchanges.STREAM_BUFFER_BYTES >= 1024**2


def test_draining_lets_requests_finish_and_refuses_those_that_would_wait_for_ever(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            worker = await bench.worker(silence)
            await bench.serve(entity(worker), entity(name="asleep", share=0))
            executing = bench.send()
            held = bench.send("/serving-endpoints/churn/served-models/asleep/invocations")
            await until(lambda: len(worker.received) == 1 and bench.demands != [])
            draining = asyncio.ensure_future(bench.gateway.drain(0.05))
            await until(lambda: not bench.gateway.ready)
            worker.received[0].reply(b"in time")
            response = await executing.done()
            assert (response.body, response.headers["connection"]) == (b"in time", "close")
            await draining
            refused = await held.done()
            assert (refused.status, refused.json()["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")

    run(live())


def test_an_error_inside_the_server_is_500_and_says_nothing_of_its_inside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            await bench.serve(entity(await bench.worker()))
            monkeypatch.setattr(Limit, "__call__", _fail)
            response = await bench.ask()
            assert (response.status, response.json()["error_code"]) == (500, "INTERNAL_ERROR")
            assert "sensitive" not in response.body.decode()
            assert "sensitive" in caplog.text

    def _fail(step: Limit, call: object) -> None:
        raise RuntimeError("sensitive")

    run(live())
