"""What holds whatever happens: servers that share limits through a store, in a world whose time is moved by hand."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.quotas import NAME, World

from headgate.domain.rate_limits import TOKENS
from headgate.limits.counters import Charge, Short, Taken

STEPS = st.one_of(
    st.tuples(st.just("pass"), st.sampled_from([0.001, 0.02, 0.3, 1.0, 4.0, 9.5, 30.0, 61.0])),
    st.tuples(st.sampled_from(["request", "request", "request", "last"]), st.integers(0, 5)),
    st.tuples(
        st.sampled_from(["wait", "send", "arrive", "hear", "exchange", "exchange", "fail", "late"]), st.integers(0, 5)
    ),
    st.tuples(st.just("die"), st.integers(0, 5)),
    st.tuples(st.just("start"), st.sampled_from([-500.0, 0.0, 3.3])),
    st.tuples(st.just("limit"), st.sampled_from([1, 3, 10, 100])),
)


Waiting = dict[str, list[Short]]


def step(world: World, what: str, value: Any, waiting: Waiting) -> None:
    """One thing that happens."""
    if what == "pass":
        world.true_s += value
    elif what == "limit":
        world.limit = value
    elif what == "start":
        if len(world.servers) < 5:
            world.start(value, rate=1.0 + value / 1e6)
    elif world.servers:
        name = list(world.servers)[value % len(world.servers)]
        if what == "die":
            # Its lease is lost with it; what is on its way may arrive all the same.
            if value % 2:
                world.arrive(name)
            del world.servers[name]
            waiting.pop(name, None)
            if not world.servers:
                world.start()
        elif what in ("request", "last"):
            for _ in range(1 + value * 3):
                ask(world, name, 1, waiting, last=what == "last")
        elif what == "wait":
            # Much is asked for and little used of it, so that leases lie about.
            ask(world, name, 1 + value * world.limit // 16, waiting)
        elif what == "late":
            world.arrive_late(name)
        else:
            getattr(world, what)(name)
            if what in ("hear", "exchange"):
                for short in waiting.pop(name, ()):
                    world.servers[name].counters.waited(short)


def ask(world: World, name: str, amount: int, waiting: Waiting, last: bool = False) -> None:
    found = world.request(name, amount, last)
    if isinstance(found, Short):
        world.servers[name].counters.wait(found)
        waiting.setdefault(name, []).append(found)


def check(world: World) -> None:
    """Holds after each request that was let in."""
    newest = world.admitted[-1]
    if newest.leased:
        # What was leased never goes over the limit, also not over one that was lowered a moment ago.
        assert world.last_minute(leased=(True,)) <= world.limit
    else:
        # On its own a server keeps to its share, of which what it leased before is a part.
        used = sum(one.amount for one in world.admitted if one.server == newest.server and one.at_s > world.true_s - 60)
        assert used <= -(-world.limit // world.wanted)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([1, 3, 10, 100]), st.integers(1, 4), st.lists(STEPS, max_size=120))
def test_however_servers_asks_answers_and_deaths_fall_together_the_bound_holds(
    limit: int, servers: int, steps: list[tuple[str, Any]]
) -> None:
    world = World(limit, servers)
    waiting: Waiting = {}
    for what, value in steps:
        before = len(world.admitted)
        step(world, what, value, waiting)
        if len(world.admitted) > before:
            check(world)


BUSY: dict[str, tuple[int, tuple[Any, ...]]] = {
    "pass": (8, (0.01, 0.05, 0.2, 0.2, 0.5, 1.0, 3.0, 8.0, 11.0)),
    "request": (40, (0, 1, 2, 3, 4, 5)),
    "last": (2, (0, 1, 2)),
    "wait": (10, (0, 1, 2, 3)),
    "send": (14, (0, 1, 2, 3)),
    "arrive": (14, (0, 1, 2, 3)),
    "hear": (14, (0, 1, 2, 3)),
    "exchange": (10, (0, 1, 2, 3)),
    "fail": (3, (0, 1, 2, 3)),
    "late": (4, (0, 1, 2, 3)),
    "die": (1, (0, 1, 2, 3)),
    "start": (1, (-500.0, 0.0, 3.3)),
    "limit": (1, (150, 300, 600)),
}


@pytest.mark.parametrize("seed", range(60))
def test_the_bound_holds_under_load(seed: int) -> None:
    dice = random.Random(seed)
    # In every second world servers never go on alone, so that only leases stand between them and too much.
    world = World(dice.choice([40, 200, 800]), 4, patience_s=1e9 if seed % 2 else 0.25)
    if seed % 2:
        world.wanted = 10**9
    waiting: Waiting = {}
    kinds, weights = list(BUSY), [weight for weight, _ in BUSY.values()]
    for _ in range(1500):
        what = dice.choices(kinds, weights)[0]
        before = len(world.admitted)
        step(world, what, dice.choice(BUSY[what][1]), waiting)
        if len(world.admitted) > before:
            check(world)
    assert sum(one.amount for one in world.admitted if one.leased) > 100


TOKEN_STEPS = st.one_of(
    st.tuples(st.just("pass"), st.sampled_from([0.02, 0.3, 1.0, 9.5, 30.0])),
    st.tuples(st.just("request"), st.integers(0, 3)),
    st.tuples(st.just("settle"), st.integers(0, 300)),
    st.tuples(st.sampled_from(["send", "arrive", "hear", "exchange", "fail"]), st.integers(0, 3)),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(TOKEN_STEPS, max_size=120))
def test_tokens_go_over_the_limit_by_no_more_than_was_not_reserved(steps: list[tuple[str, int]]) -> None:
    world = World(1000, 3)
    open_charges: list[tuple[str, Charge, int]] = []
    truth: dict[int, int] = {}
    names = list(world.servers)
    for what, value in steps:
        name = names[int(value) % 3]
        before = len(world.admitted)
        if what == "pass":
            world.true_s += value
        elif what == "settle":
            if open_charges:
                server, charge, number = open_charges.pop(value % len(open_charges))
                counters = world.servers[server].counters
                counters.settle(charge, value, world.servers[server].clock_s(world.true_s))
                truth[number] = min(value, charge.amount)
        elif what == "request":
            world.serve(name, 40 + 60 * value)
        else:
            getattr(world, what)(name)
        for number in range(before, len(world.admitted)):
            one = world.admitted[number]
            truth[number] = one.amount
            open_charges.append((one.server, one.charge, number))
        leased = [
            truth[number] for number, one in enumerate(world.admitted) if one.leased and one.at_s > world.true_s - 60
        ]
        if len(world.admitted) > before and world.admitted[-1].leased:
            assert sum(leased) <= 1000


def test_reservations_that_nobody_settles_are_forgotten_with_their_minute() -> None:
    world = World(1000, 2)
    for _ in range(10):
        assert world.serve("s1", 100)
    assert not world.serve("s2", 100)
    world.true_s += 75
    for name in ("s1", "s2"):
        world.exchange(name)
    assert world.serve("s2", 1000)


def test_what_was_reserved_and_not_used_is_there_for_others_after_an_exchange() -> None:
    world = World(1000, 2)
    assert world.serve("s1", 900)
    assert not world.serve("s2", 500)
    charge = world.admitted[0].charge
    counters = world.servers["s1"].counters
    counters.settle(charge, 0, world.servers["s1"].clock_s(world.true_s))
    world.exchange("s1")
    world.true_s += 62  # longer than the refusal above is believed
    world.exchange("s2")
    assert world.serve("s2", 500)


def test_more_used_than_reserved_counts_against_everybody() -> None:
    world = World(1000, 2)
    assert world.serve("s1", 100)
    world.servers["s1"].counters.settle(world.admitted[0].charge, 950, world.servers["s1"].clock_s(world.true_s))
    world.exchange("s1")
    assert not world.serve("s2", 100)
    assert world.serve("s2", 50)
    assert world.admitted[0].charge.unit != TOKENS or NAME


def test_four_servers_at_a_high_rate_let_in_the_limit_and_no_more() -> None:
    world = World(6000, 4)
    names = list(world.servers)
    due = dict.fromkeys(names, 0.0)
    short: dict[str, Any] = {}
    most = 0
    for tick in range(
        130 * 20
    ):  # 130 s in steps of 50 ms: each server is offered 200 requests a second, twice the limit
        world.true_s = tick * 0.05
        for name in names:
            counters = world.servers[name].counters
            for _ in range(10):
                found = world.request(name)
                if hasattr(found, "wanted") and name not in short:
                    counters.wait(found)
                    short[name] = found
            if counters.is_wanted or world.true_s >= due[name]:
                world.exchange(name)
                due[name] = world.true_s + 0.25
                if name in short:
                    counters.waited(short.pop(name))
        most = max(most, world.last_minute()) if tick % 20 == 0 else most
    assert most <= 6000
    # Little is lost to leases that lie unused, and to the 61st second.
    assert most >= 5900
    assert sum(one.amount for one in world.admitted) >= 12_000 * 0.95


def test_a_small_limit_is_exact_whoever_is_asked() -> None:
    for limit in (1, 2, 5, 10, 15):
        world = World(limit, 4)
        let_in = sum(world.serve(f"s{1 + number % 4}") for number in range(3 * limit))
        assert let_in == limit


def test_a_limit_is_shared_fairly_by_servers_that_ask_at_the_same_time() -> None:
    world = World(400, 4)
    let_in = dict.fromkeys(world.servers, 0)
    for number in range(800):
        world.true_s += 0.01
        name = f"s{1 + number % 4}"
        let_in[name] += world.serve(name)
    assert 380 <= sum(let_in.values()) <= 400
    assert min(let_in.values()) >= 60


def test_a_lowered_limit_binds_the_next_request_of_every_server() -> None:
    world = World(1000, 3)
    for number in range(300):
        world.true_s += 0.01
        assert world.serve(f"s{1 + number % 3}")
    world.limit = 300
    assert not any(world.serve(name) for name in world.servers)
    world.limit = 310
    assert sum(world.serve(f"s{1 + number % 3}") for number in range(60)) == 10
    world.limit = 0
    assert not any(world.serve(name) for name in world.servers)


def test_what_a_dead_server_had_leased_is_free_again_after_lease_and_window() -> None:
    world = World(400, 2)
    for _ in range(60):
        world.true_s += 0.005
        assert world.serve("s1")
    held = world.servers["s1"].counters.board.find(NAME).held  # type: ignore[union-attr]
    del world.servers["s1"]
    let_in = sum(world.serve("s2") for _ in range(500))
    assert 400 - 60 - held <= let_in <= 340
    world.true_s += 61 + 10 + 1
    world.exchange("s2")
    assert sum(world.serve("s2") for _ in range(500)) == 400


def test_with_the_store_away_leases_are_used_up_and_then_each_server_keeps_to_its_share() -> None:
    world = World(400, 4)
    for number in range(100):
        world.true_s += 0.01
        assert world.serve(f"s{1 + number % 4}")
    for name in world.servers:
        world.send(name)
        world.fail(name)
    most = 0
    for _ in range(60 * 10):  # a minute without it, at 40 requests a second
        world.true_s += 0.1
        for name in world.servers:
            world.request(name)
            if world.true_s % 1 < 0.1:
                world.send(name)
                world.fail(name)
        most = max(most, world.last_minute())
    assert 390 <= most <= 400
    # Back again: what was used meanwhile is told, and counts.
    for _ in range(2):
        for name in world.servers:
            world.exchange(name)
    for number in range(800):
        world.serve(f"s{1 + number % 4}")
        assert world.last_minute() <= 400
    world.true_s += 62
    for name in world.servers:
        world.exchange(name)
    assert sum(world.serve(f"s{1 + number % 4}") for number in range(800)) == 400


def test_one_server_that_alone_cannot_reach_the_store_adds_at_most_its_share() -> None:
    world = World(100, 4)
    world.send("s4")
    world.fail("s4")
    for number in range(2000):
        world.true_s += 0.05
        world.serve(f"s{1 + number % 3}")
        world.request("s4")
        assert world.last_minute() <= 100 + 25
    assert world.last_minute(leased=(True,)) <= 100


def test_a_store_that_is_slow_keeps_nobody_waiting() -> None:
    world = World(40, 4)
    world.request("s1", last=True)  # waited as long as it may
    world.send("s1")
    world.true_s += 0.3
    let_in = [isinstance(world.request("s1"), Taken) for _ in range(20)]
    assert sum(let_in) + 1 == 10
