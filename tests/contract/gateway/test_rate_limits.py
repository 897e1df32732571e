"""Rate limits as clients see them, through both doors: who is counted with whom, what a refusal says, and counters that must be asked first."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from tests.contract.gateway.bench import Bench, Run, entity, until
from tests.fakes.quotas import MemoryQuotas
from tests.fakes.worker import Received

from headgate import errors, settings
from headgate.access.directory import Directory
from headgate.access.principals import SERVICE_PRINCIPAL, Principal
from headgate.clock import SystemClock
from headgate.domain.identity import Group, Population
from headgate.domain.quota import Answer, Ask
from headgate.domain.rate_limits import CALLS, TOKENS, RateLimit
from headgate.domain.routing import GatewayRoute
from headgate.limits.sharing import Others, Sharing
from headgate.telemetry.counting import Metrics

ANALYSTS, ADMINS = Group("300", "Analysts", frozenset({"10"})), Group("301", "admins", frozenset())
CALLERS = {
    "ada": Principal("10", "ada@example.com", admin=True, groups=frozenset({"300"})),
    "bob": Principal("11", "bob@example.com", admin=True),
    "eve": Principal("12", "eve@example.com", admin=True, groups=frozenset({"300"})),
    "robot": Principal("13", "1b2c-app", admin=True, kind=SERVICE_PRINCIPAL),
}


def authenticate(authorization: str | None) -> Principal:
    name = (authorization or "").removeprefix("Bearer ")
    if name not in CALLERS:
        raise errors.Unauthenticated("Invalid access token.")
    return CALLERS[name]


class Limited(Bench):
    """A bench whose endpoint `churn` has limits."""

    def __init__(self, folder: Path, others: Others | None = None, **options: Any) -> None:
        self.directory = Directory(Population(groups=(ANALYSTS, ADMINS)))
        workers = 1 if others is None else 2
        found = settings.load({"workers": workers, "data_dir": folder, **options.get("settings", {})}, environ={})
        sharing = Sharing(found, SystemClock(), Metrics(folder / "other", "x"), others)
        needs = {"authenticate": authenticate, "sharing": sharing, "directory": lambda: self.directory}
        super().__init__(folder, needs=needs)

    async def limit(self, *limits: RateLimit, **more: Any) -> None:
        route = GatewayRoute(rate_limits=limits, **more)
        await self.serve(entity(self.workers[0]), gateway=route)

    async def call(self, name: str = "ada", body: bytes = b"{}") -> Any:
        return await self.ask(body=body, headers={"authorization": f"Bearer {name}"})

    async def let_in(self, name: str = "ada", tries: int = 9, body: bytes = b"{}") -> int:
        return sum([(await self.call(name, body)).status == 200 for _ in range(tries)])


def on(folder: Path, run: Run, live: Callable[[Limited], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def work() -> None:
        async with Limited(folder, **options) as bench:
            await bench.worker()
            await live(bench)

    run(work())


def test_a_refusal_says_which_limit_it_was_and_when_to_come_again(tmp_path: Path, run: Run) -> None:
    async def live(bench: Limited) -> None:
        await bench.limit(RateLimit(CALLS, 2), RateLimit(CALLS, 1, "user", "bob@example.com"))
        assert await bench.let_in("bob") == 1
        told = await bench.call("bob")
        assert told.json() == {
            "error_code": "REQUEST_LIMIT_EXCEEDED",
            "message": "REQUEST_LIMIT_EXCEEDED: User defined rate limit(s) exceeded for 'churn'. "
            "Requests-per-minute (RPM) rate limit exceeded for user",
        }
        assert told.status == 429 and 1 <= int(told.headers["Retry-After"]) <= 61
        assert await bench.let_in("ada") == 1
        assert (await bench.call("ada")).json()["message"].endswith("(RPM) rate limit exceeded for endpoint")

    on(tmp_path, run, live)


KEYS: list[tuple[list[RateLimit], dict[str, int]]] = [
    ([RateLimit(CALLS, 3)], {"ada": 3, "bob": 0, "robot": 0}),
    ([RateLimit(CALLS, 2, "user")], {"ada": 2, "bob": 2, "robot": 2}),
    ([RateLimit(CALLS, 2, "user"), RateLimit(CALLS, 4, "user", "ADA@example.com")], {"ada": 4, "bob": 2}),
    ([RateLimit(CALLS, 3, "user_group", "analysts"), RateLimit(CALLS, 1, "user")], {"ada": 2, "eve": 2, "bob": 1}),
    ([RateLimit(CALLS, 2, "service_principal", "1b2c-app")], {"robot": 2, "ada": 9}),
    ([RateLimit(CALLS, 0, "user", "bob@example.com"), RateLimit(CALLS, 5, "user")], {"bob": 0, "ada": 5}),
    ([RateLimit(CALLS, 0)], {"ada": 0, "robot": 0}),
]


@pytest.mark.parametrize(("limits", "let_in"), KEYS)
def test_every_key_counts_whom_it_names(
    tmp_path: Path, run: Run, limits: list[RateLimit], let_in: dict[str, int]
) -> None:
    async def live(bench: Limited) -> None:
        await bench.limit(*limits)
        shared = "eve" in let_in
        found = {name: await bench.let_in(name, 2 if shared else 9) for name in let_in}
        if shared:  # ada took two of the three that the group has
            assert found == {"ada": 2, "eve": 1, "bob": 1}
        else:
            assert found == let_in

    on(tmp_path, run, live)


def test_a_change_binds_the_next_request_and_goes_on_with_what_was_counted(tmp_path: Path, run: Run) -> None:
    async def live(bench: Limited) -> None:
        await bench.limit()
        assert await bench.let_in() == 9
        await bench.limit(RateLimit(CALLS, 4))
        assert await bench.let_in() == 4
        await bench.limit(RateLimit(CALLS, 6))
        assert await bench.let_in() == 2
        await bench.limit(RateLimit(CALLS, 1, "user_group", "newcomers"))
        assert await bench.let_in() == 9
        # A group of that name comes into being, with her in it.
        bench.directory = Directory(Population(groups=(Group("300", "newcomers", frozenset({"10"})),)))
        assert await bench.let_in() == 1

    on(tmp_path, run, live)


def test_tokens_are_estimated_where_nobody_counts_them(tmp_path: Path, run: Run) -> None:
    async def live(bench: Limited) -> None:
        async def talkative(request: Received) -> None:
            request.reply(b'"' + b"x" * 797 + b'"')

        bench.workers[0].behave = talkative
        await bench.limit(RateLimit(TOKENS, 1000))
        # 10 tokens of prompt and 200 of answer; while it is under way 256 are held for the answer.
        assert await bench.let_in(body=b"x" * 40) == 4

    on(tmp_path, run, live)


def test_a_model_that_refuses_costs_no_tokens_and_a_call(tmp_path: Path, run: Run) -> None:
    async def live(bench: Limited) -> None:
        async def refuse(request: Received) -> None:
            request.reply(b'{"error_code": "BAD_REQUEST", "message": "no"}', status=400)

        bench.workers[0].behave = refuse
        await bench.limit(RateLimit(TOKENS, 300), RateLimit(CALLS, 6))
        assert [(await bench.call()).status for _ in range(7)] == [400] * 6 + [429]

    on(tmp_path, run, live)


class Store(MemoryQuotas):
    """A store that several servers share, which can be held up or away."""

    def __init__(self) -> None:
        super().__init__(lambda: time.time_ns() // 1_000_000)
        self.open, self.away = threading.Event(), False
        self.open.set()

    def exchange(self, ask: Ask) -> Answer:
        self.open.wait(30)
        if self.away:
            raise ConnectionError("no route to the store")
        return super().exchange(ask)

    def seen_by(self, server: str) -> Others:
        return Others(server, self.exchange, lambda: 2)


PATIENT = {"settings": {"rate_limits.patience_s": 30.0}}


def test_requests_wait_for_what_other_servers_have_used(tmp_path: Path, run: Run) -> None:
    store = Store()

    async def live(one: Limited) -> None:
        async with Limited(tmp_path / "two", store.seen_by("two"), **PATIENT) as two:
            await two.worker()
            await one.limit(RateLimit(CALLS, 5))
            await two.limit(RateLimit(CALLS, 5))
            assert await one.let_in(tries=3) == 3
            assert await two.let_in() == 2
            store.open.clear()
            waiting = [asyncio.ensure_future(one.call()) for _ in range(3)]
            await asyncio.sleep(0)
            assert not any(task.done() for task in waiting)
            store.open.set()
            assert [(await task).status for task in waiting] == [429] * 3

    (tmp_path / "two").mkdir()
    on(tmp_path, run, live, others=store.seen_by("one"), **PATIENT)


def test_without_the_store_a_server_goes_on_within_its_share(tmp_path: Path, run: Run) -> None:
    store = Store()
    store.away = True

    async def live(bench: Limited) -> None:
        await bench.limit(RateLimit(CALLS, 8))
        assert await bench.let_in() == 4

    on(tmp_path, run, live, others=store.seen_by("one"), **PATIENT)


def test_a_client_that_leaves_while_its_request_waits_takes_nothing(tmp_path: Path, run: Run) -> None:
    store = Store()

    async def live(bench: Limited) -> None:
        await bench.limit(RateLimit(CALLS, 3))
        store.open.clear()
        client = bench.send(headers={"authorization": "Bearer ada"})
        await until(lambda: bench.gateway.routes.active == 1)
        client.leave()
        await until(lambda: bench.gateway.routes.active == 0)
        store.open.set()
        assert await bench.let_in() == 3

    on(tmp_path, run, live, others=store.seen_by("one"), **PATIENT)
