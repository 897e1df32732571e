"""An alias moves: what the plan says, and whole lives with the real store."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence

import pytest
import sqlalchemy as sa
from tests.unit.control import worlds
from tests.unit.control.machine import BROKEN
from tests.unit.control.simulation import House, config
from tests.unit.control.worlds import active, endpoint, generation, model, world

from headgate import errors
from headgate.control import plan
from headgate.control.actions import Follow
from headgate.control.loop import Control, Ports
from headgate.domain.endpoint import Generation, Outcome, ServedEntity
from headgate.domain.environment import ModelDescription
from headgate.domain.replica import ReplicaState
from headgate.domain.state import of_endpoint
from headgate.store import registry_tables, served_models

NAME = "main.default.m"
CHAMPION = (NAME, "Champion")


def follower(version: str = "1", **more: object) -> ServedEntity:
    return ServedEntity("m", NAME, version, "@Champion", **more)  # type: ignore[arg-type]


def follows(
    serving: Generation | None, wanted: Generation | None = None, target: str = "2", **more: bool
) -> list[Follow]:
    """What the plan says about following when the alias names `target`."""
    seen = world(endpoint(serving, wanted, **more), targets={CHAMPION: target})
    return [action for action in plan.plan(seen) if isinstance(action, Follow)]


def test_a_moved_alias_makes_a_new_generation_with_only_that_entity_changed() -> None:
    other = worlds.entity("3")
    [action] = follows(active(4, follower(), other))
    assert action.generation == 5 and action.moved == ("m",)
    assert action.config.served_entities[1] == other
    assert action.config.served_entities[0] == follower("2", creation_timestamp=worlds.NOW)
    assert action.config.routes == active(4, follower(), other).config.routes


@pytest.mark.parametrize(
    ("serving", "wanted", "target"),
    [
        (active(1, follower()), None, "1"),
        (active(1, worlds.entity("1")), None, "2"),
        (active(1, follower()), generation(2, worlds.entity("3")), "2"),
        (active(1, follower()), generation(2, follower("2")), "3"),
        (active(1, follower()), generation(2, follower("2"), outcome=Outcome.FAILED), "2"),
        (active(1, follower()), generation(2, worlds.entity("3"), outcome=Outcome.FAILED), "2"),
    ],
    ids=["it serves that", "pinned", "an update goes on", "one of its own goes on", "failed with that", "pinned meanwhile"],
)  # fmt: skip
def test_nothing_follows(serving: Generation, wanted: Generation | None, target: str) -> None:
    assert follows(serving, wanted, target) == []


def test_what_failed_follows_again_once_the_alias_moves_on_or_back() -> None:
    failed = generation(2, follower("2"), outcome=Outcome.FAILED)
    assert [a.config.served_entities[0].entity_version for a in follows(active(1, follower()), failed, "3")] == ["3"]
    assert [a.config.served_entities[0].entity_version for a in follows(active(1, follower()), failed, "1")] == ["1"]
    assert [a.generation for a in follows(None, failed, "3")] == [3]


def test_a_stopped_endpoint_follows_nothing_and_an_agent_that_is_away_keeps_nobody_from_it() -> None:
    assert follows(active(1, follower()), stopped=True) == []
    seen = world(endpoint(active(1, follower())), targets={CHAMPION: "2"}, observation=None)
    assert [type(action) for action in plan.plan(seen)] == [Follow]


# -- whole lives ---------------------------------------------------------------------------------------------------


class Registry:
    """The registry's rows, as far as aliases are concerned."""

    def __init__(self, house: House) -> None:
        self.house = house
        with house.database.write() as connection:
            connection.execute(
                sa.insert(registry_tables.registered_models).values(
                    id="m", full_name=NAME, catalog="main", schema="default", creator="", owner_id="", updated_by="",
                    created_at=0, updated_at=0, description="", tags={}, aliases={},
                )
            )  # fmt: skip
            for version in (1, 2, 3):
                connection.execute(
                    sa.insert(registry_tables.model_versions).values(
                        model_id="m", version=version, status="READY", status_message="", creator="", creator_id="",
                        updated_by="", created_at=0, updated_at=0, source="", run_id="", run_tracking_server_id="",
                        logged_model_id="", description="", tags={}, dependencies=[], upload_id=str(version), location="",
                    )
                )  # fmt: skip

    def alias(self, version: int | None) -> None:
        """Moves @Champion, or deletes it."""
        aliases = {} if version is None else {"Champion": version}
        with self.house.database.write(served_models.ALIASES) as connection:
            connection.execute(sa.update(registry_tables.registered_models).values(aliases=aliases))


