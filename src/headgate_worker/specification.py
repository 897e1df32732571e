"""What a worker is told at its start. Written by the agent (`spec.json`) or sent to a zygote; read by `worker` and its parts.

Unknown keys are ignored, so that an older guest understands a newer agent.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Dict, Mapping, Optional, Tuple


@dataclass(frozen=True)
class WorkerSpec:
    """One replica to be."""

    replica: str
    socket_path: str
    """Where it listens."""
    status_path: str
    """Where it writes what it is; see `status`."""
    log_path: str
    model_path: str
    """Folder that holds `MLmodel`."""
    model_name: str = ""
    model_version: str = ""
    endpoint_name: str = ""
    entity_name: str = ""
    slots: int = 1
    """Requests it executes at once."""
    environment_vars: Mapping[str, str] = field(default_factory=dict)
    secret_vars: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Environment variables that hold secrets: told through memory only, never in a file."""
    memory_bytes: int = 0
    """Its memory limit; the agent enforces it. 0 for none."""
    log_bytes: int = 0
    """Size at which the log is rotated; 0 for never."""
    lifeline_fd: Optional[int] = None
    """Inherited read end of a pipe; at its end of file the process ends."""
    notify_socket: Optional[str] = None
    """Datagram socket that gets the replica's id whenever the status changes."""
    execution_limit_s: float = 597.0
    """For requests that name no deadline."""
    batch_requests: int = 64
    """Most requests answered by one prediction, where joining them is proven to change nothing."""
    batch_rows: int = 1024
    """Most rows of such a prediction; a request of more is predicted alone."""
    checked_fraction: float = 0.001
    """Of the requests answered by a library's own predict, how many are answered by MLflow too and compared."""
    user_code_dirs: Tuple[str, ...] = ()
    """Folders of the user's own modules, never reported as the environment's."""
    wants_modules: bool = True
    """Whether to report the environment's modules after the first prediction, which takes a while."""
    phases_ms: Mapping[str, float] = field(default_factory=dict)
    """What its start took before this process began to load: phase -> milliseconds."""

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> WorkerSpec:
        """Raises KeyError naming a key that is missing."""
        for required in ("replica", "socket_path", "status_path", "log_path", "model_path"):
            if not told.get(required):
                raise KeyError(f"the worker's specification lacks {required!r}")
        known: Dict[str, Any] = {each.name: told[each.name] for each in fields(cls) if told.get(each.name) is not None}
        for name in ("slots", "batch_requests", "batch_rows"):
            known[name] = max(1, int(known.get(name, getattr(cls, name))))
        known["user_code_dirs"] = tuple(known.get("user_code_dirs", ()))
        return cls(**known)
