"""What the agent is told at its start, and where its things lie. Made by `app.py` from the settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import headgate_worker
from headgate.settings import EnvironmentSettings, ReplicaSettings, Settings


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """Everything the agent needs."""

    data_dir: Path
    run_dir: Path
    environ: Mapping[str, str] = field(repr=False)
    """The server's environment variables: builds see those that say how to reach packages, replicas only machine facts."""
    lifeline_fd: int | None = None
    """Read end of the lifeline pipe; None outside a house."""
    environments: EnvironmentSettings = field(default_factory=EnvironmentSettings)
    replicas: ReplicaSettings = field(default_factory=ReplicaSettings)
    execution_s: float = 597.0
    shutdown_s: float = 30.0
    ping_every_s: float = 5.0
    """How often a READY replica is asked how it is."""
    guest_source: Path = field(default=Path(headgate_worker.__file__).parent)
    """The package that runs inside models' environments."""
    silence_s: float = 60.0
    """A replica silent for this long that uses no CPU is dead."""
    stuck_s: float = 30.0
    """So is one whose slots have all been past their deadlines for this long."""

    @classmethod
    def from_settings(cls, settings: Settings, *, lifeline_fd: int | None, environ: Mapping[str, str]) -> AgentConfig:
        """From resolved settings."""
        assert settings.run_dir is not None
        return cls(
            data_dir=settings.data_dir,
            run_dir=settings.run_dir,
            environ=environ,
            lifeline_fd=lifeline_fd,
            environments=settings.environments,
            replicas=settings.replicas,
            execution_s=settings.limits.execution_s,
            shutdown_s=settings.limits.shutdown_s,
        )

    @property
    def socket_path(self) -> Path:
        return self.run_dir / "agent.sock"

    @property
    def notify_path(self) -> Path:
        return self.run_dir / "agent-notify.sock"

    @property
    def guest(self) -> Path:
        return self.run_dir / "guest"

    @property
    def replica_folders(self) -> Path:
        return self.run_dir / "replicas"

    @property
    def zygote_folders(self) -> Path:
        return self.run_dir / "zygotes"

    @property
    def pass_fds(self) -> tuple[int, ...]:
        return () if self.lifeline_fd is None else (self.lifeline_fd,)

    @property
    def house(self) -> str:
        """Names the running house by its lifeline, so that replicas of a dead one are told apart. Empty outside a house."""
        if self.lifeline_fd is None:
            return ""
        told = os.fstat(self.lifeline_fd)
        return f"{told.st_dev}:{told.st_ino}"

    def service_log(self, endpoint_id: str, entity_name: str, replica_id: str) -> Path:
        """Log file of a replica."""
        entity = entity_name.replace("/", "_")
        return self.data_dir / "logs" / "service" / endpoint_id / entity / f"{replica_id}.log"
