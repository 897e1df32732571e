"""The one HTTP client to vendors of a server process: finds or makes a connection, sends, hands over the answer. Made by `web`; see `port`.

Follows no redirect, changes no URL, parses no body.
"""

from __future__ import annotations

import asyncio
from functools import partial

from headgate.clock import Clock
from headgate.language_settings import ProviderSettings
from headgate.telemetry import metrics
from headgate.telemetry.counting import Metrics
from headgate.upstream.addresses import Resolver
from headgate.upstream.answer import Answer
from headgate.upstream.bulkhead import Bounds, Bulkhead, Gauges
from headgate.upstream.connection import Connection
from headgate.upstream.dialling import Dialler
from headgate.upstream.port import TIMEOUT, Abandoned, Lane, Sending, Upstream, UpstreamFailed
from headgate.upstream.targets import Origin, Target, header_lines, target_of

SWEEP_S = 5.0
STALE_S = 1.0
"""A kept connection that ends without a byte of answer so soon was most probably closed before the request came: it is sent once more."""
MOST_TARGETS = 1024
MOST_LANES = 128


def open_upstream(settings: ProviderSettings, clock: Clock, counted: Metrics) -> Upstream:
    """Call it on the event loop that will serve. Raises OSError or ValueError for a `ca_file` or `proxy_url` that cannot be."""
    resolver = Resolver(clock, settings.allow_private_addresses)
    return Client(settings, resolver, clock, counted)


class Client:
    """`port.Upstream`."""

    def __init__(self, settings: ProviderSettings, resolver: Resolver, clock: Clock, counted: Metrics) -> None:
        self._settings, self._resolver, self._clock, self._counted = settings, resolver, clock, counted
        self._dialler = Dialler(settings, resolver)
        self._loop = asyncio.get_running_loop()
        self._lanes: dict[str, Bulkhead] = {}
        self._targets: dict[tuple[str, bool], Target] = {}
        self._sweeping: asyncio.TimerHandle | None = None

    async def send(self, sending: Sending, lane: Lane) -> Answer:
        deadline_s = self._loop.time() + lane.patience.total_s
        answer: Answer | None = None
        bulkhead = self._lanes.get(lane.name) or self._new_lane(lane.name)
        try:
            target = self._targets.get((sending.url, lane.metadata_service)) or self._new_target(sending.url, lane)
            body = sending.body
            head = b"%b%b%bcontent-length: %d\r\n\r\n" % (
                sending.method.encode(), target.start, header_lines(sending.headers), len(body),
            )  # fmt: skip
            answer, connection = await self._ask(bulkhead, target.origin, lane, (head, body, deadline_s))
            try:
                return await answer.head()
            except UpstreamFailed:
                stale = connection.unanswered and connection.requests > 1
                if not stale or self._loop.time() - answer.heard_s >= STALE_S:
                    raise
            bulkhead.drop_idle(target.origin)
            answer, _ = await self._ask(bulkhead, target.origin, lane, (head, body, deadline_s))
            return await answer.head()
        except UpstreamFailed as failed:
            self._failed(lane.name, failed.kind)
            raise
        except asyncio.CancelledError:
            if answer is None:
                raise
            raise Abandoned from None

    async def close(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        for bulkhead in self._lanes.values():
            bulkhead.close()
        await self._resolver.close()

    async def _ask(
        self, bulkhead: Bulkhead, origin: Origin, lane: Lane, request: tuple[bytes, bytes, float]
    ) -> tuple[Answer, Connection]:
        """Sends it on a connection, which from then on looks after its place in the bulkhead itself."""
        head, body, deadline_s = request
        if not bulkhead.enter():
            await bulkhead.wait(deadline_s - self._loop.time())
        try:
            connection = bulkhead.take(origin)
            if connection is None:
                bulkhead.make_room()
                connect_s = min(lane.patience.connect_s, deadline_s - self._loop.time())
                connection = await self._dialler.dial(origin, connect_s, lambda: Connection(origin, bulkhead.terms))
                bulkhead.opened(connection)
            answer = connection.send(head, body, lane.patience, deadline_s)
        except BaseException as error:
            bulkhead.leave()
            if isinstance(error, UpstreamFailed) and self._loop.time() >= deadline_s:
                raise UpstreamFailed(TIMEOUT, lane.patience.overdue()) from None  # whatever it was doing then
            raise
        bulkhead.use(connection)
        return answer, connection

    def _new_lane(self, name: str) -> Bulkhead:
        if len(self._lanes) >= MOST_LANES:
            for other in [other for other, bulkhead in self._lanes.items() if bulkhead.empty]:
                del self._lanes[other]
        number, settings = self._counted.number, self._settings
        gauges = Gauges(
            number(metrics.UPSTREAM_CONNECTIONS, name, "in_use"),
            number(metrics.UPSTREAM_CONNECTIONS, name, "idle"),
            number(metrics.UPSTREAM_WAITING, name),
            number(metrics.UPSTREAM_OPENED, name),
            partial(self._failed, name),
        )
        bounds = Bounds(settings.connections, settings.waiting, settings.answer_bytes)
        bulkhead = self._lanes[name] = Bulkhead(bounds, gauges, self._clock)
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(SWEEP_S, self._sweep)
        return bulkhead

    def _failed(self, lane: str, kind: str) -> None:
        self._counted.number(metrics.UPSTREAM_FAILURES, lane, kind).add()

    def _sweep(self) -> None:
        """From the first request on, every few seconds until `close`."""
        for bulkhead in self._lanes.values():
            bulkhead.sweep()
        self._sweeping = self._loop.call_later(SWEEP_S, self._sweep)

    def _new_target(self, url: str, lane: Lane) -> Target:
        if len(self._targets) >= MOST_TARGETS:
            self._targets.clear()
        target = target_of(url, lane.metadata_service, self._dialler.proxy)
        self._targets[url, lane.metadata_service] = target
        return target
