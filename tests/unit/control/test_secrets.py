"""Secrets are asked for right before a replica starts; one that is not there fails what is new, never what serves."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from tests.unit.control.simulation import House, entity

from headgate.access.secrets import SecretUnavailable
from headgate.domain.endpoint import Outcome
from headgate.domain.replica import ReplicaState
from headgate.replicas.runtime import ReplicaSpec

CANARY = "canary-of-control-55"
VARIABLES = {"KEY": "{{secrets/team/key}}"}
ONE, TWO = entity("1", environment_vars=VARIABLES), entity("2", environment_vars=VARIABLES)


def told(spec: ReplicaSpec) -> Mapping[str, str]:
    return {"KEY": CANARY} if "KEY" in spec.environment_vars else {}


def gone(spec: ReplicaSpec) -> Mapping[str, str]:
    raise SecretUnavailable("the secret {{secrets/team/key}} is not there: scope team does not exist")


def test_a_replica_is_started_with_the_secrets_of_that_moment_and_the_store_has_none(house: House) -> None:
    async def live() -> None:
        house.secret_vars = told
        house.create("churn", ONE)
        await house.laps(4)
        assert house.ready() == ["m-1"]
        [spec] = house.machine.specs.values()
        assert spec.secret_vars == {"KEY": CANARY} and spec.environment_vars == VARIABLES and CANARY not in repr(spec)

    asyncio.run(live())
    for file in house.folder.iterdir():
        assert CANARY.encode() not in file.read_bytes(), file


def test_a_missing_secret_fails_the_update_and_the_old_version_serves(house: House) -> None:
    async def live() -> None:
        house.secret_vars = told
        house.create("churn", ONE)
        await house.laps(4)
        house.secret_vars = gone
        house.update("churn", TWO)
        await house.laps(20)
        failed = house.endpoints.get("churn").wanted
        assert failed is not None and failed.outcome is Outcome.FAILED
        assert "{{secrets/team/key}} is not there: scope team does not exist" in failed.entity_messages["m-2"]
        assert house.ready() == ["m-1"] and [spec.entity_name for spec in house.machine.specs.values()] == ["m-1"]

    asyncio.run(live())


def test_a_replica_that_died_comes_back_once_its_secret_does(house: House) -> None:
    async def live() -> None:
        house.secret_vars = told
        house.create("churn", ONE)
        await house.laps(4)
        house.secret_vars = gone
        house.machine.kill(house.rows(ReplicaState.READY)[0].id)
        await house.laps(5)
        assert house.ready() == [] and "scope team does not exist" in house.route("churn").entities[0].problem
        house.secret_vars = told
        await house.laps(60)
        assert house.ready() == ["m-1"]

    asyncio.run(live())


def test_a_replica_the_agent_forgot_is_started_with_the_newest_value(house: House) -> None:
    async def live() -> None:
        house.secret_vars = told
        house.create("churn", ONE)
        await house.laps(2)
        [row] = house.rows(ReplicaState.STARTING, ReplicaState.READY)
        house.machine.replicas.clear()
        house.secret_vars = lambda spec: {"KEY": "newer"}
        await house.laps(4)
        assert house.machine.specs[house.rows(ReplicaState.READY)[0].id].secret_vars == {"KEY": "newer"}
        assert row.endpoint_id

    asyncio.run(live())
