"""Files on their way into the bucket: small ones wait in memory for their commit, large ones are uploaded in parts meanwhile.

A commit writes one object that did not exist before, and counts only if the content is still open afterwards: what was frozen in between
is complete without it.
"""

from __future__ import annotations

import contextlib
import queue
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Event, Thread

from headgate.clock import Clock
from headgate.registry.object_storage.bucket import Bucket
from headgate.registry.object_storage.contents import OPEN, Contents, File, folder, new_id
from headgate.registry.storage import PIECE_BYTES, StorageUnavailable

SMALL_BYTES = 8 * 1024 * 1024
_WAITING_PIECES = 8
_STALLED_S = 600.0
"""A part that is not taken for so long never will be; requests have their own, shorter deadlines."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a file goes."""

    bucket: Bucket
    contents: Contents
    content: str
    path: str


class WritingsUnderway:
    """The writings of this process that have not ended, for `sweep`."""

    def __init__(self) -> None:
        self._all: weakref.WeakSet[ObjectWriting] = weakref.WeakSet()

    def add(self, writing: ObjectWriting) -> None:
        """It begins."""
        self._all.add(writing)

    def abort(self, before_ms: int) -> None:
        """Ends those that nobody has continued since."""
        for writing in list(self._all):
            if writing.touched_at_ms < before_ms:
                writing.abort()


class ObjectWriting:
    """One file; one thread at a time."""

    def __init__(self, target: Target, clock: Clock, underway: WritingsUnderway) -> None:
        self._target = target
        self._clock = clock
        self._parts: _PartUpload | None = None
        self._pieces: list[bytes] = []
        self._size = 0
        self._over = False
        self.touched_at_ms = clock.now_ms()
        underway.add(self)

    def write(self, data: bytes) -> None:
        if self._over:
            return  # its commit will say so
        self.touched_at_ms = self._clock.now_ms()
        self._size += len(data)
        if self._parts is None:
            self._pieces.append(data)
            if self._size > SMALL_BYTES:
                self._parts = _PartUpload(self._target)
                for piece in self._pieces:
                    self._parts.write(piece)
                self._pieces = []
        else:
            self._parts.write(data)

    def commit(self) -> None:
        to = self._target
        if self._over or not self._is_open():
            self.abort()
            raise FileNotFoundError(to.path)
        self._check_place()
        if self._parts is not None:
            self._parts.finish()
        before = to.contents.versions(to.content, to.path)
        order = max([self._clock.now_ms(), *(file.order + 1 for file in before)])
        file = File.made(to.path, order, self._size, self._parts.blob if self._parts else "")
        to.bucket.put(file.key(to.content), b"" if self._parts else b"".join(self._pieces))
        self._over, self._pieces = True, []
        if not self._counts(file):
            to.bucket.delete({file.key(to.content), file.data_key(to.content)})
            raise FileNotFoundError(to.path)
        to.bucket.delete(old.key(to.content) for old in before)
        to.bucket.delete({old.data_key(to.content) for old in before})

    def abort(self) -> None:
        if not self._over:
            self._over, self._pieces = True, []
            if self._parts is not None:
                self._parts.abort()

    def _is_open(self) -> bool:
        found = self._target.contents.state(self._target.content)
        return found is not None and found[0].state == OPEN

    def _counts(self, file: File) -> bool:
        """Whether the file that was just written is one of the content's."""
        found = self._target.contents.state(self._target.content)
        if found is None or found[0].state == OPEN:
            return found is not None
        if found[0].home == "":
            return False
        files = self._target.contents.seal(self._target.content)
        return file in files

    def _check_place(self) -> None:
        """Raises FileExistsError when there is a folder, or a part of the path is a file."""
        to, parents = self._target, self._target.path.split("/")[:-1]
        above = ["/".join(parents[: count + 1]) for count in range(len(parents))]
        if to.contents.is_folder(to.content, to.path) or any(to.contents.versions(to.content, one) for one in above):
            raise FileExistsError(to.path)


class _Ended(Exception):
    """The upload is not wanted any more."""


class _PartUpload:
    """A blob uploaded by a thread of its own, fed through a short queue."""

    def __init__(self, target: Target) -> None:
        self.blob = new_id()[:12]
        self._target = target
        self._queue: queue.Queue[bytes | None] = queue.Queue(_WAITING_PIECES)
        self._unwanted = Event()
        self._failure: BaseException | None = None
        self._thread = Thread(target=self._upload, name="upload", daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        for start in range(0, len(view), PIECE_BYTES):
            self._feed(bytes(view[start : start + PIECE_BYTES]))

    def finish(self) -> None:
        """Waits until the blob is there whole."""
        self._feed(None)
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def abort(self) -> None:
        """Returns at once: an event loop may be waiting. The thread cleans up."""
        self._unwanted.set()
        with contextlib.suppress(queue.Full):  # then it is awake anyway
            self._queue.put_nowait(None)
        if not self._thread.is_alive():
            Thread(target=self._clean_up, name="upload", daemon=True).start()

    def _feed(self, piece: bytes | None) -> None:
        while self._thread.is_alive():
            try:
                self._queue.put(piece, timeout=1.0)
                return
            except queue.Full:
                continue
        raise self._failure or FileNotFoundError(self._target.path)

    def _upload(self) -> None:
        try:
            self._target.bucket.put_pieces(self._key, self._fed())
            if self._unwanted.is_set():
                self._clean_up()
        except _Ended:
            self._failure = FileNotFoundError(self._target.path)
        except Exception as error:  # noqa: BLE001 - told to whoever writes next
            self._failure = error

    def _fed(self) -> Iterator[bytes]:
        while True:
            try:
                piece = self._queue.get(timeout=_STALLED_S)
            except queue.Empty:
                raise _Ended from None
            if self._unwanted.is_set():
                raise _Ended
            if piece is None:
                return
            yield piece

    def _clean_up(self) -> None:
        with contextlib.suppress(StorageUnavailable):  # it goes with its content
            self._target.bucket.delete([self._key])

    @property
    def _key(self) -> str:
        return f"{folder(self._target.content)}/blobs/{self.blob}"
