"""A whole life of an endpoint, with the real store and the real loop's laps."""

from __future__ import annotations

import asyncio

from tests.unit.control.machine import BROKEN
from tests.unit.control.simulation import House, entity

from headgate.domain.endpoint import Outcome
from headgate.domain.replica import ReplicaState
from headgate.domain.state import of_endpoint, of_entity
from headgate.replicas.runtime import ObservedState

STARTING, READY, DRAINING = ReplicaState.STARTING, ReplicaState.READY, ReplicaState.DRAINING
LIVE = (STARTING, READY, DRAINING)
ONE, TWO = entity("1"), entity("2")
SLEEPY = entity("1", scale_to_zero_enabled=True)


def state(house: House, name: str = "churn") -> tuple[str, str]:
    found = of_endpoint(house.endpoints.get(name))
    return found.ready, found.config_update


def test_create_update_fail_rollback_shift_stop_start_delete(house: House) -> None:
    async def live() -> None:
        house.create("churn", ONE)
        assert state(house) == ("NOT_READY", "IN_PROGRESS")
        await house.laps(4)
        assert state(house) == ("READY", "NOT_UPDATING") and house.ready() == ["m-1"]
        first = house.rows(READY)[0].id

        house.machine.load_errors = {"/models/2": BROKEN}
        house.update("churn", TWO)
        await house.laps(10)
        assert state(house) == ("READY", "UPDATE_FAILED")
        failed = house.endpoints.get("churn").wanted
        assert failed is not None and "ModuleNotFoundError: moon" in failed.message
        assert [row.id for row in house.rows(*LIVE)] == [first]

        house.machine.load_errors = {}
        house.update("churn", TWO)
        await house.laps(5)
        assert state(house) == ("READY", "NOT_UPDATING") and house.ready() == ["m-2"]
        lock = house.endpoints.get("churn").serving
        assert lock is not None and lock.locks == {"m-2": "scikit-learn==2\n"}

        house.update("churn", ONE)  # rollback
        await house.laps(5)
        assert house.ready() == ["m-1"] and state(house) == ("READY", "NOT_UPDATING")

        house.update("churn", ONE, TWO, v1=90, v2=10)
        await house.laps(5)
        before = {row.id for row in house.rows(READY)}
        house.update("churn", ONE, TWO, v1=10, v2=90)
        await house.laps(1)
        assert state(house) == ("READY", "NOT_UPDATING") and {row.id for row in house.rows(*LIVE)} == before
        assert [route.traffic_percentage for route in house.route("churn").entities] == [10, 90]

        house.endpoints.stop("churn", house.clock.now_ms())
        await house.laps(3)
        assert house.rows(*LIVE) == [] and house.machine.replicas == {}

        house.start("churn")
        await house.laps(1)
        assert state(house)[1] == "IN_PROGRESS"
        await house.laps(2)
        assert state(house) == ("READY", "NOT_UPDATING") and house.ready() == ["m-1", "m-2"]

        house.endpoints.delete("churn", house.clock.now_ms())
        await house.laps(3)
        assert list(house.everything()) == [] and house.rows() == [] and house.machine.replicas == {}

    asyncio.run(live())


def test_load_makes_it_wide_then_narrow_then_it_sleeps_and_wakes(house: House) -> None:
    async def live() -> None:
        house.create("churn", SLEEPY)
        await house.laps(4)
        for _ in range(3):
            house.load("churn", SLEEPY, in_flight=2, queued=2)
            await house.laps(1)
        assert house.ready() == ["m-1", "m-1"]
        house.load("churn", SLEEPY, in_flight=0)
        await house.laps(8)
        assert house.ready() == ["m-1", "m-1"]
        await house.laps(6)
        assert house.ready() == ["m-1"]
        await house.laps(30)
        assert house.rows(*LIVE) == [] and state(house) == ("READY", "NOT_UPDATING")
        endpoint = house.endpoints.get("churn")
        assert endpoint.serving is not None
        shown = of_entity(endpoint, endpoint.serving, SLEEPY, house.rows())
        assert shown.deployment_state_message == "Scaled to zero"

        house.call("churn", SLEEPY)
        await house.laps(1)
        assert [row.state for row in house.rows(*LIVE)] == [STARTING]
        await house.laps(1)
        assert house.ready() == ["m-1"]
        await house.laps(40)
        assert house.rows(*LIVE) == []
        await house.laps(60)
        assert house.rows(*LIVE) == [], "the call that was met wakes it no second time"

    asyncio.run(live())


