"""Requests whose endpoint keeps them: one record of each, on disk before its answer is complete, whatever becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvloop
from tests.contract.gateway import bench as benches
from tests.contract.gateway.bench import Bench, Run, entity, until
from tests.fakes.worker import FakeWorker, Received, echo, silence

from headgate.clock import SystemClock
from headgate.domain.request_record import InferenceTable, RequestRecord
from headgate.domain.routing import GatewayRoute
from headgate.gateway.records.keeper import Records
from headgate.gateway.stages.choose import Choose
from headgate.settings import WarehouseSettings
from headgate.telemetry.counting import Metrics
from headgate.warehouse.spool import context, frames, segments
from headgate.warehouse.spool.writing import Spool, Told

TABLE = InferenceTable("main", "default", "churn")
KEPT = GatewayRoute(usage_tracked=True, inference_table=TABLE, tags={"team": "blue"}, budget_policy_id="b1")
STRICT = {"when_full": "refuse"}
DONE = b"data: [DONE]\n\n"


@pytest.fixture(params=["asgi", "http"])
def run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Through both doors; that every event loop will do is shown elsewhere."""
    monkeypatch.setattr(benches, "DOOR", request.param)
    return uvloop.run


class Gated(Spool):
    """Says that it has written when it is let, and fails when it is told to."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.open = asyncio.Event()
        self.open.set()
        self.fails = False
        self.asked = 0

    def put(self, record: RequestRecord, told: Told | None = None) -> bool:
        if told is None:
            return super().put(record)
        self.asked += 1
        if self.fails:
            told(False)
            return False
        return super().put(record, lambda done: self._tell(told, done))

    def _tell(self, told: Told, done: bool) -> None:
        async def later() -> None:
            await self.open.wait()
            told(done)

        self.telling = asyncio.ensure_future(later())


class Keeping(Bench):
    """A gateway that keeps the requests of `churn`."""

    def __init__(self, folder: Path, **options: Any) -> None:
        settings = replace(WarehouseSettings(), **options.pop("warehouse", {}))
        self.spool_folder = segments.folder(folder)
        self.spool = Gated(self.spool_folder, settings, SystemClock(), Metrics(folder / "metrics", "spool"))
        self.spool.start()
        super().__init__(folder, keeper=Records(self.spool, SystemClock(), settings.payload_bytes), **options)

    def records(self) -> list[RequestRecord]:
        """What is on disk now."""
        while True:
            try:
                return [context.completed(record) for record in self._read_all()]
            except FileNotFoundError:  # a file was renamed meanwhile
                continue

    def _read_all(self) -> Iterator[RequestRecord]:
        for path in sorted(self.spool_folder.glob("*.*")):
            yield from frames.decoded(path.read_bytes())

    async def record(self) -> RequestRecord:
        """The only one there is, once it is there."""
        await until(lambda: bool(self.records()))
        (found,) = self.records()
        return found


@asynccontextmanager
async def keeping(folder: Path, behave: Any = echo, **options: Any) -> AsyncIterator[tuple[Keeping, FakeWorker]]:
    gateway = options.pop("gateway", KEPT)
    async with Keeping(folder, **options) as bench:
        worker = await bench.worker(behave)
        await bench.serve(replace(entity(worker), id="s1"), gateway=gateway)
        await bench.linked(1)
        yield bench, worker


def test_an_answer_is_a_record_on_disk_when_its_client_has_it(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with keeping(tmp_path) as (bench, _):
            body = b'{"inputs":[1],"client_request_id":"mine","usage_context":{"project":"p1","n":3}}'
            headers = {"user-agent": "tester/1", "databricks-ai-gateway-request-tags": '{"run":"7"}'}
            answer = await bench.ask(body=body, headers=headers)
            (record,) = bench.records()
            assert record.request_id == answer.headers["x-databricks-request-id"]
            assert (record.request, record.response) == (body, body)
            assert (record.status, record.streamed, record.complete) == (200, False, True)
            assert (record.endpoint_id, record.endpoint_name) == ("id-of-churn", "churn")
            assert (record.served_entity_id, record.served_entity_name) == ("s1", "churn-1")
            assert (record.entity_name, record.entity_version) == ("main.default.churn-1", "1")
            assert (record.requester, record.requester_id, record.user_agent) == ("admin", "1", "tester/1")
            assert (record.client_request_id, record.usage_context) == ("mine", {"project": "p1", "n": "3"})
            assert (record.tags, record.request_tags, record.budget_policy_id) == ({"team": "blue"}, {"run": "7"}, "b1")
            assert (record.inference_table, record.usage_tracked) == (TABLE, True)
            assert record.ttfb_ms is not None

    run(live())


def test_an_answer_waits_for_its_record(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with keeping(tmp_path) as (bench, _):
            bench.spool.open.clear()
            client = bench.send()
            await until(lambda: bench.spool.asked == 1)
            assert not client.response.complete
            bench.spool.open.set()
            assert (await client.done()).status == 200

    run(live())


def test_a_client_that_leaves_while_its_record_is_written_has_one_all_the_same(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with keeping(tmp_path) as (bench, _):
            bench.spool.open.clear()
            client = bench.send()
            await until(lambda: bench.spool.asked == 1)
            client.leave()
            await until(lambda: bench.gateway.routes.active == 0)
        assert [record.status for record in bench.records()] == [200]

    run(live())


def test_nobody_else_is_kept_and_needs_a_task(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with keeping(tmp_path, gateway=GatewayRoute(), warehouse={"when_full": "refuse"}) as (bench, _):
            bench.spool.fails = True
            assert (await bench.ask()).status == 200
        assert bench.records() == []

    run(live())


def test_of_a_stream_only_the_end_waits(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with keeping(tmp_path, silence) as (bench, worker):
            bench.spool.open.clear()
            client = bench.send()
            await until(lambda: len(worker.received) == 1)
            (request,) = worker.received
            request.stream()
            pieces = [b'data: {"n":%d}\n\n' % number for number in range(3)]
            for number, piece in enumerate(pieces):
                request.chunk(piece)
                await until(lambda count=number: client.response.body.endswith(pieces[count]))  # type: ignore[misc]
            request.chunk(DONE)
            request.end()
            await until(lambda: bench.spool.asked == 1)
            assert not client.response.body.endswith(DONE)
            bench.spool.open.set()
            answer = await client.done()
            assert answer.body == b"".join(pieces) + DONE
            (record,) = bench.records()
            assert record.response == answer.body
            assert (record.status, record.streamed, record.complete) == (200, True, True)

    run(live())


def test_of_a_stream_without_a_last_event_the_end_of_the_body_waits(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with keeping(tmp_path, silence) as (bench, worker):
            client = bench.send()
            await until(lambda: len(worker.received) == 1)
            worker.received[0].stream("text/plain")
            worker.received[0].chunk(b"all there is")
            worker.received[0].end()
            assert (await client.done()).body == b"all there is"
            assert bench.records()[0].response == b"all there is"

    run(live())


def test_what_looks_like_the_end_and_is_not_is_passed_on(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with keeping(tmp_path, silence) as (bench, worker):
            client = bench.send()
            await until(lambda: len(worker.received) == 1)
            for number in range(3):
                worker.received[0].stream() if not number else None
                worker.received[0].chunk(b'data: {"type":"message_stop","n":%d}\n\n' % number)
                await asyncio.sleep(0)
            worker.received[0].end()
            answer = await client.done()
            assert answer.body.count(b"message_stop") == 3
            assert (await bench.record()).response == answer.body

    run(live())


def test_a_client_that_leaves_a_stream_has_a_record_of_what_it_was_sent(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with keeping(tmp_path, silence) as (bench, worker):
            client = bench.send()
            await until(lambda: len(worker.received) == 1)
            worker.received[0].stream()
            worker.received[0].chunk(b"data: 1\n\n")
            await until(lambda: client.response.body.endswith(b"data: 1\n\n"))
            client.leave()
            record = await bench.record()
            assert (record.status, record.complete, record.response) == (499, False, b"data: 1\n\n")

    run(live())


def test_a_client_that_leaves_before_the_answer_has_a_record(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with keeping(tmp_path, silence) as (bench, worker):
            client = bench.send(body=b'{"a":1}')
            await until(lambda: len(worker.received) == 1)
            client.leave()
            record = await bench.record()
            assert (record.status, record.complete) == (499, False)
            assert (record.request, record.response) == (b'{"a":1}', None)

    run(live())


def test_a_stream_whose_replica_dies_has_a_record_that_says_so(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with keeping(tmp_path, silence) as (bench, worker):
            client = bench.send()
            await until(lambda: len(worker.received) == 1)
            worker.received[0].stream()
            worker.received[0].chunk(b"data: 1\n\n")
            await until(lambda: bool(client.response.body))
            worker.die()
            answer = await client.done()
            assert b"error" in answer.body
            record = await bench.record()
            assert (record.status, record.complete, record.response) == (500, False, answer.body)

    run(live())


async def refuse(request: Received) -> None:
    request.reply(b'{"error_code":"BAD_REQUEST","message":"no"}', status=400)


@pytest.mark.parametrize(("path", "status"), [("", 400), ("/served-models/nobody", 404)])
def test_what_is_refused_is_a_record_but_not_what_is_not_there(
    tmp_path: Path, path: str, status: int, run: Run
) -> None:
    async def live() -> None:
        async with keeping(tmp_path, refuse) as (bench, _):
            answer = await bench.ask(f"/serving-endpoints/churn{path}/invocations")
            assert answer.status == status
            assert [(record.status, record.response) for record in bench.records()] == (
                [] if status == 404 else [(400, answer.body)]
            )

    run(live())


def test_who_may_not_query_leaves_no_record(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with keeping(tmp_path) as (bench, _):
            for token in ("guest", "stranger", "nobody"):
                headers = {"authorization": f"Bearer {token}"}
                assert (await bench.ask(headers=headers)).status in (401, 403, 404)
        assert bench.records() == []

    run(live())


def test_a_full_queue_is_a_record_with_the_error_as_it_was_sent(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        options = {"limits": {"queue_per_entity": 0}}
        async with keeping(tmp_path, silence, **options) as (bench, worker):
            held = [bench.send() for _ in range(worker.window)]
            await until(lambda: len(worker.received) == len(held))
            answer = await bench.ask(body=b'{"b":1}')
            assert answer.status == 429
            (record,) = bench.records()
            assert (record.status, record.request, record.response) == (429, b'{"b":1}', answer.body)
            assert record.error_code == answer.json()["error_code"]
            for client in held:
                client.leave()

    run(live())


def test_a_body_that_is_too_long_is_a_record_without_it(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with keeping(tmp_path, limits={"payload_bytes": 70_000}) as (bench, _):
            body = b"x" * 70_001
            announced = {"content-length": str(len(body))} if benches.DOOR == "asgi" else {}
            assert (await bench.ask(body=body, headers=announced)).status == 400
            (record,) = bench.records()
            assert (record.request, record.error_codes) == (None, ("MAX_REQUEST_SIZE_EXCEEDED",))

    run(live())


def test_a_body_larger_than_what_is_kept_is_left_out_but_not_what_it_says_of_itself(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with keeping(tmp_path, warehouse={"payload_bytes": 100}) as (bench, _):
            await bench.ask(body=b'{"inputs":"%b","client_request_id":"mine"}' % (b"x" * 100))
            (record,) = bench.records()
            assert (record.request, record.response, record.client_request_id) == (None, None, "mine")
            assert record.error_codes == ("MAX_REQUEST_SIZE_EXCEEDED", "MAX_RESPONSE_SIZE_EXCEEDED")

    run(live())


def test_a_stream_larger_than_what_is_kept_is_left_out(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with keeping(tmp_path, silence, warehouse={"payload_bytes": 100}) as (bench, worker):
            client = bench.send()
            await until(lambda: len(worker.received) == 1)
            worker.received[0].stream("text/plain")
            for _ in range(3):
                worker.received[0].chunk(b"x" * 50)
            worker.received[0].end()
            assert len((await client.done()).body) == 150
            (record,) = bench.records()
            assert (record.response, record.error_codes) == (None, ("MAX_RESPONSE_SIZE_EXCEEDED",))

    run(live())


def test_usage_alone_keeps_no_bodies_of_custom_models(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with keeping(tmp_path, gateway=GatewayRoute(usage_tracked=True)) as (bench, _):
            await bench.ask(body=b'{"client_request_id":"mine"}')
            (record,) = bench.records()
            assert (record.request, record.response, record.error_codes) == (None, None, ())

    run(live())


def test_a_failure_of_ours_is_one_record(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def live() -> None:
        async with keeping(tmp_path) as (bench, _):
            monkeypatch.setattr(Choose, "__call__", lambda *_: 1 / 0)
            assert (await bench.ask()).status == 500
            record = await bench.record()
            assert (record.status, record.error_code) == (500, "INTERNAL_ERROR")

    run(live())


def test_what_cannot_be_recorded_is_not_even_begun_when_it_must_be(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with keeping(tmp_path, warehouse={"when_full": "refuse", "queue_records": 0}) as (bench, worker):
            answer = await bench.ask()
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert worker.received == []

    run(live())


def test_an_answer_that_could_not_be_recorded_is_503_when_it_must_be(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with keeping(tmp_path, warehouse=STRICT) as (bench, worker):
            bench.spool.fails = True
            assert (await bench.ask()).status == 503
            assert len(worker.received) == bench.spool.asked == 1

    run(live())


def test_a_stream_that_could_not_be_recorded_ends_in_an_error(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with keeping(tmp_path, silence, warehouse=STRICT) as (bench, worker):
            bench.spool.fails = True
            client = bench.send()
            await until(lambda: len(worker.received) == 1)
            worker.received[0].stream()
            worker.received[0].chunk(b"data: 1\n\n")
            await until(lambda: bool(client.response.body))
            worker.received[0].chunk(DONE)
            worker.received[0].end()
            body = (await client.done()).body
            assert b"cannot be recorded" in body
            assert DONE not in body

    run(live())


def test_answers_go_on_unrecorded_when_they_may(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with keeping(tmp_path, warehouse={"queue_records": 0}) as (bench, _):
            assert (await bench.ask()).status == 200
        assert bench.records() == []

    run(live())
