"""How MLflow's server itself reads artifacts (its UI shows them): through the same storage as our routes. Runs in the child only.

It takes the place of every kind of artifact repository MLflow knows, so that no URI in a request makes the server open a
local file or call another host.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from mlflow.entities import FileInfo
from mlflow.store.artifact import artifact_repository_registry
from mlflow.store.artifact.artifact_repo import ArtifactRepository

from headgate.tracking import locations

_PIECE_BYTES = 1024**2


class Entry(Protocol):
    """A file or folder, as `registry.storage.Entry`."""

    @property
    def path(self) -> str: ...
    @property
    def is_folder(self) -> bool: ...
    @property
    def size_bytes(self) -> int: ...


class ArtifactFiles(Protocol):
    """The verbs of `registry.storage.Storage` that are needed here."""

    def read(self, location: str, path: str, start: int = 0, length: int | None = None) -> Iterator[bytes]: ...
    def entries(self, location: str, folder: str = "") -> list[Any]: ...
    def create(self, location: str) -> None: ...
    def write(self, location: str, path: str) -> Any: ...


def install(files: ArtifactFiles) -> None:
    """Makes ours the only repository. Call before the server is imported."""

    def build(artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None) -> StoredArtifacts:
        return StoredArtifacts(files, artifact_uri, tracking_uri, registry_uri)

    known = artifact_repository_registry._artifact_repository_registry
    known._registry.clear()
    known.register("dbfs", build)


class StoredArtifacts(ArtifactRepository):  # type: ignore[misc]
    """The artifacts of one run, model or trace."""

    def __init__(self, files: ArtifactFiles, uri: str, tracking_uri: str | None, registry_uri: str | None) -> None:
        super().__init__(uri, tracking_uri, registry_uri)
        self._files = files
        self._root = locations.of_uri(uri)

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        """Copies one file in."""
        target = self._root.below(posixpath.join(artifact_path or "", Path(local_file).name))
        self._files.create(target.experiment_id)
        writing = self._files.write(target.experiment_id, target.path)
        try:
            with open(local_file, "rb") as source:
                while piece := source.read(_PIECE_BYTES):
                    writing.write(piece)
            writing.commit()
        finally:
            writing.abort()

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:
        """Copies a folder's files in."""
        for path in sorted(Path(local_dir).rglob("*")):
            if path.is_file():
                folder = path.parent.relative_to(local_dir).as_posix()
                self.log_artifact(str(path), posixpath.normpath(posixpath.join(artifact_path or "", folder)))

    def list_artifacts(self, path: str | None = None) -> list[FileInfo]:
        """What is directly in a folder; nothing for a file."""
        folder = self._root.below(path or "")
        try:
            found = self._files.entries(folder.experiment_id, folder.path)
        except FileNotFoundError:
            return []
        return [_info(entry, self._root.path) for entry in found]

    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        source = self._root.below(remote_file_path)
        with open(local_path, "wb") as target:
            for piece in self._files.read(source.experiment_id, source.path):
                target.write(piece)


def _info(entry: Entry, root: str) -> FileInfo:
    return FileInfo(posixpath.relpath(entry.path, root), entry.is_folder, None if entry.is_folder else entry.size_bytes)


Build = Callable[..., ArtifactRepository]
