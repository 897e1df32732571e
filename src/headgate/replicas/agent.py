"""The agent process: owns the environments, zygotes and replicas of this machine. Run by `app.py` in the role `agent`.

It knows no database. Control speaks to it over `run_dir/agent.sock`; it says `agent` to every listener when something changed.
Killed, it takes nothing with it: the next one adopts what lives. Told to stop, it drains and stops everything.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headgate.domain.environment import EnvironmentSpec
from headgate.notices import Announcer
from headgate.replicas import adoption, messages
from headgate.replicas.agent_config import AgentConfig
from headgate.replicas.building import build, warming
from headgate.replicas.building.build import Workshop
from headgate.replicas.building.build_log import BuildLog
from headgate.replicas.building.bytecode import BytecodeStore
from headgate.replicas.control_socket import ControlSocket
from headgate.replicas.environments import Environments
from headgate.replicas.life import launch, limits
from headgate.replicas.life.replica import Surroundings
from headgate.replicas.life.zygote_pool import First, ZygotePool
from headgate.replicas.models import ModelFiles, Models
from headgate.replicas.roster import Roster
from headgate.replicas.runtime import Observation

logger = logging.getLogger(__name__)

_COLLECT_EVERY_S = 30.0


async def run(config: AgentConfig, stop: asyncio.Event, files: ModelFiles | None = None) -> None:
    """Serves until `stop` is set (then drains and ends every replica) or the house is gone (then just leaves).

    `files` brings models that do not lie on this machine's disk.
    """
    config.run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    agent = Agent(config, stop, Models(files))
    await agent.open()
    try:
        await agent.stopping.wait()
        if stop.is_set():
            await agent.roster.stop_all(config.shutdown_s)
    finally:
        await agent.close()


@dataclass(slots=True)
class Agent:
    """Everything the agent holds, wired together."""

    config: AgentConfig
    stop: asyncio.Event
    models: Models
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    environments: Environments = field(init=False)
    zygotes: ZygotePool = field(init=False)
    roster: Roster = field(init=False)
    _announcer: Announcer = field(init=False)
    _control: ControlSocket = field(init=False)
    _teller: messages.ObservationTeller = field(default_factory=messages.ObservationTeller)
    _hints: socket.socket | None = None
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        config = self.config
        self._announcer = Announcer(config.run_dir)
        self.environments = Environments(
            root=config.data_dir / "environments",
            logs=config.data_dir / "logs" / "builds",
            workshop=Workshop(
                config.environments,
                config.environ,
                BytecodeStore(config.data_dir / "bytecode", config.environments.unused_bytecode_bytes),
            ),
            changed=lambda key: self._changed(),
            prove=self._prove,
            models=self.models,
        )
        self.zygotes = ZygotePool(config, self.environments)
        self.roster = Roster(
            Surroundings(config, self.environments, self.zygotes, limits.discover(), self.models, changed=self._changed)
        )
        self._control = ControlSocket(
            config.socket_path,
            {
                "ensure_environment": lambda told: self.environments.ensure(messages.environment_spec(told["spec"])),
                "start_replica": lambda told: self.roster.start(messages.replica_spec(told["spec"])),
                "stop_replica": lambda told: self.roster.stop(told["replica_id"], drain=bool(told["drain"])),
                "observe": self._observe,
                "retain": lambda told: self.environments.retain(frozenset(told["environment_keys"])),
                "usage": lambda told: self.roster.usage(),
                "shutdown": lambda told: self.stop.set(),
            },
        )

    async def open(self) -> None:
        """Adopts what lives, then answers."""
        launch.copy_guest(self.config.guest_source, self.config.guest)
        adoption.sweep_zygotes(self.config.zygote_folders)
        self.environments.load()
        self._listen_for_hints()
        await self.roster.adopt()
        self._watch_lifeline()
        self._tasks = [asyncio.create_task(self._watch_stop()), asyncio.create_task(self._collect())]
        await self._control.open()
        self.zygotes.start_ahead()
        logger.info("agent ready at %s", self.config.socket_path)
        self._changed()

    async def close(self) -> None:
        """The reverse of `open`. Replicas that still live go on living."""
        await self._control.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.config.lifeline_fd is not None:
            asyncio.get_running_loop().remove_reader(self.config.lifeline_fd)
        await self.roster.leave()
        if self._hints is not None:
            asyncio.get_running_loop().remove_reader(self._hints)
            self._hints.close()
        await self.zygotes.close()
        await self.environments.close()
        self.models.close()
        self._changed()
        self._announcer.close()

    def _changed(self) -> None:
        self._announcer.announce("agent")

    async def _prove(self, spec: EnvironmentSpec, folder: Path, log: BuildLog) -> None:
        """The zygote that its first replicas will be forked from is the proof; where there is none, a process of its own."""
        modules = warming.first_modules(folder, build.direct_requirements(spec))
        log.write(f"starting its zygote with {', '.join(modules)}")
        if not await self.zygotes.prove(spec.key, First(str(folder / "venv/bin/python"), modules)):
            await build.prove(self.environments.workshop, spec, folder, log)

    def _observe(self, told: Mapping[str, Any]) -> dict[str, Any]:
        observed = Observation(self.environments.observed(), self.roster.observed())
        return self._teller.to_json(observed, str(told.get("environments_mark", "")))

    def _listen_for_hints(self) -> None:
        """Workers send their replica id here when their status changed; the slow poll would see it too."""
        self.config.notify_path.unlink(missing_ok=True)
        self._hints = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._hints.bind(str(self.config.notify_path))
        self._hints.setblocking(False)
        asyncio.get_running_loop().add_reader(self._hints, self._hear, self._hints)

    def _hear(self, hints: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self.roster.look(hints.recv(4096).decode("utf-8", "replace").strip())

    def _watch_lifeline(self) -> None:
        if self.config.lifeline_fd is not None:
            asyncio.get_running_loop().add_reader(self.config.lifeline_fd, self._house_is_gone, self.config.lifeline_fd)

    def _house_is_gone(self, lifeline_fd: int) -> None:
        if not os.read(lifeline_fd, 1):
            logger.warning("the supervisor is gone; leaving")
            asyncio.get_running_loop().remove_reader(lifeline_fd)
            self.stopping.set()

    async def _watch_stop(self) -> None:
        await self.stop.wait()
        self.stopping.set()

    async def _collect(self) -> None:
        while True:
            await asyncio.sleep(_COLLECT_EVERY_S)
            for key in await self.environments.collect(self.roster.environment_keys()):
                self.zygotes.drop(key)
