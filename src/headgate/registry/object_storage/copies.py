"""Copies of contents on this machine's disk, for replicas: fetched once, kept up to a size, never deleted while somebody holds one.

`<root>/<name>/` is whole if it exists: it is filled in `.partial/<name>/files`, where an interrupted fetch goes on, and renamed. `.held/<name>`
is locked by whoever uses it (shared) or fills or deletes it (alone), also between processes; it says how large the copy is.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from headgate.registry.object_storage.bucket import Bucket
from headgate.registry.object_storage.contents import Contents, File
from headgate.registry.storage import StorageUnavailable

logger = logging.getLogger(__name__)

_PARALLEL_FILES = 8
_ABANDONED_S = 86400.0
_LOCK_POLL_S = 0.05


class Stopped(OSError):
    """The fetch was told to stop."""


@dataclass(slots=True)
class Held:
    """A copy that stays as long as this is not released."""

    path: Path
    _handle: int

    def release(self) -> None:
        """Repeating it is no error."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


@dataclass(frozen=True, slots=True)
class _Partial:
    """A copy on its way."""

    folder: Path

    @property
    def files(self) -> Path:
        """Those that are whole."""
        return self.folder / "files"

    @property
    def drafts(self) -> Path:
        """Those that are not."""
        return self.folder / "drafts"

    def make(self) -> None:
        for folder in (self.files, self.drafts):
            folder.mkdir(parents=True, exist_ok=True)


