from __future__ import annotations

from pathlib import Path

import pytest

from headgate import errors
from headgate.api.tracking.artifact_store import ArtifactStore
from headgate.registry.local_disk import LocalDisk
from headgate.tracking.locations import Artifact

FILE = Artifact("7", "run/artifacts/a.txt")


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(LocalDisk(tmp_path))


def put(store: ArtifactStore, file: Artifact, content: bytes = b"content") -> None:
    writing = store.begin(file)
    writing.write(content)
    writing.commit()


def test_a_file_is_seen_when_it_is_whole_and_may_be_replaced(store: ArtifactStore) -> None:
    writing = store.begin(FILE)
    writing.write(b"first")
    with pytest.raises(errors.NotFound):
        store.file(FILE)
    writing.commit()
    assert b"".join(store.read(FILE, 1, 3)) == b"irs"
    put(store, FILE, b"second")
    assert store.file(FILE).size_bytes == 6


def test_folders_are_listed_and_deleted_with_what_is_in_them(store: ArtifactStore) -> None:
    put(store, FILE)
    put(store, Artifact("7", "run/artifacts/deep/b.txt"))
    found = store.entries(Artifact("7", "run/artifacts"))
    assert [(entry.path, entry.is_folder) for entry in found] == [(FILE.path, False), ("run/artifacts/deep", True)]
    store.remove(Artifact("7", "run/artifacts"))
    with pytest.raises(errors.NotFound):
        store.file(FILE)


def test_a_file_is_no_folder_and_a_folder_no_file(store: ArtifactStore) -> None:
    put(store, FILE)
    with pytest.raises(errors.InvalidParameterValue, match="a part of it is a file"):
        put(store, Artifact("7", f"{FILE.path}/below"))
    with pytest.raises(errors.InvalidParameterValue):
        put(store, Artifact("7", "run/artifacts"))
    with pytest.raises(errors.NotFound):
        store.entries(FILE)
    with pytest.raises(errors.NotFound, match="is a directory"):
        store.file(Artifact("7", "run"))
    with pytest.raises(errors.InvalidParameterValue):
        store.begin(Artifact("7", ""))
