"""Model files on the local disk. The only file of this room that touches the file system; passes the contract of `storage`."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from headgate.registry.storage import PIECE_BYTES, Entry

# Both on the file system of the locations, so that everything appears and disappears by renaming.
_PARTIAL = ".partial"
_TRASH = ".trash"


class LocalDisk:
    """Storage in the folder `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        for folder in (_PARTIAL, _TRASH):
            (root / folder).mkdir(parents=True, exist_ok=True)

    def create(self, location: str) -> None:
        folder = self._root / location
        _make_folders(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)

    def write(self, location: str, path: str) -> LocalWriting:
        home = self._root / location
        if not home.is_dir():
            raise FileNotFoundError(location)
        return LocalWriting(self._root / _PARTIAL / uuid.uuid4().hex, home, path)

    def read(self, location: str, path: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        try:
            file = (self._root / location / path).open("rb")
        except (IsADirectoryError, NotADirectoryError) as error:
            raise FileNotFoundError(path) from error
        pieces = _pieces(file, start, length)
        next(pieces)  # it is inside its `with` now: dropping it, read or not, closes the file
        return pieces

    def stat(self, location: str, path: str = "") -> Entry:
        return _entry(self._root / location, self._root / location / path)

    def entries(self, location: str, folder: str = "") -> list[Entry]:
        home = self._root / location
        try:
            names = sorted(os.listdir(home / folder))
        except NotADirectoryError as error:
            raise FileNotFoundError(folder) from error
        found = []
        for name in names:
            try:
                found.append(_entry(home, home / folder / name))
            except FileNotFoundError:
                continue  # moved away since it was listed
        return found

    def remove(self, location: str, path: str) -> None:
        try:
            (self._root / location / path).unlink()
        except (IsADirectoryError, NotADirectoryError, PermissionError) as error:
            raise FileNotFoundError(path) from error

    def move(self, source: str, target: str) -> None:
        old, new = self._root / source, self._root / target
        if not old.is_dir():
            if new.is_dir():
                return
            raise FileNotFoundError(source)
        for folder, _, _ in os.walk(old):
            _sync_folder(Path(folder))
        _make_folders(new.parent)
        try:
            old.rename(new)
        except FileNotFoundError:
            if not new.is_dir():  # else a rival moved it first
                raise
        except OSError as error:
            raise FileExistsError(target) from error
        _sync_folder(new.parent)
        _sync_folder(old.parent)

    def delete(self, location: str) -> None:
        grave = self._root / _TRASH / uuid.uuid4().hex
        try:
            (self._root / location).rename(grave)
        except FileNotFoundError:
            return
        _sync_folder((self._root / location).parent)
        shutil.rmtree(grave, ignore_errors=True)

    def local_path(self, location: str) -> Path:
        return self._root / location

    def place(self, location: str) -> Path:
        return self.local_path(location)

    def sweep(self, before_ms: int) -> None:
        for grave in (self._root / _TRASH).iterdir():
            shutil.rmtree(grave, ignore_errors=True)
        for entry in self.entries(_PARTIAL):
            if entry.modified_at_ms < before_ms:
                (self._root / _PARTIAL / entry.path).unlink(missing_ok=True)


class LocalWriting:
    """A file written aside and renamed into place."""

    def __init__(self, draft: Path, home: Path, path: str) -> None:
        self._draft = draft
        self._home = home
        self._target = home / path
        self._file: BinaryIO = draft.open("xb", buffering=0)

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) or 0 :]

    def commit(self) -> None:
        os.fsync(self._file.fileno())
        self._file.close()
        try:
            _make_folders_below(self._home, self._target.parent)
            self._draft.rename(self._target)
        except (IsADirectoryError, NotADirectoryError) as error:
            raise FileExistsError(str(self._target)) from error
        finally:
            self._draft.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):  # moved away just now, with this file in it
            _sync_folder(self._target.parent)
            os.utime(self._home)

    def abort(self) -> None:
        self._file.close()
        self._draft.unlink(missing_ok=True)


def _pieces(file: BinaryIO, start: int, length: int | None) -> Iterator[bytes]:
    with file:
        yield b""
        file.seek(start)
        left = length
        while left is None or left > 0:
            piece = file.read(PIECE_BYTES if left is None else min(PIECE_BYTES, left))
            if not piece:
                return
            if left is not None:
                left -= len(piece)
            yield piece


def _entry(home: Path, path: Path) -> Entry:
    try:
        found = path.stat()
    except NotADirectoryError as error:
        raise FileNotFoundError(str(path)) from error
    relative = "" if path == home else path.relative_to(home).as_posix()
    folder = path.is_dir()
    return Entry(relative, folder, 0 if folder else found.st_size, found.st_mtime_ns // 1_000_000)


def _make_folders(folder: Path) -> None:
    """Makes folders, each entry durable in its parent."""
    if not folder.is_dir():
        _make_folders(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)


def _make_folders_below(home: Path, folder: Path) -> None:
    """Makes folders one by one, never `home` itself: once it was moved away, nothing may appear in its place."""
    if folder == home:
        return
    _make_folders_below(home, folder.parent)
    try:
        folder.mkdir()
    except FileExistsError:
        if not folder.is_dir():
            raise
    else:
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return  # moved away by a rival, who sees to it
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