def shown(house: House) -> tuple[str, str, str]:
    """Readiness, update, and the version that serves."""
    found = house.endpoints.get("churn")
    assert found.serving is not None
    state = of_endpoint(found)
    return state.ready, state.config_update, found.serving.config.served_entities[0].entity_version


def test_it_follows_there_and_back_and_old_replicas_serve_until_the_new_ones_do(house: House) -> None:
    async def live() -> None:
        registry = Registry(house)
        registry.alias(1)
        house.create("churn", follower())
        await house.laps(4)
        assert shown(house) == ("READY", "NOT_UPDATING", "1")
        first = house.rows(ReplicaState.READY)[0].id
        registry.alias(2)
        await house.laps(1)
        assert shown(house) == ("READY", "IN_PROGRESS", "1")
        assert first in [row.id for row in house.rows(ReplicaState.READY)]
        await house.laps(4)
        assert shown(house) == ("READY", "NOT_UPDATING", "2")
        registry.alias(1)
        await house.laps(5)
        assert shown(house) == ("READY", "NOT_UPDATING", "1")

    asyncio.run(live())


def test_a_sleeping_endpoint_follows_and_sleeps_on(house: House) -> None:
    async def live() -> None:
        registry = Registry(house)
        registry.alias(1)
        house.create("churn", follower(scale_to_zero_enabled=True))
        await house.laps(60)
        assert house.rows(ReplicaState.READY) == []
        registry.alias(2)
        await house.laps(5)
        assert shown(house) == ("READY", "NOT_UPDATING", "2")
        await house.laps(60)
        assert house.rows(ReplicaState.READY) == []

    asyncio.run(live())


def test_a_version_that_does_not_load_fails_once_and_the_old_one_serves_until_the_alias_moves(house: House) -> None:
    async def live() -> None:
        registry = Registry(house)
        registry.alias(1)
        house.create("churn", follower())
        await house.laps(4)
        house.machine.load_errors = {"/models/2": BROKEN}
        registry.alias(2)
        await house.laps(30)
        assert shown(house) == ("READY", "UPDATE_FAILED", "1")
        wanted = house.endpoints.get("churn").wanted
        assert wanted is not None and wanted.number == 2 and "moon" in wanted.message
        registry.alias(3)
        await house.laps(5)
        assert shown(house) == ("READY", "NOT_UPDATING", "3")

    asyncio.run(live())


def test_another_update_is_waited_for(house: House) -> None:
    async def live() -> None:
        registry = Registry(house)
        registry.alias(1)
        house.create("churn", follower())
        await house.laps(4)
        house.update("churn", follower(workload_size="Medium"))
        registry.alias(2)
        await house.laps(12)
        found = house.endpoints.get("churn").serving
        assert found is not None and found.number == 3
        assert found.config.served_entities[0].workload_size == "Medium"
        assert shown(house) == ("READY", "NOT_UPDATING", "2")

    asyncio.run(live())


def test_a_stopped_endpoint_catches_up_when_it_is_started(house: House) -> None:
    async def live() -> None:
        registry = Registry(house)
        registry.alias(1)
        house.create("churn", follower())
        await house.laps(4)
        house.endpoints.stop("churn", house.clock.now_ms())
        registry.alias(2)
        await house.laps(5)
        found = house.endpoints.get("churn").wanted
        assert found is not None and found.number == 1
        house.start("churn")
        await house.laps(12)
        assert shown(house) == ("READY", "NOT_UPDATING", "2")

    asyncio.run(live())


