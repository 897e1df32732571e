"""One request through the whole gateway to a replica that speaks the protocol."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from tests.contract.gateway.bench import Bench, Run, entity, until
from tests.fakes.worker import Received

PATH = "/serving-endpoints/churn/invocations"


def test_the_replicas_answer_is_passed_on_as_it_is(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            worker = await bench.worker()
            await bench.serve(entity(worker))
            response = await bench.ask(PATH, b'{"inputs": [1]}')
            assert (response.status, response.body, response.complete) == (200, b'{"inputs": [1]}', True)
            assert response.headers["content-type"] == "application/json"
            assert response.headers["content-length"] == "15"
            assert response.headers["served-model-name"] == "churn-1"
            assert response.headers["x-databricks-org-id"] == "1234567890123456"
            assert uuid.UUID(response.headers["x-databricks-request-id"]).version == 4
            meta = worker.received[0].meta
            assert meta["request_id"] == response.headers["x-databricks-request-id"]
            assert meta["content_type"] == "application/json"
            assert 590_000 < meta["deadline_ms"] <= 597_000
            assert worker.roles == ["server"]

    run(live())


def test_an_error_of_the_model_keeps_its_status_and_text(tmp_path: Path, run: Run) -> None:
    async def refuse(request: Received) -> None:
        request.reply(b"This predictor only supports", status=415, content_type="text/plain")

    async def live() -> None:
        async with Bench(tmp_path) as bench:
            await bench.serve(entity(await bench.worker(refuse)))
            response = await bench.ask(PATH)
            assert (response.status, response.body) == (415, b"This predictor only supports")
            assert response.headers["content-type"] == "text/plain"

    run(live())


def test_a_body_in_pieces_reaches_the_replica_whole(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            await bench.serve(entity(await bench.worker()))
            pieces = [b"x" * 65536] * 40
            response = await bench.ask(PATH, pieces=pieces)
            assert response.body == b"".join(pieces)

    run(live())


@pytest.mark.parametrize("path", [PATH + "/", "/serving-endpoints/churn/served-models/churn-1/invocations/"])
def test_a_trailing_slash_is_tolerated(tmp_path: Path, path: str, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            await bench.serve(entity(await bench.worker()))
            assert (await bench.ask(path)).status == 200

    run(live())


def test_an_empty_body_is_the_models_business(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            await bench.serve(entity(await bench.worker()))
            response = await bench.ask(PATH, b"")
            assert (response.status, response.headers["content-length"], response.complete) == (200, "0", True)

    run(live())


UNKNOWN = (
    "The given endpoint does not exist, please retry after checking the specified model and version deployment exists."
)


@pytest.mark.parametrize(
    ("request_", "status", "code", "says"),
    [
        ({"path": "/serving-endpoints/other/invocations"}, 404, "ENDPOINT_NOT_FOUND", UNKNOWN),
        (
            {"path": "/serving-endpoints/churn"},
            404,
            "ENDPOINT_NOT_FOUND",
            "There is nothing at POST /serving-endpoints/churn",
        ),
        (
            {"path": "/serving-endpoints/churn/served-models/x/invocations"},
            404,
            "ENDPOINT_NOT_FOUND",
            "it serves churn-1",
        ),
        ({"path": PATH, "method": "GET"}, 405, "BAD_REQUEST", "GET is not allowed here"),
        ({"path": PATH, "headers": {"authorization": ""}}, 401, "UNAUTHENTICATED", "Invalid access token"),
        (
            {"path": PATH, "headers": {"authorization": "Bearer guest"}},
            403,
            "PERMISSION_DENIED",
            "CAN QUERY on endpoint churn",
        ),
        (
            {"path": "/serving-endpoints/stopped/invocations"},
            400,
            "INVALID_STATE",
            "Endpoint stopped is stopped. Start it",
        ),
        ({"path": "/serving-endpoints/new/invocations"}, 400, "INVALID_STATE", "Endpoint new is not ready"),
    ],
)
def test_a_request_that_cannot_be_served_is_told_why(
    tmp_path: Path, request_: dict[str, str], status: int, code: str, says: str, run: Run
) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            await bench.serve(entity(await bench.worker()))
            await bench.serve(state="STOPPED", name="stopped")
            await bench.serve(state="NOT_READY", name="new")
            response = await bench.ask(**request_)
            assert response.status == status
            assert set(response.json()) == {"error_code", "message"}
            assert response.json()["error_code"] == code
            assert says in response.json()["message"]
            assert response.headers["content-type"] == "application/json"
            assert response.headers["content-length"] == str(len(response.body))
            assert bench.workers[0].received == []

    run(live())


def test_a_wrong_method_names_the_right_one(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            assert (await bench.ask(PATH, method="PUT")).headers["allow"] == "POST"

    run(live())


def test_an_announced_body_that_is_too_long_is_read_away_and_answered(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path, limits={"payload_bytes": 100}) as bench:
            worker = await bench.worker()
            await bench.serve(entity(worker))
            client = bench.to_app(PATH, b"x" * 101, headers={"content-length": "101"})
            response = await client.done()
            assert (response.status, response.json()["error_code"]) == (400, "BAD_REQUEST")
            assert "larger than the limit of 100 bytes" in response.json()["message"]
            assert client.unread() == 0
            assert worker.received == []
            assert bench.metric('headgate_requests_total{code="400",endpoint="churn",served_entity=""}') == 1

    run(live())


def test_a_body_without_length_is_kept_up_to_the_limit(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path, limits={"payload_bytes": 100}) as bench:
            await bench.serve(entity(await bench.worker()))
            client = bench.to_app(PATH, pieces=[b"x" * 60, b"x" * 60, b"x" * 60])
            assert (await client.done()).status == 400
            assert client.unread() == 0
            assert (await bench.ask(PATH, pieces=[b"x" * 60, b"x" * 40])).status == 200

    run(live())


def test_a_large_body_of_a_stranger_is_not_kept(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            await bench.serve(entity(await bench.worker()))
            client = bench.to_app(PATH, pieces=[b"x", b"x", b"x"], headers={"authorization": "Bearer wrong"})
            assert (await client.done()).status == 401
            assert client.unread() == 2

    run(live())


def test_a_client_that_leaves_while_it_sends_gets_no_answer(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            worker = await bench.worker()
            await bench.serve(entity(worker))
            client = bench.send(PATH, pieces=[b"x", b"x"], unfinished=True)
            client.leave()
            assert (await client.done()).status == 0
            assert worker.received == []

    run(live())


def test_an_endpoint_that_just_became_ready_is_found_without_a_notice(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            worker = await bench.worker()
            await bench.serve(state="NOT_READY")
            from headgate.domain.routing import EndpointRoute, RoutingTable

            bench.table = RoutingTable(99, {"churn": EndpointRoute("1", "churn", "READY", (entity(worker),))})
            assert (await bench.ask(PATH)).status == 200

    run(live())


def test_before_the_first_table_a_client_is_told_to_come_back(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        bench = Bench(tmp_path)
        bench.store_away = True
        async with bench:
            assert not bench.gateway.ready
            response = await bench.ask(PATH)
            assert (response.status, response.json()["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
            assert response.headers["retry-after"] == "1"
            bench.store_away = False
            bench.gateway.hint("routing")
            await until(lambda: bench.gateway.ready)

    run(live())


def test_what_happened_is_counted(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            await bench.serve(entity(await bench.worker()))
            for _ in range(3):
                await bench.ask(PATH)
            await bench.ask(PATH, headers={"authorization": ""})
            labels = 'endpoint="churn",served_entity="churn-1"'
            assert bench.metric('headgate_requests_total{code="200",' + labels + "}") == 3
            assert bench.metric("headgate_request_seconds_count{" + labels + "}") == 3
            assert bench.metric("headgate_prediction_seconds_sum{" + labels + "}") == pytest.approx(0.006)
            assert bench.metric("headgate_queue_seconds_count{" + labels + "}") == 3
            assert bench.metric('headgate_requests_refused_total{error_code="UNAUTHENTICATED"}') == 1

    run(live())


def test_a_server_is_known_before_its_first_request_and_after_every_swap_until_it_stops(
    tmp_path: Path, run: Run
) -> None:
    async def live() -> None:
        bench = Bench(tmp_path)
        async with bench:
            assert bench.server_row is not None and bench.server_row[0] == 0
            await bench.serve()
            await until(lambda: bench.server_row is not None and bench.server_row[0] == 1)
        assert bench.server_row is None

    run(live())
