"""The data plane as one object: made by `app.py` from its needs, started and stopped with the server process.

Builds the parts and owns their tasks; `front` hands its `routes` the requests.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from headgate import errors
from headgate.access.attempts import Attempts
from headgate.access.directory import Directory
from headgate.access.principals import Principal
from headgate.clock import Clock, SystemClock, within
from headgate.domain.routing import RoutingTable
from headgate.gateway import pipeline
from headgate.gateway.capacity import Capacity
from headgate.gateway.deployment import Terms
from headgate.gateway.inside import Inside
from headgate.gateway.keeping import Keeper, KeepsNothing
from headgate.gateway.load import DemandWriter, LoadReporter
from headgate.gateway.models_list import ModelsList
from headgate.gateway.presence import Presence, ServerRow
from headgate.gateway.refusals import Note, unheard
from headgate.gateway.routes import DoorNeeds, Routes
from headgate.gateway.stages.call_provider import CallProvider
from headgate.gateway.stages.guard import Guard
from headgate.gateway.stages.record import CountingRecorder
from headgate.gateway.switchboard import RoutingSource, Switchboard
from headgate.gateway.vendors.plane import VendorNeeds, VendorPlane
from headgate.guardrails import configured
from headgate.guardrails.pii.findings import Finder
from headgate.guardrails.pii.recognisers import BuiltIn
from headgate.limits.sharing import Sharing
from headgate.settings import GuardrailSettings, LimitSettings
from headgate.store.activity import Load
from headgate.telemetry.counting import Metrics

TICK_S = 0.25
FLUSH_S = 1.0


@dataclass(frozen=True, slots=True)
class GatewayDependencies:
    """Everything the gateway needs from outside. The calls that reach the store block; they run in threads and may raise."""

    authenticate: Callable[[str | None], Principal]
    """`Authenticator.authenticate`."""
    routing: RoutingSource
    """`database.revision("routing")` and `store.routing.RoutingReader.read`."""
    demand: Callable[[str, str, int], None]
    """`Activity.demand`: (endpoint id, deployment key, now in ms)."""
    report: Callable[[list[Load], int], None]
    """`Activity.report` for this server process: (loads, now in ms)."""
    server_row: ServerRow
    limits: LimitSettings
    load_report_s: float
    workspace_id: str
    counted: Metrics
    attempts: Attempts = field(default_factory=Attempts)
    note: Note = unheard
    """`AuditLog.note`: told of requests that were refused."""
    sharing: Sharing | None = None
    """Rate limits; None: they are not enforced."""
    directory: Callable[[], Directory] | None = None
    """`Follower.now`."""
    guardrails: GuardrailSettings = field(default_factory=GuardrailSettings)
    finder: Finder = field(default_factory=BuiltIn)
    """Of personal data."""
    keeper: Keeper = field(default_factory=KeepsNothing)
    """Of records of finished requests. Closed with the gateway."""
    vendors: VendorNeeds | None = None
    """How vendors of external models are asked; None: they are not. Closed with the gateway."""
    models_at: str = ""
    """Where models run, if not in this house."""
    clock: Clock = field(default_factory=SystemClock)
    rng: random.Random = field(default_factory=random.Random)


class Gateway:
    """`start` → requests → `drain` → `stop`. Made on the event loop that serves."""

    def __init__(self, needs: GatewayDependencies) -> None:
        self._needs = needs
        self._demands = DemandWriter(needs.demand, needs.clock, needs.counted)
        limits = needs.limits
        terms = Terms(
            needs.clock,
            limits.queue_per_entity,
            limits.wake_deadline_s,
            self._demands.ask,
            needs.counted,
            needs.models_at,
        )
        self.capacity = Capacity(terms)
        """What can be asked right now."""
        self._switchboard = Switchboard(needs.routing, self._swapped, needs.counted, needs.clock)
        self._presence = Presence(self._switchboard, needs.server_row, needs.counted)
        self._loads = LoadReporter(self.capacity, needs.report, needs.clock, needs.counted)
        self._guard = Guard(needs.guardrails, table=lambda: self._switchboard.table, counted=needs.counted)
        self._vendors = None if needs.vendors is None else VendorPlane(needs.vendors, needs.clock, needs.counted)
        steps = pipeline.build(
            pipeline.StepNeeds(
                authenticate=needs.authenticate,
                attempts=needs.attempts,
                switchboard=self._switchboard,
                capacity=self.capacity,
                recorder=CountingRecorder(needs.counted),
                clock=needs.clock,
                rng=needs.rng,
                payload_bytes=limits.payload_bytes,
                external_payload_bytes=limits.external_payload_bytes,
                keeper=needs.keeper,
                limiter=None if needs.sharing is None else needs.sharing.limiter,
                directory=needs.directory,
                call_provider=CallProvider() if self._vendors is None else self._vendors.step,
                guard=self._guard,
            )
        )
        invoke = Inside(steps, needs.clock).invoke
        self._guard.equip(configured.tools(needs.guardrails, needs.finder, needs.clock, invoke))
        authenticate, attempts = needs.authenticate, needs.attempts
        models = ModelsList(self._switchboard).reply
        door = DoorNeeds(
            steps, authenticate, attempts, limits, needs.workspace_id, needs.clock, needs.counted, models, needs.note
        )
        self.routes = Routes(door)
        """The ASGI app for everything below `/serving-endpoints/`."""
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def ready(self) -> bool:
        """Whether requests can be served: there is a routing table and no end in sight."""
        return self._switchboard.loaded and not self.routes.draining

    @property
    def routing(self) -> RoutingTable:
        """The table in use."""
        return self._switchboard.table

    def hint(self, topic: str) -> None:
        """A change notice was heard."""
        if topic == "routing":
            self._switchboard.hint()
        elif self._vendors is not None:
            self._vendors.hint(topic)

    async def start(self) -> None:
        """Reads the routing table, if the store is there, and begins to follow it. Requests may come after that, not before."""
        await self._switchboard.look()
        if self._vendors is not None:
            await self._vendors.look()
        await self._presence.report()
        self._own(self._switchboard.run())
        self._own(self._presence.run())
        self._own(self._demands.run())
        self._own(self._loads.run(self._needs.load_report_s))
        self._own(self._keep_house())
        self._own(self._flush())
        if self._needs.sharing is not None:
            self._own(self._needs.sharing.run())
        if self._vendors is not None:
            self._own(self._vendors.run())

    async def drain(self, deadline_s: float) -> None:
        """Not ready any more; requests may finish until the deadline, then those that wait for a replica are refused."""
        self.routes.draining = True
        if self.routes.active:
            try:
                await within(deadline_s, self.routes.idle.wait())
            except asyncio.TimeoutError:
                pass
        message = "The server is stopping. Try again in a moment."
        self.capacity.fail_waiting(errors.TemporarilyUnavailable(message, headers={"retry-after": "1"}))

    async def stop(self) -> None:
        """`start` reversed: tasks, last reports, links."""
        for task in reversed(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self._guard.stop()
        if self._needs.sharing is not None:
            await self._needs.sharing.release()
        await self._loads.report()
        await self._presence.leave()
        await self.capacity.close()
        if self._vendors is not None:
            await self._vendors.close()
        await asyncio.to_thread(self._needs.keeper.close)
        await asyncio.to_thread(self._needs.counted.flush)

    def _swapped(self, table: RoutingTable) -> None:
        self.capacity.update(table)
        if self._vendors is not None:
            self._vendors.update(table)
        self._presence.hint()

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work))

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.capacity.tick()

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            await asyncio.to_thread(self._needs.counted.flush)
