"""An agent in this process, over a stand-in guest and an environment that is our own Python."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

from headgate.replicas import agent as agent_module
from headgate.replicas.agent_config import AgentConfig
from headgate.replicas.client import AgentClient
from headgate.replicas.runtime import ObservedReplica, ReplicaSpec, Runtime, RuntimeUnreachable
from headgate.settings import EnvironmentSettings, ReplicaSettings
from headgate_worker import protocol

STAND_IN = Path(__file__).parent / "guest" / "headgate_worker"
KEY = "0123456789abcdef"


def make_environment(data_dir: Path, key: str = KEY) -> None:
    """An environment on disk whose interpreter is ours."""
    folder = data_dir / "environments" / key
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "lock.txt").write_text("mlflow==3.0\n")
    python = folder / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    (folder / "state.json").write_text(json.dumps({"state": "READY", "python": "venv/bin/python", "compiled": True}))


def make_config(folder: Path, run_dir: Path) -> AgentConfig:
    """An agent's configuration over the stand-in guest."""
    source = folder / "guest" / "headgate_worker"
    shutil.copytree(STAND_IN, source)
    shutil.copy(Path(protocol.__file__), source / "protocol.py")
    make_environment(folder / "data")
    return AgentConfig(
        data_dir=folder / "data",
        run_dir=run_dir,
        environ={"PATH": os.environ["PATH"], "HOME": str(folder), "HEADGATE_ADMIN_TOKEN": "secret"},
        guest_source=source,
        environments=EnvironmentSettings(),
        replicas=ReplicaSettings(),
        shutdown_s=5.0,
        ping_every_s=0.05,
    )


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """A run_dir: short, since Unix socket paths are."""
    with tempfile.TemporaryDirectory(prefix="hg-", dir="/tmp") as folder:
        yield Path(folder)


def replica(replica_id: str = "r1", environment_key: str = KEY, **variables: str) -> ReplicaSpec:
    return ReplicaSpec(
        id=replica_id,
        endpoint_id="e1",
        endpoint_name="churn",
        entity_name="churn-1",
        deployment_key="d1",
        environment_key=environment_key,
        model_path="/nowhere",
        model_name="main.default.churn",
        model_version="1",
        slots=2,
        environment_vars=variables,
    )


@contextlib.asynccontextmanager
async def running(config: AgentConfig) -> AsyncIterator[AgentClient]:
    """An agent that is stopped (with its replicas) at the end."""
    stop = asyncio.Event()
    task = asyncio.create_task(agent_module.run(config, stop))
    client = AgentClient(config.socket_path)
    try:
        await answering(client, task)
        yield client
    finally:
        stop.set()
        await asyncio.wait_for(task, 60)


PROGRAM = """
import asyncio, pickle, sys
from headgate.replicas import agent
async def live():
    await agent.run(pickle.load(sys.stdin.buffer), asyncio.Event())
asyncio.run(live())
"""


@contextlib.contextmanager
def agent_process(config: AgentConfig) -> Iterator[tuple[subprocess.Popen[bytes], AgentClient]]:
    """An agent in a process of its own, killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        pass_fds=config.pass_fds,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdin is not None
    process.stdin.write(pickle.dumps(config))
    process.stdin.close()
    try:
        yield process, AgentClient(config.socket_path)
    finally:
        process.kill()
        process.wait()


async def answering(client: AgentClient, task: asyncio.Task[None] | None = None) -> None:
    async def answers() -> bool:
        if task is not None and task.done():
            task.result()
        try:
            await client.observe()
        except RuntimeUnreachable:
            return False
        return True

    await until(answers)


async def until(condition: Callable[[], Any], deadline_s: float = 60.0) -> Any:
    """What `condition` (maybe async) returns, once it is true."""
    deadline = time.monotonic() + deadline_s
    while True:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < deadline, f"never true: {condition}"
        await asyncio.sleep(0.01)


async def until_replica(
    client: Runtime, state: str, replica_id: str = "r1", deadline_s: float = 60.0
) -> ObservedReplica:
    """The replica once it is in that state; an unexpected failure is an error at once."""

    async def look() -> ObservedReplica | None:
        found = (await client.observe()).replicas.get(replica_id)
        if found is not None and found.state == "FAILED" and state != "FAILED":
            raise AssertionError(found.message)
        return found if found is not None and found.state == state else None

    found: ObservedReplica = await until(look, deadline_s)
    return found


async def until_gone(client: Runtime, replica_id: str = "r1") -> None:
    async def look() -> bool:
        return replica_id not in (await client.observe()).replicas

    await until(look)


class Server:
    """A server's link to a worker."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer, self.decoder = reader, writer, protocol.Decoder()

    @classmethod
    async def connect(cls, address: str) -> Server:
        server = cls(*await asyncio.open_unix_connection(address.removeprefix("unix:")))
        server.writer.write(protocol.encode_json(protocol.HELLO, 0, {"version": 1, "role": "server"}))
        assert (await server.frame()).kind == protocol.HELLO
        return server

    async def frame(self) -> protocol.Frame:
        while True:
            data = await asyncio.wait_for(self.reader.read(65536), 60)
            assert data, "the worker closed the connection"
            for frame in self.decoder.feed(data):
                return frame

    async def ask(self, body: bytes) -> tuple[Any, Any]:
        meta = json.dumps({"content_type": "application/json", "request_id": "q1", "deadline_ms": 60_000}).encode()
        self.writer.write(protocol.encode_with_meta(protocol.REQUEST, 7, meta, body))
        reply = await self.frame()
        assert reply.kind == protocol.REPLY
        told, answer = protocol.split_meta(reply.payload)
        return told, json.loads(answer)
