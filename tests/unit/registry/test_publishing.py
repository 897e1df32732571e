"""From upload to READY, and what is left when somebody dies on the way."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from headgate import errors
from headgate.domain.registered_model import Author, ModelName, VersionStatus
from headgate.registry.models import Registry
from headgate.registry.version_files import UPLOAD_RETENTION_MS

NAME = "main.default.churn"
ANN = Author("7", "ann")
PARSED = ModelName.parse(NAME)
GOOD = b"flavors: {python_function: {}}\nsignature: {inputs: '[]', outputs: '[]'}\n"


class Killed(BaseException):
    """What a dead process does not survive."""


class DyingStorage:
    """A storage whose process dies at its nth verb, before or after doing it."""

    def __init__(self, storage: Any, verb: int, after: bool) -> None:
        self._storage = storage
        self._left = verb
        self._after = after

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._storage, name)

        def verb(*arguments: Any, **keywords: Any) -> Any:
            self._left -= 1
            if self._left == 0 and not self._after:
                raise Killed
            done = real(*arguments, **keywords)
            if self._left == 0:
                raise Killed
            return done

        return verb


def files_of(room: Any) -> dict[str, bytes]:
    return dict(room.content("1"))


def killed_at(room: Any, verb: int, after: bool, work: Any) -> bool:
    """Whether the work came as far as that verb."""
    try:
        work(room.registry(DyingStorage(room.storage(), verb, after)))
    except Killed:
        return True
    return False


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("verb", range(1, 12))
def test_finalize_killed_anywhere_never_shows_half_a_version_and_can_be_repeated(
    room: Any, verb: int, after: bool
) -> None:
    room.begun()
    killed_at(room, verb, after, lambda registry: registry.finalize_version(NAME, "1"))
    registry: Registry = room.registry()
    registry.recover()
    if registry.version(NAME, "1").status is not VersionStatus.READY:
        with pytest.raises(errors.InvalidState):
            files_of(room)
        registry.finalize_version(NAME, "1")
    assert set(files_of(room)) == {"MLmodel", "python_env.yaml", "requirements.txt", "data/model.pkl"}
    assert len(room.files_on_disk()) == 4


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("verb", range(1, 5))
def test_a_deletion_killed_anywhere_is_done_by_the_next_start(room: Any, verb: int, after: bool) -> None:
    room.ready()
    killed_at(room, verb, after, lambda registry: registry.delete_version(NAME, "1", ANN))
    registry = room.registry()
    with pytest.raises(errors.ResourceDoesNotExist):
        registry.version(NAME, "1")
    registry.recover()
    assert room.files_on_disk() == []
    assert room.begun() == "2"


def test_finalize_killed_after_publishing_is_completed_by_recovery(room: Any) -> None:
    room.begun()
    registry = room.registry()
    found = registry.version(NAME, "1")
    room.storage().move(found.staging, found.sealed)
    room.storage().move(found.sealed, found.location)
    registry.recover()
    assert registry.version(NAME, "1").status is VersionStatus.READY
    assert files_of(room)["data/model.pkl"] == b"weights"


def test_finalizing_twice_is_no_error(room: Any) -> None:
    room.ready()
    assert room.registry().finalize_version(NAME, "1").status is VersionStatus.READY


def test_of_many_rivals_finalizing_one_version_none_fails(room: Any) -> None:
    room.begun()
    outcomes: list[Any] = []

    def finalize() -> None:
        try:
            outcomes.append(room.registry().finalize_version(NAME, "1").status)
        except BaseException as error:
            outcomes.append(error)

    rivals = [threading.Thread(target=finalize) for _ in range(6)]
    for rival in rivals:
        rival.start()
    for rival in rivals:
        rival.join(30)
    assert outcomes == [VersionStatus.READY] * 6
    assert len(files_of(room)) == 4


@pytest.mark.parametrize(
    ("mlmodel", "message"),
    [
        (None, "no MLmodel file"),
        (b"flavors: [", "not valid YAML"),
        (b"just text", "not a YAML mapping"),
        (b"\xff\xfe\xff", "not UTF-8"),
        (b"signature: {inputs: '[]', outputs: '[]'}", "names no flavors"),
        (b"flavors: {x: {}}", "did not contain any signature metadata. All models in the Unity Catalog must be logged"),
        (b"flavors: {x: {}}\nsignature: {inputs: null, outputs: null}", "did not contain any signature metadata"),
        (b"flavors: {x: {}}\nsignature: {inputs: '[]', outputs: null}", "a signature that includes only inputs"),
        (b"flavors: {x: {}}\nsignature: {outputs: '[]'}", "a signature that includes only outputs"),
        (b"flavors: {x: {}}\nsignature: {inputs: 'x', outputs: '[]'}", "a signature that includes only outputs"),
    ],
)
def test_what_is_no_model_with_a_signature_fails_for_good(room: Any, mlmodel: bytes | None, message: str) -> None:
    room.begun({"data": b"x"} if mlmodel is None else {"MLmodel": mlmodel})
    registry = room.registry()
    with pytest.raises(errors.InvalidParameterValue, match=message):
        registry.finalize_version(NAME, "1")
    found = registry.version(NAME, "1")
    assert found.status is VersionStatus.FAILED
    assert message in found.status_message
    assert room.files_on_disk() == []
    with pytest.raises(errors.InvalidState, match="has failed"):
        registry.finalize_version(NAME, "1")
    with pytest.raises(errors.InvalidState):
        registry.files.upload(PARSED, 1, "late")


def test_an_upload_that_ends_after_finalize_is_refused_and_not_published(room: Any) -> None:
    room.begun()
    registry = room.registry()
    late = registry.files.upload(PARSED, 1, "late.bin")
    late.write(b"late")
    registry.finalize_version(NAME, "1")
    with pytest.raises(errors.InvalidState):
        late.commit()
    late.abort()
    assert "late.bin" not in files_of(room)


def test_an_uploaded_file_can_be_replaced_and_deleted_until_finalize(room: Any) -> None:
    room.begun({"MLmodel": GOOD, "wrong": b"x", "data": b"old"})
    registry = room.registry()
    registry.files.remove(PARSED, 1, "wrong")
    with pytest.raises(errors.NotFound):
        registry.files.remove(PARSED, 1, "wrong")
    upload = registry.files.upload(PARSED, 1, "data")
    upload.write(b"new")
    upload.commit()
    registry.finalize_version(NAME, "1")
    assert files_of(room) == {"MLmodel": GOOD, "data": b"new"}
    with pytest.raises(errors.InvalidState):
        registry.files.remove(PARSED, 1, "data")


def test_a_file_where_a_folder_is_needed_is_an_error_of_the_client(room: Any) -> None:
    room.begun({"MLmodel": GOOD})
    upload = room.registry().files.upload(PARSED, 1, "MLmodel/below")
    with pytest.raises(errors.InvalidParameterValue, match="MLmodel/below"):
        upload.commit()
    upload.abort()


def test_an_upload_left_alone_for_a_day_fails_at_the_next_start(room: Any) -> None:
    room.begun()
    room.clock.ms = now_ms()
    room.registry().recover()
    assert room.registry().version(NAME, "1").status is VersionStatus.PENDING
    room.clock.ms += UPLOAD_RETENTION_MS + 60_000
    room.registry().recover()
    found = room.registry().version(NAME, "1")
    assert found.status is VersionStatus.FAILED
    assert "not completed" in found.status_message
    assert room.files_on_disk() == []


def test_a_version_that_lost_its_upload_fails_instead_of_pending_forever(room: Any) -> None:
    room.begun()
    registry = room.registry()
    room.storage().delete(registry.version(NAME, "1").staging)
    with pytest.raises(errors.InvalidParameterValue, match="not completed"):
        registry.finalize_version(NAME, "1")
    assert registry.version(NAME, "1").status is VersionStatus.FAILED


def test_staging_areas_without_a_version_are_swept(room: Any) -> None:
    room.storage().create(".staging/nobody")
    room.clock.ms = now_ms() + UPLOAD_RETENTION_MS + 60_000
    room.registry().recover()
    assert [path.name for path in (room.folder / "models" / ".staging").iterdir()] == []


def test_recovery_touches_no_files_that_no_row_knows(room: Any) -> None:
    foreign = room.folder / "models" / "main" / "default" / "other" / "1"
    foreign.mkdir(parents=True)
    (foreign / "MLmodel").write_text("restored from a backup")
    room.registry().recover()
    assert (foreign / "MLmodel").exists()


def test_a_deletion_during_finalize_leaves_nothing(room: Any) -> None:
    room.begun()
    deleting = room.registry()

    class DeletedMeanwhile(DyingStorage):
        def __getattr__(self, name: str) -> Any:
            real = super().__getattr__(name)

            def verb(*arguments: Any, **keywords: Any) -> Any:
                done = real(*arguments, **keywords)
                if name == "move" and arguments[1] == "main/default/churn/1":
                    deleting.delete_version(NAME, "1", ANN)
                return done

            return verb

    with pytest.raises(errors.ResourceDoesNotExist):
        room.registry(DeletedMeanwhile(room.storage(), 10**6, False)).finalize_version(NAME, "1")
    assert room.files_on_disk() == []


def now_ms() -> int:
    return time.time_ns() // 1_000_000
