"""Finished requests on disk: safe before they are answered for, bounded, and never half."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from tests.fakes.records import House, record, until

from headgate.settings import SettingsError
from headgate.telemetry import metrics
from headgate.warehouse.spool import segments, writing
from headgate.warehouse.spool.segments import Inbox
from headgate.warehouse.spool.writing import NotRecorded, Spool


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def dropped(house: House, reason: str) -> float:
    return house.counted.number(metrics.SPOOL_DROPPED, reason).value


def not_started(house: House, **changes: object) -> Spool:
    return Spool(house.spool_folder, replace(house.settings, **changes), house.clock, house.counted)  # type: ignore[arg-type]


@pytest.mark.parametrize("durability", ["written", "synced"])
def test_what_was_written_is_there_for_the_loader_although_the_file_is_still_open(
    house: House, durability: str
) -> None:
    spool = house.spool(durability=durability)

    async def write() -> None:
        assert all(await asyncio.gather(*(spool.written(record(f"r{number}")) for number in range(50))))
        (segment,) = house.spool_folder.glob("*.open")
        assert segment.stat().st_size > 50 * 300

    asyncio.run(write())
    until(lambda: list(house.spool_folder.glob("*.ready")))  # without anything more being written
    spool.stop()
    house.load()
    assert len(house.usage()) == 50


def test_who_only_queues_does_not_wait(house: House) -> None:
    spool = not_started(house, durability="queued")
    assert asyncio.run(spool.written(record("r1")))
    spool.start()
    spool.stop()
    house.load()
    assert len(house.usage()) == 1


def test_a_full_queue_drops_and_counts(house: House) -> None:
    spool = not_started(house, queue_records=3)
    assert [spool.put(record(f"r{number}")) for number in range(5)] == [True, True, True, False, False]
    assert dropped(house, "queue full") == 2
    assert asyncio.run(spool.written(record("r5"))) is False
    spool.check()  # requests go on
    spool.start()
    spool.stop()
    house.load()
    assert len(house.usage()) == 3


def test_a_full_queue_refuses_when_it_is_to(house: House) -> None:
    spool = not_started(house, queue_bytes=10_000, when_full="refuse")
    while spool.put(record("r", request=b"x" * 1000)):
        pass
    with pytest.raises(NotRecorded) as raised:
        spool.check()
    assert (raised.value.http_status, raised.value.headers["retry-after"]) == (503, "1")
    with pytest.raises(NotRecorded):
        asyncio.run(spool.written(record("r")))
    spool.start()
    spool.stop()
    spool.check()


def test_a_spool_that_nobody_empties_is_bounded_and_recovers(house: House) -> None:
    spool = house.spool(spool_bytes=5000, when_full="refuse")

    def refused() -> bool:
        try:
            spool.check()
            spool.put(record("r"))
        except NotRecorded:
            return True
        return False

    until(refused)
    assert segments.folder_bytes(house.spool_folder) < 5_000_000
    until(lambda: not list(house.spool_folder.glob("*.open")))
    house.load()
    until(lambda: not refused())
    spool.stop()


_FULL_DISK = """
import asyncio, resource, sys
from pathlib import Path
from headgate.warehouse.spool.writing import NotRecorded
from tests.fakes.records import House, record
house = House(Path(sys.argv[1]))
spool = house.spool(when_full=sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # no file may grow beyond this: writes are cut short, then fail

async def main():
    outcomes = []
    for number in range(40):
        try:
            done = await spool.written(record(f"r{number}", request=b"x" * 3000))
        except NotRecorded:
            done = "refused"
        outcomes.append(done)
        if done is True:
            print(f"r{number}")
    assert not all(outcome is True for outcome in outcomes), outcomes
    assert (False in outcomes) == (sys.argv[2] == "drop"), outcomes
    assert ("refused" in outcomes) == (sys.argv[2] == "refuse"), outcomes
asyncio.run(main())
spool.stop()
"""


@pytest.mark.parametrize("when_full", ["drop", "refuse"])
def test_a_disk_that_is_full_costs_records_by_the_setting_and_corrupts_none(house: House, when_full: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, str(house.folder), when_full], capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": "src:."},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    told = ran.stdout.split()
    assert len(told) > 10
    house.load()
    assert sorted(row["databricks_request_id"] for row in house.usage()) == sorted(told)
    assert house.counted.number(metrics.SPOOL_DAMAGE).value == 0


@pytest.mark.parametrize("when_full", ["drop", "refuse"])
def test_a_disk_that_hangs_holds_nobody_for_ever(house: House, when_full: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "WAIT_S", 0.05)
    spool = not_started(house, when_full=when_full)  # its thread does nothing, as one that waits for a disk
    if when_full == "refuse":
        with pytest.raises(NotRecorded):
            asyncio.run(spool.written(record("r1")))
        with pytest.raises(NotRecorded):
            spool.check()
    else:
        assert asyncio.run(spool.written(record("r1"))) is False
    spool.start()
    spool.stop()
    house.load()
    assert len(house.usage()) == 1  # it came late, and once


_NO_ROOM = """
import resource, sys
from pathlib import Path
from headgate.clock import SystemClock
from headgate.warehouse.spool.segments import Inbox
resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))  # what is there may be written over, but nothing may grow
inbox = Inbox(Path(sys.argv[1]), SystemClock())
assert inbox.claim() and inbox.spool_id
first = inbox.take()
assert first
inbox.remove(first)
"""


def test_a_disk_without_any_room_is_emptied_all_the_same(house: House) -> None:
    house.put(record("r1"))
    ran = subprocess.run(
        [sys.executable, "-c", _NO_ROOM, str(house.spool_folder)], capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": "src:."},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert sorted(path.name for path in house.spool_folder.iterdir()) == ["counter", "id", "loader.lock"]


def test_a_folder_is_made_ready_by_whoever_is_first(house: House) -> None:
    threads = [threading.Thread(target=segments.prepare, args=(house.spool_folder,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(path.name for path in house.spool_folder.iterdir()) == ["counter", "id", "loader.lock"]
    inbox = Inbox(house.spool_folder, house.clock)
    assert inbox.claim()
    assert len(inbox.spool_id) == 32


def test_a_record_that_cannot_be_told_costs_no_other_its_place(house: House) -> None:
    spool = not_started(house)

    async def write() -> list[bool]:
        writing = asyncio.gather(
            *(spool.written(item) for item in (record("a"), record("b", duration_ms=2**70), record("c")))
        )
        await asyncio.sleep(0)
        spool.start()
        return list(await writing)

    assert asyncio.run(write()) == [True, False, True]
    assert dropped(house, "not written") == 1
    spool.stop()
    house.load()
    assert len(house.usage()) == 2


def test_a_damaged_place_costs_only_what_was_there_and_is_counted(house: House) -> None:
    house.put(*(record(f"r{number}") for number in range(5)))
    (segment,) = house.spool_folder.glob("*.ready")
    content = bytearray(segment.read_bytes())
    content[content.index(b'"r2"') + 1] ^= 1
    segment.write_bytes(content)
    house.load()
    assert sorted(row["databricks_request_id"] for row in house.usage()) == ["r0", "r1", "r3", "r4"]
    assert house.counted.number(metrics.SPOOL_DAMAGE).value == 1


def test_there_is_one_loader_at_a_time(house: House) -> None:
    first, second = Inbox(house.spool_folder, house.clock), Inbox(house.spool_folder, house.clock)
    assert first.claim()
    assert not second.claim()
    loader = house.loader(inbox=second)
    assert not loader.lap()
    first.release()
    assert loader.lap()
    loader.stop()


def test_numbers_grow_although_the_folder_was_lost(house: House) -> None:
    house.put(record("r1"))
    inbox = Inbox(house.spool_folder, house.clock)
    assert inbox.claim()
    (first,) = inbox.take()
    (house.spool_folder / "counter").unlink()
    house.put(record("r2"))
    both = inbox.take()
    assert both[0] == first
    assert both[1].number > first.number
    inbox.release()


@pytest.mark.parametrize("wrong", [{"durability": "fsync"}, {"when_full": "wait"}])
def test_a_setting_nobody_knows_is_said_at_start(house: House, wrong: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        not_started(house, **wrong)
