"""An in-memory `Runtime` for the tests of other rooms. Passes `tests/contract/test_runtime.py`, as the real agent does.

By default everything succeeds at once. Knobs: `build_errors`, `load_errors`, `holding_builds`, `holding_loads`, `unreachable`;
`kill` and `release` make things happen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from headgate.domain.environment import EnvironmentSpec
from headgate.replicas.runtime import (
    EnvironmentState,
    Observation,
    ObservedEnvironment,
    ObservedReplica,
    ObservedState,
    ReplicaSpec,
    RuntimeUnreachable,
)


class FakeRuntime:
    """Implements `headgate.replicas.runtime.Runtime`."""

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        self.changed = changed
        """Called after every change, as the agent's notice is."""
        self.build_errors: dict[str, str] = {}
        """Environment key, or a requirement line, -> why its build fails."""
        self.load_errors: dict[str, str] = {}
        """Model path -> why the model does not load."""
        self.holding_builds = False
        """Builds stay BUILDING until `release()`."""
        self.holding_loads = False
        """Replicas stay STARTING until `release()`."""
        self.holding_drains = False
        """Replicas told to drain stay DRAINING until `release()`."""
        self.unreachable = False
        """Every call raises RuntimeUnreachable."""
        self.specs: dict[str, ReplicaSpec] = {}
        """Every replica ever asked for, by id."""
        self.builds: list[EnvironmentSpec] = []
        """Every build that was begun."""
        self.retained: frozenset[str] | None = None
        self._environments: dict[str, ObservedEnvironment] = {}
        self._building: dict[str, EnvironmentSpec] = {}
        self._replicas: dict[str, ObservedReplica] = {}

    async def ensure_environment(self, spec: EnvironmentSpec) -> None:
        self._reach()
        known = self._environments.get(spec.key)
        if known is not None and known.state is not EnvironmentState.FAILED:
            return
        self.builds.append(spec)
        self._building[spec.key] = spec
        self._environments[spec.key] = ObservedEnvironment(spec.key, EnvironmentState.BUILDING)
        if not self.holding_builds:
            self._finish_builds()
        self.changed()

    async def start_replica(self, spec: ReplicaSpec) -> None:
        self._reach()
        if spec.id in self._replicas:
            return
        self.specs[spec.id] = spec
        starting = ObservedReplica(spec.id, ObservedState.STARTING, slots=spec.slots, log_path=f"/logs/{spec.id}.log")
        self._replicas[spec.id] = starting
        environment = self._environments.get(spec.environment_key)
        if environment is None or environment.state is not EnvironmentState.READY:
            self._fail(spec.id, f"its environment {spec.environment_key} is not ready")
        elif not self.holding_loads:
            self._finish_load(spec.id)
        self.changed()

    async def stop_replica(self, replica_id: str, *, drain: bool) -> None:
        self._reach()
        known = self._replicas.get(replica_id)
        if known is None:
            return
        if drain and self.holding_drains and known.state in (ObservedState.READY, ObservedState.DRAINING):
            self._replicas[replica_id] = replace(known, state=ObservedState.DRAINING)
        else:
            del self._replicas[replica_id]
        self.changed()

    async def observe(self) -> Observation:
        self._reach()
        return Observation(dict(self._environments), dict(self._replicas))

    async def retain(self, environment_keys: frozenset[str]) -> None:
        self._reach()
        self.retained = environment_keys

    def release(self) -> None:
        """Lets held builds, loads and drains finish, and holds no more."""
        self.holding_builds = self.holding_loads = self.holding_drains = False
        self._finish_builds()
        for replica in list(self._replicas.values()):
            if replica.state is ObservedState.STARTING:
                self._finish_load(replica.id)
            elif replica.state is ObservedState.DRAINING:
                del self._replicas[replica.id]
        self.changed()

    def kill(self, replica_id: str, message: str = "killed by SIGKILL") -> None:
        """The replica dies."""
        self._fail(replica_id, message)
        self.changed()

    def lose(self, replica_id: str) -> None:
        """The replica is gone without a trace, as after a restart of the machine."""
        del self._replicas[replica_id]
        self.changed()

    def _reach(self) -> None:
        if self.unreachable:
            raise RuntimeUnreachable("the fake agent is away")

    def _finish_builds(self) -> None:
        for key, spec in self._building.items():
            error = next(
                (self.build_errors[name] for name in (key, *spec.requirements) if name in self.build_errors), ""
            )
            lock = spec.lock or "".join(f"{line}\n" for line in spec.requirements)
            self._environments[key] = (
                ObservedEnvironment(key, EnvironmentState.FAILED, message=error)
                if error
                else ObservedEnvironment(key, EnvironmentState.READY, lock=lock)
            )
        self._building.clear()

    def _finish_load(self, replica_id: str) -> None:
        error = self.load_errors.get(self.specs[replica_id].model_path)
        if error is not None:
            self._fail(replica_id, error)
            return
        self._replicas[replica_id] = replace(
            self._replicas[replica_id],
            state=ObservedState.READY,
            address=f"unix:/run/{replica_id}/worker.sock",
            how="fork",
            pid=4242,
        )

    def _fail(self, replica_id: str, message: str) -> None:
        failed = replace(self._replicas[replica_id], state=ObservedState.FAILED, message=message, address="")
        self._replicas[replica_id] = failed
