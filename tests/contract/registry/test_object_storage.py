"""What is peculiar to storage in a bucket: dying between two requests, parts, long lists, pointers that somebody left behind."""

from __future__ import annotations

import contextlib
import dataclasses
import resource
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.s3_server import S3Server, s3_server

from headgate import errors
from headgate.clock import SystemClock
from headgate.domain.registered_model import Author, ModelName, VersionOrigin, VersionStatus
from headgate.registry.models import NewModel, Registry
from headgate.registry.object_storage.adapter import ObjectStorage
from headgate.registry.object_storage.bucket import _SILENCE_S, CHUNK_BYTES, Bucket
from headgate.registry.object_storage.copies import Copies
from headgate.registry.object_storage.writing import SMALL_BYTES
from headgate.registry.storage import StorageUnavailable
from headgate.settings import SettingsError, StorageSettings
from headgate.store import registry_tables, tables
from headgate.store.database import Database

assert registry_tables

MIB = 1024 * 1024
NAME = "main.default.churn"
ANN = Author("7", "ann")
MLMODEL = b"flavors: {python_function: {}}\nsignature: {inputs: '[]', outputs: '[]'}\n"


class Killed(BaseException):
    """What a dead process does not survive."""


class DyingBucket:
    """A bucket whose process dies before its nth request."""

    def __init__(self, bucket: Bucket, requests: int) -> None:
        self._bucket = bucket
        self._left = requests

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._bucket, name)

        def request(*arguments: Any, **keywords: Any) -> Any:
            self._left -= 1
            if self._left <= 0:
                raise Killed
            return real(*arguments, **keywords)

        return request


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running


@pytest.fixture
def settings(server: S3Server) -> StorageSettings:
    return server.settings()


@pytest.fixture
def bucket(settings: StorageSettings) -> Bucket:
    return Bucket(settings, "models")


@pytest.fixture
def storage(bucket: Bucket, tmp_path: Path) -> ObjectStorage:
    return opened(bucket, tmp_path)


def opened(bucket: Any, folder: Path) -> ObjectStorage:
    return ObjectStorage(bucket, Copies(bucket, folder / "copies", 10**9), SystemClock())


def put(storage: ObjectStorage, location: str, path: str, content: bytes) -> None:
    writing = storage.write(location, path)
    writing.write(content)
    writing.commit()


def keys(bucket: Bucket) -> list[str]:
    return [found.key for folder in ("contents", "locations") for found in bucket.objects(folder)]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/registry.db")
    tables.metadata.create_all(database.engine)
    yield database
    database.close()


def begun(registry: Registry) -> str:
    """A version with two files uploaded; its number."""
    with contextlib.suppress(errors.ResourceAlreadyExists):
        registry.create_model(NewModel(NAME, ANN, missing=("main", "main.default")))
    version = registry.create_version(NAME, ANN, VersionOrigin())
    for path, content in {"MLmodel": MLMODEL, "data/weights": b"weights"}.items():
        upload = registry.files.upload(version.name, version.version, path)
        upload.write(content)
        upload.commit()
    return str(version.version)


def test_a_process_killed_between_any_two_requests_of_publishing_leaves_what_can_be_finished(
    bucket: Bucket, database: Database, tmp_path: Path
) -> None:
    registry = Registry(database, opened(bucket, tmp_path), SystemClock())
    requests, killed = 0, True
    while killed:
        number, requests, killed = begun(registry), requests + 1, False
        dying = Registry(database, opened(DyingBucket(bucket, requests), tmp_path), SystemClock())
        try:
            dying.finalize_version(NAME, number)
        except Killed:
            killed = True
        registry.recover()
        if registry.version(NAME, number).status is not VersionStatus.READY:
            with pytest.raises(errors.InvalidState):
                registry.files.entries(ModelName.parse(NAME), int(number))
            registry.finalize_version(NAME, number)
        place = (ModelName.parse(NAME), int(number), "data/weights")
        assert b"".join(registry.files.read(place)) == b"weights"
        registry.delete_version(NAME, number, ANN)
        assert keys(bucket) == []
    assert requests > 20


