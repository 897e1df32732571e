"""Files that lie in another house's data directory: every verb says so, and changes nothing. Opened by `storages`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from headgate.registry.storage import Entry, StorageUnavailable, Writing


class OtherDisk:
    """A `Storage` without files. `where`: machine and data directory of the house that has them."""

    def __init__(self, where: str) -> None:
        self._message = (
            f"Files of models and runs lie at {where}, which this server cannot reach. Ask the server there, or set storage.url for all "
            "servers of this database, so that they share an object storage."
        )

    def create(self, location: str) -> None:
        self._refuse()

    def write(self, location: str, path: str) -> Writing:
        self._refuse()

    def read(self, location: str, path: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        self._refuse()

    def stat(self, location: str, path: str = "") -> Entry:
        self._refuse()

    def entries(self, location: str, folder: str = "") -> list[Entry]:
        self._refuse()

    def remove(self, location: str, path: str) -> None:
        self._refuse()

    def move(self, source: str, target: str) -> None:
        self._refuse()

    def delete(self, location: str) -> None:
        self._refuse()

    def local_path(self, location: str) -> Path:
        self._refuse()

    def place(self, location: str) -> Path:
        self._refuse()

    def sweep(self, before_ms: int) -> None:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise StorageUnavailable(self._message)
