"""What models say about themselves, remembered on this machine: a version's files never change, and the storage may be far or away.

Used by the API and by control where files do not lie on this machine's disk; on one machine both share the folder.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headgate.domain.environment import EnvironmentSpec, ModelDescription
from headgate.domain.registered_model import ModelName, ModelVersion, version_number

if TYPE_CHECKING:
    from headgate.registry.models import Registry

_FORM = 1
"""Changes when a description says more, or something else, of the same files."""


class Descriptions:
    """`describe` as the registry's, asked of the storage once per version."""

    def __init__(self, registry: Registry, folder: Path) -> None:
        self._registry = registry
        self._folder = folder

    def describe(self, entity_name: str, version: str) -> ModelDescription:
        """Raises ResourceDoesNotExist, InvalidState, InvalidParameterValue; StorageUnavailable when it must ask and cannot."""
        found = self._registry.files.readable(ModelName.parse(entity_name), version_number(version))
        file = self._folder / f"{_digest(found)}.json"
        try:
            return _unpacked(json.loads(file.read_text()))
        except (OSError, ValueError, TypeError, KeyError):
            made = self._registry.describe(entity_name, version)
        self._folder.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(f".{uuid.uuid4().hex}")
        draft.write_text(json.dumps(dataclasses.asdict(made)))
        os.replace(draft, file)
        return made


def _digest(version: ModelVersion) -> str:
    content = [_FORM, version.name.full, version.version, version.upload_id]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def _unpacked(tree: dict[str, Any]) -> ModelDescription:
    environment = EnvironmentSpec(**{**tree["environment"], "requirements": tuple(tree["environment"]["requirements"])})
    return ModelDescription(**{**tree, "environment": environment, "flavors": tuple(tree["flavors"])})
