"""What Python environment a model asks for. Pure: text of the model's files in, requirements out."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EnvironmentSpec:
    """One environment to have. Models with equal content share one."""

    python_version: str
    """As the model says, e.g. `3.11.7`; empty when it says nothing."""
    requirements: tuple[str, ...]
    """Lines of pip requirements, comments and blanks removed, `-r`/`-c` files inlined."""
    model_path: str = ""
    """Model folder, needed only when a requirement is a path inside it (then part of `key`)."""
    lock: str = ""
    """Pinned requirements of an earlier build; when given they are installed instead."""

    @property
    def key(self) -> str:
        """Content hash, 16 hex digits; the same for equal content."""
        content = [self.python_version, sorted(self.requirements), self.model_path, self.lock]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """What the registry knows of a model version that serving needs."""

    full_name: str
    version: str
    path: str
    """Folder with the `MLmodel` file on this machine."""
    environment: EnvironmentSpec
    flavors: tuple[str, ...]
    """Names in the MLmodel file, e.g. `("python_function", "sklearn")`."""
    signature: str
    """MLmodel's `signature` mapping as JSON text (`{"inputs": "[...]", "outputs": ..., "params": ...}`); empty when none."""
    task: str = ""
    """MLmodel metadata `task`, e.g. `llm/v1/chat`."""
    io_bound: bool = False
    """Agents and the like: threads in one process instead of processes."""
