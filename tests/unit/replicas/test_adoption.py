"""Agents that are killed: what they leave, what the next one does with it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.agent_house import Server, agent_process, answering, replica, running, until, until_gone, until_replica

from headgate.replicas.agent_config import AgentConfig
from headgate.replicas.life import processes


@pytest.fixture
def housed(config: AgentConfig) -> Iterator[tuple[AgentConfig, int]]:
    """A configuration inside a house, and the write end of its lifeline."""
    reading, writing = os.pipe()
    with contextlib.suppress(OSError):
        yield dataclasses.replace(config, lifeline_fd=reading), writing
        os.close(writing)
    os.close(reading)


@pytest.mark.parametrize("zygotes", [True, False])
def test_a_killed_agent_takes_no_replica_with_it_and_the_next_one_adopts_them(housed, zygotes):
    config = dataclasses.replace(housed[0], replicas=dataclasses.replace(housed[0].replicas, zygotes=zygotes))

    async def scenario():
        with agent_process(config) as (process, client):
            await answering(client)
            await client.start_replica(replica())
            before = await until_replica(client, "READY")
            server = await Server.connect(before.address)
            process.kill()
            process.wait()
            assert (await server.ask(b"{}"))[0]["status"] == 200
        async with running(config) as client:
            after = (await client.observe()).replicas["r1"]  # the very first answer knows it
            assert (after.state, after.pid, after.how) == ("READY", before.pid, before.how)
            assert (await server.ask(b"{}"))[0]["status"] == 200
            server.writer.close()
            await client.stop_replica("r1", drain=True)
            await until_gone(client)
        assert not processes.start_ticks(before.pid)

    asyncio.run(scenario())


def test_one_that_still_loads_is_adopted_too(housed):
    config, _ = housed

    async def scenario():
        with agent_process(config) as (_, client):
            await answering(client)
            await client.start_replica(replica(BEHAVE="hang"))
            await until(lambda: (config.replica_folders / "r1" / "record.json").exists())
            pid = (await client.observe()).replicas["r1"].pid
        async with running(config) as client:
            found = (await client.observe()).replicas["r1"]
            assert (found.state, found.pid) == ("STARTING", pid)

    asyncio.run(scenario())


def test_a_replica_that_died_while_no_agent_was_there_is_absent(housed):
    config, _ = housed

    async def scenario():
        with agent_process(config) as (process, client):
            await answering(client)
            await client.start_replica(replica())
            found = await until_replica(client, "READY")
            process.kill()
            process.wait()
            os.kill(found.pid, signal.SIGKILL)
            await until(lambda: not processes.start_ticks(found.pid))
        async with running(config) as client:
            assert not (await client.observe()).replicas
            assert not (config.replica_folders / "r1").exists()

    asyncio.run(scenario())


def test_replicas_of_a_house_that_is_gone_are_swept(housed):
    config, _ = housed

    async def scenario():
        with agent_process(config) as (_, client):
            await answering(client)
            await client.start_replica(replica())
            found = await until_replica(client, "READY")
        async with running(
            dataclasses.replace(config, lifeline_fd=None)
        ) as client:  # another house, the old lifeline still held
            assert not (await client.observe()).replicas
            assert not processes.start_ticks(found.pid)

    asyncio.run(scenario())


def test_nobody_outlives_the_supervisor(housed):
    config, writing = housed

    async def scenario():
        with agent_process(config) as (process, client):
            await answering(client)
            await client.start_replica(replica())
            found = await until_replica(client, "READY")
            os.close(writing)
            await until(lambda: process.poll() is not None)
            await until(lambda: not processes.start_ticks(found.pid))

    asyncio.run(scenario())


def a_process_begun_after(ticks: int) -> subprocess.Popen[bytes]:
    """The kernel's clock ticks a hundred times a second, and a replica may have come and gone within one of them."""
    while True:
        process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        if processes.start_ticks(process.pid) > ticks:
            return process
        process.communicate(b"\n")


def test_a_pid_that_is_another_process_by_now_is_left_alone(housed):
    config, _ = housed

    async def scenario():
        with agent_process(config) as (process, client):
            await answering(client)
            await client.start_replica(replica())
            found = await until_replica(client, "READY")
            process.kill()
            process.wait()
            os.kill(found.pid, signal.SIGKILL)
            await until(lambda: not processes.start_ticks(found.pid))
        record = config.replica_folders / "r1" / "record.json"
        bystander = a_process_begun_after(json.loads(record.read_text())["start_ticks"])
        record.write_text(record.read_text().replace(f'"pid": {found.pid}', f'"pid": {bystander.pid}'))
        async with running(config) as client:
            assert not (await client.observe()).replicas
        assert bystander.poll() is None
        bystander.communicate(b"\n")

    asyncio.run(scenario())


def test_what_others_must_not_read_is_for_the_owner_only(config):
    async def scenario():
        async with running(config) as client:
            await client.start_replica(replica(SECRET="x"))
            await until_replica(client, "READY")
            folder = config.replica_folders / "r1"
            assert folder.stat().st_mode & 0o077 == 0
            for path in [*folder.glob("*.json"), *config.zygote_folders.glob("*.json"), config.socket_path]:
                if path.name != "status.json":
                    assert path.stat().st_mode & 0o077 == 0, path

    asyncio.run(scenario())


def test_the_guest_is_copied_once_and_replaced_when_it_changed(tmp_path):
    from headgate.replicas.life import launch

    source, guest = tmp_path / "headgate_worker", tmp_path / "guest"
    source.mkdir()
    (source / "worker.py").write_text("one")
    launch.copy_guest(source, guest)
    copied = guest / "headgate_worker"
    before = copied.stat().st_ino
    launch.copy_guest(source, guest)
    assert copied.stat().st_ino == before
    (source / "worker.py").write_text("two")
    launch.copy_guest(source, guest)
    assert (copied / "worker.py").read_text() == "two"
    assert sorted(path.name for path in Path(guest).iterdir()) == ["headgate_worker"]
