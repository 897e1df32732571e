"""The port between control and whatever runs replicas on a machine.

Level-triggered: every verb may be repeated, returns at once and is idempotent by key or id; what came of it is seen in
`observe()`. Adapters: `replicas.client.AgentClient` (the agent process, over its socket) and the fake of the tests; both
pass `tests/contract/test_runtime.py`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from headgate.domain.environment import EnvironmentSpec


class EnvironmentState(str, enum.Enum):
    BUILDING = "BUILDING"
    READY = "READY"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class ObservedEnvironment:
    """An environment on the machine."""

    key: str
    state: EnvironmentState
    message: str = ""
    """Why it failed and what to do."""
    lock: str = ""
    """Exact versions that were installed (`name==version` lines), once READY."""


@dataclass(frozen=True, slots=True)
class ReplicaSpec:
    """A replica to have."""

    id: str
    endpoint_id: str
    endpoint_name: str
    entity_name: str
    """Served entity's name."""
    deployment_key: str
    environment_key: str
    model_path: str
    model_name: str
    model_version: str
    slots: int
    """Requests it executes at once (threads)."""
    environment_vars: Mapping[str, str] = field(default_factory=dict)
    """As the config has them, references to secrets included."""
    secret_versions: Mapping[str, str] = field(default_factory=dict)
    """Which secrets those were when the config was written, see `domain.endpoint`."""
    secret_vars: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Over those: the variables whose values are secret. They travel through memory only: never into a file, a log or a command line.
    Replicas of one deployment should have the same, since a warmed process serves those with equal ones."""
    memory_bytes: int = 0
    """Limit; 0 for none."""
    cpu_cores: float = 0.0
    """Limit; 0 for none."""

    @property
    def plain_vars(self) -> dict[str, str]:
        """The variables that are no secret."""
        return {name: value for name, value in self.environment_vars.items() if name not in self.secret_vars}


class ObservedState(str, enum.Enum):
    STARTING = "STARTING"
    READY = "READY"
    DRAINING = "DRAINING"
    FAILED = "FAILED"
    """Did not load, or died. `message` says why. Reported until `stop_replica` acknowledges it."""


@dataclass(frozen=True, slots=True)
class ObservedReplica:
    """A replica on the machine. One that is not in `observe()` does not exist."""

    id: str
    state: ObservedState
    address: str = ""
    """`unix:/path`, once READY."""
    slots: int = 1
    how: str = ""
    """`fork`, or `exec: <why not fork>`."""
    message: str = ""
    """Why it failed, then the last log lines. The first line begins with `killed` or `ended` when the model gave no reason itself."""
    pid: int = 0
    log_path: str = ""
    phases_ms: Mapping[str, float] = field(default_factory=dict)
    """What its start was spent on: `fork`, `import`, `load`, `first_predict`."""


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything on the machine at one moment."""

    environments: Mapping[str, ObservedEnvironment]
    replicas: Mapping[str, ObservedReplica]


class Runtime(Protocol):
    """Prepares environments and keeps replicas. Raises `RuntimeUnreachable` when its process is away."""

    async def ensure_environment(self, spec: EnvironmentSpec) -> None:
        """Starts building it unless it exists or is being built. A FAILED one is built again."""

    async def start_replica(self, spec: ReplicaSpec) -> None:
        """Starts it unless that id exists. Its environment must be READY."""

    async def stop_replica(self, replica_id: str, *, drain: bool) -> None:
        """Ends it: `drain` lets it finish what it has (it turns DRAINING and is gone once done or after the drain deadline). Forgets a FAILED one."""

    async def observe(self) -> Observation:
        """What is."""

    async def retain(self, environment_keys: frozenset[str]) -> None:
        """These environments are in use; others may be deleted after the retention time."""


class RuntimeUnreachable(Exception):
    """The agent does not answer. Nothing is known; living replicas go on serving."""