def test_a_process_killed_between_any_two_requests_of_a_deletion_leaves_what_the_next_start_deletes(
    bucket: Bucket, database: Database, tmp_path: Path
) -> None:
    registry = Registry(database, opened(bucket, tmp_path), SystemClock())
    requests, killed = 0, True
    while killed:
        number, requests, killed = begun(registry), requests + 1, False
        registry.finalize_version(NAME, number)
        try:
            Registry(database, opened(DyingBucket(bucket, requests), tmp_path), SystemClock()).delete_version(
                NAME, number, ANN
            )
        except Killed:
            killed = True
        with pytest.raises(errors.ResourceDoesNotExist):
            registry.version(NAME, number)
        registry.recover()
        assert keys(bucket) == []
    assert requests > 5


def test_a_pointer_that_a_slow_rival_left_behind_takes_nobodys_files(storage: ObjectStorage, bucket: Bucket) -> None:
    storage.create("from")
    put(storage, "from", "file", b"x")
    content, _ = bucket.get("locations/from.json")
    storage.move("from", "between")
    storage.move("between", "to")
    bucket.create("locations/between.json", content)  # it had seen `from`, slept, and goes on
    with pytest.raises(FileNotFoundError):
        storage.stat("between")
    storage.delete("between")
    assert b"".join(storage.read("to", "file")) == b"x"
    assert not any("between" in key for key in keys(bucket))


def test_a_leftover_pointer_does_not_keep_a_location_from_being_made_or_moved_to(
    storage: ObjectStorage, bucket: Bucket
) -> None:
    bucket.create("locations/new.json", b"0123")
    bucket.create("locations/to.json", b"4567")
    storage.create("new")
    put(storage, "new", "file", b"x")
    storage.move("new", "to")
    assert b"".join(storage.read("to", "file")) == b"x"


@pytest.mark.parametrize("size", [5, SMALL_BYTES + 5])
def test_a_file_that_comes_again_after_the_move_replaces_nothing(storage: ObjectStorage, size: int) -> None:
    storage.create("from")
    put(storage, "from", "file", b"first")
    again = storage.write("from", "file")
    again.write(b"z" * size)
    storage.move("from", "to")
    with pytest.raises(FileNotFoundError):
        again.commit()
    assert b"".join(storage.read("to", "file")) == b"first"


