"""Replicas of a stand-in guest through a real agent: starting, failing, draining, dying."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
from pathlib import Path

import pytest
from tests.fakes.agent_house import KEY, Server, replica, running, until, until_gone, until_replica

from headgate.notices import Listener
from headgate.replicas.agent_config import AgentConfig
from headgate.replicas.life import processes
from headgate.settings import ReplicaSettings


def with_replicas(config: AgentConfig, **settings: object) -> AgentConfig:
    return dataclasses.replace(config, replicas=ReplicaSettings(**settings))


def test_a_replica_is_forked_serves_and_drains(config):
    async def scenario():
        async with running(config) as client:
            await client.start_replica(replica())
            found = await until_replica(client, "READY")
            assert found.how == "fork"
            assert found.slots == 2
            assert found.phases_ms == {"fork": 0.5, "load": 1.5}
            server = await Server.connect(found.address)
            await client.stop_replica("r1", drain=True)
            await until_replica(client, "DRAINING")
            told, answer = await server.ask(b"{}")  # its server is still connected: it still answers
            assert told["status"] == 200
            assert answer["limit"] == 0
            server.writer.close()
            await until_gone(client)
            assert not processes.start_ticks(found.pid)
            assert not (config.replica_folders / "r1").exists()
            assert "behaving well" in Path(found.log_path).read_text()

    asyncio.run(scenario())


def test_a_replica_sees_nothing_of_the_servers_environment(config):
    async def scenario():
        async with running(config) as client:
            for replica_id, settings in (("r1", {}), ("r2", {"REFUSE": "1"})):  # forked, fresh process
                await client.start_replica(replica(replica_id, OWN="x", **settings))
                found = await until_replica(client, "READY", replica_id)
                server = await Server.connect(found.address)
                _, answer = await server.ask(b"{}")
                assert answer["environ"]["OWN"] == "x"
                assert "HEADGATE_ADMIN_TOKEN" not in answer["environ"]
                assert answer["environ"]["PATH"].startswith(
                    str(config.data_dir / "environments" / KEY / "venv" / "bin")
                )
                server.writer.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        ({"REFUSE": "1"}, "exec: a second thread is running"),
        ({"BROKEN": "1"}, "exec: the zygote died: the warmed library cannot be imported"),
    ],
)
def test_without_a_trustworthy_fork_a_fresh_process_serves(config, variables, why):
    async def scenario():
        async with running(config) as client:
            await client.start_replica(replica(**variables))
            assert (await until_replica(client, "READY")).how == why

    asyncio.run(scenario())


def test_zygotes_can_be_switched_off(config):
    async def scenario():
        async with running(with_replicas(config, zygotes=False)) as client:
            await client.start_replica(replica())
            assert (await until_replica(client, "READY")).how.startswith("exec: zygotes are switched off")

    asyncio.run(scenario())


@pytest.mark.parametrize("zygotes", [True, False])
@pytest.mark.parametrize(
    ("behave", "why"),
    [("exit", "exited with code 3"), ("fail", "the model cannot be loaded: no module named churn")],
)
def test_a_failed_start_says_why_with_its_last_log_lines_until_acknowledged(config, zygotes, behave, why):
    async def scenario():
        async with running(with_replicas(config, zygotes=zygotes)) as client:
            await client.start_replica(replica(BEHAVE=behave))
            found = await until_replica(client, "FAILED")
            assert found.message.startswith(why)
            assert f"behaving {behave}" in found.message.partition("Last log lines:")[2]
            await client.start_replica(replica(BEHAVE=behave))  # repeated wish: the id exists
            assert (await client.observe()).replicas["r1"].state == "FAILED"
            await client.stop_replica("r1", drain=False)
            await until_gone(client)

    asyncio.run(scenario())


def test_a_replica_whose_environment_is_not_there_fails(config):
    async def scenario():
        async with running(config) as client:
            await client.start_replica(replica(environment_key="feedfeedfeedfeed"))
            assert "environment feedfeedfeedfeed is not ready" in (await until_replica(client, "FAILED")).message

    asyncio.run(scenario())


def test_a_replica_that_does_not_load_in_time_fails(config):
    async def scenario():
        async with running(with_replicas(config, load_deadline_s=0.2)) as client:
            await client.start_replica(replica(BEHAVE="hang"))
            found = await until_replica(client, "FAILED")
            assert "not ready after 0.2 s" in found.message
            await until(lambda: not processes.start_ticks(found.pid))

    asyncio.run(scenario())


@pytest.mark.parametrize("zygotes", [True, False])
def test_a_killed_replica_fails_with_the_signals_name(config, zygotes):
    async def scenario():
        async with running(with_replicas(config, zygotes=zygotes)) as client:
            await client.start_replica(replica())
            found = await until_replica(client, "READY")
            os.kill(found.pid, signal.SIGKILL)
            assert "killed by SIGKILL" in (await until_replica(client, "FAILED")).message

    asyncio.run(scenario())


def test_a_silent_replica_that_uses_no_cpu_is_killed(config):
    async def scenario():
        async with running(dataclasses.replace(config, silence_s=0.3)) as client:
            await client.start_replica(replica(BEHAVE="deaf"))
            found = await until_replica(client, "FAILED")
            assert "has not answered" in found.message
            assert "uses no CPU" in found.message
            await until(lambda: not processes.start_ticks(found.pid))

    asyncio.run(scenario())


def test_a_replica_with_all_slots_stuck_is_killed(config):
    async def scenario():
        async with running(dataclasses.replace(config, stuck_s=0.2)) as client:
            await client.start_replica(replica(BEHAVE="stuck"))
            found = await until_replica(client, "FAILED")
            assert "all 2 of its slots execute requests that are past their deadline" in found.message

    asyncio.run(scenario())


def test_a_zygote_that_refuses_because_of_what_it_learned_forgets_it(config):
    async def scenario():
        async with running(config) as client:

            async def start(number: int) -> str:
                await client.start_replica(replica(f"r{number}", REFUSE_LEARNED="1"))
                return (await until_replica(client, "READY", f"r{number}")).how

            assert await start(0) == "fork"
            numbers = iter(range(1, 1000))
            await until(lambda: _is(start(next(numbers)), "exec: a second thread is running"))
            await until(lambda: _is(start(next(numbers)), "fork"))

    asyncio.run(scenario())


async def _is(work, expected):
    return await work == expected


def test_a_zygote_learns_in_place_and_its_children_stay_its_children(config):
    async def scenario():
        async with running(config) as client:
            parents = []
            for number in range(3):
                await client.start_replica(replica(f"r{number}"))
                found = await until_replica(client, "READY", f"r{number}")
                parents.append(Path(f"/proc/{found.pid}/stat").read_text().rpartition(")")[2].split()[1])
            assert len(set(parents)) == 1
            warm = config.data_dir / "environments" / KEY / "warm_modules.json"
            await until(warm.exists)

    asyncio.run(scenario())


def test_a_zygote_that_dies_of_what_it_learns_is_made_anew_without_it(config):
    async def scenario():
        async with running(config) as client:

            async def start(number: int) -> str:
                await client.start_replica(replica(f"r{number}", DIE_LEARNING="1"))
                return (await until_replica(client, "READY", f"r{number}")).how

            assert await start(0) == "fork"
            await until((config.data_dir / "environments" / KEY / "warm_modules.json").exists)
            numbers = iter(range(1, 1000))
            await until(lambda: _is(start(next(numbers)), "fork"))
            assert (await client.observe()).replicas["r0"].state == "READY"

    asyncio.run(scenario())


def test_zygotes_are_limited_in_number(config):
    async def scenario():
        async with running(with_replicas(config, zygote_limit=1)) as client:
            for number in range(3):
                await client.start_replica(replica(f"r{number}", OWN=str(number)))
                found = await until_replica(client, "READY", f"r{number}")
                assert found.how == "fork"
            observed = (await client.observe()).replicas
            assert [item.state for item in observed.values()] == ["READY"] * 3
            forked = {item.pid for item in observed.values()}
            await until(lambda: len(zygotes_of(config) - forked) == 1)

    asyncio.run(scenario())


def zygotes_of(config: AgentConfig) -> set[int]:
    """Pids of that agent's zygotes and of their children, which look the same."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if str(config.zygote_folders) in path.read_text():
                found.add(int(path.parent.name))
    return found


