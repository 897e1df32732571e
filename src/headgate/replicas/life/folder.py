"""A replica's folder `run_dir/replicas/<id>/`: what the agent tells the worker, what the worker tells back, what a new agent
needs to adopt it. Owner-only, since the specification holds the endpoint's environment variables; deleted with the replica.
Nothing secret is written here."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from headgate.replicas.agent_config import AgentConfig
from headgate.replicas.runtime import ReplicaSpec


@dataclass(frozen=True, slots=True)
class Status:
    """What a worker says about itself (status.json)."""

    pid: int
    start_ticks: int
    state: str
    message: str = ""
    phases_ms: Mapping[str, float] = field(default_factory=dict)
    modules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """What an agent leaves for its successor (record.json)."""

    spec: ReplicaSpec
    """Without secrets."""
    house: str
    how: str
    pid: int
    start_ticks: int
    lacks_secrets: bool = False
    """Its process was given some, which are known to nobody else."""


@dataclass(slots=True)
class ReplicaFolder:
    """The files of one replica."""

    path: Path
    _seen: tuple[int, int, int] = (0, 0, 0)
    """Inode, time and size of the status read last."""

    @property
    def socket(self) -> Path:
        return self.path / "worker.sock"

    @property
    def specification(self) -> Path:
        return self.path / "spec.json"

    @property
    def status(self) -> Path:
        return self.path / "status.json"

    def write_specification(self, specification: Mapping[str, Any]) -> None:
        """Makes the folder, with what the worker is to do."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.status.unlink(missing_ok=True)
        self.socket.unlink(missing_ok=True)
        _write(self.specification, specification)

    def write_record(self, record: Record) -> None:
        """Notes who runs here."""
        spec = dataclasses.replace(record.spec, secret_vars={})
        told = dataclasses.replace(record, spec=spec, lacks_secrets=bool(record.spec.secret_vars))
        _write(self.path / "record.json", asdict(told))

    def read_record(self) -> Record | None:
        """The note of an earlier agent; None when there is none that can be read."""
        told = _read(self.path / "record.json")
        try:
            return Record(**{**told, "spec": ReplicaSpec(**told["spec"])})
        except (KeyError, TypeError):
            return None

    def read_status(self, *, again: bool = False) -> Status | None:
        """The worker's status if it has changed since the last call (or `again`), else None."""
        try:
            stat = self.status.stat()
        except OSError:
            return None
        seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if seen == self._seen and not again:
            return None
        told = _read(self.status)
        try:
            status = Status(
                pid=int(told["pid"]),
                start_ticks=int(told["start_ticks"]),
                state=str(told["state"]),
                message=str(told.get("message") or ""),
                phases_ms={str(name): float(value) for name, value in dict(told.get("phases_ms") or {}).items()},
                modules=tuple(str(name) for name in told.get("modules") or ()),
            )
        except (KeyError, TypeError, ValueError):
            return None
        self._seen = seen
        return status

    def delete(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


def specification(config: AgentConfig, spec: ReplicaSpec, folder: ReplicaFolder) -> dict[str, Any]:
    """What the worker is told, without secrets: it is written down."""
    return {
        "replica": spec.id,
        "socket_path": str(folder.socket),
        "status_path": str(folder.status),
        "log_path": str(config.service_log(spec.endpoint_id, spec.entity_name, spec.id)),
        "model_path": spec.model_path,
        "model_name": spec.model_name,
        "model_version": spec.model_version,
        "endpoint_name": spec.endpoint_name,
        "entity_name": spec.entity_name,
        "slots": spec.slots,
        "environment_vars": spec.plain_vars,
        "memory_bytes": spec.memory_bytes,
        "log_bytes": config.replicas.log_bytes,
        "lifeline_fd": config.lifeline_fd,
        "notify_socket": str(config.notify_path),
        "execution_limit_s": config.execution_s,
        "batch_requests": config.replicas.batch_requests,
        "batch_rows": config.replicas.batch_rows,
        "checked_fraction": config.replicas.checked_fraction,
    }


def _write(path: Path, value: Any) -> None:
    temporary = path.with_suffix(".tmp")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(value, file)
    temporary.replace(path)


def _read(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}
