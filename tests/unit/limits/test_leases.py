"""A server's lease, and the book that leases come from, rule by rule."""

from __future__ import annotations

import dataclasses

from tests.fakes.quotas import NAME, World, demand

from headgate.domain import quota
from headgate.domain.quota import Answer, Ask, Grant, Line
from headgate.limits.counters import Denied, Short, Taken
from headgate.limits.leased import Lease, LeasedCounters, Terms

NOW_MS = 1_700_000_000_000
SLOT = NOW_MS // 1000


def settle(book: bytes | None, line: Line, number: int, now_ms: int = NOW_MS, server: str = "a") -> tuple[bytes, Grant]:
    return quota.settle(book, line, Ask(server, number, 10_000, (line,)), now_ms)


def room(book: bytes, now_ms: int = NOW_MS, limit: int = 100) -> int:
    """What a server that has nothing would get of it."""
    return settle(book, Line(NAME, limit, need=limit), 1, now_ms, server="asker")[1].granted


def lease_of(world: World, name: str) -> Lease:
    found = world.servers[name].counters.board.find(NAME)
    assert found is not None
    return found


def leased(world: World, name: str, amount: int) -> None:
    """The server gets a lease of that much and uses nothing of it."""
    counters = world.servers[name].counters
    found = counters.take(demand(world.limit, amount), world.servers[name].clock_s(world.true_s))
    assert isinstance(found, Short)
    counters.wait(found)
    world.exchange(name)
    counters.waited(found)


def test_what_is_told_twice_counts_once() -> None:
    line = Line(NAME, 100, used=((SLOT, 30),), told_in=1)
    book, _ = settle(None, line, 1)
    book, _ = settle(book, line, 2)
    assert room(book) == 70


def test_an_exchange_that_was_overtaken_changes_nothing() -> None:
    book, _ = settle(None, Line(NAME, 100, leased=10), 2)
    late, grant = settle(book, Line(NAME, 100, leased=60, need=20), 1)
    assert grant.granted == 0
    assert room(late) == 90


def test_a_lease_that_ran_out_counts_as_used_until_its_server_says_what_it_used() -> None:
    book, grant = settle(None, Line(NAME, 100, need=40), 1)
    assert grant.granted == 40
    later = NOW_MS + 30_000
    assert room(book, later) == 60
    told, _ = settle(book, Line(NAME, 100, used=((SLOT + 5, 15),), told_in=2), 2, later)
    assert room(told, later) == 85
    # One that never comes back is forgotten with lease and window.
    assert room(book, NOW_MS + 70_000) == 60
    assert room(book, NOW_MS + 72_000) == 100


def test_what_was_used_is_forgotten_after_its_minute_and_not_before() -> None:
    book, _ = settle(None, Line(NAME, 100, used=((SLOT, 30),), told_in=1), 1)
    assert room(book, NOW_MS + 60_999) == 70
    assert room(book, NOW_MS + 61_000) == 100


def test_a_store_clock_that_was_set_back_frees_nothing_and_blocks_for_no_more_than_two_minutes() -> None:
    book, _ = settle(None, Line(NAME, 100, used=((SLOT, 30),), told_in=1, need=20), 1)
    before = NOW_MS - 3_600_000
    assert room(book, before) == 50
    back, _ = settle(book, Line(NAME, 100), 2, before)
    assert room(back, before + 122_000) == 100


def test_a_refusal_says_when_there_will_be_room() -> None:
    used = ((SLOT - 40, 60), (SLOT - 20, 40))
    book, _ = settle(None, Line(NAME, 100, used=used, told_in=1), 1)
    _, grant = settle(book, Line(NAME, 100, need=1, least=1), 2)
    assert grant == Grant(0, 21_000, 21_000)
    _, grant = settle(book, Line(NAME, 100, need=80, least=80), 2)
    assert grant.wait_ms == 41_000


def test_while_others_hold_leases_a_refusal_is_soon_asked_about_again() -> None:
    book, _ = settle(None, Line(NAME, 10, need=10), 1, server="b")
    _, grant = settle(book, Line(NAME, 10, need=1, least=1), 1)
    assert grant.wait_ms == 61_000
    assert grant.recheck_ms == 250


def test_spare_room_is_shared_out_in_ever_smaller_parts() -> None:
    _, grant = settle(None, Line(NAME, 1000, need=100, spare=1000), 1)
    assert grant.granted == 100 + 450
    book, _ = settle(None, Line(NAME, 1000, leased=990), 1, server="b")
    _, grant = settle(book, Line(NAME, 1000, need=7, spare=1000), 1)
    assert grant.granted == 7


def test_a_lease_ends_at_the_server_before_it_ends_in_the_book() -> None:
    world = World(100, 1)
    leased(world, "s1", 50)
    world.true_s += 8.9
    assert isinstance(world.request("s1"), Taken)
    world.true_s += 0.2
    assert isinstance(world.request("s1"), Short)