def test_a_dead_zygote_takes_no_replica_with_it_and_is_replaced(config):
    async def scenario():
        async with running(config) as client:
            await client.start_replica(replica())
            found = await until_replica(client, "READY")
            zygote = int(Path(f"/proc/{found.pid}/stat").read_text().rpartition(")")[2].split()[1])
            os.kill(zygote, signal.SIGKILL)
            await until(lambda: not processes.start_ticks(zygote))
            server = await Server.connect(found.address)
            assert (await server.ask(b"{}"))[0]["status"] == 200
            server.writer.close()
            await client.start_replica(replica("r2"))
            assert (await until_replica(client, "READY", "r2")).how.startswith(("fork", "exec: its zygote died"))
            await client.stop_replica("r1", drain=False)
            await until_gone(client)

    asyncio.run(scenario())


def test_what_the_first_replica_had_imported_is_what_the_next_zygote_imports(config):
    async def scenario():
        async with running(config) as client:
            await client.start_replica(replica())
            await until_replica(client, "READY")
            path = config.data_dir / "environments" / KEY / "warm_modules.json"
            await until(lambda: path.exists() and path.read_text() == '["json", "decimal"]')

    asyncio.run(scenario())


def test_drain_can_be_hurried(config):
    async def scenario():
        async with running(config) as client:
            await client.start_replica(replica())
            found = await until_replica(client, "READY")
            server = await Server.connect(found.address)
            await client.stop_replica("r1", drain=True)
            await until_replica(client, "DRAINING")
            await client.stop_replica("r1", drain=False)
            await until_gone(client)
            server.writer.close()

    asyncio.run(scenario())


def test_stopping_the_agent_stops_its_replicas_and_zygotes(config):
    async def scenario():
        async with running(config) as client:
            await client.start_replica(replica())
            found = await until_replica(client, "READY")
            zygote = int(Path(f"/proc/{found.pid}/stat").read_text().rpartition(")")[2].split()[1])
            await client.shutdown()
        assert not processes.start_ticks(found.pid)
        assert not processes.start_ticks(zygote)

    asyncio.run(scenario())


def test_changes_are_announced(config):
    async def scenario():
        heard: list[str] = []
        listener = Listener(config.run_dir, "test", heard.append)
        async with running(config) as client:
            await until(lambda: heard)
            heard.clear()
            await client.start_replica(replica())
            await until_replica(client, "READY")
            await until(lambda: heard)
            assert set(heard) == {"agent"}
        listener.close()

    asyncio.run(scenario())


def test_usage_tells_cpu_memory_and_limit(config):
    async def scenario():
        async with running(config) as client:
            spec = dataclasses.replace(replica(), memory_bytes=2 * 1024**3)
            await client.start_replica(spec)
            found = await until_replica(client, "READY")
            used = (await client.usage())["r1"]
            assert used["rss_bytes"] > 1_000_000
            assert used["memory_limit_bytes"] == 2 * 1024**3
            assert "Max data size" in Path(f"/proc/{found.pid}/limits").read_text()

    asyncio.run(scenario())
