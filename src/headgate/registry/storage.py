"""The port to where files lie. Adapters: `local_disk`, `object_storage`; each passes `tests/contract/registry/test_storage.py`.

A *location* is a folder of files that belong together (`main/default/churn/3`, `.staging/<upload id>`); a *path* names a file in
it, relative, checked with `checked_path`. Absence is FileNotFoundError, a file where a folder is needed (or the other way round) is
FileExistsError, other trouble any OSError; `StorageUnavailable` when it may be over soon.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from headgate import errors

MAX_PATH_BYTES = 3000
MAX_SEGMENT_BYTES = 255
PIECE_BYTES = 1024 * 1024
"""Files are read in pieces of at most this size."""


class StorageUnavailable(errors.TemporarilyUnavailable, OSError):
    """The storage is away, or refuses. Clients are told to try again."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder."""

    path: str
    """Relative to its location; empty for the location itself."""
    is_folder: bool
    size_bytes: int
    modified_at_ms: int


class Writing(Protocol):
    """A file on its way. Nothing of it is visible before `commit`."""

    def write(self, data: bytes) -> None:
        """Appends."""

    def commit(self) -> None:
        """Makes the whole file appear at once, durably, in place of an older one. FileNotFoundError when the location is gone."""

    def abort(self) -> None:
        """Forgets it. Does nothing after `commit`."""


class Storage(Protocol):
    """Verbs block; callers on an event loop use threads."""

    def create(self, location: str) -> None:
        """Makes an empty location to write to."""

    def write(self, location: str, path: str) -> Writing:
        """Begins a file. FileNotFoundError when there is no such location."""

    def read(self, location: str, path: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Part of a file, in pieces of bounded size. Errors come at once, not with the first piece."""

    def stat(self, location: str, path: str = "") -> Entry:
        """What is there. A location's own time is that of its newest file."""

    def entries(self, location: str, folder: str = "") -> list[Entry]:
        """What is directly in a folder, by name. FileNotFoundError when it is absent or a file."""

    def remove(self, location: str, path: str) -> None:
        """Deletes one file."""

    def move(self, source: str, target: str) -> None:
        """Renames a location atomically and durably; no write begun at `source` can then be committed. Repeating it is no error.

        What was moved is complete: an adapter may refuse to change its files (FileNotFoundError).
        """

    def delete(self, location: str) -> None:
        """Deletes a location with all files; none is no error."""

    def local_path(self, location: str) -> Path:
        """A folder on this machine with the location's files. May take as long as copying them."""

    def place(self, location: str) -> Path:
        """Which folder `local_path` would give, at once: whether the files are there already is another question."""

    def sweep(self, before_ms: int) -> None:
        """Removes what interrupted writes and deletions left behind before that time."""


def checked_path(path: str) -> str:
    """A file's path inside a location. Raises InvalidParameterValue."""
    segments = path.split("/")
    strange = any(
        part in ("", ".", "..") or len(part.encode(errors="replace")) > MAX_SEGMENT_BYTES for part in segments
    )
    if strange or any(char in path for char in "\0\\") or not path.isprintable() or len(path) > MAX_PATH_BYTES:
        raise errors.InvalidParameterValue(
            f"File path {path[:200]!r} is not valid: it must be relative, without '..', empty or overlong parts, "
            "backslashes or control characters."
        )
    return path
