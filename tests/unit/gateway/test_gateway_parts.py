"""The gateway's pure and small parts."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import Counter
from collections.abc import Awaitable
from typing import cast

import pytest

from headgate import errors
from headgate.access.principals import Principal
from headgate.clock import SystemClock
from headgate.domain.routing import EndpointRoute, EntityRoute, RoutingTable
from headgate.gateway import pipeline
from headgate.gateway.call import Call, Head, Reply, Whole
from headgate.gateway.keeping import KeepsNothing
from headgate.gateway.stages import choose, find_endpoint
from headgate.gateway.stages.call_provider import CallProvider
from headgate.gateway.stages.call_replica import CallReplica
from headgate.gateway.stages.trace import request_id
from headgate.settings import LimitSettings


def endpoint(*shares: int, state: str = "READY", message: str = "") -> EndpointRoute:
    entities = tuple(EntityRoute(f"e{i}", "m", "1", f"k{i}", share, 4) for i, share in enumerate(shares))
    return EndpointRoute("id", "churn", state, entities, message)


def a_call() -> Call:
    return Call(Head("POST", "/x", "churn", None, {}, None, b""), b"", 0, 0.0, 0.0)


class Said:
    """A step that writes down when it was entered and that it heard of the end."""

    def __init__(self, name: str, log: list[str], does: str = "") -> None:
        self._name, self._log, self._does = name, log, does

    def __call__(self, call: Call) -> Awaitable[None] | None:
        self._log.append(f"in {self._name}")
        if self._does == "refuse":
            raise errors.TooManyRequests("no")
        return self._wait() if self._does == "wait" else None

    async def _wait(self) -> None:
        await asyncio.sleep(0)
        self._log.append(f"waited in {self._name}")

    def ended(self, call: Call) -> None:
        self._log.append(f"{self._name} knows of {call.status}")


class Answers:
    """Stands for the last step."""

    def __init__(self, log: list[str]) -> None:
        self._log = log

    async def __call__(self, call: Call) -> Reply:
        self._log.append("answered")
        return Reply(200, [], Whole(b"ok"), 2)


def steps(log: list[str], *said: Said) -> pipeline.Pipeline:
    ends = pipeline.Ends(cast(CallReplica, Answers(log)), CallProvider(), KeepsNothing())
    return pipeline.Pipeline(said, ends, SystemClock())


def test_steps_are_entered_in_order_and_hear_of_the_end() -> None:
    log: list[str] = []
    reply = asyncio.run(steps(log, Said("a", log), Said("b", log)).answer(a_call()))
    assert reply.status == 200
    assert log == ["in a", "in b", "answered", "a knows of 200", "b knows of 200"]


def test_steps_that_must_wait_are_awaited_before_the_next_is_entered() -> None:
    log: list[str] = []
    asyncio.run(steps(log, Said("a", log, "wait"), Said("b", log, "wait")).answer(a_call()))
    assert log[:5] == ["in a", "waited in a", "in b", "waited in b", "answered"]


def test_only_steps_that_were_entered_hear_of_a_refusal() -> None:
    log: list[str] = []
    with pytest.raises(errors.TooManyRequests):
        asyncio.run(steps(log, Said("a", log), Said("b", log, "refuse"), Said("c", log)).answer(a_call()))
    assert log == ["in a", "in b", "a knows of 429", "b knows of 429"]


def test_a_call_goes_on_from_the_step_that_made_it_wait() -> None:
    log: list[str] = []
    line, call = steps(log, Said("a", log), Said("b", log, "wait"), Said("c", log)), a_call()

    async def live() -> None:
        waiting = line.enter(call)
        assert waiting is not None and log == ["in a", "in b"]
        await line.answer(call, waiting)

    asyncio.run(live())
    assert log[2:5] == ["waited in b", "in c", "answered"]


def test_a_whole_body_is_one_chunk() -> None:
    async def read() -> list[bytes]:
        return [chunk async for chunk in Whole(b"body")]

    assert asyncio.run(read()) == [b"body"]


def test_request_ids_are_random_uuids() -> None:
    rng = random.Random(1)
    ids = [uuid.UUID(request_id(rng)) for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert {(made.version, made.variant) for made in ids} == {(4, uuid.RFC_4122)}
    assert {str(made)[19] for made in ids} == set("89ab")


def test_traffic_follows_the_percentages() -> None:
    route, rng = endpoint(70, 30, 0), random.Random(42)
    counted = Counter(choose.by_share(route, rng).name for _ in range(10_000))  # type: ignore[union-attr]
    assert 6_800 < counted["e0"] < 7_200
    assert counted["e0"] + counted["e1"] == 10_000


def test_the_same_seed_deals_the_same_way() -> None:
    def deal() -> list[str]:
        rng = random.Random(5)
        return [choose.by_share(endpoint(50, 50), rng).name for _ in range(50)]  # type: ignore[union-attr]

    assert deal() == deal()


@pytest.mark.parametrize("draw", [0.0, 0.5, 0.999999999999])
def test_all_traffic_to_one_entity_never_goes_astray(draw: float) -> None:
    class Fixed:
        def random(self) -> float:
            return draw

    assert choose.by_share(endpoint(0, 100, 0), Fixed()).name == "e1"  # type: ignore[union-attr]


@pytest.mark.parametrize("shares", [(), (0,), (0, 0)])
def test_without_any_share_nobody_is_chosen(shares: tuple[int, ...]) -> None:
    assert choose.by_share(endpoint(*shares), random.Random(1)) is None


def test_an_entity_is_found_by_name_whatever_its_share() -> None:
    assert choose.by_name(endpoint(100, 0), "e1").deployment_key == "k1"  # type: ignore[union-attr]
    assert choose.by_name(endpoint(100, 0), "e2") is None


@pytest.mark.parametrize(
    ("table", "error", "says"),
    [
        (RoutingTable(), errors.TemporarilyUnavailable, "is starting"),
        (RoutingTable(1, {}), errors.EndpointNotFound, "does not exist"),
        (RoutingTable(1, {"churn": endpoint(state="STOPPED")}), errors.InvalidState, "Start it"),
        (
            RoutingTable(1, {"churn": endpoint(state="NOT_READY")}),
            errors.InvalidState,
            "is not ready to take requests.",
        ),
        (RoutingTable(1, {"churn": endpoint(state="NOT_READY", message="no wheel")}), errors.InvalidState, "no wheel"),
    ],
)
def test_an_endpoint_that_takes_no_requests_says_why(
    table: RoutingTable, error: type[errors.HeadgateError], says: str
) -> None:
    with pytest.raises(error, match=says):
        find_endpoint.find(table, "churn", Principal("1", "a", admin=True))


def test_the_execution_limit_leaves_the_worker_time_to_answer_itself() -> None:
    from headgate.gateway import links

    assert 0 < links.OVERDUE_GRACE_S < LimitSettings().execution_s
