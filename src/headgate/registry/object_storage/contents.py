"""The files of one location in the bucket: a *content* with an id, a state, and objects that are never overwritten.

    contents/<id>/state.json      where its home is, and whether it is open, frozen, sealed or gone; changed by compare-and-swap only
    contents/<id>/files/<path>~<order>-<size>-<id>-f    a file, or (`-l`) a note that its bytes are in blobs/<id>
    contents/<id>/blobs/<id>      the bytes of a file that was uploaded in parts
    contents/<id>/manifest.json   the files of a sealed content, for ever; whoever writes it first decides

Called by `adapter` and `copies`.
"""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from headgate.registry.object_storage.bucket import Bucket

OPEN, FROZEN, SEALED, GONE = "open", "frozen", "sealed", "gone"
_SUFFIX_CHARACTERS = len("~") + 13 + len("-") + 15 + len("-") + 12 + len("-f")


@dataclass(frozen=True, slots=True)
class State:
    """What `state.json` says."""

    home: str
    """The location whose content it is; a pointer from anywhere else is a leftover."""
    state: str
    changed_at_ms: int
    """When it was opened; of a sealed one, when its newest file was written."""
    size_bytes: int = 0
    """All files together, once sealed."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of a content."""

    path: str
    suffix: str

    @staticmethod
    def made(path: str, order: int, size_bytes: int, blob: str = "") -> File:
        """`order`: milliseconds since the epoch, more than that of any older one at this path."""
        tail = f"{blob}-l" if blob else f"{new_id()[:12]}-f"
        return File(path, f"~{order:013d}-{size_bytes:015d}-{tail}")

    @property
    def order(self) -> int:
        return int(self.suffix[1:14])

    @property
    def size_bytes(self) -> int:
        return int(self.suffix[15:30])

    def data_key(self, content: str) -> str:
        """The object with its bytes."""
        if self.suffix.endswith("-l"):
            return f"{folder(content)}/blobs/{self.suffix[31:43]}"
        return self.key(content)

    def key(self, content: str) -> str:
        """The object that makes it a file."""
        return f"{folder(content)}/files/{self.path}{self.suffix}"


def new_id() -> str:
    """Of a content or a blob."""
    return uuid.uuid4().hex


def folder(content: str) -> str:
    """Everything of a content lies below it."""
    return f"contents/{content}"


class Contents:
    """Reads and changes contents; blocks."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    # -- state ---------------------------------------------------------------------------------------------------

    def open(self, content: str, state: State) -> None:
        """Makes it, unless it is there."""
        self._bucket.create(_state_key(content), _packed(dataclasses.asdict(state)))

    def state(self, content: str) -> tuple[State, str] | None:
        """With its entity tag; None when there is no such content."""
        try:
            text, e_tag = self._bucket.get(_state_key(content))
        except FileNotFoundError:
            return None
        return State(**json.loads(text)), e_tag

    def change(self, content: str, state: State, e_tag: str) -> bool:
        """False when somebody else has changed it since it was read."""
        return self._bucket.replace(_state_key(content), _packed(dataclasses.asdict(state)), e_tag)

    def erase(self, content: str) -> None:
        """Every object of it, the state last."""
        state = _state_key(content)
        self._bucket.delete(found.key for found in self._bucket.objects(folder(content)) if found.key != state)
        self._bucket.delete([state])

    # -- files of an open content --------------------------------------------------------------------------------

    def versions(self, content: str, path: str) -> list[File]:
        """What was committed at a path and not removed yet, oldest first: none, one, or for a moment several."""
        parent, _, _ = path.rpartition("/")
        start = f"{folder(content)}/files/{path}~"
        found = []
        for item in self._bucket.objects(f"{folder(content)}/files" + (f"/{parent}" if parent else ""), start):
            if not item.key.startswith(start):
                break
            file = _file(item.key.removeprefix(f"{folder(content)}/files/"))
            if file is not None and file.path == path:
                found.append(file)
        return sorted(found, key=lambda file: file.suffix)

    def is_folder(self, content: str, path: str) -> bool:
        """Whether there is a file below."""
        return next(self._bucket.objects(f"{folder(content)}/files/{path}"), None) is not None

    def directly_in(self, content: str, path: str) -> tuple[list[File], list[str]]:
        """Files and names of folders."""
        base = f"{folder(content)}/files"
        objects, folders = self._bucket.children(f"{base}/{path}" if path else base)
        return _newest(_files(content, (item.key for item in objects))), folders

    def all(self, content: str) -> list[File]:
        """Every file, by path."""
        return _newest(_files(content, (item.key for item in self._bucket.objects(f"{folder(content)}/files"))))

    # -- the manifest of a frozen one ----------------------------------------------------------------------------

    def seal(self, content: str) -> list[File]:
        """The files of a frozen content: as the first who asked has found them, and so for ever."""
        known = self.manifest(content)
        if known is not None:
            return known
        files = self.all(content)
        if self._bucket.create(_manifest_key(content), _packed([[file.path, file.suffix] for file in files])):
            return files
        return self.manifest(content) or []

    def manifest(self, content: str) -> list[File] | None:
        """By path; None as long as nobody has sealed it."""
        try:
            text, _ = self._bucket.get(_manifest_key(content))
        except FileNotFoundError:
            return None
        return [File(path, suffix) for path, suffix in json.loads(text)]


def _state_key(content: str) -> str:
    return f"{folder(content)}/state.json"


def _manifest_key(content: str) -> str:
    return f"{folder(content)}/manifest.json"


def _files(content: str, keys: Iterable[str]) -> Iterator[File]:
    for key in keys:
        file = _file(key.removeprefix(f"{folder(content)}/files/"))
        if file is not None:
            yield file


def _file(name: str) -> File | None:
    """From a path with its suffix; None for what is not ours."""
    path, suffix = name[:-_SUFFIX_CHARACTERS], name[-_SUFFIX_CHARACTERS:]
    ours = path and not path.endswith("/") and suffix[0] == "~" and suffix[14] == suffix[30] == suffix[43] == "-"
    return File(path, suffix) if ours and suffix[1:14].isdecimal() and suffix[15:30].isdecimal() else None


def _newest(files: Iterable[File]) -> list[File]:
    found = {file.path: file for file in sorted(files, key=lambda file: file.suffix)}
    return [found[path] for path in sorted(found)]


def _packed(value: object) -> bytes:
    return json.dumps(value).encode()
