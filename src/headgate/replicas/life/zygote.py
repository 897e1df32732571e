"""One zygote: a warmed process of an environment that forks replicas on request. Owned by the zygote pool.

JSON lines over a socket pair. When the socket closes the zygote ends; its children live on.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headgate.clock import within
from headgate.replicas import logs
from headgate.replicas.agent_config import AgentConfig
from headgate.replicas.life import launch, processes

_LINE_LIMIT_BYTES = 4 * 1024 * 1024
_FORK_DEADLINE_S = 30.0


class ForkRefused(Exception):
    """No replica can be forked; the message says why. A fresh process does it instead."""


@dataclass(frozen=True, slots=True)
class ZygoteSpec:
    """A zygote to have."""

    name: str
    """Safe in a file name."""
    python: str
    environment_vars: Mapping[str, str]
    """Without secrets."""
    secret_vars: Mapping[str, str] = field(repr=False)
    modules: list[str]
    """Reported by a replica; those of the environment are imported."""
    base_modules: list[str]
    """Imported when there are no reported ones."""


class Zygote:
    """A running zygote. Made by `start`."""

    def __init__(self, process: processes.Watched, writer: asyncio.StreamWriter) -> None:
        self.process = process
        self.skipped: list[str] = []
        """Modules it could not import, each with why."""
        self._writer = writer
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._forks: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._exits: dict[int, asyncio.Future[int]] = {}
        self._learned: asyncio.Future[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._retired = False

    @classmethod
    async def start(cls, config: AgentConfig, spec: ZygoteSpec, deadline_s: float) -> Zygote:
        """A zygote that has imported its modules. Raises ForkRefused."""
        ours, theirs = socket.socketpair()
        with theirs, launch.in_memory(spec.secret_vars) as secrets:
            try:
                child = processes.spawn(_launch(config, spec, theirs.fileno(), secrets))
            except OSError as error:
                ours.close()
                raise ForkRefused(f"the zygote could not be started: {error}") from error
        reader, writer = await asyncio.open_connection(sock=ours, limit=_LINE_LIMIT_BYTES)
        zygote = cls(processes.Watched(child.pid, child), writer)
        zygote._reading = asyncio.create_task(zygote._read(reader))
        try:
            await within(deadline_s, zygote._ready)
        except asyncio.TimeoutError as error:
            await zygote.kill()
            raise ForkRefused(f"the zygote was not ready after {deadline_s:g} s") from error
        except ForkRefused as error:
            await zygote.kill()
            last = logs.last_lines(_log_path(config, spec), 3)
            raise ForkRefused(f"{error}: {last}" if last else str(error)) from error
        except BaseException:
            await zygote.kill()
            raise
        return zygote

    @property
    def is_alive(self) -> bool:
        return not self.process.exited.is_set() and not self._writer.is_closing()

    @property
    def has_children(self) -> bool:
        return any(not future.done() for future in self._exits.values())

    async def fork(self, specification: Mapping[str, Any]) -> tuple[int, float]:
        """Pid of a new replica and the milliseconds the fork took. Raises ForkRefused."""
        replica = str(specification["replica"])
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._forks[replica] = answer
        try:
            self._writer.write(json.dumps({"op": "fork", "spec": specification}).encode() + b"\n")
            told = await within(_FORK_DEADLINE_S, answer)
        except asyncio.TimeoutError as error:
            self.close()  # whatever it forks later ends with a refused status file
            raise ForkRefused(f"the zygote did not answer within {_FORK_DEADLINE_S:g} s") from error
        finally:
            self._forks.pop(replica, None)
        if told["op"] != "forked":
            raise ForkRefused(str(told.get("reason") or "the zygote refused"))
        return int(told["pid"]), float(told.get("fork_ms") or 0.0)

    @property
    def is_learning(self) -> bool:
        return self._learned is not None

    async def learn(self, modules: list[str], deadline_s: float) -> None:
        """Lets it import more; it forks meanwhile. Raises ForkRefused when it died of that, or was killed because it took too long."""
        self._learned = asyncio.get_running_loop().create_future()
        try:
            self._writer.write(json.dumps({"op": "learn", "modules": modules}).encode() + b"\n")
            await within(deadline_s, self._learned)
        except asyncio.TimeoutError as error:
            await self.kill()
            raise ForkRefused(f"it was not done after {deadline_s:g} s") from error
        finally:
            self._learned = None

    async def exit_status(self, pid: int, timeout_s: float) -> int | None:
        """How a child ended (as `Popen.returncode`); None when the zygote cannot tell."""
        future = self._exits.get(pid)
        if future is None:
            return None
        try:
            return await within(timeout_s, asyncio.shield(future))
        except (asyncio.TimeoutError, ForkRefused):
            return None

    def forget(self, pid: int) -> None:
        """Nobody will ask for this child's end any more."""
        self._exits.pop(pid, None)

    def retire(self) -> None:
        """Lets it end once it has told how its last child ended."""
        self._retired = True
        if not self.has_children:
            self.close()

    def close(self) -> None:
        """Lets it end. Its children live on."""
        self._writer.close()

    async def kill(self) -> None:
        """Ends it and waits for that."""
        self.close()
        await self.process.end(2.0)
        if self._reading is not None:
            await self._reading

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while line := await reader.readline():
                self._hear(json.loads(line))
        except (OSError, ValueError):
            pass  # broken: the same as gone
        finally:
            self.close()
            lost = ForkRefused("the zygote died")
            waiting: list[asyncio.Future[Any]] = [self._ready, *self._forks.values(), *self._exits.values()]
            waiting += [self._learned] if self._learned is not None else []
            for future in waiting:
                if not future.done():
                    future.set_exception(lost)
                    future.exception()  # nobody may be waiting for it

    def _hear(self, told: dict[str, Any]) -> None:
        operation = told.get("op")
        if operation == "ready" and not self._ready.done():
            self.skipped = [str(item) for item in told.get("skipped") or ()]
            self._ready.set_result(None)
        elif operation == "learned":
            self.skipped = [str(item) for item in told.get("skipped") or ()]
            if self._learned is not None and not self._learned.done():
                self._learned.set_result(None)
        elif operation == "forked":
            self._exits[int(told["pid"])] = asyncio.get_running_loop().create_future()
            self._answer(told)
        elif operation == "refused":
            self._answer(told)
        elif operation == "exited":
            future = self._exits.get(int(told["pid"]))
            if future is not None and not future.done():
                future.set_result(int(told["status"]))
            if self._retired and not self.has_children:
                self.close()

    def _answer(self, told: dict[str, Any]) -> None:
        future = self._forks.get(str(told.get("replica")))
        if future is not None and not future.done():
            future.set_result(told)


def _log_path(config: AgentConfig, spec: ZygoteSpec) -> Path:
    return config.zygote_folders / f"{spec.name}.log"


def _launch(config: AgentConfig, spec: ZygoteSpec, socket_fd: int, secrets: tuple[int, ...]) -> processes.Launch:
    config.zygote_folders.mkdir(parents=True, exist_ok=True, mode=0o700)
    argument = config.zygote_folders / f"{spec.name}.json"
    told = {
        "socket_fd": socket_fd,
        "modules": spec.modules,
        "base_modules": spec.base_modules,
        "environment_vars": dict(spec.environment_vars),
        "lifeline_fd": config.lifeline_fd,
    }
    argument.touch(mode=0o600)
    argument.write_text(json.dumps(told))
    log = _log_path(config, spec)
    log.unlink(missing_ok=True)
    return processes.Launch(
        argv=launch.command(spec.python, config.guest, "zygote", argument, *secrets),
        env=launch.replica_environ(config.environ, spec.python, spec.environment_vars),
        cwd=config.run_dir,
        output=log,
        pass_fds=(socket_fd, *config.pass_fds, *secrets),
    )
