"""A new agent warms the environments that were used last before anybody asks for a replica; and what replicas are told."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
from pathlib import Path

from tests.fakes.agent_house import KEY, make_environment, replica, running, until, until_replica

from headgate.replicas.agent_config import AgentConfig
from headgate.settings import ReplicaSettings

OTHER = "fedcba9876543210"


def with_replicas(config: AgentConfig, **settings: object) -> AgentConfig:
    return dataclasses.replace(config, replicas=ReplicaSettings(**settings))


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def started(config: AgentConfig) -> set[str]:
    """Environments whose zygote was started."""
    return {path.name.partition("-")[0] for path in config.zygote_folders.glob("*.json")}


def learned(config: AgentConfig, key: str, used_at: float) -> None:
    path = config.data_dir / "environments" / key / "warm_modules.json"
    path.write_text('["json"]')
    os.utime(path, (used_at, used_at))


def told(config: AgentConfig, replica_id: str) -> dict[str, object]:
    specification: dict[str, object] = json.loads((config.replica_folders / replica_id / "spec.json").read_text())
    return specification


def test_the_zygote_of_the_environment_used_last_is_there_before_it_is_needed(config):
    make_environment(config.data_dir, OTHER)
    learned(config, KEY, 1000.0)
    learned(config, OTHER, 2000.0)

    async def scenario():
        async with running(with_replicas(config, zygotes_ahead=1)):
            await until(lambda: started(config) == {OTHER})
        async with running(with_replicas(config, zygotes_ahead=0)) as client:
            await client.start_replica(replica())  # now KEY is the one used last
            await until_replica(client, "READY")
        for path in config.zygote_folders.glob("*"):
            path.unlink()
        async with running(with_replicas(config, zygotes_ahead=1)) as client:
            await until(lambda: started(config) == {KEY})
            await client.start_replica(replica("r2"))
            found = await until_replica(client, "READY", "r2")
            assert found.how == "fork"
            assert str(config.zygote_folders) in Path(f"/proc/{parent_of(found.pid)}/cmdline").read_text()
            assert started(config) == {KEY}

    asyncio.run(scenario())


def test_environments_nobody_used_get_no_zygote_ahead(config):
    make_environment(config.data_dir, OTHER)
    learned(config, OTHER, 2000.0)

    async def scenario():
        async with running(with_replicas(config, zygotes_ahead=9)):
            await until(lambda: started(config))
            assert started(config) == {OTHER}

    asyncio.run(scenario())


def test_modules_are_asked_for_until_the_environment_knows_them(config):
    async def scenario():
        async with running(config) as client:
            await client.start_replica(replica("r1"))
            await until_replica(client, "READY", "r1")
            assert told(config, "r1")["wants_modules"] is True
            await until((config.data_dir / "environments" / KEY / "warm_modules.json").exists)
            await client.start_replica(replica("r2"))
            await until_replica(client, "READY", "r2")
            assert told(config, "r2")["wants_modules"] is False
            assert told(config, "r2")["phases_ms"] == {"environment": 0.0}

    asyncio.run(scenario())
