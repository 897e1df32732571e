"""One suite that every store of shared counters passes."""

from __future__ import annotations

import threading
import time

from tests.contract.limits.conftest import Shared

from headgate.domain.quota import Answer, Ask, Grant, Line

NOW_MS = 1_700_000_000_000
SLOT = NOW_MS // 1000


def at(now_ms: int) -> object:
    return lambda: now_ms


def ask(server: str, number: int, *lines: Line) -> Ask:
    return Ask(server, number, 10_000, lines)


def test_what_one_server_has_another_does_not_get(shared: Shared) -> None:
    one, two = shared.another(lambda: NOW_MS), shared.another(lambda: NOW_MS)
    assert one(ask("a", 1, Line("x", 10, need=7))) == Answer(NOW_MS, {"x": Grant(7)})
    answer = two(ask("b", 1, Line("x", 10, need=7, least=1)))
    assert answer.grants["x"].granted == 3
    assert answer.grants["x"].recheck_ms == 250


def test_what_is_told_by_one_is_known_to_all_and_forgotten_after_its_minute(shared: Shared) -> None:
    shared.another(lambda: NOW_MS)(ask("a", 1, Line("x", 10, used=((SLOT, 4),), told_in=1)))
    soon, later = shared.another(lambda: NOW_MS + 60_000), shared.another(lambda: NOW_MS + 61_000)
    assert soon(ask("b", 1, Line("x", 10, need=10))).grants["x"].granted == 6
    soon(ask("b", 2, Line("x", 10)))
    assert later(ask("b", 3, Line("x", 10, need=10))).grants["x"].granted == 10


def test_many_counters_go_in_one_exchange_and_the_same_exchange_twice_is_one(shared: Shared) -> None:
    exchange = shared.another(lambda: NOW_MS)
    lines = [Line(f"e/calls/user/{number}", 5, used=((SLOT, 2),), told_in=1, need=1) for number in range(500)]
    first = exchange(ask("a", 1, *lines))
    assert first.grants == {line.name: Grant(1) for line in lines}
    again = exchange(ask("a", 1, *lines))
    assert set(again.grants.values()) == {Grant(0)}
    rest = shared.another(lambda: NOW_MS)(ask("b", 1, *(Line(line.name, 5, need=9) for line in lines)))
    assert {grant.granted for grant in rest.grants.values()} == {2}


def test_the_stores_own_clock_is_about_now_and_the_same_for_all(shared: Shared) -> None:
    before = time.time() * 1000
    times = [shared.another(None)(ask("a", number, Line("x", 1))).now_ms for number in (1, 2, 3)]
    assert times == sorted(times)
    assert before - 5_000 < times[0] < time.time() * 1000 + 5_000


def test_servers_that_exchange_at_the_same_time_never_get_more_than_there_is(shared: Shared) -> None:
    granted = dict.fromkeys("abcd", 0)
    troubles: list[BaseException] = []

    def serve(server: str) -> None:
        exchange = shared.another(None)
        held = 0
        try:
            for number in range(1, 26):
                lines = [
                    Line("x", 60, leased=held, need=1),
                    Line(f"y/{number % 5}", 10_000, need=1),
                    Line("w", 9, need=1),
                ]
                answer = exchange(ask(server, number, *(lines if server in "ab" else reversed(lines))))
                held += answer.grants["x"].granted if "x" in answer.grants else 0
        except BaseException as error:
            troubles.append(error)
        granted[server] = held

    threads = [threading.Thread(target=serve, args=(server,)) for server in granted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not troubles
    assert sum(granted.values()) <= 60
    assert sum(granted.values()) >= 50
