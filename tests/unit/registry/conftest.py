"""A registry on real parts (SQLite, a temporary folder) with a clock moved by hand."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from headgate import errors
from headgate.domain.registered_model import Author, VersionOrigin
from headgate.registry.local_disk import LocalDisk
from headgate.registry.models import NewModel, Registry
from headgate.registry.storage import Storage
from headgate.store import registry_tables, tables
from headgate.store.database import Database

assert registry_tables

NAME = "main.default.churn"
ANN = Author("7", "ann")
MLMODEL = b"""
flavors:
  python_function: {loader_module: mlflow.sklearn, python_version: 3.11.0, env: {virtualenv: python_env.yaml}}
  sklearn: {}
signature: {inputs: '[{"type": "double", "name": "x"}]', outputs: '[{"type": "long"}]', params: null}
"""
FILES = {
    "MLmodel": MLMODEL,
    "python_env.yaml": b"python: 3.11.0\ndependencies: ['-r requirements.txt']\n",
    "requirements.txt": b"mlflow==3.1.0\nscikit-learn==1.5.0\n",
    "data/model.pkl": b"weights",
}


@dataclass
class HandClock:
    """Moves when told to. Begins in the past: files, whose times are the machine's, are young."""

    ms: int = 1_700_000_000_000

    def now_ms(self) -> int:
        return self.ms

    def monotonic_s(self) -> float:
        return self.ms / 1000


@dataclass
class Room:
    """A registry and what it is made of."""

    folder: Path
    database: Database
    clock: HandClock = field(default_factory=HandClock)

    def registry(self, storage: Storage | None = None) -> Registry:
        """A new one on what is stored, as a new process makes it."""
        return Registry(self.database, storage or self.storage(), self.clock)

    def storage(self) -> LocalDisk:
        return LocalDisk(self.folder / "models")

    def begun(self, files: dict[str, bytes] | None = None) -> str:
        """A version with these files uploaded, not finalized; its number."""
        registry = self.registry()
        with contextlib.suppress(errors.ResourceAlreadyExists):
            registry.create_model(NewModel(NAME, ANN, missing=("main", "main.default")))
        version = registry.create_version(NAME, ANN, VersionOrigin())
        for path, content in (FILES if files is None else files).items():
            upload = registry.files.upload(version.name, version.version, path)
            upload.write(content)
            upload.commit()
        return str(version.version)

    def ready(self) -> str:
        """A READY version; its number."""
        number = self.begun()
        self.registry().finalize_version(NAME, number)
        return number

    def content(self, number: str) -> dict[str, bytes]:
        """All files of a READY version."""
        registry = self.registry()
        version = registry.version(NAME, number)
        found: dict[str, bytes] = {}
        folders = [""]
        while folders:
            for entry in registry.files.entries(version.name, version.version, folders.pop()):
                if entry.is_folder:
                    folders.append(entry.path)
                else:
                    pieces = registry.files.read((version.name, version.version, entry.path))
                    found[entry.path] = b"".join(pieces)
        return found

    def files_on_disk(self) -> list[str]:
        models = self.folder / "models"
        return sorted(path.relative_to(models).as_posix() for path in models.rglob("*") if path.is_file())


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    database = Database(f"sqlite:///{tmp_path}/registry.db")
    tables.metadata.create_all(database.engine)
    yield Room(tmp_path, database)
    database.close()
