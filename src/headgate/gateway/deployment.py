"""The replicas of one served entity as this server sees them: links, free slots, and a bounded queue, first come first served.

Owned by `capacity`; the stage `call_replica` takes slots and waits here. Times are `clock.monotonic_s`. Everything runs on
one event loop, and nothing here awaits but a waiting request.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from headgate import errors
from headgate.clock import Clock
from headgate.domain.routing import EndpointRoute, EntityRoute
from headgate.gateway import wake
from headgate.gateway.call import Call
from headgate.gateway.exchanges import OVERDUE
from headgate.gateway.links import Connection, Link
from headgate.telemetry import metrics
from headgate.telemetry.counting import EntitySeries, Metrics

BUSY = "Too many concurrent requests. Consider increasing the provisioned concurrency of the served entity."
"""Databricks' own words."""

DEMAND_EVERY_S = 1.0
_CONTENT_TYPES = 32


class Moved(Exception):
    """The deployment left the routing table before a replica had the request: choose again."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What all deployments share."""

    clock: Clock
    queue_per_entity: int
    wake_deadline_s: float
    demand: Callable[[str, str], None]
    """Asks for a replica: (endpoint id, deployment key). Returns at once."""
    counted: Metrics
    models_at: str = ""
    """Machine and data directory of the house that runs models; empty: this one does."""


class Waiter(Protocol):
    """A request that waits for a slot."""

    call: Call
    since_s: float
    """When it began to wait."""

    def granted(self, connection: Connection) -> bool:
        """A slot of this connection is its own now; False when nobody wants it any more."""

    def fail(self, error: Exception) -> None:
        """It waits no longer, and in vain."""


class _Awaited:
    """A waiter somebody awaits."""

    def __init__(self, call: Call, now_s: float) -> None:
        self.call = call
        self.since_s = now_s
        self.connection: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()

    def granted(self, connection: Connection) -> bool:
        if self.connection.done():  # cancelled in this very turn
            return False
        self.connection.set_result(connection)
        return True

    def fail(self, error: Exception) -> None:
        if not self.connection.done():
            self.connection.set_exception(error)


