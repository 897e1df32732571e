"""What every storage of model files must do (`registry.storage.Storage`)."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.s3_server import S3Server, s3_server

from headgate.clock import SystemClock
from headgate.registry import storages
from headgate.registry.storage import Storage
from headgate.settings import Settings

FAR_FUTURE_MS = 10**15


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running


@pytest.fixture(params=["local disk", "object storage"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    settings = Settings(data_dir=tmp_path)
    if request.param == "object storage":
        server: S3Server = request.getfixturevalue("server")
        settings = dataclasses.replace(settings, storage=server.settings())
    return storages.open_storage(settings, "models", SystemClock())


def put(storage: Storage, location: str, path: str, content: bytes) -> None:
    writing = storage.write(location, path)
    writing.write(content)
    writing.commit()


def content(storage: Storage, location: str, path: str) -> bytes:
    return b"".join(storage.read(location, path))


def test_a_committed_file_is_read_whole_and_in_parts(storage: Storage) -> None:
    storage.create("a/b")
    put(storage, "a/b", "deep/er/file.bin", b"0123456789" * 300_000)
    assert content(storage, "a/b", "deep/er/file.bin") == b"0123456789" * 300_000
    assert b"".join(storage.read("a/b", "deep/er/file.bin", 5, 7)) == b"5678901"
    assert b"".join(storage.read("a/b", "deep/er/file.bin", 2_999_998)) == b"89"
    assert max(len(piece) for piece in storage.read("a/b", "deep/er/file.bin")) <= 1024**2


def test_nothing_is_visible_before_commit_and_nothing_after_abort(storage: Storage) -> None:
    storage.create("a")
    writing = storage.write("a", "file")
    writing.write(b"x" * 1000)
    assert storage.entries("a") == []
    writing.abort()
    writing.abort()
    assert storage.entries("a") == []


def test_abort_after_commit_does_nothing(storage: Storage) -> None:
    storage.create("a")
    writing = storage.write("a", "file")
    writing.write(b"x")
    writing.commit()
    writing.abort()
    assert content(storage, "a", "file") == b"x"


def test_a_file_written_again_is_replaced_at_once(storage: Storage) -> None:
    storage.create("a")
    put(storage, "a", "file", b"old")
    writing = storage.write("a", "file")
    writing.write(b"new and longer")
    assert content(storage, "a", "file") == b"old"
    writing.commit()
    assert content(storage, "a", "file") == b"new and longer"


def test_entries_are_listed_by_name_with_sizes(storage: Storage) -> None:
    storage.create("a")
    for path in ("z", "folder/inner", "b"):
        put(storage, "a", path, b"12345")
    listed = [(entry.path, entry.is_folder, entry.size_bytes) for entry in storage.entries("a")]
    assert listed == [("b", False, 5), ("folder", True, 0), ("z", False, 5)]
    assert [entry.path for entry in storage.entries("a", "folder")] == ["folder/inner"]


def test_what_is_absent_is_file_not_found(storage: Storage) -> None:
    storage.create("a")
    put(storage, "a", "file", b"x")
    for absent in (
        lambda: storage.read("a", "none"),
        lambda: storage.read("a", "file/below"),
        lambda: storage.read("none", "file"),
        lambda: storage.stat("a", "none"),
        lambda: storage.stat("a", "file/below"),
        lambda: storage.stat("none"),
        lambda: storage.entries("a", "none"),
        lambda: storage.entries("a", "file"),
        lambda: storage.entries("none"),
        lambda: storage.remove("a", "none"),
        lambda: storage.write("none", "file"),
        lambda: storage.move("none", "other"),
    ):
        with pytest.raises(FileNotFoundError):
            absent()


def test_a_folder_cannot_be_read_or_removed_as_a_file(storage: Storage) -> None:
    storage.create("a")
    put(storage, "a", "folder/file", b"x")
    with pytest.raises(FileNotFoundError):
        storage.read("a", "folder")
    with pytest.raises(FileNotFoundError):
        storage.remove("a", "folder")


def test_a_file_where_a_folder_is_cannot_be_committed(storage: Storage) -> None:
    storage.create("a")
    put(storage, "a", "folder/file", b"x")
    for path in ("folder", "folder/file/below"):
        writing = storage.write("a", path)
        with pytest.raises(FileExistsError):
            writing.commit()
        writing.abort()
    assert [entry.path for entry in storage.entries("a")] == ["folder"]


def test_removing_a_file_leaves_the_others(storage: Storage) -> None:
    storage.create("a")
    put(storage, "a", "one", b"1")
    put(storage, "a", "two", b"2")
    storage.remove("a", "one")
    assert [entry.path for entry in storage.entries("a")] == ["two"]


def test_a_location_moves_whole_and_moving_it_again_is_no_error(storage: Storage) -> None:
    storage.create("from")
    put(storage, "from", "folder/file", b"x")
    storage.move("from", "in/new/place")
    storage.move("from", "in/new/place")
    assert content(storage, "in/new/place", "folder/file") == b"x"
    with pytest.raises(FileNotFoundError):
        storage.stat("from")


def test_a_location_does_not_move_onto_another(storage: Storage) -> None:
    storage.create("from")
    put(storage, "from", "file", b"new")
    storage.create("to")
    put(storage, "to", "file", b"old")
    with pytest.raises(FileExistsError):
        storage.move("from", "to")
    assert content(storage, "to", "file") == b"old"


@pytest.mark.parametrize("path", ["file", "folder/file"])
def test_a_write_begun_before_a_move_cannot_be_committed_after_it(storage: Storage, path: str) -> None:
    storage.create("from")
    put(storage, "from", "folder/there", b"x")
    writing = storage.write("from", path)
    writing.write(b"late")
    storage.move("from", "to")
    with pytest.raises(FileNotFoundError):
        writing.commit()
    writing.abort()
    assert [entry.path for entry in storage.entries("to")] == ["folder"]
    assert [entry.path for entry in storage.entries("to", "folder")] == ["folder/there"]
    with pytest.raises(FileNotFoundError):
        storage.stat("from")


def test_of_many_rivals_moving_one_location_none_fails(storage: Storage) -> None:
    storage.create("from")
    put(storage, "from", "file", b"x")
    failures: list[BaseException] = []

    def move() -> None:
        try:
            storage.move("from", "to")
        except BaseException as error:
            failures.append(error)

    rivals = [threading.Thread(target=move) for _ in range(8)]
    for rival in rivals:
        rival.start()
    for rival in rivals:
        rival.join()
    assert failures == []
    assert content(storage, "to", "file") == b"x"


def test_deleting_a_location_removes_everything_and_twice_is_no_error(storage: Storage) -> None:
    storage.create("a")
    put(storage, "a", "folder/file", b"x")
    pieces = storage.read("a", "folder/file")
    assert next(pieces) == b"x"
    storage.delete("a")
    storage.delete("a")
    assert list(pieces) == []
    with pytest.raises(FileNotFoundError):
        storage.stat("a")


def test_the_local_path_holds_the_files(storage: Storage) -> None:
    storage.create("a/b")
    put(storage, "a/b", "folder/file", b"x")
    assert (storage.local_path("a/b") / "folder" / "file").read_bytes() == b"x"


def test_a_location_is_as_young_as_its_newest_file(storage: Storage) -> None:
    storage.create("a")
    put(storage, "a", "deep/file", b"x")
    newest = storage.stat("a", "deep/file").modified_at_ms
    assert storage.stat("a").modified_at_ms >= newest
    assert storage.stat("a").path == ""


def test_sweeping_removes_what_interrupted_writes_left_but_not_young_ones(storage: Storage) -> None:
    storage.create("a")
    put(storage, "a", "file", b"x")
    writing = storage.write("a", "other")
    writing.write(b"still going on")
    storage.sweep(before_ms=0)
    writing.commit()
    assert content(storage, "a", "other") == b"still going on"

    left = storage.write("a", "left")
    left.write(b"its process died")
    storage.sweep(FAR_FUTURE_MS)
    with pytest.raises(FileNotFoundError):
        left.commit()
    left.abort()
    assert [entry.path for entry in storage.entries("a")] == ["file", "other"]
