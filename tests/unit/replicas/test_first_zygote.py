"""A new environment is proven by starting its first zygote, which then forks its first replicas. Only uv is replaced."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from pathlib import Path

import pytest
from tests.fakes import agent_house
from tests.fakes.agent_house import replica, running, until, until_replica

import headgate_worker
from headgate.domain.environment import EnvironmentSpec
from headgate.replicas import environments
from headgate.replicas.agent_config import AgentConfig
from headgate.replicas.life import processes
from headgate.replicas.runtime import ObservedEnvironment, Runtime
from headgate.settings import ReplicaSettings

SPEC = EnvironmentSpec("3.11", ("mlflow==3.0",))


@pytest.fixture(autouse=True)
def no_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    async def build(workshop: object, spec: EnvironmentSpec, building: Path, log: object) -> str:
        agent_house.make_environment(building.parent.parent, building.name)
        return "mlflow==3.0\n"

    monkeypatch.setattr(environments.build, "build", build)


async def built(client: Runtime) -> ObservedEnvironment:
    async def look() -> ObservedEnvironment | None:
        found = (await client.observe()).environments[SPEC.key]
        return found if found.state != "BUILDING" else None

    await client.ensure_environment(SPEC)
    found: ObservedEnvironment = await until(look)
    return found


def zygotes_of(config: AgentConfig) -> list[int]:
    """Pids of that agent's zygotes, by their command lines (their children's look the same)."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if str(config.zygote_folders) in path.read_text():
                found.append(int(path.parent.name))
    return found


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_the_zygote_that_proves_an_environment_forks_its_first_replica(config):
    async def scenario():
        async with running(config) as client:
            assert (await built(client)).state == "READY"
            (zygote,) = zygotes_of(config)
            await client.start_replica(replica("r1", SPEC.key))
            found = await until_replica(client, "READY")
            assert found.how == "fork"
            assert parent_of(found.pid) == zygote

    asyncio.run(scenario())


def test_replicas_with_variables_get_a_zygote_of_their_own_instead_of_that_one(config):
    async def scenario():
        async with running(config) as client:
            await built(client)
            (zygote,) = zygotes_of(config)
            await client.start_replica(replica("r1", SPEC.key, OWN="1"))
            found = await until_replica(client, "READY")
            assert found.how == "fork"
            assert parent_of(found.pid) != zygote
            await until(lambda: not processes.start_ticks(zygote))

    asyncio.run(scenario())


@pytest.mark.parametrize("zygotes", [True, False])
def test_an_environment_without_mlflow_fails_with_what_python_said_and_keeps_no_zygote(config, zygotes):
    guest = Path(headgate_worker.__file__).parent
    config = dataclasses.replace(config, guest_source=guest, replicas=ReplicaSettings(zygotes=zygotes))

    async def scenario():
        async with running(config) as client:
            found = await built(client)
            assert found.state == "FAILED"
            assert "mlflow cannot be imported" in found.message
            assert "No module named 'mlflow'" in found.message
            await until(lambda: not zygotes_of(config))
            assert (
                "failed: mlflow cannot be imported"
                in (config.data_dir / "logs" / "builds" / f"{SPEC.key}.log").read_text()
            )

    asyncio.run(scenario())