class Deployment:
    """The replicas that can serve one entity, as this server sees them."""

    def __init__(self, endpoint: EndpointRoute, entity: EntityRoute, terms: Terms) -> None:
        self.key = entity.deployment_key
        self.served_header = (b"served-model-name", entity.name.encode())
        self._answer_heads: dict[bytes, bytes] = {}
        self._asked = False
        self._last_request_at_ms = 0
        self._terms = terms
        self._endpoint = endpoint
        self._entity = entity
        self._links: dict[tuple[str, str], Link] = {}
        self._leaving: set[Link] = set()
        self._connections: list[Connection] = []
        self._waiters: OrderedDict[Waiter, None] = OrderedDict()
        self._asleep_since_s = terms.clock.monotonic_s()
        self._demanded_s = float("-inf")
        self._turn = 0
        self._retired = False

    @cached_property
    def series(self) -> EntitySeries:
        """Its metrics; made when first needed, since most endpoints sleep."""
        return self._terms.counted.entity(self._endpoint.name, self._entity.name)

    # -- requests ------------------------------------------------------------------------------------------------

    def take(self) -> Connection | None:
        """A slot of the replica with the fewest requests of this server; None when there is none free. Raises Moved."""
        if self._retired:
            raise Moved
        self._asked = True
        connections = self._connections
        count = len(connections)
        best, least = None, 1 << 30
        # Each search begins one further, so that equals take turns.
        self._turn = turn = self._turn + 1
        for offset in range(turn, turn + count):
            connection = connections[offset % count]
            taken = connection.taken
            if taken < least and taken < connection.window and connection.usable:
                best, least = connection, taken
        if best is not None:
            best.taken += 1
        return best

    def queue(self, waiter: Waiter) -> None:
        """From now on it waits for its turn, unless it leaves. Raises TooManyRequests."""
        if len(self._waiters) >= self._terms.queue_per_entity:
            raise errors.TooManyRequests(BUSY, headers={"retry-after": "1"})
        self._waiters[waiter] = None
        self._ask_for_replica(waiter.since_s)

    def leave(self, waiter: Waiter) -> None:
        """It does not wait any more."""
        self._waiters.pop(waiter, None)

    async def wait(self, call: Call) -> Connection:
        """A slot, when it is this request's turn. Raises TooManyRequests, DeadlineExceeded, Moved."""
        waiter = _Awaited(call, self._terms.clock.monotonic_s())
        self.queue(waiter)
        try:
            return await waiter.connection
        except asyncio.CancelledError:
            future = waiter.connection
            if future.done() and not future.cancelled() and future.exception() is None:
                self.release(future.result())
            raise
        finally:
            self.leave(waiter)

    def release(self, connection: Connection) -> None:
        """Gives a slot back, or straight to who waits longest."""
        if connection.usable and self._waiters:
            self._hand_over(connection)
            return
        connection.taken -= 1
        if connection.retired and connection.taken == 0:
            connection.close()

    def answer_head(self, content_type: bytes) -> bytes:
        """What the head of its answers of that type begins with, after the status: complete lines."""
        head = self._answer_heads.get(content_type)
        if head is None:
            if len(self._answer_heads) >= _CONTENT_TYPES:
                self._answer_heads.clear()
            head = b"content-type: %b\r\n%b: %b\r\n" % (content_type, *self.served_header)
            self._answer_heads[content_type] = head
        return head

    # -- links ---------------------------------------------------------------------------------------------------

    def connected(self, connection: Connection) -> None:
        """A replica can be asked: whoever waits is served."""
        if not self._connections:
            self._wake(connection)
        self._connections.append(connection)
        while self._waiters and connection.taken < connection.window:
            connection.taken += 1
            self._hand_over(connection)

    def lost(self, connection: Connection) -> None:
        """A replica cannot be asked any more."""
        if connection in self._connections:
            self._connections.remove(connection)
            if not self._connections:
                self._asleep_since_s = self._terms.clock.monotonic_s()

    # -- the routing table ---------------------------------------------------------------------------------------

    def update(self, endpoint: EndpointRoute, entity: EntityRoute) -> None:
        """What the routing table says of it now."""
        self._endpoint, self._entity = endpoint, entity
        wanted = {(replica.id, replica.address): replica for replica in entity.replicas}
        for name in [name for name in self._links if name not in wanted]:
            self._let_go(self._links.pop(name))
        for name, replica in wanted.items():
            if name not in self._links:
                self._links[name] = Link(replica, self, self._terms.clock)

    def retire(self) -> None:
        """It is not in the routing table any more: what is with a replica is finished, what waits chooses again."""
        self._retired = True
        for link in self._links.values():
            self._let_go(link)
        self._links.clear()
        self.fail_waiting(Moved())

    @property
    def gone(self) -> bool:
        """Retired, and nothing of it left."""
        return self._retired and not self._leaving

    def _let_go(self, link: Link) -> None:
        self._leaving.add(link)
        link.task.add_done_callback(lambda _: self._leaving.discard(link))
        link.retire()
        if link.connection is not None:
            self.lost(link.connection)

    # -- looking after -------------------------------------------------------------------------------------------

    @property
    def last_request_at_ms(self) -> int:
        """When there was a request, in ms since the epoch: at most as long ago as this was read before. 0: never."""
        if self._asked:
            self._asked = False
            self._last_request_at_ms = self._terms.clock.now_ms()
        return self._last_request_at_ms

    @property
    def reachable(self) -> int:
        """Replicas that can be asked now."""
        return len(self._connections)

    @property
    def in_flight(self) -> int:
        """Requests replicas work on."""
        return sum(connection.taken for connection in self._connections)

    @property
    def queued(self) -> int:
        """Requests that wait."""
        return len(self._waiters)

    def tick(self, now_s: float) -> None:
        """Fails what took or waited too long, and repeats the demand. Call it a few times a second."""
        for link in (*self._links.values(), *self._leaving):
            if link.connection is not None:
                link.connection.expire(now_s)
        if self._waiters:
            self._ask_for_replica(now_s)
            if self._terms.models_at and not self._connections and any(link.problem for link in self._links.values()):
                self.fail_waiting(errors.TemporarilyUnavailable(self._elsewhere(), headers={"retry-after": "1"}))
            for waiter in list(self._waiters):
                why = self._overdue(waiter, now_s)
                if why:
                    self.leave(waiter)
                    waiter.fail(errors.DeadlineExceeded(why))

    def measure(self) -> None:
        """Sets its gauges, unless it never woke."""
        if self._links or self.last_request_at_ms:
            self.series.in_flight.set(self.in_flight)
            self.series.queued.set(self.queued)
            self.series.concurrency.set(sum(replica.slots for replica in self._entity.replicas))

    def fail_waiting(self, error: Exception) -> None:
        """Nobody waits here any longer."""
        waiters, self._waiters = self._waiters, OrderedDict()
        for waiter in waiters:
            waiter.fail(error)

    async def close(self) -> None:
        """Closes its links at once."""
        for link in (*self._links.values(), *self._leaving):
            await link.close()

    def _hand_over(self, connection: Connection) -> None:
        while self._waiters:
            waiter, _ = self._waiters.popitem(last=False)
            if waiter.granted(connection):
                return
        connection.taken -= 1

    def _wake(self, connection: Connection) -> None:
        """Time spent asleep does not count as processing time; everybody who was held is told what it was spent on."""
        now_s = self._terms.clock.monotonic_s()
        longest: dict[str, float] = {}
        for waiter in self._waiters:
            held_s = now_s - max(waiter.since_s, self._asleep_since_s)
            waiter.call.deadline_s += held_s
            waited_ms = wake.phases(held_s * 1000.0, connection.phases_ms, connection.ready_ms)
            others = (header for header in waiter.call.headers if header[0] != wake.HEADER)
            waiter.call.headers = (*others, (wake.HEADER, wake.text(waited_ms)))
            longest = longest or waited_ms
        for phase, milliseconds in longest.items():
            names = (self._endpoint.name, self._entity.name, phase)
            self._terms.counted.histogram(metrics.WAKE_SECONDS, *names).observe(milliseconds)

    def _ask_for_replica(self, now_s: float) -> None:
        if not self._connections and now_s - self._demanded_s >= DEMAND_EVERY_S:
            self._demanded_s = now_s
            self._terms.demand(self._endpoint.id, self.key)

    def _overdue(self, waiter: Waiter, now_s: float) -> str:
        """Why it waits no longer; empty while it may."""
        if self._connections:
            return OVERDUE if now_s > waiter.call.deadline_s else ""
        asleep_s = now_s - max(waiter.since_s, self._asleep_since_s)
        return self._no_replica() if asleep_s > self._terms.wake_deadline_s else ""

    def _elsewhere(self) -> str:
        return (
            f"Served entity {self._entity.name} runs at {self._terms.models_at}, and this server cannot reach it: send the request to the "
            "server there."
        )

    def _no_replica(self) -> str:
        cause = self._entity.problem or next((link.problem for link in self._links.values() if link.problem), "")
        waited = f"No replica of served entity {self._entity.name} was ready within {self._terms.wake_deadline_s:g} s"
        if not cause and self._terms.models_at:
            return f"{waited}: it is started at {self._terms.models_at}. Try again, or see whether Headgate runs there."
        return f"{waited}: {cause or 'it is still starting. Try again, or see its build and service logs.'}"