def test_an_update_that_cannot_be_built_fails_and_the_old_version_serves(house: House) -> None:
    async def live() -> None:
        house.create("churn", ONE)
        await house.laps(4)
        house.machine.build_errors = {"scikit-learn==2": "No solution found. Change the pins."}
        house.update("churn", TWO)
        await house.laps(3)
        failed = house.endpoints.get("churn").wanted
        assert failed is not None and failed.outcome is Outcome.FAILED
        assert "Change the pins" in failed.entity_messages["m-2"] and house.ready() == ["m-1"]
        house.machine.build_errors = {}
        house.update("churn", TWO)
        await house.laps(5)
        assert house.ready() == ["m-2"]

    asyncio.run(live())


def test_a_version_that_does_not_exist_fails_at_once(house: House) -> None:
    async def live() -> None:
        house.gone.add("1")
        house.create("churn", ONE)
        await house.laps(1)
        failed = house.endpoints.get("churn").wanted
        assert failed is not None and failed.outcome is Outcome.FAILED and "Register it again" in failed.message

    asyncio.run(live())


def test_a_killed_replica_leaves_the_routing_table_at_once_and_is_replaced(house: House) -> None:
    async def live() -> None:
        house.create("churn", ONE)
        await house.laps(4)
        victim = house.rows(READY)[0].id
        house.machine.kill(victim)
        await house.control.lap()
        (replacement,) = house.rows(*LIVE)
        assert replacement.state is STARTING and victim not in house.machine.replicas
        route = house.route("churn").entities[0]
        assert route.replicas == () and route.problem.startswith("killed by SIGKILL")
        await house.laps(1)
        assert house.ready() == ["m-1"]

    asyncio.run(live())


def test_a_crash_loop_slows_down_and_says_why(house: House) -> None:
    async def live() -> None:
        house.create("churn", ONE)
        await house.laps(4)
        house.machine.load_errors = {"/models/1": BROKEN}
        house.machine.kill(house.rows(READY)[0].id)
        await house.laps(40)
        starts = len(house.rows(ReplicaState.FAILED))
        assert 5 <= starts <= 9, "1, 2, 4, 8, 8 … seconds between them"
        endpoint = house.endpoints.get("churn")
        assert endpoint.serving is not None
        shown = of_entity(endpoint, endpoint.serving, ONE, house.rows())
        assert shown.deployment == "DEPLOYMENT_RECOVERING"
        house.machine.load_errors = {}
        await house.laps(10)
        assert house.ready() == ["m-1"]

    asyncio.run(live())


def test_while_the_agent_is_away_everything_stays(house: House) -> None:
    async def live() -> None:
        house.create("churn", ONE)
        await house.laps(4)
        rows = house.rows()
        house.machine.unreachable = True
        await house.laps(20)
        assert house.rows() == rows
        house.machine.unreachable = False
        await house.laps(2)
        assert house.rows() == rows

    asyncio.run(live())


def test_a_restarted_control_adopts_what_runs(house: House) -> None:
    async def live() -> None:
        house.create("churn", ONE)
        await house.laps(4)
        rows, started = house.rows(), len(house.machine.specs)
        house.new_control()
        await house.laps(3)
        assert house.rows() == rows, "the old lease has not run out"
        await house.laps(15)
        assert house.rows() == rows and len(house.machine.specs) == started

    asyncio.run(live())


