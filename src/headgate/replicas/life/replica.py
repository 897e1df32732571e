"""One replica from its start to its end: a single task looks at status, wishes, deadlines and health, and acts.

Owned by the roster. Level-triggered: hints (a datagram, an exit, a wish) only wake it to look again.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from headgate.clock import within
from headgate.replicas import logs
from headgate.replicas.agent_config import AgentConfig
from headgate.replicas.building import warming
from headgate.replicas.environments import Environments
from headgate.replicas.life import launch, processes
from headgate.replicas.life.folder import Record, ReplicaFolder, Status, specification
from headgate.replicas.life.health import ReplicaHealth
from headgate.replicas.life.limits import Limit, Limiter
from headgate.replicas.life.zygote import ForkRefused, Zygote
from headgate.replicas.life.zygote_pool import ZygotePool
from headgate.replicas.models import Held, Models
from headgate.replicas.runtime import ObservedReplica, ObservedState, ReplicaSpec

logger = logging.getLogger(__name__)

_TERMINATE_S = 5.0
_STATUS_POLL_S = 1.0
_EXIT_STATUS_S = 1.0
_LAST_LINES = 20
_LEAST_REDACTED = 6
"""Shorter values would be found in innocent text."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every replica's life uses."""

    config: AgentConfig
    environments: Environments
    zygotes: ZygotePool
    limiter: Limiter
    models: Models
    changed: Callable[[], None]


class LaunchFailed(Exception):
    """No process could be started."""


class _Unwanted(Exception):
    """Its end was wished before it had a process."""


