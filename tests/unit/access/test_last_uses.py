"""When tokens were last used is written down now and then, and nothing of it is lost while the store is away."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from headgate.access.tokens import LastUses


def test_what_could_not_be_written_is_written_with_what_came_since(caplog: pytest.LogCaptureFixture) -> None:
    uses = [{"a": 1, "b": 1}, {"a": 2}, {}, {}]
    written: list[dict[str, int]] = []
    away = [True, False, False]

    def note(last: Mapping[str, int]) -> None:
        if away.pop(0):
            raise OSError("the store is away")
        written.append(dict(last))

    last_uses = LastUses(lambda: uses.pop(0), note)
    for _ in range(4):
        asyncio.run(last_uses.write())
    assert written == [{"a": 2, "b": 1}]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