def test_a_deleted_alias_and_one_on_an_unfinished_version_change_nothing(house: House) -> None:
    async def live() -> None:
        registry = Registry(house)
        registry.alias(1)
        house.create("churn", follower())
        await house.laps(4)
        registry.alias(None)
        await house.laps(3)
        with house.database.write() as connection:
            connection.execute(
                sa.update(registry_tables.model_versions)
                .where(registry_tables.model_versions.c.version == 2)
                .values(status="PENDING_REGISTRATION")
            )
        registry.alias(2)
        await house.laps(3)
        wanted = house.endpoints.get("churn").wanted
        assert wanted is not None and wanted.number == 1 and shown(house) == ("READY", "NOT_UPDATING", "1")

    asyncio.run(live())


def test_a_control_that_is_killed_in_between_loses_nothing(house: House) -> None:
    async def live() -> None:
        registry = Registry(house)
        registry.alias(1)
        house.create("churn", follower())
        await house.laps(4)
        registry.alias(2)
        await house.control.lap()
        house.new_control()
        house.clock.ms += 60_000
        await house.laps(6)
        assert shown(house) == ("READY", "NOT_UPDATING", "2")
        house.new_control()
        registry.alias(3)
        house.clock.ms += 60_000
        await house.laps(6)
        assert shown(house) == ("READY", "NOT_UPDATING", "3")

    asyncio.run(live())


def refusing(house: House, refusal: object) -> None:
    """Another control, that asks `refusal` before it follows."""
    house.control = Control(dataclasses.replace(ports_of(house), refusal=refusal))  # type: ignore[arg-type]
    house.clock.ms += 60_000


def ports_of(house: House) -> Ports:
    found: Ports = house.new_control()._ports
    return found


def test_a_creator_who_may_not_serve_the_model_any_more_stops_it_once(house: House) -> None:
    asked: list[tuple[str, Sequence[str]]] = []

    def refuse(entity: ServedEntity, creators: Sequence[str]) -> str:
        asked.append((entity.entity_version, creators))
        return "ada has no EXECUTE" if entity.entity_version == "2" else ""

    async def live() -> None:
        registry = Registry(house)
        registry.alias(1)
        refusing(house, refuse)
        house.create("churn", follower(creator="ada"))
        await house.laps(4)
        registry.alias(2)
        await house.laps(10)
        assert shown(house) == ("READY", "UPDATE_FAILED", "1")
        found = house.endpoints.get("churn")
        assert found.wanted is not None and found.wanted.entity_messages == {"m": "ada has no EXECUTE"}
        assert asked == [("2", ("ada", "admin"))] and house.machine.replicas.keys() == {r.id for r in house.rows()}
        registry.alias(3)
        await house.laps(5)
        assert shown(house) == ("READY", "NOT_UPDATING", "3")

    asyncio.run(live())


def test_what_cannot_be_said_now_is_asked_again(house: House) -> None:
    answers = [errors.TemporarilyUnavailable("the storage is away"), ""]

    def refuse(entity: ServedEntity, creators: Sequence[str]) -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def live() -> None:
        registry = Registry(house)
        registry.alias(1)
        refusing(house, refuse)
        house.create("churn", follower())
        await house.laps(4)
        registry.alias(2)
        await house.laps(8)
        assert answers == [] and shown(house) == ("READY", "NOT_UPDATING", "2")

    asyncio.run(live())


def test_models_that_cannot_be_looked_up_now_fail_no_update(house: House) -> None:
    away = True

    def describe(name: str, version: str) -> ModelDescription:
        if away and version == "2":
            raise errors.TemporarilyUnavailable("The storage is away.")
        return model(version)

    async def live() -> None:
        nonlocal away
        house.control = Control(dataclasses.replace(ports_of(house), describe=describe))
        house.clock.ms += 60_000
        house.create("churn", worlds.entity("1"))
        await house.laps(4)
        house.endpoints.add_generation("churn", config(worlds.entity("2")), house.clock.now_ms())
        await house.laps(5)
        assert shown(house) == ("READY", "IN_PROGRESS", "1")
        away = False
        await house.laps(6)
        assert shown(house) == ("READY", "NOT_UPDATING", "2")

    asyncio.run(live())