def test_two_controls_never_act_at_the_same_time(house: House) -> None:
    async def live() -> None:
        first = house.control
        await first.lap()
        second = house.new_control()
        house.create("churn", ONE)
        await second.lap()
        assert house.machine.environments == {}
        await first.lap()
        assert len(house.machine.environments) == 1
        house.clock.ms += 11_000
        await second.lap()
        calls = house.machine.observed
        await first.lap()
        assert house.machine.observed == calls

    asyncio.run(live())


def test_delete_during_create_leaves_nothing(house: House) -> None:
    async def live() -> None:
        house.create("churn", ONE)
        await house.laps(2)
        assert [row.state for row in house.rows(*LIVE)] == [STARTING]
        house.endpoints.delete("churn", house.clock.now_ms())
        house.create("churn", TWO)
        await house.laps(5)
        assert house.ready() == ["m-2"] and len(list(house.everything())) == 1

    asyncio.run(live())


def test_a_drained_replica_may_finish_but_not_for_ever(house: House) -> None:
    async def live() -> None:
        house.create("churn", ONE)
        await house.laps(4)
        old = house.rows(READY)[0].id
        house.machine.holds.add(old)
        house.update("churn", TWO)
        await house.laps(30)
        assert house.machine.replicas[old].state is ObservedState.DRAINING and house.ready() == ["m-2"]
        await house.laps(60)
        assert old not in house.machine.replicas and [row.id for row in house.rows(DRAINING)] == []

    asyncio.run(live())


def test_a_replica_that_forgot_its_drain_is_told_again_and_still_finishes(house: House) -> None:
    async def live() -> None:
        house.create("churn", ONE)
        await house.laps(4)
        old = house.rows(READY)[0].id
        house.machine.holds.add(old)
        house.endpoints.stop("churn", house.clock.now_ms())
        await house.laps(1)
        house.machine.forget_drain(old)
        await house.laps(5)
        assert house.machine.replicas[old].state is ObservedState.DRAINING
        assert [row.id for row in house.rows(DRAINING)] == [old]
        house.machine.holds.clear()
        await house.laps(2)
        assert house.rows(DRAINING) == [] and house.machine.replicas == {}

    asyncio.run(live())


def test_a_broken_endpoint_stops_no_other(house: House) -> None:
    async def live() -> None:
        house.create("broken", ONE)
        house.create("churn", TWO)
        describe = house.control._ports.describe

        def breaks(name: str, version: str) -> object:
            if version == "1":
                raise RuntimeError("the registry has a bug")
            return describe(name, version)

        house.control._observer._describe = breaks  # type: ignore[assignment]
        await house.laps(4)
        assert state(house, "churn") == ("READY", "NOT_UPDATING")
        assert state(house, "broken") == ("NOT_READY", "IN_PROGRESS")

    asyncio.run(live())


def test_environments_of_every_endpoint_are_retained_asleep_or_not(house: House) -> None:
    async def live() -> None:
        house.create("churn", SLEEPY)
        await house.laps(120)
        assert house.rows(*LIVE) == []
        assert house.machine.environments.keys() <= house.machine.retained
        house.endpoints.delete("churn", house.clock.now_ms())
        await house.laps(70)
        assert house.machine.retained == frozenset()

    asyncio.run(live())


def test_ended_replicas_are_forgotten_after_hours_and_calls_with_their_endpoint(house: House) -> None:
    async def live() -> None:
        house.create("churn", ONE)
        await house.laps(4)
        house.machine.kill(house.rows(READY)[0].id)
        await house.laps(4)
        assert len(house.rows(ReplicaState.FAILED)) == 1
        await house.laps(200, step_s=60)
        assert house.rows(ReplicaState.FAILED) == [] and house.ready() == ["m-1"]

    asyncio.run(live())
