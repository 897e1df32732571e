"""Artifacts of runs, logged models and traces in the storage: one location per experiment. Called by the artifact families.

Nothing here knows MLflow's tables: who may use tracking may use every artifact, as with the runs themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from headgate import errors
from headgate.registry.storage import Entry, Storage, Writing
from headgate.tracking.locations import Artifact


@dataclass(frozen=True, slots=True)
class ArtifactStore:
    """Methods block: call them in threads. An artifact that is absent raises NotFound."""

    storage: Storage

    def begin(self, file: Artifact) -> Writing:
        """A file on its way; nothing of it is seen before it is committed."""
        if not file.path:
            raise errors.InvalidParameterValue("An experiment's folder is not a file.")
        try:
            return _Upload(self.storage.write(file.experiment_id, file.path), file)
        except FileNotFoundError:
            self.storage.create(file.experiment_id)
            return _Upload(self.storage.write(file.experiment_id, file.path), file)

    def file(self, file: Artifact) -> Entry:
        """What is known of a file."""
        found = self._stat(file)
        if found.is_folder:
            raise errors.NotFound(f"Artifact {file.path} is a directory, not a file.")
        return found

    def read(self, file: Artifact, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Part of a file, piece by piece."""
        try:
            return self.storage.read(file.experiment_id, file.path, start, length)
        except FileNotFoundError as error:
            raise _absent(file) from error

    def entries(self, folder: Artifact) -> list[Entry]:
        """What is directly in a folder, by name."""
        try:
            return self.storage.entries(folder.experiment_id, folder.path)
        except FileNotFoundError as error:
            raise _absent(folder) from error

    def remove(self, artifact: Artifact) -> None:
        """Deletes a file, or a folder with everything in it."""
        if self._stat(artifact).is_folder:
            for entry in self.entries(artifact):
                self.remove(Artifact(artifact.experiment_id, entry.path))
            return
        try:
            self.storage.remove(artifact.experiment_id, artifact.path)
        except FileNotFoundError as error:
            raise _absent(artifact) from error

    def _stat(self, artifact: Artifact) -> Entry:
        try:
            return self.storage.stat(artifact.experiment_id, artifact.path)
        except FileNotFoundError as error:
            raise _absent(artifact) from error


@dataclass(frozen=True, slots=True)
class _Upload:
    writing: Writing
    file: Artifact

    def write(self, data: bytes) -> None:
        self.writing.write(data)

    def commit(self) -> None:
        try:
            self.writing.commit()
        except FileExistsError as error:
            raise errors.InvalidParameterValue(
                f"{self.file.path} cannot be an artifact: a folder is there, or a part of it is a file."
            ) from error

    def abort(self) -> None:
        self.writing.abort()


def _absent(artifact: Artifact) -> errors.NotFound:
    return errors.NotFound(f"Artifact {artifact.path or artifact.experiment_id} does not exist.")
