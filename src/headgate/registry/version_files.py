"""Files of model versions: uploaded into staging, sealed, verified, published, read. Called by the API families and `models.Registry`.

A version's folder moves `.staging/<id>` → `.sealed/<id>` → `<catalog>/<schema>/<model>/<version>`, each step one rename; only then
does the row say READY. Whatever dies in between, a repeated `finalize` or `recover` goes on from where the folder is.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from headgate import errors
from headgate.clock import Clock
from headgate.domain.registered_model import SEALED, STAGING, ModelName, ModelVersion, VersionStatus
from headgate.registry import mlmodel
from headgate.registry.storage import Entry, Storage, Writing, checked_path
from headgate.store.model_versions import ModelVersions
from headgate.store.models import Models

logger = logging.getLogger(__name__)

UPLOAD_RETENTION_MS = 24 * 3600 * 1000
_LOST = "The upload was not completed. Register the model again."


class VersionFiles:
    """Operations on files; all block."""

    def __init__(self, models: Models, versions: ModelVersions, storage: Storage, clock: Clock) -> None:
        self._models = models
        self._versions = versions
        self._storage = storage
        self._clock = clock

    # -- uploading -----------------------------------------------------------------------------------------------

    def writable(self, name: ModelName, version: int) -> ModelVersion:
        """The version, if files may be uploaded to it. Raises InvalidState once it is finalized."""
        found = self._versions.get(name, version)
        if found.status is not VersionStatus.PENDING:
            raise _sealed(found)
        return found

    def upload(self, name: ModelName, version: int, path: str) -> FileUpload:
        """Begins a file of a version that is not finalized yet."""
        found = self.writable(name, version)
        try:
            return FileUpload(found, path, self._storage.write(found.staging, checked_path(path)))
        except FileNotFoundError as error:
            raise _sealed(found) from error

    def remove(self, name: ModelName, version: int, path: str) -> None:
        """Deletes an uploaded file of a version that is not finalized yet. Raises NotFound, InvalidState."""
        found = self.writable(name, version)
        try:
            self._storage.remove(found.staging, checked_path(path))
        except FileNotFoundError as error:
            raise _absent(found, path) from error

    # -- reading: only what is published -------------------------------------------------------------------------

    def stat(self, name: ModelName, version: int, path: str = "") -> Entry:
        """A file or folder. Raises NotFound, ResourceDoesNotExist, InvalidState."""
        found = self.readable(name, version)
        try:
            return self._storage.stat(found.location, checked_path(path) if path else "")
        except FileNotFoundError as error:
            raise _absent(found, path) from error

    def entries(self, name: ModelName, version: int, folder: str = "") -> list[Entry]:
        """What is directly in a folder. Raises NotFound when it is a file or absent."""
        found = self.readable(name, version)
        try:
            return self._storage.entries(found.location, checked_path(folder) if folder else "")
        except FileNotFoundError as error:
            raise _absent(found, folder, "directory") from error

    def read(self, place: tuple[ModelName, int, str], start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Bytes of the file (name, version, path). Raises NotFound."""
        name, version, path = place
        found = self.readable(name, version)
        try:
            return self._storage.read(found.location, checked_path(path), start, length)
        except FileNotFoundError as error:
            raise _absent(found, path) from error

    def text(self, version: ModelVersion, path: str, limit_bytes: int) -> str | None:
        """A small text file of a readable version; None when there is none. Raises InvalidParameterValue."""
        return self._text(version.location, checked_path(path), limit_bytes)

    def readable(self, name: ModelName, version: int) -> ModelVersion:
        """The version, if it is READY. Raises ResourceDoesNotExist, InvalidState."""
        found = self._versions.get(name, version)
        if found.status is VersionStatus.READY:
            return found
        reason = f": {found.status_message}" if found.status_message else ""
        raise errors.InvalidState(f"{found.title} is not READY but {found.status.value}{reason}")

    # -- publishing ----------------------------------------------------------------------------------------------

    def finalize(self, name: ModelName, version: int) -> ModelVersion:
        """Verifies and publishes what was uploaded. Repeating it is no error.

        Raises InvalidParameterValue, and the version has FAILED, when it is no MLflow model with a full signature.
        """
        found = self._versions.get(name, version)
        if found.status is VersionStatus.READY:
            return found
        if found.status is VersionStatus.FAILED:
            raise errors.InvalidState(f"{found.title} has failed: {found.status_message} Register the model again.")
        self._publish(found)
        if not self._settle(found, VersionStatus.READY):
            self._clean_after_deletion(found)
        return self._versions.get(name, version)

    def _publish(self, version: ModelVersion) -> None:
        """Sealed, the content no longer changes: what rivals find is what we find, and an invalid model is never published."""
        problem = _LOST
        try:
            self._storage.move(version.staging, version.sealed)
            problem = self._problem(version)
            if not problem:
                self._storage.move(version.sealed, version.location)
        except FileNotFoundError:
            pass
        if self._is_published(version):
            return
        if self._settle(version, VersionStatus.FAILED, problem or _LOST):
            self._storage.delete(version.sealed)
        failed = self._versions.get(version.name, version.version)
        raise errors.InvalidParameterValue(failed.status_message or _LOST)

    def _problem(self, version: ModelVersion) -> str:
        try:
            mlmodel.check(self._text(version.sealed, mlmodel.FILE_NAME, mlmodel.MAX_BYTES))
        except errors.InvalidParameterValue as error:
            return error.message
        return ""

    def _text(self, location: str, path: str, limit_bytes: int) -> str | None:
        try:
            size = self._storage.stat(location, path).size_bytes
            if size > limit_bytes:
                raise errors.InvalidParameterValue(f"The file {path} has {size} bytes; at most {limit_bytes} are read.")
            return b"".join(self._storage.read(location, path)).decode()
        except FileNotFoundError:
            return None
        except UnicodeDecodeError as error:
            raise errors.InvalidParameterValue(f"The file {path} is not UTF-8 text.") from error

    def _settle(self, version: ModelVersion, status: VersionStatus, message: str = "") -> bool:
        return self._versions.settle(version, status, message, self._clock.now_ms())

    def _clean_after_deletion(self, version: ModelVersion) -> None:
        """Publishing lost a race: to a rival `finalize`, fine, or to a deletion, which could not see these files."""
        try:
            self._versions.get(version.name, version.version)
        except errors.ResourceDoesNotExist:
            self._storage.delete(version.location)
            raise

    def _is_published(self, version: ModelVersion) -> bool:
        try:
            self._storage.stat(version.location)
        except FileNotFoundError:
            return False
        return True

    # -- deletion and recovery -----------------------------------------------------------------------------------

    def delete(self, locations: list[str]) -> None:
        """Files of versions whose rows are gone; what is interrupted here is done by the next `recover`."""
        for location in locations:
            self._storage.delete(location)
            self._models.strike_out(location)

    def recover(self) -> None:
        """Ends what a dead process began. Safe while other processes work."""
        self.delete(self._models.deleted_files())
        before_ms = self._clock.now_ms() - UPLOAD_RETENTION_MS
        pending = self._versions.pending()
        for version in pending:
            self._recover(version, before_ms)
        known = {version.upload_id for version in pending}
        for area in (STAGING, SEALED):
            self._sweep(area, known, before_ms)
        self._storage.sweep(before_ms)

    def _recover(self, version: ModelVersion, before_ms: int) -> None:
        # In the order in which the folder moves: one that moves meanwhile is seen at the next place.
        for location in (version.staging, version.sealed):
            try:
                if self._storage.stat(location).modified_at_ms >= before_ms:
                    return  # its client may still go on
            except FileNotFoundError:
                continue
        if self._is_published(version):
            done = self._settle(version, VersionStatus.READY)
        else:
            done = self._settle(version, VersionStatus.FAILED, _LOST)
        if done:
            logger.info("recovered %s", version.title)
            for location in (version.staging, version.sealed):
                self._storage.delete(location)

    def _sweep(self, area: str, known: set[str], before_ms: int) -> None:
        try:
            entries = self._storage.entries(area)
        except FileNotFoundError:
            return
        for entry in entries:
            if entry.path not in known and entry.modified_at_ms < before_ms:
                self._storage.delete(f"{area}/{entry.path}")


class FileUpload:
    """A file on its way into a version; each call blocks. Ends with `commit` or `abort`."""

    def __init__(self, version: ModelVersion, path: str, writing: Writing) -> None:
        self._version = version
        self._path = path
        self._writing = writing

    def write(self, data: bytes) -> None:
        """Appends."""
        self._writing.write(data)

    def commit(self) -> None:
        """The file is there, whole. Raises InvalidState when the version was finalized or deleted meanwhile."""
        try:
            self._writing.commit()
        except FileNotFoundError as error:
            raise _sealed(self._version) from error
        except FileExistsError as error:
            raise errors.InvalidParameterValue(
                f"{self._path} cannot be a file of {self._version.title}: a folder is there, or a part of it is a file."
            ) from error

    def abort(self) -> None:
        """Nothing of it stays."""
        self._writing.abort()


def _sealed(version: ModelVersion) -> errors.InvalidState:
    return errors.InvalidState(
        f"Files of {version.title} cannot be changed: its upload has ended. Register the model again to make a new version."
    )


def _absent(version: ModelVersion, path: str, kind: str = "file") -> errors.NotFound:
    return errors.NotFound(f"There is no {kind} {path!r} in {version.title}.")
