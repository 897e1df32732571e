"""How requests are spread over replicas, wait for slots, and wake what sleeps."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path

from tests.contract.gateway.bench import Bench, Run, entity, until
from tests.fakes.worker import Received, silence


class Gate:
    """A behaviour that answers once it is opened."""

    def __init__(self) -> None:
        self.open = asyncio.Event()

    async def __call__(self, request: Received) -> None:
        await self.open.wait()
        request.reply(b"{}")


def test_a_replica_never_has_more_than_its_window_and_nobody_is_lost(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:

            async def brief(request: Received) -> None:
                await asyncio.sleep(0)
                request.reply(b"{}")

            worker = await bench.worker(brief, window=3)
            await bench.serve(entity(worker))
            responses = await asyncio.gather(*(bench.ask() for _ in range(50)))
            assert [response.status for response in responses] == [200] * 50
            assert worker.most_executing == 3

    run(live())


def test_waiting_requests_are_served_in_the_order_they_came(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            gate = Gate()
            worker = await bench.worker(gate, window=1)
            await bench.serve(entity(worker))
            clients = []
            for number in range(5):
                clients.append(bench.send(body=b"%d" % number))
                await asyncio.sleep(0)
            await until(lambda: len(worker.received) == 1)
            gate.open.set()
            for client in clients:
                await client.done()
            assert [request.body for request in worker.received] == [b"0", b"1", b"2", b"3", b"4"]

    run(live())


def test_a_full_queue_is_429_with_the_real_message(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path, limits={"queue_per_entity": 2}) as bench:
            gate = Gate()
            worker = await bench.worker(gate, window=1)
            await bench.serve(entity(worker))
            await bench.linked(1)
            held = [bench.send() for _ in range(3)]
            await until(lambda: len(worker.received) == 1)
            response = await bench.ask()
            assert response.status == 429
            assert response.json() == {
                "error_code": "REQUEST_LIMIT_EXCEEDED",
                "message": "Too many concurrent requests. Consider increasing the provisioned concurrency of the served entity.",
            }
            assert response.headers["retry-after"] == "1"
            gate.open.set()
            assert [(await client.done()).status for client in held] == [200] * 3

    run(live())


def test_the_replica_with_the_fewest_requests_is_asked(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            gate = Gate()
            workers = [await bench.worker(gate, window=4) for _ in range(3)]
            await bench.serve(entity(*workers))
            await bench.linked(3)
            clients = [bench.send() for _ in range(9)]
            await until(lambda: sum(len(worker.received) for worker in workers) == 9)
            assert [len(worker.received) for worker in workers] == [3, 3, 3]
            gate.open.set()
            for client in clients:
                await client.done()

    run(live())


def test_traffic_is_split_by_percentage_and_an_entity_without_share_is_asked_by_name_only(
    tmp_path: Path, run: Run
) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            workers = [await bench.worker() for _ in range(3)]
            shares = (80, 20, 0)
            names = ("churn-1", "churn-2", "churn-3")
            await bench.serve(
                *(
                    entity(worker, name=name, share=share)
                    for worker, name, share in zip(workers, names, shares, strict=True)
                )
            )
            answers = [await bench.ask() for _ in range(500)]
            counted = Counter(answer.headers["served-model-name"] for answer in answers)
            # The generator's seed is fixed, so these are exact; they show that the shares are kept.
            assert 370 <= counted["churn-1"] <= 430
            assert counted["churn-2"] == 500 - counted["churn-1"]
            named = await bench.ask("/serving-endpoints/churn/served-models/churn-3/invocations")
            assert named.headers["served-model-name"] == "churn-3"

    run(live())


def test_a_sleeping_entity_is_demanded_and_its_requests_are_held_until_it_is_up(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            await bench.serve(entity())
            clients = [bench.send() for _ in range(10)]
            await until(lambda: bench.demands != [])
            assert bench.demands == [("id-of-churn", "key-of-churn-1")]
            assert not any(client.task.done() for client in clients)
            await bench.serve(entity(await bench.worker()))
            assert [(await client.done()).status for client in clients] == [200] * 10
            assert bench.demands == [("id-of-churn", "key-of-churn-1")]

    run(live())


def test_a_request_dealt_to_a_sleeping_entity_waits_for_it_even_when_others_are_awake(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            awake = await bench.worker()
            other = entity(awake, name="churn-1", share=0)
            await bench.serve(other, entity(name="churn-2", share=100))
            client = bench.send()
            await until(lambda: bench.demands == [("id-of-churn", "key-of-churn-2")])
            woken = await bench.worker()
            await bench.serve(other, entity(woken, name="churn-2", share=100))
            assert (await client.done()).headers["served-model-name"] == "churn-2"
            assert awake.received == []

    run(live())


def test_a_sleeper_that_does_not_wake_in_time_is_504_naming_the_cause(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path, limits={"wake_deadline_s": 0.05}) as bench:
            await bench.serve(entity(problem="ModuleNotFoundError: No module named 'nosuch'"))
            response = await bench.ask()
            assert (response.status, response.json()["error_code"]) == (504, "DEADLINE_EXCEEDED")
            assert "No replica of served entity churn-1 was ready within 0.05 s" in response.json()["message"]
            assert "No module named 'nosuch'" in response.json()["message"]

    run(live())


def test_a_replica_that_cannot_be_reached_is_named_at_the_deadline(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path, limits={"wake_deadline_s": 0.05}) as bench:
            worker = await bench.worker()
            worker.die()
            await bench.serve(entity(worker))
            await bench.told("replica replica-1 cannot be reached")

    run(live())


def test_a_replica_of_another_machine_is_not_waited_for(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path, needs={"models_at": "first:/data"}) as bench:
            worker = await bench.worker()
            worker.die()
            await bench.serve(entity(worker))
            response = await bench.ask()
            assert (response.status, response.json()["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
            assert "churn-1 runs at first:/data, and this server cannot reach it" in response.json()["message"]
            # Asleep, it is woken there; and where it can be reached after all, as in another house of the same machine, it is asked.
            await bench.serve(entity())
            client = bench.send()
            await until(lambda: bench.demands == [("id-of-churn", "key-of-churn-1")])
            await bench.serve(entity(await bench.worker()))
            assert (await client.done()).status == 200

    run(live())


def test_a_request_that_waits_for_a_slot_too_long_is_504(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path, limits={"execution_s": 0.3}) as bench:
            worker = await bench.worker(silence, window=1)
            await bench.serve(entity(worker))
            await bench.linked(1)
            first = bench.send()
            await until(lambda: len(worker.received) == 1)
            response = await bench.ask()
            assert (response.status, response.json()["message"]) == (504, "Request processing time exceeded limit")
            first.leave()
            await first.done()

    run(live())


def test_who_waits_for_an_entity_that_was_replaced_is_served_by_the_new_one(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            gate = Gate()
            old, new = await bench.worker(gate, window=1), await bench.worker()
            await bench.serve(entity(old, name="churn-1"))
            executing, waiting = bench.send(), bench.send()
            await until(lambda: len(old.received) == 1)
            await bench.serve(entity(new, name="churn-2"))
            assert (await waiting.done()).headers["served-model-name"] == "churn-2"
            gate.open.set()
            assert (await executing.done()).headers["served-model-name"] == "churn-1"

    run(live())


def test_who_waits_for_an_endpoint_that_is_deleted_is_told(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            await bench.serve(entity())
            client = bench.send()
            await until(lambda: bench.demands != [])
            await bench.publish({})
            assert (await client.done()).status == 404

    run(live())


def test_a_replica_that_left_the_table_finishes_what_it_has_and_is_let_go(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            gate = Gate()
            old, new = await bench.worker(gate), await bench.worker()
            await bench.serve(entity(old))
            client = bench.send()
            await until(lambda: len(old.received) == 1)
            await bench.serve(entity(new))
            assert (await bench.ask()).status == 200
            assert len(new.received) == 1
            assert len(old.peers) == 1, "its link stays while it has a request"
            gate.open.set()
            assert (await client.done()).status == 200
            await until(lambda: not old.peers)
            assert new.peers

    run(live())


def test_an_idle_replica_that_left_the_table_is_let_go_at_once(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            worker = await bench.worker()
            await bench.serve(entity(worker))
            await bench.ask()
            await bench.serve(entity())
            await until(lambda: not worker.peers)

    run(live())


def test_load_is_reported_while_it_lasts(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            gate = Gate()
            worker = await bench.worker(gate, window=1)
            await bench.serve(entity(worker))
            clients = [bench.send() for _ in range(3)]
            await until(lambda: any(load.in_flight == 1 and load.queued == 2 for load in bench.loads))
            assert bench.loads[-1].last_request_at_ms > 1_700_000_000_000
            gate.open.set()
            for client in clients:
                await client.done()
            await until(lambda: bench.loads[-1].in_flight == 0 and bench.loads[-1].queued == 0)

    run(live())


def test_requests_go_on_while_the_store_is_away(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            await bench.serve(entity(await bench.worker()))
            bench.store_away = True
            bench.gateway.hint("routing")
            await until(lambda: bench.metric("headgate_routing_refresh_failures_total") > 0)
            assert [(await bench.ask()).status for _ in range(20)] == [200] * 20
            assert (
                json.loads((await bench.ask("/serving-endpoints/other/invocations")).body)["error_code"]
                == "ENDPOINT_NOT_FOUND"
            )

    run(live())
