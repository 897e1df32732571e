"""Models that vendors run: traffic is pointed to them at once, whatever the machine shows, and nothing is started for them."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest
from tests.unit.control.simulation import House
from tests.unit.control.worlds import ID, active, endpoint, generation, machine, replica, world

from headgate.control import actions as act
from headgate.control.plan import plan
from headgate.control.world import rests
from headgate.domain.endpoint import Endpoint, Generation, Outcome, ServedEntity
from headgate.domain.external_model import ExternalModel
from headgate.domain.replica import ReplicaState
from headgate.domain.state import EndpointState, EntityState, of_endpoint, of_entity
from headgate.replicas.runtime import Observation


def vendors(name: str = "gpt") -> ServedEntity:
    model = ExternalModel(name, "openai", "llm/v1/chat", {}, {"openai_api_key": "{{secrets/s/k}}"})
    return ServedEntity(name, "", "", "", task=model.task, external_model=model)


NEW = endpoint(wanted=generation(1, vendors()))
UPDATE = endpoint(serving=active(1, vendors()), wanted=generation(2, vendors(), vendors("spare")))
SERVING = endpoint(serving=active(1, vendors()))


@pytest.mark.parametrize("observation", [None, machine()], ids=["agent away", "agent there"])
@pytest.mark.parametrize(("of", "number"), [(NEW, 1), (UPDATE, 2)], ids=["new", "update"])
def test_traffic_is_pointed_at_once(of: Endpoint, number: int, observation: Observation | None) -> None:
    assert plan(world(of, observation=observation)) == [act.PointTraffic(ID, number, {})]


@pytest.mark.parametrize(
    "of",
    [
        SERVING,
        dataclasses.replace(SERVING, stopped=True),
        dataclasses.replace(UPDATE, stopped=True),
        endpoint(serving=active(1, vendors()), wanted=generation(2, vendors(), outcome=Outcome.FAILED)),
    ],
)
def test_nothing_is_done_for_what_serves_or_is_stopped(of: Endpoint) -> None:
    assert plan(world(of)) == [] and rests(of)


def test_a_deleted_one_is_forgotten_and_what_should_not_run_is_ended() -> None:
    deleted = dataclasses.replace(SERVING, deleted=True)
    assert plan(world(deleted)) == [act.ForgetEndpoint(ID)]
    stray = replica("a", ReplicaState.READY, vendors())
    assert plan(world(SERVING, stray)) == [act.DrainReplica("a")]


PENDING, ACTIVE = Outcome.PENDING, Outcome.ACTIVE


@pytest.mark.parametrize(
    ("outcome", "stopped", "deployment", "message"),
    [
        (PENDING, False, "DEPLOYMENT_CREATING", "Creating resources for served entity."),
        (ACTIVE, False, "DEPLOYMENT_READY", ""),
        (ACTIVE, True, "DEPLOYMENT_READY", "Stopped"),
        (Outcome.FAILED, False, "DEPLOYMENT_FAILED", "why"),
        (
            Outcome.CANCELED,
            False,
            "DEPLOYMENT_ABORTED",
            "Served model creation aborted because the update was canceled.",
        ),
    ],
)
def test_its_state_is_that_of_its_generation(outcome: Outcome, stopped: bool, deployment: str, message: str) -> None:
    made: Generation = dataclasses.replace(active(1, vendors()), outcome=outcome, message="why")
    of = endpoint(serving=made if outcome is ACTIVE else None, wanted=made, stopped=stopped)
    assert of_entity(of, made, vendors(), ()) == EntityState(deployment, message)


def test_a_life_without_an_agent_takes_one_lap_per_wish(house: House) -> None:
    async def live() -> None:
        house.machine.unreachable = True
        house.create("llm", vendors())
        await house.laps(1)
        assert of_endpoint(house.endpoints.get("llm")) == EndpointState("READY", "NOT_UPDATING", "NOT_SUSPENDED")
        assert house.route("llm").entities[0].external is not None
        house.update("llm", vendors("gpt"), vendors("spare"))
        await house.laps(1)
        assert [entity.name for entity in house.route("llm").entities] == ["gpt", "spare"]
        house.endpoints.delete("llm", 9)
        await house.laps(1)
        assert house.endpoints.everything() == []

    asyncio.run(live())
