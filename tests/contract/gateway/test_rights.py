"""Who is let in to an endpoint, and what somebody who is not can find out."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from tests.contract.gateway.bench import Bench, Run, entity
from tests.contract.gateway.wire import PATH, Wire, request

from headgate.domain.routing import EndpointRoute, RoutingTable
from headgate.gateway import plane
from headgate.gateway.stages.find_endpoint import UNKNOWN

NOWHERE = "/serving-endpoints/chure/invocations"


def by(who: str, path: str = PATH) -> dict[str, Any]:
    return {"path": path, "headers": {"authorization": f"Bearer {who}"}}


@pytest.mark.parametrize(
    ("who", "status"), [("secret", 200), ("querier", 200), ("narrow", 200), ("guest", 403), ("stranger", 404)]
)
def test_queriers_are_let_in_viewers_are_told_and_strangers_know_nothing(
    tmp_path: Path, who: str, status: int, run: Run
) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            await bench.serve(entity(await bench.worker()))
            assert (await bench.ask(**by(who))).status == status

    run(live())


@pytest.mark.parametrize("state", ["READY", "STOPPED", "NOT_READY"])
@pytest.mark.parametrize("more", ["", "/served-models/churn-1"])
def test_what_is_hidden_is_answered_as_what_is_not_there(tmp_path: Path, state: str, more: str, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            await bench.serve(entity(await bench.worker()), state=state)
            told = []
            for name in ("churn", "nobody"):
                response = await bench.ask(**by("stranger", f"/serving-endpoints/{name}{more}/invocations"))
                headers = {key: value for key, value in response.headers.items() if key not in ("date", _ID)}
                told.append((response.status, headers, response.json()))
            assert told[0] == told[1]
            assert told[0][0] == 404
            assert told[0][2] == {"error_code": "ENDPOINT_NOT_FOUND", "message": UNKNOWN}

    run(live())


_ID = "x-databricks-request-id"
_THEM = frozenset({"300"})


def test_a_token_for_one_endpoint_is_refused_at_every_other_name(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            await bench.serve(entity(await bench.worker()))
            await bench.serve(entity(await bench.worker(), name="fraud-1"), name="fraud")
            told = [
                await bench.ask(**by("narrow", f"/serving-endpoints/{name}/invocations")) for name in ("fraud", "x")
            ]
            assert [response.status for response in told] == [403, 403]
            assert told[0].json() == told[1].json()

    run(live())


def test_who_loses_the_right_is_refused_on_the_next_request(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            served = entity(await bench.worker())
            await bench.serve(served)
            assert (await bench.ask(**by("querier"))).status == 200
            await bench.serve(served, queriers=frozenset())
            assert (await bench.ask(**by("querier"))).status == 403
            await bench.serve(served, queriers=frozenset(), viewers=frozenset())
            assert (await bench.ask(**by("querier"))).status == 404
            await bench.serve(served)
            assert (await bench.ask(**by("querier"))).status == 200

    run(live())


def test_a_right_this_server_has_not_heard_of_yet_is_looked_up(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            served = entity(await bench.worker())
            await bench.serve(served, queriers=frozenset(), viewers=frozenset())
            route = EndpointRoute("id-of-churn", "churn", "READY", (served,), queriers=_THEM, viewers=_THEM)
            bench.table = RoutingTable(bench.table.revision + 1, {"churn": route})  # and no notice
            assert (await bench.ask(**by("querier"))).status == 200

    run(live())


def test_refusals_are_counted_by_their_code(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            await bench.serve(entity(await bench.worker()))
            for who in ("nobody", "guest", "guest", "stranger"):
                await bench.ask(**by(who))
            counted = [
                bench.metric(f'headgate_requests_refused_total{{error_code="{code}"}}')
                for code in ("UNAUTHENTICATED", "PERMISSION_DENIED", "ENDPOINT_NOT_FOUND")
            ]
            assert counted == [1, 2, 1]
            assert bench.metric('headgate_requests_total{endpoint="churn",served_entity="",code="403"}') == 0

    run(live())


def test_the_audit_log_is_told_of_refusals_and_of_nothing_else(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            await bench.serve(entity(await bench.worker()))
            await bench.serve(name="paused", state="STOPPED")
            for who in ("secret", "querier", "nobody", "guest", "stranger"):
                await bench.ask(**by(who))
            await bench.ask(**by("stranger", NOWHERE))
            await bench.ask(**by("secret", NOWHERE))
            await bench.ask(**by("querier", "/serving-endpoints/paused/invocations"))
            await bench.ask(**by("narrow", NOWHERE))
            told = [(one.principal_name, one.object, one.status_code, one.error_code) for one in bench.noted]
            assert told == [
                ("", "churn", 401, "UNAUTHENTICATED"),
                ("guest", "churn", 403, "PERMISSION_DENIED"),
                ("sam", "churn", 404, "ENDPOINT_NOT_FOUND"),
                ("sam", "chure", 404, "ENDPOINT_NOT_FOUND"),
                ("quinn", "chure", 403, "PERMISSION_DENIED"),
            ]
            event = bench.noted[1]
            assert (event.method, event.path, event.service_name, event.outcome) == (
                "POST",
                PATH,
                "inference",
                "REFUSED",
            )
            assert len(event.request_id) == 36

    run(live())


@pytest.mark.parametrize("state", ["READY", "STOPPED", "NOT_READY"])
def test_a_stranger_costs_the_same_steps_whether_there_is_one_or_not(
    tmp_path: Path, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every function of ours that runs between the request's bytes and the answer's, in order, through the quick door."""
    for name in ("TICK_S", "FLUSH_S"):  # what runs on the clock is no step of a request
        monkeypatch.setattr(plane, name, 3600.0)

    async def live() -> None:
        async with Bench(tmp_path, load_report_s=3600.0) as bench:
            await bench.serve(entity(await bench.worker()), state=state)
            # Once each for what is remembered of heads.
            for path in (PATH, NOWHERE, PATH, NOWHERE):
                await _refused(bench, path)
            # What still runs behind another request only adds: the shortest of enough is the request's own.
            hidden, unknown = [await _steps(bench, PATH)], [await _steps(bench, NOWHERE)]
            while min(hidden, key=len) != min(unknown, key=len) and len(hidden) < 50:
                hidden.append(await _steps(bench, PATH))
                unknown.append(await _steps(bench, NOWHERE))
            assert min(hidden, key=len) == min(unknown, key=len)

    asyncio.run(live())


async def _refused(bench: Bench, path: str) -> None:
    wire = Wire(bench)
    wire.send(request(path=path, headers={"authorization": "Bearer stranger"}))
    await wire.answered(1)
    assert wire.answers[0][0] == 404
    wire.transport.lose()


async def _steps(bench: Bench, path: str) -> list[str]:
    steps: list[str] = []
    beside = asyncio.all_tasks() - {asyncio.current_task()}

    def saw(frame: FrameType, event: str, _argument: object) -> None:
        """What goes on beside all requests, in an order of its own, is no step of one."""
        ours = event == "call" and "/headgate/" in frame.f_code.co_filename
        if ours and asyncio.current_task() not in beside:
            steps.append(f"{frame.f_globals['__name__']}.{frame.f_code.co_name}")

    sys.setprofile(saw)
    try:
        await _refused(bench, path)
    finally:
        sys.setprofile(None)
    assert "headgate.gateway.switchboard.catch_up" in steps
    return steps