@dataclass(slots=True)
class ReplicaLife:
    """A replica. `run` is its whole life; afterwards it is FAILED, or `gone`."""

    spec: ReplicaSpec
    around: Surroundings
    state: ObservedState = ObservedState.STARTING
    message: str = ""
    how: str = ""
    gone: bool = False
    """Ended as wished, nothing to report."""
    process: processes.Watched | None = None
    lacks_secrets: bool = False
    """Adopted, and only its own process knows all its variables: nothing can be started like it."""
    folder: ReplicaFolder = field(init=False)
    _zygote: Zygote | None = None
    _health: ReplicaHealth | None = None
    _model: Held | None = None
    _phases_ms: dict[str, float] = field(default_factory=dict)
    _stop: str = ""
    """`drain` or `now` once its end is wished."""
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _born_at: float = field(default_factory=time.monotonic)
    _ping_due_at: float = 0.0

    def __post_init__(self) -> None:
        self.folder = ReplicaFolder(self.around.config.replica_folders / self.spec.id)

    def observed(self) -> ObservedReplica:
        """What the runtime port reports."""
        ready = self.state in (ObservedState.READY, ObservedState.DRAINING)
        return ObservedReplica(
            id=self.spec.id,
            state=self.state,
            address=f"unix:{self.folder.socket}" if ready else "",
            slots=self.spec.slots,
            how=self.how,
            message=self.message,
            pid=self.process.pid if self.process is not None else 0,
            log_path=str(self._log_path),
            phases_ms=dict(self._phases_ms),
        )

    def counted(self) -> dict[str, float]:
        """What its worker has counted, as it last said."""
        return {} if self._health is None else self._health.counted()

    def look(self) -> None:
        """Something may have changed."""
        self._wake.set()

    def stop(self, *, drain: bool) -> None:
        """Wishes its end; a later wish without `drain` hurries one with it."""
        if self._stop != "now":
            self._stop = "drain" if drain else "now"
        self._wake.set()

    def take_over_serving(self, state: ObservedState) -> None:
        """An adopted one already serves (or drains)."""
        assert self.process is not None
        self.state = state
        self._health = ReplicaHealth(self.around.config, self.folder.socket, self.process.pid, self.spec.slots)

    async def run(self) -> None:
        """Its life. An adopted one already has its process."""
        try:
            if self.process is None:
                await self._take_model()
                await self._launch()
            else:
                self._model = await self.around.models.hold(self.spec.model_path, fetch=False)
            assert self.process is not None
            self.process.on_exit(self._wake.set)
            reason = await self._live(self.process)
            if self._stop:
                self.gone = True
            else:
                await self._fail(reason)
        except _Unwanted:
            self.gone = True
        except (LaunchFailed, OSError) as error:
            await self._fail(f"the replica could not be started: {error}")
        finally:
            self._clean_up()
            self.around.changed()

    @property
    def _log_path(self) -> Path:
        spec = self.spec
        return self.around.config.service_log(spec.endpoint_id, spec.entity_name, spec.id)

    async def _take_model(self) -> None:
        """Waits for the model's files; that may take long, so a wish to end is heeded meanwhile."""
        taking = asyncio.create_task(self.around.models.hold(self.spec.model_path))
        try:
            while not taking.done():
                self._wake.clear()
                if self._stop:
                    raise _Unwanted
                waking = asyncio.create_task(self._wake.wait())
                await asyncio.wait({taking, waking}, return_when=asyncio.FIRST_COMPLETED)
                waking.cancel()
        except BaseException:
            taking.cancel()
            raise
        self._model = taking.result()

    async def _launch(self) -> None:
        environments = self.around.environments
        if not environments.is_ready(self.spec.environment_key):
            raise LaunchFailed(f"its environment {self.spec.environment_key} is not ready")
        key = self.spec.environment_key
        told = specification(self.around.config, self.spec, self.folder)
        environments.note_use(key)
        told["wants_modules"] = not environments.warm_modules(key).exists()
        told["phases_ms"] = {"environment": environments.take_build_ms(key)}
        self.folder.write_specification(told)
        asked_at = time.monotonic()
        try:
            self._zygote = await self.around.zygotes.get(self.spec)
            # A zygote that had to be started first has imported what this replica need not import.
            told["phases_ms"]["import"] = round((time.monotonic() - asked_at) * 1000.0, 3)
            pid, fork_ms = await self._zygote.fork({**told, "secret_vars": dict(self.spec.secret_vars)})
            self.process, self.how = processes.Watched(pid), "fork"
            self._phases_ms["fork"] = fork_ms
        except ForkRefused as error:
            if self._zygote is not None:
                self.around.zygotes.refused(self.spec)
            self._zygote = None
            self._exec(str(error).partition("\n")[0])
        assert self.process is not None
        pid = self.process.pid
        self.around.limiter.apply(self.spec.id, pid, Limit(self.spec.memory_bytes, self.spec.cpu_cores))
        house = self.around.config.house
        self.folder.write_record(Record(self.spec, house, self.how, pid, processes.start_ticks(pid)))

    def _exec(self, reason: str) -> None:
        """A fresh process instead of a fork."""
        config = self.around.config
        python = self.around.environments.python(self.spec.environment_key)
        with launch.in_memory(self.spec.secret_vars) as secrets:
            child = processes.spawn(
                processes.Launch(
                    argv=launch.command(python, config.guest, "worker", self.folder.specification, *secrets),
                    env=launch.replica_environ(config.environ, python, self.spec.plain_vars),
                    cwd=self.folder.path,
                    output=self._log_path,
                    pass_fds=(*config.pass_fds, *secrets),
                )
            )
        self.process, self.how = processes.Watched(child.pid, child), f"exec: {reason}"

    async def _live(self, process: processes.Watched) -> str:
        """Until it has ended or must be counted as failed; returns why."""
        reason = ""
        while not process.exited.is_set() and not reason:
            self._wake.clear()
            reason = self._look_at_status()
            if self._stop:
                await self._end(process)
            elif self.state is ObservedState.READY:
                reason = reason or await self._look_at_health()
            elif time.monotonic() - self._born_at > self.around.config.replicas.load_deadline_s:
                deadline = self.around.config.replicas.load_deadline_s
                reason = f"not ready after {deadline:g} s (setting replicas.load_deadline_s)"
            if not reason and not process.exited.is_set():
                await self._pause()
        if not process.exited.is_set():
            process.send_signal(signal.SIGKILL)
            await process.wait(_TERMINATE_S)
            return reason
        self._look_at_status()
        return reason or self._told_failure() or await self._cause(process)

    async def _pause(self) -> None:
        starting = self.state is ObservedState.STARTING
        timeout_s = _STATUS_POLL_S if starting else max(self._ping_due_at - time.monotonic(), 0.05)
        try:
            await within(timeout_s, self._wake.wait())
        except asyncio.TimeoutError:
            pass

    def _look_at_status(self) -> str:
        """Takes in what the worker says; why it failed, or empty."""
        status = self.folder.read_status()
        if status is None:
            return ""
        self._phases_ms.update(status.phases_ms)
        if status.modules:
            self._learn(status)
        if status.state == "FAILED":
            return status.message or "the worker reports a failure without a reason"
        if status.state == "READY" and self.state is ObservedState.STARTING:
            self.take_over_serving(ObservedState.READY)
            self.around.changed()
        return ""

    def _told_failure(self) -> str:
        status = self.folder.read_status(again=True)
        return status.message if status is not None and status.state == "FAILED" else ""

    def _learn(self, status: Status) -> None:
        """Lets the environment's next zygote import what this replica needed for its first prediction."""
        path = self.around.environments.warm_modules(self.spec.environment_key)
        if not path.exists() and path.parent.exists():
            warming.write_modules(path, status.modules)
            self.around.zygotes.renew(self.spec.environment_key)

    async def _look_at_health(self) -> str:
        if self._health is None or time.monotonic() < self._ping_due_at:
            return ""
        self._ping_due_at = time.monotonic() + self.around.config.ping_every_s
        reason = await self._health.verdict()
        return f"killed because {reason}" if reason else ""

    async def _end(self, process: processes.Watched) -> None:
        """Ends it as wished: drained if it serves, else at once."""
        if self._stop == "drain" and self._health is not None:
            was_draining, self.state = self.state is ObservedState.DRAINING, ObservedState.DRAINING
            self.around.changed()
            link = await self._health.connected()
            if link is not None:
                link.drain()
            if link is not None or was_draining:  # a draining worker accepts nobody new
                await self._wait_drained(process)
        if self.state is ObservedState.STARTING:
            process.send_signal(signal.SIGKILL)
            await process.wait(_TERMINATE_S)
        elif not process.exited.is_set():
            await process.end(_TERMINATE_S)

    async def _wait_drained(self, process: processes.Watched) -> None:
        deadline = time.monotonic() + self.around.config.replicas.drain_deadline_s
        while not process.exited.is_set() and self._stop == "drain":
            remaining_s = deadline - time.monotonic()
            if remaining_s <= 0:
                logger.warning("replica %s was not drained in time; ending it", self.spec.id)
                return
            self._wake.clear()
            try:
                await within(remaining_s, self._wake.wait())
            except asyncio.TimeoutError:
                pass

    async def _cause(self, process: processes.Watched) -> str:
        if process.status is None and self._zygote is not None:
            process.status = await self._zygote.exit_status(process.pid, _EXIT_STATUS_S)
        out_of_memory = self.around.limiter.ran_out_of_memory(self.spec.id)
        return processes.describe_exit(process.status, out_of_memory=out_of_memory)

    async def _fail(self, reason: str) -> None:
        lines = await asyncio.to_thread(logs.last_lines, self._log_path, _LAST_LINES)
        self.message = self._redacted(f"{reason}\nLast log lines:\n{lines}" if lines else reason)
        self.state = ObservedState.FAILED
        logger.warning("replica %s of %s failed: %s", self.spec.id, self.spec.endpoint_name, reason.partition("\n")[0])

    def _redacted(self, text: str) -> str:
        """Without secrets: what native code wrote to its log did not pass the worker's own redaction, and this goes to the store."""
        for value in sorted(self.spec.secret_vars.values(), key=len, reverse=True):
            text = text.replace(value, "[REDACTED]") if len(value) >= _LEAST_REDACTED else text
        return text

    def _clean_up(self) -> None:
        if self._health is not None:
            self._health.close()
        if self.process is not None and self._zygote is not None:
            self._zygote.forget(self.process.pid)
        if self._model is not None:
            self._model.release()
        if self.process is None or self.process.exited.is_set():
            self.around.limiter.forget(self.spec.id)
            self.folder.delete()