def test_the_time_of_a_lease_begins_when_it_was_asked_for() -> None:
    world = World(100, 1)
    counters = world.servers["s1"].counters
    found = counters.take(demand(100, 50), world.servers["s1"].clock_s(0))
    assert isinstance(found, Short)
    counters.wait(found)
    world.send("s1")
    world.arrive("s1")
    world.true_s += 5
    world.hear("s1")
    assert isinstance(world.request("s1"), Taken)
    world.true_s += 4.1
    assert isinstance(world.request("s1"), Short)


def test_what_is_used_while_an_answer_is_awaited_stays_covered() -> None:
    world = World(100, 2)
    leased(world, "s1", 50)
    world.request("s1", 20)
    world.servers["s1"].counters.wait(Short(((NAME, 30),)))
    world.send("s1")  # tells of the 20; 30 are left
    world.arrive("s1")
    world.request("s1", 10)  # not told of yet
    world.fail("s1")
    world.servers["s1"].counters.standing.failing = False
    world.exchange("s1")  # tells of the 20 again
    assert world.quotas.books
    leased(world, "s2", 100)
    assert lease_of(world, "s2").held <= 100 - 20 - 10 - lease_of(world, "s1").held


def test_what_an_idle_server_holds_goes_back_with_its_next_exchange() -> None:
    world = World(100, 2)
    leased(world, "s1", 90)
    assert lease_of(world, "s1").held == 90
    world.true_s += 0.25
    world.exchange("s1")
    assert lease_of(world, "s1").held == 0
    leased(world, "s2", 100)
    assert lease_of(world, "s2").held == 100


def test_a_server_that_ends_gives_everything_back() -> None:
    world = World(100, 2)
    leased(world, "s1", 90)
    world.request("s1", 30)
    ask = world.servers["s1"].counters.ask(world.servers["s1"].clock_s(world.true_s), give_back=True)
    assert ask is not None
    world.quotas.exchange(ask)
    leased(world, "s2", 70)
    assert lease_of(world, "s2").held == 70


def test_counters_nobody_uses_are_forgotten() -> None:
    world = World(100, 1)
    counters = LeasedCounters(Terms("s"))
    now_s = 1000.0
    for number in range(500):
        clause = demand(100)[0].clause
        option = dataclasses.replace(clause.options[0], name=f"e/calls/user/{number}")
        found = counters.take([demand(100)[0]._replace(clause=dataclasses.replace(clause, options=(option,)))], now_s)
        assert isinstance(found, Short)
        counters.wait(found)
        ask = counters.ask(now_s)
        assert ask is not None
        counters.heard(ask, world.quotas.exchange(ask), now_s)
        counters.waited(found)
        now_s += 1
        world.true_s += 1
        again = counters.ask(now_s)
        if again is not None:
            counters.heard(again, world.quotas.exchange(again), now_s)
    assert len(counters.board) < 100
    assert len(counters._active) < 10


def test_a_refusal_is_remembered_so_that_nobody_waits_in_vain() -> None:
    world = World(5, 2)
    assert sum(world.serve("s1") for _ in range(6)) == 5
    found = world.request("s1")
    assert isinstance(found, Denied)
    assert 55 < found.wait_s <= 62


def test_use_is_dated_by_the_stores_clock_late_rather_than_early() -> None:
    """However wrong this machine's clock is, and however long an exchange takes: dated early, it would be forgotten too soon."""
    wrong_by_s = -500.0
    counters = LeasedCounters(Terms("s", epoch_s=SLOT + wrong_by_s - 100.0))
    found = counters.take(demand(100), 100.0)
    assert isinstance(found, Short)
    counters.wait(found)
    ask = counters.ask(100.0)
    assert ask is not None
    # 5 s on its way: the store looked at its clock after 2.
    counters.heard(ask, Answer(NOW_MS + 2000, {NAME: Grant(10)}), 105.0)
    counters.waited(found)
    counters.take(demand(100), 105.9)
    counters.take(demand(100), 106.0)
    told = counters.ask(106.5)
    assert told is not None
    # By the store it is SLOT + 5 and SLOT + 6 now: not earlier, and later by the exchange and one second at most.
    assert told.lines[0].used == ((SLOT + 8, 1), (SLOT + 9, 1))
    # A quick exchange later it knows better, but what was counted under a date is taken back from the same.
    counters.heard(told, Answer(NOW_MS + 6600, {NAME: Grant(10)}), 106.7)
    counters.take(demand(100), 106.9)
    counters.take(demand(100), 107.0)
    later = counters.ask(107.1)
    assert later is not None and later.lines[0].used == ((SLOT + 9, 1), (SLOT + 8, 1))
