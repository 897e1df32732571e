"""Models that lie elsewhere: a replica starts once its files are there, ends while it waits, and keeps them while it lives."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.fakes.agent_house import KEY, answering, make_config, replica, short_folder, until, until_gone, until_replica

from headgate.replicas import agent
from headgate.replicas.client import AgentClient
from headgate.replicas.models import UNAVAILABLE, Models
from headgate.replicas.runtime import ReplicaSpec

COPY = "/copies/one"


@dataclass
class Held:
    """Counts itself."""

    files: Files

    def release(self) -> None:
        self.files.held -= 1


@dataclass
class Files:
    """A storage far away; what is below /copies comes from there, when `arrived` is set."""

    arrived: threading.Event = field(default_factory=threading.Event)
    failure: str = ""
    held: int = 0
    stopped: int = 0

    def is_copy(self, path: str) -> bool:
        return path.startswith("/copies/")

    def hold(self, place: Path, stop: threading.Event, *, fetch: bool = True) -> Held:
        while fetch and not self.arrived.wait(0.01):
            if stop.is_set():
                self.stopped += 1
                raise OSError("stopped")
        if self.failure:
            raise OSError(self.failure)
        self.held += 1
        return Held(self)


@asynccontextmanager
async def running(folder: Path, files: Files) -> AsyncIterator[AgentClient]:
    with short_folder() as run_dir:
        config = make_config(folder, run_dir)
        stop = asyncio.Event()
        task = asyncio.create_task(agent.run(config, stop, files))
        client = AgentClient(config.socket_path)
        try:
            await answering(client, task)
            yield client
        finally:
            stop.set()
            await asyncio.wait_for(task, 60)


def far(replica_id: str = "r1") -> ReplicaSpec:
    return replace(replica(replica_id, KEY), model_path=COPY)


def test_a_replica_starts_once_its_files_are_there_and_keeps_them_until_it_ends(tmp_path: Path) -> None:
    async def live() -> None:
        files = Files()
        async with running(tmp_path, files) as client:
            await client.start_replica(far())
            await client.start_replica(replica("near"))
            await until_replica(client, "READY", "near")
            assert (await client.observe()).replicas["r1"].state == "STARTING"
            files.arrived.set()
            await until_replica(client, "READY")
            assert files.held == 1
            await client.stop_replica("r1", drain=True)
            await until_gone(client)
            await until(lambda: files.held == 0)

    asyncio.run(live())


def test_a_replica_whose_files_cannot_be_had_fails_with_the_reason(tmp_path: Path) -> None:
    async def live() -> None:
        files = Files(failure="the storage is away")
        files.arrived.set()
        async with running(tmp_path, files) as client:
            await client.start_replica(far())
            failed = await until_replica(client, "FAILED")
            assert failed.message == f"the replica could not be started: {UNAVAILABLE}: the storage is away"

    asyncio.run(live())


def test_a_replica_can_be_ended_while_it_waits_for_its_files(tmp_path: Path) -> None:
    async def live() -> None:
        files = Files()
        async with running(tmp_path, files) as client:
            await client.start_replica(far())
            await until_replica(client, "STARTING")
            await client.stop_replica("r1", drain=True)
            await until_gone(client)
            await until(lambda: files.stopped == 1)
            assert files.held == 0

    asyncio.run(live())


def test_files_that_come_when_nobody_wants_them_any_more_are_let_go(tmp_path: Path) -> None:
    class Deaf(Files):
        def hold(self, place: Path, stop: threading.Event, *, fetch: bool = True) -> Held:
            assert self.arrived.wait(60)
            self.held += 1
            return Held(self)

    async def live() -> None:
        files = Deaf()
        models = Models(files)
        taking = asyncio.create_task(models.hold(COPY))
        await asyncio.sleep(0)
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)
        files.arrived.set()
        models._threads.shutdown(wait=True)
        await until(lambda: files.held == 0)

    asyncio.run(live())


def test_what_lies_here_is_nobodys_care() -> None:
    async def live() -> None:
        assert await Models(Files()).hold("/elsewhere/one") is None
        assert await Models().hold(COPY) is None
        async with Models().held(COPY):
            pass

    asyncio.run(live())
