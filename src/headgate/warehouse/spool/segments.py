"""The spool's folder: files of frames, who may write them, in which order they are loaded. Used by the writers and the loader.

`*.open` belongs to the process that holds its lock. It renames it to `*.ready` when it is full or old enough; of a process that died,
the loader does so. Taking over gives a number to each, `<number>.taken`: those grow for ever, and nobody writes to them any more.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from headgate.clock import Clock

_COUNTER = "counter"
_SPOOL_ID = "id"
_LOADER_LOCK = "loader.lock"


def folder(data_dir: Path) -> Path:
    """Where an installation's is, on each of its machines."""
    return data_dir / "spool"


def in_use(folder: Path) -> bool:
    """Whether anything was ever spooled there."""
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        return any(entry.name != _LOADER_LOCK for entry in entries)
    return False


def prepare(folder: Path) -> None:
    """Makes what the loader will need, as long as there is room for it. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in ((_SPOOL_ID, secrets.token_hex(16)), (_COUNTER, "0" * 20), (_LOADER_LOCK, "")):
        if not (folder / name).exists():
            _create(folder / name, content.encode())


class OpenSegment:
    """A file that this process appends to. Not thread-safe."""

    def __init__(self, folder: Path, *, synced: bool = False) -> None:
        """`synced`: its name survives a power cut. Raises OSError."""
        self.size_bytes = 0
        prepare(folder)
        self._path, self._file = _locked_new(folder)
        if synced:
            _sync_folder(folder)

    def append(self, pieces: list[bytes]) -> None:
        """All of them or, with OSError, nothing."""
        try:
            written = sum(_write_all(self._file, pieces[start : start + 512]) for start in range(0, len(pieces), 512))
        except OSError:
            os.ftruncate(self._file, self.size_bytes)
            raise
        self.size_bytes += written

    def sync(self) -> None:
        """Makes what was appended survive a power cut."""
        os.fdatasync(self._file)

    def close(self) -> None:
        """Hands it to the loader. Raises OSError; the loader finds it all the same."""
        try:
            if self.size_bytes:
                self._path.rename(self._path.with_suffix(".ready"))
            else:
                self._path.unlink()
        finally:
            os.close(self._file)


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """A file that is being loaded."""

    number: int
    path: Path


class Inbox:
    """The loader's side of the folder. Whoever holds it is the only one: `claim` first."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._lock: int | None = None
        self.spool_id = ""
        """Names this folder in the tables' transactions; known once it is claimed."""

    def claim(self) -> bool:
        """Becomes the one loader of this folder, until `release` or death; False while another process is."""
        if self._lock is not None:
            return True
        prepare(self._folder)
        lock = os.open(self._folder / _LOADER_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            return False
        self._lock = lock
        self.spool_id = (self._folder / _SPOOL_ID).read_text()
        return True

    def release(self) -> None:
        """Lets another process claim it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def take(self) -> list[Segment]:
        """Everything there is to load, in order of its numbers, which are given to what is new."""
        self._take_from_the_dead()
        fresh = sorted(self._folder.glob("*.ready"), key=lambda path: (path.stat().st_mtime_ns, path.name))
        if fresh:
            # Numbers must never come twice, not even after the folder was restored from an older copy: hence the clock.
            first = max(self._counted(), self._clock.now_ms() * 1000) + 1
            _overwrite(self._folder / _COUNTER, b"%020d" % (first + len(fresh)))
            for number, path in enumerate(fresh, first):
                path.rename(self._folder / f"{number}.taken")
            _sync_folder(self._folder)
        taken = [Segment(int(path.stem), path) for path in self._folder.glob("*.taken")]
        return sorted(taken)

    def remove(self, segments: list[Segment]) -> None:
        """Forgets what is loaded."""
        for segment in segments:
            segment.path.unlink(missing_ok=True)

    def _take_from_the_dead(self) -> None:
        for path in self._folder.glob("*.open"):
            with contextlib.suppress(FileNotFoundError, BlockingIOError):
                file = os.open(path, os.O_RDWR | os.O_CLOEXEC)  # NFS locks only what may be written
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if os.fstat(file).st_size:
                        path.rename(path.with_suffix(".ready"))
                    else:
                        path.unlink()
                finally:
                    os.close(file)

    def _counted(self) -> int:
        try:
            return int((self._folder / _COUNTER).read_text())
        except (FileNotFoundError, ValueError):
            return 0


def folder_bytes(folder: Path) -> int:
    """How much waits there."""
    total = 0
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                total += entry.stat().st_size
    return total


def _locked_new(folder: Path) -> tuple[Path, int]:
    while True:
        path = folder / f"{os.getpid()}-{secrets.token_hex(8)}.open"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with contextlib.suppress(BlockingIOError, FileNotFoundError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.stat().st_ino == os.fstat(file).st_ino:  # else the loader took it for a dead process's
                return path, file
        os.close(file)


def _write_all(file: int, pieces: list[bytes]) -> int:
    total = sum(map(len, pieces))
    written = os.writev(file, pieces)
    if written < total:
        rest = memoryview(b"".join(pieces))[written:]
        while rest:
            rest = rest[os.write(file, rest) :]
    return total


def _create(path: Path, content: bytes) -> None:
    """Whole or not at all, by whoever is first."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}.new")
    try:
        with open(draft, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _overwrite(path: Path, content: bytes) -> None:
    """In place, always as long: a disk that is full has room for it, and the loader is who makes more."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(file, content, 0)
        os.fsync(file)
    finally:
        os.close(file)


def _sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