class Copies:
    """The copies below one folder. Blocks; safe for several threads and processes."""

    def __init__(self, bucket: Bucket, root: Path, limit_bytes: int) -> None:
        self._bucket = bucket
        self._contents = Contents(bucket)
        self._root = root
        self._limit_bytes = limit_bytes

    def folder(self, content: str, digest: str = "") -> Path:
        """Where the copy of a content is, or will be. `digest`: of what an open one has at this moment."""
        return self._root / (f"{content}-{digest}" if digest else content)

    def is_copy(self, path: str) -> bool:
        """Whether that path is one of a copy."""
        return Path(path).parent == self._root

    def fetch(self, place: Path) -> None:
        """Makes the copy exist. FileNotFoundError when the content is gone, else OSError."""
        self.hold(place, threading.Event()).release()

    def hold(self, place: Path, stop: threading.Event, *, fetch: bool = True) -> Held:
        """As `fetch`; it stays until released. Raises Stopped soon after `stop` is set. `fetch`: False takes what there is."""
        for folder in (".partial", ".held"):
            (self._root / folder).mkdir(parents=True, exist_ok=True)
        while True:
            handle = self._locked(place.name, fcntl.LOCK_SH, stop)
            if place.is_dir() or not fetch:
                with contextlib.suppress(OSError):
                    os.utime(place)
                return Held(place, handle)
            os.close(handle)
            handle = self._locked(place.name, fcntl.LOCK_EX, stop)
            try:
                if not place.is_dir():
                    self._fill(place, handle, stop)
            finally:
                os.close(handle)

    # -- filling -------------------------------------------------------------------------------------------------

    def _fill(self, place: Path, handle: int, stop: threading.Event) -> None:
        content, _, digest = place.name.partition("-")
        files = self._contents.all(content) if digest else self._contents.manifest(content)
        if files is None:
            raise FileNotFoundError(errno.ENOENT, "the files are not in the object storage any more", place.name)
        size, began = sum(file.size_bytes for file in files), time.monotonic()
        self._make_room(place.name, size)
        partial = _Partial(self._root / ".partial" / place.name)
        partial.make()
        with ThreadPoolExecutor(_PARALLEL_FILES, "fetch") as pool:
            fetching = [pool.submit(self._fetch_file, content, file, partial, stop) for file in files]
            try:
                for one in fetching:
                    one.result()
            except BaseException:
                stop.set()
                for one in fetching:
                    one.cancel()
                raise
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(size).encode(), 0)
        for folder, _, _ in os.walk(partial.files):
            _sync_folder(folder)
        partial.files.rename(place)
        _sync_folder(self._root)
        shutil.rmtree(partial.folder, ignore_errors=True)
        logger.info("fetched %d files, %d bytes, in %.1f s: %s", len(files), size, time.monotonic() - began, place)

    def _fetch_file(self, content: str, file: File, partial: _Partial, stop: threading.Event) -> None:
        target = partial.files / file.path
        if target.exists() and target.stat().st_size == file.size_bytes:
            return  # an interrupted fetch had come so far
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = partial.drafts / str(threading.get_ident())
        with draft.open("wb") as out:
            for piece in self._pieces(content, file):
                if stop.is_set():
                    raise Stopped("the fetch was stopped")
                out.write(piece)
            out.flush()
            os.fsync(out.fileno())
            written = out.tell()
        if written != file.size_bytes:
            raise StorageUnavailable(
                f"The object storage gave {written} bytes of {file.path} instead of {file.size_bytes}."
            )
        draft.rename(target)

    def _pieces(self, content: str, file: File) -> Iterator[bytes]:
        if not file.size_bytes:
            return iter(())
        return self._bucket.read(file.data_key(content), 0, file.size_bytes)

    # -- room ----------------------------------------------------------------------------------------------------

    def _make_room(self, name: str, needed_bytes: int) -> None:
        """Deletes copies that nobody holds, those unused for longest first, until there is room for one more."""
        for partial in (self._root / ".partial").iterdir():
            if partial.name != name and time.time() - partial.stat().st_mtime > _ABANDONED_S:
                self._delete(partial)
        copies = []
        for place in self._root.iterdir():
            with contextlib.suppress(OSError):
                if not place.name.startswith("."):
                    copies.append((place.stat().st_mtime, self._size(place.name), place))
        used = sum(size for _, size, _ in copies)
        for _, size, place in sorted(copies):
            if used + needed_bytes <= self._limit_bytes:
                return
            if self._delete(place):
                used -= size
                logger.info("deleted the local copy %s to make room", place)
        if used + needed_bytes > self._limit_bytes:
            logger.warning("local copies of models take %d bytes, more than storage.cache_bytes", used + needed_bytes)

    def _delete(self, place: Path) -> bool:
        """False when somebody uses it."""
        try:
            handle = self._locked(place.name, fcntl.LOCK_EX | fcntl.LOCK_NB, threading.Event())
        except BlockingIOError:
            return False
        try:
            doomed = self._root / f".deleting-{place.name}-{time.monotonic_ns()}"
            with contextlib.suppress(FileNotFoundError):
                place.rename(doomed)
            for leftover in self._root.glob(f".deleting-{place.name}-*"):
                shutil.rmtree(leftover, ignore_errors=True)
            (self._root / ".held" / place.name).unlink(missing_ok=True)
        finally:
            os.close(handle)
        return True

    def _size(self, name: str) -> int:
        try:
            return int((self._root / ".held" / name).read_text() or 0)
        except (OSError, ValueError):
            return 0

    # -- locks ---------------------------------------------------------------------------------------------------

    def _locked(self, name: str, kind: int, stop: threading.Event) -> int:
        """An open file handle with the lock; closing it lets go. Raises BlockingIOError (if LOCK_NB), Stopped."""
        path = self._root / ".held" / name
        while True:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                self._wait_for(handle, kind, stop)
                # Whoever deleted the copy has deleted this file too: then the lock is one on nothing.
                if path.exists() and os.fstat(handle).st_ino == path.stat().st_ino:
                    return handle
            except FileNotFoundError:
                pass
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)

    def _wait_for(self, handle: int, kind: int, stop: threading.Event) -> None:
        while True:
            try:
                fcntl.flock(handle, kind | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if kind & fcntl.LOCK_NB:
                    raise
            if stop.wait(_LOCK_POLL_S):
                raise Stopped("the fetch was stopped")


def _sync_folder(folder: str | Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
