"""Copies of models on a machine: fetched once, whole or not at all, kept while somebody holds them, deleted when there is no room."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.s3_server import S3Server, s3_server

from headgate.clock import SystemClock
from headgate.registry.object_storage.adapter import ObjectStorage
from headgate.registry.object_storage.bucket import Bucket
from headgate.registry.object_storage.copies import Copies, Stopped
from headgate.registry.storage import StorageUnavailable
from headgate.settings import StorageSettings


class Counting:
    """A bucket that knows how often bytes were fetched, and can break."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self.reads = 0
        self.broken_from = 10**9
        self.short = False
        self.reading = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bucket, name)

    def read(self, key: str, start: int, length: int) -> Iterator[bytes]:
        self.reads += 1
        if self.reads >= self.broken_from:
            raise StorageUnavailable("The storage is away.")
        self.reading.set()
        assert self.go_on.wait(60)
        return self._bucket.read(key, start, length - 1 if self.short else length)


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running


@pytest.fixture
def settings(server: S3Server) -> StorageSettings:
    return server.settings()


@pytest.fixture
def bucket(settings: StorageSettings) -> Counting:
    return Counting(Bucket(settings, "models"))


def machine(bucket: Any, folder: Path, limit_bytes: int = 10**9) -> Copies:
    return Copies(bucket, folder / "copies", limit_bytes)


def published(bucket: Any, folder: Path, name: str, files: int = 2, size: int = 1000) -> Path:
    """A location with files of `size` bytes; where its copy will be."""
    storage = ObjectStorage(bucket, machine(bucket, folder), SystemClock())
    storage.create("draft")
    for number in range(files):
        writing = storage.write("draft", f"data/{number}")
        writing.write(bytes([number]) * size)
        writing.commit()
    storage.move("draft", name)
    return storage.place(name)


def content(place: Path) -> list[bytes]:
    return [file.read_bytes()[:1] for file in sorted(place.rglob("*")) if file.is_file()]


def there(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "copies").iterdir() if not path.name.startswith("."))


def test_a_place_is_known_before_anything_is_fetched(bucket: Counting, tmp_path: Path) -> None:
    place = published(bucket, tmp_path, "a")
    assert machine(bucket, tmp_path).is_copy(str(place)) and not place.exists()
    assert bucket.reads == 0


def test_many_who_want_one_copy_fetch_it_once(bucket: Counting, tmp_path: Path) -> None:
    place = published(bucket, tmp_path, "a")
    failures: list[BaseException] = []

    def fetch() -> None:
        try:
            machine(bucket, tmp_path).fetch(place)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=fetch) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert content(place) == [b"\0", b"\1"] and bucket.reads == 2


def test_an_interrupted_fetch_shows_nothing_and_goes_on_where_it_was(bucket: Counting, tmp_path: Path) -> None:
    place = published(bucket, tmp_path, "a", files=12)
    bucket.broken_from = 9
    with pytest.raises(StorageUnavailable, match="away"):
        machine(bucket, tmp_path).fetch(place)
    assert not place.exists()
    bucket.broken_from, had = 10**9, len(list((tmp_path / "copies" / ".partial").rglob("files/data/*")))
    assert had > 0
    bucket.reads = 0
    machine(bucket, tmp_path).fetch(place)
    assert len(content(place)) == 12 and bucket.reads == 12 - had


def test_a_file_that_came_short_is_no_copy(bucket: Counting, tmp_path: Path) -> None:
    place = published(bucket, tmp_path, "a")
    bucket.short = True
    with pytest.raises(StorageUnavailable, match=r"999 bytes of data/. instead of 1000"):
        machine(bucket, tmp_path).fetch(place)
    assert not place.exists()


def test_what_is_not_in_the_storage_any_more_is_told(bucket: Counting, tmp_path: Path) -> None:
    place = published(bucket, tmp_path, "a")
    ObjectStorage(bucket, machine(bucket, tmp_path), SystemClock()).delete("a")  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError, match="not in the object storage"):
        machine(bucket, tmp_path).fetch(place)


def test_the_copy_unused_for_longest_makes_room_and_a_held_one_stays(bucket: Counting, tmp_path: Path) -> None:
    copies = machine(bucket, tmp_path, limit_bytes=5000)
    one, two, three, four = (published(bucket, tmp_path, name) for name in "abcd")
    held = copies.hold(one, threading.Event())
    copies.fetch(two)
    copies.fetch(three)
    assert there(tmp_path) == sorted([one.name, three.name])
    held.release()
    held.release()
    copies.fetch(four)
    assert there(tmp_path) == sorted([three.name, four.name])


def test_a_model_larger_than_the_room_is_fetched_all_the_same(bucket: Counting, tmp_path: Path) -> None:
    place = published(bucket, tmp_path, "a")
    machine(bucket, tmp_path, limit_bytes=10).fetch(place)
    assert len(content(place)) == 2


def test_a_fetch_can_be_stopped(bucket: Counting, tmp_path: Path) -> None:
    place = published(bucket, tmp_path, "a")
    bucket.go_on.clear()
    stop, ended = threading.Event(), []

    def fetch() -> None:
        try:
            machine(bucket, tmp_path).hold(place, stop)
        except Stopped as error:
            ended.append(error)

    thread = threading.Thread(target=fetch)
    thread.start()
    assert bucket.reading.wait(60)
    stop.set()
    bucket.go_on.set()
    thread.join(60)
    assert len(ended) == 1 and not place.exists()


HOLDER = """
import sys, threading
from pathlib import Path
from headgate.registry.object_storage.copies import Copies
held = Copies(None, Path(sys.argv[1]), 0).hold(Path(sys.argv[2]), threading.Event())
print("held", flush=True)
sys.stdin.read()
"""


def test_what_another_process_holds_stays_until_that_process_is_gone(bucket: Counting, tmp_path: Path) -> None:
    copies = machine(bucket, tmp_path, limit_bytes=2500)
    one, two = published(bucket, tmp_path, "a"), published(bucket, tmp_path, "b")
    copies.fetch(one)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "copies"), str(one)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
    copies.fetch(two)
    assert there(tmp_path) == sorted([one.name, two.name])
    holder.kill()
    holder.communicate()
    shutil.rmtree(two)
    copies.fetch(two)
    assert there(tmp_path) == [two.name]


def test_a_storage_that_is_away_fails_the_fetch_with_a_reason(
    server: S3Server, settings: StorageSettings, bucket: Counting, tmp_path: Path
) -> None:
    place = published(bucket, tmp_path, "a")
    nowhere = dataclasses.replace(settings, endpoint_url="http://127.0.0.1:1")
    with pytest.raises(StorageUnavailable, match="cannot be reached"):
        machine(Bucket(nowhere, "models"), tmp_path).fetch(place)
