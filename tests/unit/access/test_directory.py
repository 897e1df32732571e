"""Looking people up in a snapshot, and keeping the newest at hand."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from headgate.access.directory import Directory, DirectorySource, Follower
from headgate.domain.identity import Group, Population, ServicePrincipal, User
from headgate.telemetry.counting import Metrics

CLEO = User("11", "Cleo@example.com", "Cleo")
ROBOT = ServicePrincipal("12", "5f0c7a54-1b7c-4a39-a4fb-2b8d4c3f1e55", "robot", active=False)
TEAM = Group("20", "Team", frozenset({"11"}))
CREW = Group("21", "crew", frozenset({"20"}))
USERS = Group("3", "users")
EVERYBODY = Population(1, (CLEO,), (ROBOT,), (CREW, TEAM, USERS))
DEADLINE_S = 30.0


def test_everybody_is_found_by_id_and_by_name_whatever_its_case() -> None:
    directory = Directory(EVERYBODY)
    assert [directory.by_id(one) for one in ("11", "12", "20", "99")] == [CLEO, ROBOT, TEAM, None]
    assert directory.by_user_name("CLEO@example.com") is CLEO and directory.by_user_name("cleo") is None
    assert directory.by_application_id(ROBOT.application_id.upper()) is ROBOT
    assert directory.by_group_name("TEAM") is TEAM and directory.by_group_name("Cleo@example.com") is None


def test_groups_members_and_who_may_call() -> None:
    directory = Directory(EVERYBODY)
    assert directory.groups_of("11") == {"20", "21", "3"} and directory.groups_of("12") == {"3"}
    assert directory.groups_of("20") == {"21"}, "groups are not in users"
    assert directory.members(USERS) == {"11", "12"} and directory.members(CREW) == {"20"}
    assert directory.principal("12") is None, "deactivated"
    assert directory.principal("20") is None, "a group"
    caller = directory.principal("11", "session", "e1")
    assert caller is not None and (caller.credential, caller.endpoint_id, caller.admin) == ("session", "e1", False)


class Store:
    """A store that can be away, and what it was told."""

    def __init__(self) -> None:
        self.population = EVERYBODY
        self.away = False
        self.reads = 0
        self.reported: list[int] = []
        self.row = True

    def source(self) -> DirectorySource:
        return DirectorySource(self.revision, self.read, self.report)

    def revision(self) -> int:
        if self.away:
            raise OSError("the store is away")
        return self.population.revision

    def read(self) -> Population:
        self.reads += 1
        return self.population

    def report(self, revision: int) -> bool:
        if self.row:
            self.reported.append(revision)
        return self.row

    def change(self, revision: int, *users: User) -> None:
        self.population = Population(revision, users)


async def until(holds: Callable[[], bool]) -> None:
    end_s = asyncio.get_running_loop().time() + DEADLINE_S
    while not holds():
        assert asyncio.get_running_loop().time() < end_s
        await asyncio.sleep(0.005)


def test_the_directory_is_swapped_only_for_a_newer_one_and_reported_once() -> None:
    store = Store()
    follower = Follower(store.source())
    first = follower.refresh()
    assert follower.refresh() is first is follower.now() and store.reads == 1 and store.reported == [1]
    store.change(2)
    assert follower.refresh() is not first and follower.now().revision == 2 and store.reported == [1, 2]


def test_a_slow_reader_does_not_put_an_older_directory_back() -> None:
    newest, read, go_on = [1], threading.Event(), threading.Event()

    def population() -> Population:
        found = Population(revision=newest[0])
        if found.revision == 1:
            read.set()
            assert go_on.wait(30)
        return found

    follower = Follower(DirectorySource(lambda: newest[0], population))
    with ThreadPoolExecutor(2) as threads:
        slow = threads.submit(follower.refresh)
        assert read.wait(30)
        newest[0] = 2
        quick = threads.submit(follower.refresh)
        wait([quick], timeout=0.2)  # without a lock it would be through by now; with one, it waits for the other
        go_on.set()
        assert quick.result(30).revision == 2 and slow.result(30).revision == 1
    assert follower.now().revision == 2


def test_what_could_not_be_reported_is_reported_later() -> None:
    store = Store()
    store.row = False
    follower = Follower(store.source())
    follower.refresh()
    store.row = True
    follower.refresh()
    follower.refresh()
    assert store.reported == [1] and store.reads == 1


def test_a_notice_of_its_topic_makes_it_look_at_once() -> None:
    async def live() -> None:
        store = Store()
        follower = Follower(store.source())
        following = asyncio.create_task(follower.run())
        await until(lambda: follower.now().revision == 1)
        store.change(2, CLEO)
        follower.hint("routing")
        follower.hint("identity")
        await until(lambda: follower.now().revision == 2)
        following.cancel()

    asyncio.run(live())


def test_while_the_store_is_away_the_last_directory_stays_and_that_is_said_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    counted = Metrics(tmp_path, "server-0")

    async def live() -> None:
        store = Store()
        follower = Follower(store.source(), counted)
        kept = follower.refresh()
        store.away = True
        store.change(2)
        following = asyncio.create_task(follower.run())
        await until(lambda: bool(caplog.records))
        assert follower.now() is kept
        for _ in range(3):
            follower.hint("identity")
            await asyncio.sleep(0.02)
        store.away = False
        follower.hint("identity")
        await until(lambda: follower.now().revision == 2)
        following.cancel()

    with caplog.at_level(logging.INFO):
        asyncio.run(live())
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]
    shown = counted.render_all().decode()
    assert 'headgate_directory_revision{process="server-0"} 2' in shown
    assert float(shown.split("\nheadgate_directory_refresh_failures_total ")[1].split("\n")[0]) >= 1
