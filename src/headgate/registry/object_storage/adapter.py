"""Storage in an S3-compatible bucket; passes the contract of `storage`. Objects cannot be renamed, so a location is a pointer:

    locations/<location>.json     the id of the content whose home the location is (see `contents`)

A location exists if its pointer's content says that it is its home. Moving one freezes its content, writes the manifest of its files,
makes the new pointer and then changes the home: that one compare-and-swap is the move. Whoever dies on the way leaves the location
where it was, or where it goes. A moved location is complete: it can be read, moved and deleted, not written to.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from headgate.clock import Clock
from headgate.registry.object_storage.bucket import Bucket
from headgate.registry.object_storage.contents import FROZEN, GONE, OPEN, SEALED, Contents, File, State, new_id
from headgate.registry.object_storage.copies import Copies
from headgate.registry.object_storage.writing import ObjectWriting, Target, WritingsUnderway
from headgate.registry.storage import Entry, StorageUnavailable

logger = logging.getLogger(__name__)

_MANIFESTS_KEPT = 32
_RIVALS = 50
"""So often in a row nobody loses a race unless the storage ignores conditions."""


@dataclass(frozen=True, slots=True)
class _Home:
    """A location that exists."""

    content: str
    state: State
    e_tag: str


class ObjectStorage:
    """Storage in the bucket; `copies` keeps what is needed as files of this machine."""

    def __init__(self, bucket: Bucket, copies: Copies, clock: Clock) -> None:
        self._bucket = bucket
        self._contents = Contents(bucket)
        self._copies = copies
        self._clock = clock
        self._underway = WritingsUnderway()
        self._manifests: OrderedDict[str, dict[str, File]] = OrderedDict()
        self._lock = Lock()

    # -- writing -------------------------------------------------------------------------------------------------

    def create(self, location: str) -> None:
        if self._home(location) is None:
            content = new_id()
            # The pointer first: whatever has objects can be found through one.
            if self._point(location, content):
                self._contents.open(content, State(location, OPEN, self._clock.now_ms()))

    def write(self, location: str, path: str) -> ObjectWriting:
        home = self._existing(location)
        if home.state.state != OPEN:
            raise FileNotFoundError(location)
        target = Target(self._bucket, self._contents, home.content, path)
        return ObjectWriting(target, self._clock, self._underway)

    def remove(self, location: str, path: str) -> None:
        home = self._existing(location)
        versions = self._contents.versions(home.content, path) if home.state.state == OPEN else []
        if not versions:
            raise FileNotFoundError(path)
        self._bucket.delete(file.key(home.content) for file in versions)
        self._bucket.delete({file.data_key(home.content) for file in versions})

    # -- reading -------------------------------------------------------------------------------------------------

    def read(self, location: str, path: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        home = self._existing(location)
        for last_try in (False, True):
            file = self._file(home, path)
            left = max(0, file.size_bytes - start)
            wanted = left if length is None else min(left, length)
            try:
                return self._bucket.read(file.data_key(home.content), start, wanted) if wanted else iter(())
            except FileNotFoundError:
                if last_try:  # once, it may just have been replaced
                    raise
        raise AssertionError

    def stat(self, location: str, path: str = "") -> Entry:
        home = self._existing(location)
        if path:
            try:
                return _entry(self._file(home, path))
            except FileNotFoundError:
                if self._is_folder(home, path):
                    return _folder(path)
                raise
        if home.state.state == SEALED:
            return Entry("", True, 0, home.state.changed_at_ms)
        newest = max((file.order for file in self._contents.all(home.content)), default=0)
        return Entry("", True, 0, max(newest, home.state.changed_at_ms))

    def entries(self, location: str, folder: str = "") -> list[Entry]:
        home = self._home(location)
        found = self._locations_in(location) if not folder else {}
        if home is not None:
            files, folders = self._directly_in(home, folder)
            found |= {name: _folder(f"{folder}/{name}" if folder else name) for name in folders}
            found |= {file.path: _entry(file) for file in files}
        if not found and (home is None or folder):
            raise FileNotFoundError(folder or location)
        return [found[name] for name in sorted(found)]

    # -- whole locations -----------------------------------------------------------------------------------------

    def move(self, source: str, target: str) -> None:
        for _ in range(_RIVALS):
            home, there = self._home(source), self._home(target)
            if home is None:
                if there is None:
                    raise FileNotFoundError(source)
                return
            if there is not None and there.content != home.content:
                raise FileExistsError(target)
            if self._move_on(home, target):
                self._bucket.delete([_pointer_key(source)])
                return
        raise StorageUnavailable(f"{source} cannot be moved: the object storage does not honour conditional writes.")

    def _move_on(self, home: _Home, target: str) -> bool:
        """The next step, and whether it was the last. Every step may be repeated."""
        state = home.state
        if state.state == OPEN:
            self._contents.change(home.content, dataclasses.replace(state, state=FROZEN), home.e_tag)
            return False
        if state.state == FROZEN:
            files = self._contents.seal(home.content)
            newest = max((file.order for file in files), default=state.changed_at_ms)
            size = sum(file.size_bytes for file in files)
            sealed = State(state.home, SEALED, newest, size)
            self._contents.change(home.content, sealed, home.e_tag)
            return False
        if not self._point(target, home.content):
            return False
        if not self._contents.change(home.content, dataclasses.replace(state, home=target), home.e_tag):
            return False
        # A deletion of the target may have taken the pointer for a leftover before it was the home.
        return self._point(target, home.content)

    def delete(self, location: str) -> None:
        for _ in range(_RIVALS):
            content = self._pointer(location)
            if content is None:
                return
            found = self._contents.state(content)
            if found is not None and found[0].home not in (location, ""):
                break  # its content went somewhere else: only the pointer was left
            if found is not None and found[0].state != GONE:
                gone = State("", GONE, self._clock.now_ms())
                if not self._contents.change(content, gone, found[1]):
                    continue
            self._contents.erase(content)
            break
        self._bucket.delete([_pointer_key(location)])

    # -- on this machine -----------------------------------------------------------------------------------------

    def place(self, location: str) -> Path:
        home = self._existing(location)
        if home.state.state == SEALED:
            return self._copies.folder(home.content)
        files = self._contents.all(home.content)
        digest = hashlib.sha256("\n".join(file.path + file.suffix for file in files).encode()).hexdigest()
        return self._copies.folder(home.content, digest[:16])

    def local_path(self, location: str) -> Path:
        place = self.place(location)
        self._copies.fetch(place)
        return place

    def sweep(self, before_ms: int) -> None:
        self._underway.abort(before_ms)
        if not self._bucket.honours_conditions():
            logger.error(
                "the object storage ignores If-None-Match: servers that publish or delete at the same time can lose files; "
                "see docs/storage.md for what it must be able to do"
            )

    # -- pointers ------------------------------------------------------------------------------------------------

    def _home(self, location: str) -> _Home | None:
        content = self._pointer(location)
        found = None if content is None else self._contents.state(content)
        if content is None or found is None or found[0].home != location:
            return None
        return _Home(content, *found)

    def _existing(self, location: str) -> _Home:
        home = self._home(location)
        if home is None:
            raise FileNotFoundError(location)
        return home

    def _pointer(self, location: str) -> str | None:
        try:
            return self._bucket.get(_pointer_key(location))[0].decode()
        except FileNotFoundError:
            return None

    def _point(self, location: str, content: str) -> bool:
        """Makes the location's pointer this one, replacing a leftover. False when somebody else was quicker."""
        key = _pointer_key(location)
        if self._bucket.create(key, content.encode()):
            return True
        try:
            old, e_tag = self._bucket.get(key)
        except FileNotFoundError:
            return False
        if old == content.encode():
            return True
        if self._home(location) is not None:
            return False
        return self._bucket.replace(key, content.encode(), e_tag)

    def _locations_in(self, location: str) -> dict[str, Entry]:
        objects, folders = self._bucket.children(f"locations/{location}")
        found = {name: _folder(name) for name in folders}
        for item in objects:
            name = item.key.rpartition("/")[2].removesuffix(".json")
            found[name] = Entry(name, True, 0, item.modified_at_ms)
        return found

    # -- files of a location -------------------------------------------------------------------------------------

    def _file(self, home: _Home, path: str) -> File:
        if home.state.state == SEALED:
            found = self._manifest(home.content).get(path)
        else:
            found = next(reversed(self._contents.versions(home.content, path)), None)
        if found is None:
            raise FileNotFoundError(path)
        return found

    def _is_folder(self, home: _Home, path: str) -> bool:
        if home.state.state == SEALED:
            return any(name.startswith(f"{path}/") for name in self._manifest(home.content))
        return self._contents.is_folder(home.content, path)

    def _directly_in(self, home: _Home, folder: str) -> tuple[list[File], set[str]]:
        if home.state.state != SEALED:
            files, folders = self._contents.directly_in(home.content, folder)
            return files, set(folders)
        prefix = f"{folder}/" if folder else ""
        below = [file for file in self._manifest(home.content).values() if file.path.startswith(prefix)]
        rests = {file.path.removeprefix(prefix): file for file in below}
        folders_there = {rest.partition("/")[0] for rest in rests if "/" in rest}
        return [file for rest, file in rests.items() if "/" not in rest], folders_there

    def _manifest(self, content: str) -> dict[str, File]:
        with self._lock:
            if content in self._manifests:
                self._manifests.move_to_end(content)
                return self._manifests[content]
        files = self._contents.manifest(content)
        if files is None:
            raise FileNotFoundError(content)
        with self._lock:
            self._manifests[content] = {file.path: file for file in files}
            while len(self._manifests) > _MANIFESTS_KEPT:
                self._manifests.popitem(last=False)
            return self._manifests[content]


def _pointer_key(location: str) -> str:
    return f"locations/{location}.json"


def _entry(file: File) -> Entry:
    return Entry(file.path, False, file.size_bytes, file.order)


def _folder(path: str) -> Entry:
    return Entry(path, True, 0, 0)
