"""The task that carries asks and answers, and requests that wait for it; with a store that can be slow or away."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import pytest
from tests.fakes.quotas import MemoryQuotas

from headgate.clock import SystemClock
from headgate.domain.quota import Answer, Ask
from headgate.domain.rate_limits import CALLS, TOKENS, Policy, RateLimit
from headgate.errors import TooManyRequests
from headgate.limits.exchange import Exchanger
from headgate.limits.leased import Terms
from headgate.limits.limiter import Admission, Asked, Limiter


@dataclass
class Somebody:
    id: str = "10"
    user_name: str = "ada"
    kind: str = "user"
    groups: frozenset[str] = frozenset()


class Store(MemoryQuotas):
    """A store that several servers share, and that can be made slow or away."""

    def __init__(self) -> None:
        super().__init__(lambda: time.time_ns() // 1_000_000)
        self.away = False
        self.open = threading.Event()
        self.open.set()
        self._one = threading.Lock()

    def exchange(self, ask: Ask) -> Answer:
        self.open.wait(30)
        if self.away:
            raise ConnectionError("no route to the store")
        with self._one:
            return super().exchange(ask)


class Server:
    """A server process's limiter with its task."""

    def __init__(
        self, exchange: Callable[[Ask], Answer], name: str, servers: int = 4, patience_s: float = 20.0
    ) -> None:
        terms = Terms(name, lambda: servers, patience_s=patience_s, epoch_s=time.time() - time.monotonic())
        self.exchanger = Exchanger(exchange, terms, SystemClock())
        self.limiter = Limiter(self.exchanger, SystemClock())
        self.task = asyncio.ensure_future(self.exchanger.run())

    async def call(self, policy: Policy, tokens: int = 0) -> Admission | None:
        try:
            admitted = self.limiter.admit(Asked("chat", policy, Somebody(), tokens))
            if inspect.isawaitable(admitted):
                admitted = await admitted
            assert isinstance(admitted, Admission)
            return admitted
        except TooManyRequests:
            return None

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})
        await self.exchanger.release()


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60))


def test_four_servers_let_in_exactly_the_limit_however_many_ask_at_once() -> None:
    async def work() -> None:
        store = Store()
        servers = [Server(store.exchange, f"s{number}") for number in range(4)]
        policy = Policy("e", [RateLimit(CALLS, 50), RateLimit(CALLS, 45, "user")])
        answers = await asyncio.gather(*(servers[number % 4].call(policy) for number in range(200)))
        assert sum(answer is not None for answer in answers) == 45
        for server in servers:
            await server.end()

    run(work())


def test_a_server_that_ends_leaves_its_lease_to_the_others() -> None:
    async def work() -> None:
        store = Store()
        one, two = Server(store.exchange, "one"), Server(store.exchange, "two")
        policy = Policy("e", [RateLimit(CALLS, 1000)])
        used = 0
        for _ in range(300):
            used += await one.call(policy) is not None
        await one.end()
        for _ in range(1000):
            used += await two.call(policy) is not None
        assert used == 1000
        await two.end()

    run(work())


def test_without_the_store_requests_go_on_within_the_share_and_nobody_waits(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        store = Store()
        store.away = True
        server = Server(store.exchange, "one")
        policy = Policy("e", [RateLimit(CALLS, 40)])
        let_in = 0
        for _ in range(100):
            let_in += await server.call(policy) is not None
        assert let_in == 10
        assert server.exchanger.failures.value >= 1
        store.away = False
        while not server.exchanger.exchanges.value:
            await asyncio.sleep(0.01)
        for _ in range(100):
            let_in += await server.call(policy) is not None
        assert let_in == 40  # what was used meanwhile counts
        await server.end()

    with caplog.at_level(logging.INFO):
        run(work())
    assert len([record for record in caplog.records if "cannot be shared" in record.message]) == 1
    assert any("shared with other servers again" in record.message for record in caplog.records)


def test_a_store_that_hangs_holds_up_requests_no_longer_than_their_patience() -> None:
    async def work() -> None:
        store = Store()
        store.open.clear()
        server = Server(store.exchange, "one", patience_s=0.05)
        policy = Policy("e", [RateLimit(CALLS, 8)])
        answers = await asyncio.gather(*(server.call(policy) for _ in range(20)))
        assert sum(answer is not None for answer in answers) == 2
        store.open.set()
        await server.end()

    run(work())


def test_a_request_whose_client_left_while_it_waited_leaves_nothing_behind() -> None:
    async def work() -> None:
        store = Store()
        store.open.clear()
        server = Server(store.exchange, "one")
        policy = Policy("e", [RateLimit(CALLS, 100)])
        waiting = [asyncio.ensure_future(server.call(policy)) for _ in range(10)]
        await asyncio.sleep(0)
        for one in waiting:
            one.cancel()
        await asyncio.wait(waiting)
        store.open.set()
        other = Server(store.exchange, "two")
        while sum([await other.call(policy) is not None for _ in range(100)]) + 0 < 1:
            pass
        lease = server.exchanger.counters.board.find("e/calls/endpoint")
        assert lease is not None and lease.waiting == 0
        await server.end()
        await other.end()

    run(work())


def test_tokens_are_settled_across_servers() -> None:
    async def work() -> None:
        store = Store()
        one, two = Server(store.exchange, "one"), Server(store.exchange, "two")
        policy = Policy("e", [RateLimit(TOKENS, 1000)])
        admitted = await one.call(policy, 900)
        assert admitted is not None
        admitted.settle(100)
        deadline = time.monotonic() + 30
        answer = None
        while answer is None and time.monotonic() < deadline:
            fresh = Server(store.exchange, f"fresh{time.monotonic()}")
            answer = await fresh.call(policy, 700)
            await fresh.end()
        assert answer is not None
        await one.end()
        await two.end()

    run(work())
