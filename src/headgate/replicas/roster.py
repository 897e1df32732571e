"""All replicas of this machine by id. Called by the agent's verbs; each replica's own task does the work."""

from __future__ import annotations

import asyncio
import logging
import signal
from dataclasses import dataclass, field

from headgate.replicas import adoption, logs
from headgate.replicas.life import usage
from headgate.replicas.life.replica import ReplicaLife, Surroundings
from headgate.replicas.runtime import ObservedReplica, ObservedState, ReplicaSpec

logger = logging.getLogger(__name__)

_LOG_FILES_PER_ENTITY = 20


@dataclass(slots=True)
class Roster:
    """The replicas that are, and those that failed and were not acknowledged yet."""

    around: Surroundings
    _lives: dict[str, ReplicaLife] = field(default_factory=dict)
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def adopt(self) -> None:
        """Takes over what an earlier agent left, and warms zygotes for it."""
        for life in await adoption.adopt_all(self.around):
            self._begin(life)
            self._keep_warm(life)

    def start(self, spec: ReplicaSpec) -> None:
        """Starts it unless that id is known. Whoever asks knows that it is starting: nobody else need look."""
        if spec.id not in self._lives:
            self._begin(ReplicaLife(spec, self.around))

    def stop(self, replica_id: str, *, drain: bool) -> None:
        """Ends it, or forgets it if it has failed."""
        life = self._lives.get(replica_id)
        if life is None:
            return
        if life.state is ObservedState.FAILED:
            del self._lives[replica_id]
            self.around.changed()
        else:
            life.stop(drain=drain)

    def look(self, replica_id: str) -> None:
        """A worker hints that its status changed."""
        life = self._lives.get(replica_id)
        for woken in [life] if life is not None else self._lives.values():
            woken.look()

    def observed(self) -> dict[str, ObservedReplica]:
        return {replica_id: life.observed() for replica_id, life in self._lives.items()}

    def environment_keys(self) -> frozenset[str]:
        """Environments that living replicas use."""
        return frozenset(life.spec.environment_key for life in self._lives.values())

    def usage(self) -> dict[str, dict[str, float]]:
        """What each living replica uses."""
        found: dict[str, dict[str, float]] = {}
        for replica_id, life in self._lives.items():
            used = usage.of_process(life.process.pid) if life.process is not None else None
            if used is not None:
                found[replica_id] = {
                    "cpu_seconds": used.cpu_seconds,
                    "rss_bytes": used.rss_bytes,
                    "memory_limit_bytes": life.spec.memory_bytes,
                    **life.counted(),
                }
        return found

    async def stop_all(self, deadline_s: float) -> None:
        """Drains every replica; what has not ended after `deadline_s` is ended."""
        tasks = list(self._tasks.values())
        for life in list(self._lives.values()):
            life.stop(drain=True)
        if tasks:
            _, running = await asyncio.wait(tasks, timeout=deadline_s)
            for life in list(self._lives.values()):
                life.stop(drain=False)
            if running:
                await asyncio.wait(running, timeout=10.0)

    async def leave(self) -> None:
        """Stops watching; the replicas live on."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, life: ReplicaLife) -> None:
        self._lives[life.spec.id] = life
        task = asyncio.create_task(life.run())
        self._tasks[life.spec.id] = task
        task.add_done_callback(lambda done: self._ended(life, done))

    def _ended(self, life: ReplicaLife, task: asyncio.Task[None]) -> None:
        replica_id = life.spec.id
        del self._tasks[replica_id]
        if task.cancelled():
            if life.process is not None:
                life.process.close()
            return
        if (error := task.exception()) is not None:
            logger.error("replica %s: internal error", replica_id, exc_info=error)
            if life.process is not None:
                life.process.send_signal(signal.SIGKILL)  # nobody looks after it any more
            life.state, life.message = ObservedState.FAILED, f"internal error: {error!r}"
        if life.gone:
            del self._lives[replica_id]
        else:
            self._keep_warm(life)
        self._prune_logs(life.spec)
        self.around.changed()

    def _keep_warm(self, life: ReplicaLife) -> None:
        if not life.lacks_secrets:
            self.around.zygotes.keep_warm(life.spec)

    def _prune_logs(self, spec: ReplicaSpec) -> None:
        folder = self.around.config.service_log(spec.endpoint_id, spec.entity_name, spec.id).parent
        logs.prune(folder, keep_files=_LOG_FILES_PER_ENTITY, keep=frozenset(self._lives))
