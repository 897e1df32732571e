"""What became of statements is kept for a while, per caller, and read by every process of the machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from headgate.clock import SystemClock
from headgate.warehouse.sql import shelf
from headgate.warehouse.sql.results import Outline
from headgate.warehouse.sql.shelf import FAILED, RUNNING, SUCCEEDED, Fate, Limits, Shelf

IDS = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(10)]
OUTLINE = Outline([{"name": "a", "position": 0, "type_name": "STRING", "type_text": "STRING"}], 1, False, 1000)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Shelf]:
    made = Shelf(tmp_path, Limits(3600.0, 5000), SystemClock())
    yield made
    made.close()


def put(kept: Shelf, owner: str, statement_id: str, age_s: float = 0.0) -> None:
    """A result of about a kilobyte, of some time ago."""
    kept.put(owner, statement_id, running(kept))
    writing = kept.begin(owner, statement_id, OUTLINE)
    writing.write(b"x" * 1000)
    writing.finish()
    kept.put(owner, statement_id, Fate(SUCCEEDED, kept.process))
    path = kept._path(owner, statement_id)
    for file in (path, path.with_suffix(".answer")):
        at_s = file.stat().st_mtime - age_s
        os.utime(file, (at_s, at_s))


def running(kept: Shelf) -> Fate:
    return Fate(RUNNING, kept.process)


def there(kept: Shelf, owner: str) -> list[str]:
    return [one for one in IDS if kept.fate(owner, one) is not None]


def test_what_is_too_old_goes_with_its_result(kept: Shelf, tmp_path: Path) -> None:
    put(kept, "7", IDS[0], age_s=3700)
    put(kept, "7", IDS[1], age_s=3500)
    kept.cancel("8", IDS[2])  # nobody of that name: nothing to leave behind
    kept.sweep()
    assert there(kept, "7") == [IDS[1]]
    assert sorted(path.suffix for path in (tmp_path / "7").iterdir()) == [".answer", ".json"]


def test_whoever_has_most_loses_the_oldest_when_it_is_too_much(kept: Shelf) -> None:
    for number in range(4):
        put(kept, "7", IDS[number], age_s=100 - number)
    put(kept, "8", IDS[9], age_s=1000)
    kept.sweep()
    assert (there(kept, "7"), there(kept, "8")) == ([IDS[2], IDS[3]], [IDS[9]])


def test_one_caller_has_so_many_and_no_more(kept: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "MOST_KEPT", 2)
    for number in range(3):
        put(kept, "7", IDS[number], age_s=100 - number)
    kept.sweep()
    assert there(kept, "7") == IDS[1:3]


def test_a_process_that_lives_keeps_its_statements_running_and_a_dead_ones_have_failed(tmp_path: Path) -> None:
    first, second = (Shelf(tmp_path, Limits(3600.0, 5000), SystemClock()) for _ in range(2))
    first.put("7", IDS[0], running(first))
    for _ in range(2):
        second.sweep()
        assert second.fate("7", IDS[0]) == running(first)
    first.close()
    fate = second.fate("7", IDS[0])
    assert fate is not None
    assert (fate.state, (fate.error or {})["error_code"]) == (FAILED, "TEMPORARILY_UNAVAILABLE")
    second.close()


def test_only_the_owner_and_administrators_find_it(kept: Shelf) -> None:
    kept.put("7", IDS[0], running(kept))
    found = [kept.owner(caller, admin, IDS[0]) for caller, admin in (("7", False), ("8", False), ("8", True))]
    assert found == ["7", None, "7"]
    for strange in ("", "x", "../7/" + IDS[0], "*"):
        assert kept.owner("7", True, strange) is None


def test_nothing_is_left_of_an_answer_that_broke_off(kept: Shelf, tmp_path: Path) -> None:
    kept.put("7", IDS[0], running(kept))
    writing = kept.begin("7", IDS[0], OUTLINE)
    writing.write(b"x")
    writing.drop()
    assert kept.answer("7", IDS[0]) is None
    assert [path.suffix for path in (tmp_path / "7").iterdir()] == [".json"]