def test_commits_that_race_with_a_move_are_in_it_or_fail(storage: ObjectStorage) -> None:
    storage.create("from")
    committed: list[str] = []
    go = threading.Barrier(7)

    def upload(name: str) -> None:
        writing = storage.write("from", name)
        writing.write(name.encode())
        go.wait(30)
        with contextlib.suppress(FileNotFoundError):
            writing.commit()
            committed.append(name)

    threads = [threading.Thread(target=upload, args=(f"file-{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    go.wait(30)
    storage.move("from", "to")
    for thread in threads:
        thread.join(60)
    there = [entry.path for entry in storage.entries("to")]
    assert sorted(committed) == there
    assert [b"".join(storage.read("to", name)).decode() for name in there] == there


def test_a_large_file_goes_in_parts_through_little_memory(storage: ObjectStorage) -> None:
    storage.create("a")
    writing = storage.write("a", "large")
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(120):
        writing.write(bytes([number]) * MIB)
    writing.commit()
    assert storage.stat("a", "large").size_bytes == 120 * MIB
    assert b"".join(storage.read("a", "large", 90 * MIB - 1, 2)) == bytes([89, 90])
    place = storage.local_path("a")
    assert (place / "large").stat().st_size == 120 * MIB
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
    assert grown_kib < 100 * 1024, f"{grown_kib} KiB"


def test_a_large_file_is_read_with_a_request_per_chunk_and_a_broken_one_is_repeated(
    storage: ObjectStorage, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    import obstore

    storage.create("a")
    put(storage, "a", "file", bytes(range(256)) * (CHUNK_BYTES // 100))
    size, real, asked = storage.stat("a", "file").size_bytes, obstore.get, []

    def get(store: Any, key: str, **options: Any) -> Any:
        if "range" in options.get("options", {}):
            asked.append(options["options"]["range"])
            if len(asked) == 2:
                raise obstore.exceptions.GenericError("HTTP error: the answer broke off")
        return real(store, key, **options)

    monkeypatch.setattr(obstore, "get", get)
    assert b"".join(storage.read("a", "file", 1)) == (bytes(range(256)) * (CHUNK_BYTES // 100))[1:]
    second = (CHUNK_BYTES + 1, 2 * CHUNK_BYTES + 1)
    assert asked == [(1, CHUNK_BYTES + 1), second, second, (2 * CHUNK_BYTES + 1, size)]


def test_a_large_file_that_is_aborted_or_swept_leaves_nothing(
    storage: ObjectStorage, bucket: Bucket, server: S3Server, settings: StorageSettings
) -> None:
    storage.create("a")
    aborted, swept = storage.write("a", "aborted"), storage.write("a", "swept")
    for writing in (aborted, swept):
        for _ in range(SMALL_BYTES // MIB + 30):
            writing.write(b"z" * MIB)
    aborted.abort()
    storage.sweep(before_ms=10**15)
    with pytest.raises(FileNotFoundError):
        swept.commit()
    assert storage.entries("a") == []
    deadline = time.monotonic() + 30
    while any("blobs" in key for key in keys(bucket)) or server.unfinished_uploads(settings):
        assert time.monotonic() < deadline, keys(bucket)
        time.sleep(0.01)


def test_aborting_waits_for_no_storage(storage: ObjectStorage, server: S3Server) -> None:
    storage.create("a")
    writing = storage.write("a", "file")
    for _ in range(SMALL_BYTES // MIB + 20):
        writing.write(b"z" * MIB)
    with server.silent():
        began_s = time.monotonic()
        writing.abort()
        assert time.monotonic() - began_s < _SILENCE_S, "the event loop was kept waiting"
    writing.abort()


def test_replacing_a_large_file_frees_its_bytes(storage: ObjectStorage, bucket: Bucket) -> None:
    storage.create("a")
    put(storage, "a", "file", b"z" * (SMALL_BYTES + 1))
    put(storage, "a", "file", b"small")
    assert b"".join(storage.read("a", "file")) == b"small"
    assert len([key for key in keys(bucket) if "/files/" in key or "/blobs/" in key]) == 1


def test_more_files_than_one_answer_of_the_storage_lists(storage: ObjectStorage, bucket: Bucket) -> None:
    storage.create("a")
    put(storage, "a", "many/0", b"")
    content = bucket.get("locations/a.json")[0].decode()
    template = next(key for key in keys(bucket) if "/many/0~" in key)
    for number in range(1, 1101):
        bucket.put(template.replace("/many/0~", f"/many/{number}~"), b"")
    assert len(storage.entries("a", "many")) == 1101
    storage.move("a", "b")
    assert len(storage.entries("b", "many")) == 1101
    storage.delete("b")
    assert not any(content in key for key in keys(bucket))


@pytest.mark.parametrize("name", ["ü/日本 語", "100% (a+b)", "a~b", "a~00000", "#?&=[x]*'!", ".hidden", "x" * 200])
def test_any_file_name_is_kept(storage: ObjectStorage, name: str) -> None:
    storage.create("a")
    put(storage, "a", name, b"x")
    storage.move("a", "b")
    assert b"".join(storage.read("b", name)) == b"x"
    assert (storage.local_path("b") / name).read_bytes() == b"x"


def test_a_name_the_storage_cannot_hold_is_refused(storage: ObjectStorage) -> None:
    storage.create("a")
    with pytest.raises(OSError, match="bytes"):
        put(storage, "a", "/".join(["x" * 200] * 6), b"x")


def test_a_server_that_ignores_conditions_is_complained_of(
    bucket: Bucket, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Lax(DyingBucket):
        def create(self, key: str, content: bytes) -> bool:
            bucket.put(key, content)
            return True

        def honours_conditions(self) -> bool:
            return Bucket.honours_conditions(self)  # type: ignore[arg-type]

    opened(bucket, tmp_path).sweep(0)
    assert caplog.records == []
    opened(Lax(bucket, 10**9), tmp_path).sweep(0)
    assert "ignores If-None-Match" in caplog.text
    assert list(bucket.objects("probes")) == []


def test_a_storage_that_refuses_is_unavailable_and_says_why(storage: ObjectStorage, settings: StorageSettings) -> None:
    gone = dataclasses.replace(settings, url="s3://no-such-bucket", secret_access_key="hush")
    with pytest.raises(StorageUnavailable, match="no such bucket") as raised:
        Bucket(gone, "models").put("x", b"x")
    assert "hush" not in str(raised.value)
    assert isinstance(raised.value, errors.TemporarilyUnavailable)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"url": "gs://bucket"}, "s3://bucket"),
        ({"url": "s3://"}, "s3://bucket"),
        ({"allow_http": False}, "storage.allow_http"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(
    settings: StorageSettings, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(SettingsError, match=reason):
        Bucket(dataclasses.replace(settings, **changes), "models")
