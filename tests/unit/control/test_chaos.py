"""Anything may happen in any order: what must hold all the time, and what must hold once it is quiet again."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.control.machine import BROKEN
from tests.unit.control.simulation import House, entity

from headgate import errors
from headgate.domain.endpoint import Endpoint, Outcome, ServedEntity
from headgate.domain.replica import ReplicaState
from headgate.replicas.runtime import ObservedState

EXAMPLES = int(os.environ.get("HEADGATE_CHAOS_EXAMPLES", "15"))
STARTING, READY, DRAINING, FAILED = (ReplicaState(name) for name in ("STARTING", "READY", "DRAINING", "FAILED"))
LIVE = (STARTING, READY)
GOOD, OTHER = entity("1"), entity("2")
DOES_NOT_LOAD, DOES_NOT_BUILD = entity("7"), entity("8")
SLEEPY = entity("3", scale_to_zero_enabled=True)

CONFIGS: list[tuple[ServedEntity, ...]] = [
    (GOOD,),
    (OTHER,),
    (GOOD, OTHER),
    (SLEEPY,),
    (GOOD, SLEEPY),
    (DOES_NOT_LOAD,),
    (DOES_NOT_BUILD,),
    (OTHER, DOES_NOT_LOAD),
]


def _kill(house: House, number: int) -> None:
    ids = sorted(house.machine.replicas)
    if ids:
        house.machine.kill(ids[number % len(ids)])


def _lose(house: House, number: int) -> None:
    ids = sorted(house.machine.replicas)
    if ids:
        house.machine.lose(ids[number % len(ids)])


def _update(house: House, number: int) -> None:
    try:
        house.update("churn", *CONFIGS[number % len(CONFIGS)])
    except (errors.ResourceConflict, errors.ResourceDoesNotExist):
        pass


def _stop_or_start(house: House, number: int) -> None:
    try:
        if house.endpoints.get("churn").stopped:
            house.start("churn")
        else:
            house.endpoints.stop("churn", house.clock.now_ms())
    except errors.HeadgateError:
        pass


def _delete_or_create(house: House, number: int) -> None:
    try:
        house.endpoints.delete("churn", house.clock.now_ms())
    except errors.ResourceDoesNotExist:
        house.create("churn", *CONFIGS[number % len(CONFIGS)])


def _call(house: House, number: int) -> None:
    try:
        house.call("churn", SLEEPY)
    except errors.ResourceDoesNotExist:
        pass


def _load(house: House, number: int) -> None:
    try:
        house.load("churn", (GOOD, OTHER, SLEEPY)[number % 3], number % 7)
    except errors.ResourceDoesNotExist:
        pass


def _agent_goes_or_comes(house: House, number: int) -> None:
    house.machine.unreachable = not house.machine.unreachable


def _machine_restarts(house: House, number: int) -> None:
    house.machine.replicas.clear()


def _control_dies(house: House, number: int) -> None:
    house.new_control()
    house.clock.ms += 10_001


def _time_passes(house: House, number: int) -> None:
    house.clock.ms += number * 1000


def _machine_moves(house: House, number: int) -> None:
    house.machine.tick()


STEPS: list[Callable[[House, int], None]] = [
    _machine_moves, _machine_moves, _machine_moves, _time_passes, _time_passes, _update, _update, _kill, _kill, _lose,
    _load, _call, _stop_or_start, _delete_or_create, _agent_goes_or_comes, _machine_restarts, _control_dies,
]  # fmt: skip


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    first=st.integers(0, len(CONFIGS) - 1),
    steps=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 60)), max_size=40),
)
def test_whatever_happens_the_old_serves_until_the_new_can_and_quiet_brings_the_wish(
    first: int, steps: list[tuple[Callable[[House, int], None], int]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        house = House(Path(folder))
        try:
            asyncio.run(_happen(house, first, steps))
        finally:
            house.close()


async def _happen(house: House, first: int, steps: list[tuple[Callable[[House, int], None], int]]) -> None:
    house.machine.load_errors = {"/models/7": BROKEN}
    house.machine.build_errors = {"scikit-learn==8": "No solution found. Change the pins."}
    house.create("churn", *CONFIGS[first])
    for step, number in steps:
        step(house, number)
        before = _snapshot(house)
        await house.control.lap()
        _check_always(house, before)
    house.machine.unreachable = False
    await house.laps(40, step_s=3)
    _check_quiet(house)


Snapshot = tuple[dict[str, Endpoint], dict[str, set[str]]]


def _snapshot(house: House) -> Snapshot:
    """Endpoints, and deployment keys by what is ready in the routing table, before a lap."""
    ready: dict[str, set[str]] = {}
    for row in house.rows(READY):
        ready.setdefault(row.endpoint_id, set()).add(row.deployment_key)
    return {endpoint.id: endpoint for endpoint in house.everything()}, ready


def _check_always(house: House, before: Snapshot) -> None:
    counts = Counter(row.deployment_key for row in house.rows(*LIVE))
    assert all(count <= 2 for count in counts.values()), "more processes than the most"
    ready = {row.deployment_key for row in house.rows(READY)}
    for endpoint in house.everything():
        old = before[0].get(endpoint.id)
        if endpoint.serving is None or old is None or endpoint.stopped or endpoint.deleted:
            continue
        serving = {entity.deployment_key(endpoint.id): entity for entity in endpoint.serving.config.served_entities}
        if old.serving is None or old.serving.number != endpoint.serving.number:
            served = {
                e.deployment_key(endpoint.id) for e in (old.serving.config.served_entities if old.serving else ())
            }
            new = set(serving) - served
            came_up = {row.deployment_key for row in house.rows() if row.ready_at_ms}
            assert new <= came_up, "traffic was pointed to something that never came up"
        elif not house.machine.unreachable:
            for key in before[1].get(endpoint.id, set()) & serving.keys() - ready:
                states = [row.state for row in house.rows() if row.deployment_key == key]
                alive = {seen.id for seen in house.machine.replicas.values() if seen.state is ObservedState.READY}
                assert FAILED in states or serving[key].scale_to_zero_enabled, f"stopped serving for no reason: {alive}"
    if not house.machine.unreachable:
        living = {seen.id for seen in house.machine.replicas.values() if seen.state is not ObservedState.FAILED}
        assert {row.id for row in house.rows(READY)} <= living or _waits_for_lease(house), "a dead replica is routed"


def _waits_for_lease(house: House) -> bool:
    return not house.control._holding


def _check_quiet(house: House) -> None:
    wanted = set()
    for endpoint in house.everything():
        assert not endpoint.deleted, "rows of a deleted endpoint are left"
        assert endpoint.wanted is not None
        versions = {entity.entity_version for entity in endpoint.wanted.config.served_entities}
        # Whoever kills every attempt of an update has made it fail.
        broken = bool(versions & {"7", "8"}) or "3 attempts. killed by" in endpoint.wanted.message
        assert endpoint.wanted.outcome is (Outcome.FAILED if broken else Outcome.ACTIVE) or endpoint.stopped
        assert endpoint.stopped or broken or endpoint.serving == endpoint.wanted
        if endpoint.serving is not None and not endpoint.stopped:
            wanted |= {
                entity.deployment_key(endpoint.id)
                for entity in endpoint.serving.config.served_entities
                if not entity.scale_to_zero_enabled
            }
    assert {row.deployment_key for row in house.rows(READY)} == wanted
    assert house.rows(STARTING, DRAINING) == []
    assert house.machine.replicas.keys() == {row.id for row in house.rows(READY)}
