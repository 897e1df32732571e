"""Houses that share a database: replicas are looked after in the one that runs models, external models in whichever is there."""

from __future__ import annotations

import asyncio
import dataclasses

from tests.unit.control.machine import Machine
from tests.unit.control.simulation import House, entity
from tests.unit.control.test_plan_external import vendors

from headgate.control.lease import TTL_S
from headgate.control.loop import Control, Ports
from headgate.domain.replica import ReplicaState
from headgate.domain.state import of_endpoint
from headgate.store import houses

FIRST, SECOND = houses.House("a", "first:/data"), houses.House("b", "second:/data")


def control_of(house: House, which: houses.House, machine: Machine) -> Control:
    ports: Ports = house.control._ports
    return Control(dataclasses.replace(ports, house=which.id, runtime=machine))


async def laps(house: House, count: int, *controls: Control) -> None:
    for _ in range(count):
        house.machine.tick()
        for control in controls:
            while await control.lap():
                pass
        house.clock.ms += 1000


def serves(house: House, name: str) -> bool:
    return of_endpoint(house.endpoints.get(name)).ready == "READY"


def test_another_house_leaves_replicas_alone_and_takes_external_models_while_theirs_is_away(house: House) -> None:
    async def live() -> None:
        assert houses.settle_models(house.database, FIRST) == FIRST
        machine = Machine()
        first, second = control_of(house, FIRST, house.machine), control_of(house, SECOND, machine)
        house.create("churn", entity("1"))
        await laps(house, 8, second, first)
        before = house.rows()
        assert [row.state for row in before] == [ReplicaState.READY]
        house.create("gpt", vendors())
        await laps(house, 1, first, second)
        assert serves(house, "gpt")
        # The first one is gone without a word.
        house.create("later", vendors())
        house.create("custom", entity("2"))
        await laps(house, int(TTL_S) + 3, second)
        assert serves(house, "later") and not serves(house, "custom")
        assert house.rows() == before and machine.replicas == {} and machine.environments == {}
        house.update("gpt", vendors("gpt-2"))
        await laps(house, 1, second)
        assert [e.name for e in house.route("gpt").entities] == ["gpt-2"]
        # It is back, with replicas that outlived its control, and comes first.
        first = control_of(house, FIRST, house.machine)
        await laps(house, 8, second, first)
        assert serves(house, "custom") and [row for row in house.rows() if row in before] == before
        assert house.ready() == ["m-1", "m-2"]

    asyncio.run(live())


def test_models_move_with_the_id_of_the_house_they_ran_in(house: House) -> None:
    async def live() -> None:
        houses.settle_models(house.database, FIRST)
        house.create("churn", entity("1"))
        await laps(house, 4, control_of(house, FIRST, house.machine))
        lost = {row.id for row in house.rows()}
        house.machine = Machine()
        heir = control_of(house, FIRST, house.machine)
        await laps(house, int(TTL_S) + 6, heir)
        assert house.ready() == ["m-1"] and not lost & {row.id for row in house.rows(ReplicaState.READY)}

    asyncio.run(live())


def test_two_houses_with_one_id_do_not_act_at_once(house: House) -> None:
    async def live() -> None:
        houses.settle_models(house.database, FIRST)
        copy = Machine()
        house.create("churn", entity("1"))
        await laps(house, 8, control_of(house, FIRST, house.machine), control_of(house, FIRST, copy))
        assert house.ready() == ["m-1"] and copy.replicas == {}

    asyncio.run(live())
