"""What models say about themselves is asked of the storage once."""

from __future__ import annotations

from typing import Any

import pytest

from headgate import errors
from headgate.registry.descriptions import Descriptions
from headgate.registry.storage import StorageUnavailable

NAME = "main.default.churn"


class Away:
    """A storage that cannot be reached."""

    def __getattr__(self, name: str) -> Any:
        raise StorageUnavailable("It is away.")


def test_what_was_described_once_needs_no_storage(room: Any) -> None:
    number = room.ready()
    folder = room.folder / "descriptions"
    said = Descriptions(room.registry(), folder).describe(NAME, number)
    assert said == room.registry().describe(NAME, number)
    away = Descriptions(room.registry(Away()), folder)
    assert away.describe(NAME.upper(), number) == said


def test_what_was_never_described_cannot_be_while_the_storage_is_away(room: Any) -> None:
    with pytest.raises(errors.TemporarilyUnavailable):
        Descriptions(room.registry(Away()), room.folder / "descriptions").describe(NAME, room.ready())


def test_a_torn_file_is_made_anew(room: Any) -> None:
    number = room.ready()
    descriptions = Descriptions(room.registry(), room.folder / "descriptions")
    said = descriptions.describe(NAME, number)
    [file] = (room.folder / "descriptions").iterdir()
    file.write_text('{"full_name": "main.default')
    assert descriptions.describe(NAME, number) == said
    file.write_text('{"environment": {"requirements": []}}')
    assert descriptions.describe(NAME, number) == said


def test_a_version_that_is_not_ready_or_gone_is_not_described_from_memory(room: Any) -> None:
    descriptions = Descriptions(room.registry(), room.folder / "descriptions")
    with pytest.raises(errors.InvalidState):
        descriptions.describe(NAME, room.begun())
    with pytest.raises(errors.ResourceDoesNotExist):
        descriptions.describe(NAME, "9")
