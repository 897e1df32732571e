"""The control process's loop: hold the lease, look, plan, apply, sleep until something happens. Built and run by `app.py`.

This is the only place of the room that decides when. What to do is decided in `plan`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from headgate import notices
from headgate.clock import Clock, within
from headgate.control import actions as act
from headgate.control import plan
from headgate.control.apply import Applier
from headgate.control.history import History
from headgate.control.lease import Lease, OwnReplicas
from headgate.control.observe import RUNTIME_DEADLINE_S, Describe, Observer, rules_of
from headgate.control.pace import Pace
from headgate.control.usage import Growth, Meter, Used
from headgate.control.world import World
from headgate.domain.endpoint import Endpoint, ServedEntity
from headgate.replicas.runtime import ReplicaSpec, Runtime, RuntimeUnreachable
from headgate.settings import Settings
from headgate.store import endpoints
from headgate.store.activity import Activity
from headgate.store.database import Database
from headgate.store.endpoints import Endpoints, Hold
from headgate.store.replicas import Replicas
from headgate.store.served_models import ALIASES
from headgate.store.servers import Servers
from headgate.telemetry import metrics
from headgate.telemetry.counting import Metrics

logger = logging.getLogger(__name__)

UPKEEP_S = 60.0
COUNT_S = 1.0
USAGE_TURNS = 5
PARALLEL_ENDPOINTS = 8
"""Endpoints whose actions are applied at the same time."""
TOPICS = frozenset({"wish", "demand", "agent", ALIASES})


@dataclass(frozen=True, slots=True)
class Ports:
    """What the control process is built from."""

    database: Database
    runtime: Runtime
    describe: Describe
    settings: Settings
    clock: Clock
    run_dir: Path
    """Where notices are heard."""
    counted: Metrics
    house: str = ""
    """Which one this is, where several may share the database; empty: the only one."""
    cores: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    """CPU cores of the machine the replicas run on."""
    secret_vars: Callable[[ReplicaSpec], Mapping[str, str]] = lambda spec: {}
    """See `Applier.secret_vars`."""
    hold: Hold = endpoints.hold_nothing
    """See `Endpoints`: makes sure that what is followed is still there."""
    refusal: Callable[[ServedEntity, Sequence[str]], str] = lambda entity, creators: ""
    """See `Applier.refusal`."""
    usage: Callable[[], Awaitable[Used]] | None = None
    """Asks the agent what replicas use."""
    new_id: Callable[[], str] = lambda: secrets.token_hex(5)


async def run(ports: Ports, stop: asyncio.Event) -> None:
    """Controls until `stop`. Waits while another control holds the lease."""
    await Control(ports).run(stop)


class Control:
    """One control process. `run` is its life; `lap` is one turn, for tests."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._rules = rules_of(ports.settings, ports.cores)
        holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._lease = Lease(ports.database, ports.clock, holder, ports.house)
        runtime = OwnReplicas(ports.runtime, lambda: self._lease.runs_models)
        self._observer = Observer(ports.database, runtime, ports.describe, ports.settings)
        self._history = History(ports.settings.scaling.down_window_s)
        self._pace = Pace()
        self._heard = asyncio.Event()
        self._holding = False
        self._world: World | None = None
        self._upkeep_at_s = float("-inf")
        self._agent_was_away = False
        self._applier = Applier(
            endpoints=Endpoints(ports.database, ports.hold),
            replicas=Replicas(ports.database),
            activity=Activity(ports.database),
            servers=Servers(ports.database),
            runtime=runtime,
            clock=ports.clock,
            history=self._history,
            may_act=self._lease.is_held,
            secret_vars=ports.secret_vars,
            refusal=ports.refusal,
            new_id=ports.new_id,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Laps until `stop`; then the lease is given back."""
        listener = notices.Listener(self._ports.run_dir, f"control-{os.getpid()}.sock", self._hear)
        counting = asyncio.create_task(self._keep_counting())
        stopping = asyncio.create_task(self._hear_end(stop))
        try:
            while not stop.is_set():
                again = await self._guarded_lap()
                if not (again or stop.is_set()):
                    await self._pause()
        finally:
            for task in (stopping, counting):
                task.cancel()
            await asyncio.gather(stopping, counting, return_exceptions=True)
            listener.close()
            with contextlib.suppress(Exception):  # the store may be away; the lease runs out by itself
                await self._lease.release()

    def _hear(self, topic: str) -> None:
        if topic == "agent":
            self._observer.ask_again()
        if topic in TOPICS:
            self._heard.set()

    async def _hear_end(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._heard.set()

    async def _pause(self) -> None:
        """Until a notice, `lap_s`, or the end."""
        with contextlib.suppress(asyncio.TimeoutError):
            await within(self._ports.settings.scaling.lap_s, self._heard.wait())

    async def _guarded_lap(self) -> bool:
        clock = self._ports.clock
        await asyncio.sleep(self._pace.delay_s(clock.monotonic_s()))
        self._heard.clear()
        began_s = clock.monotonic_s()
        try:
            return await self.lap()
        except Exception:
            logger.exception("this lap failed; the next one starts from nothing")
            self._count("lap", "error")
            self._observer.refresh()
            return False
        finally:
            ended_s = clock.monotonic_s()
            self._pace.count(began_s, ended_s)
            self._ports.counted.histogram(metrics.LAP_SECONDS).observe((ended_s - began_s) * 1000)

    # -- one lap -------------------------------------------------------------------------------------------------

    async def lap(self) -> bool:
        """Observe, plan, apply. True when what was done calls for another lap at once."""
        if not await self._take_lease():
            return False
        world = await self._observer.look(self._ports.clock, self._rules, self._history)
        self._world = world
        self._tell_of_agent(world.observation is None)
        upkeep = await self._upkeep(world)
        todo = [(endpoint.name, self._plan(world, endpoint)) for endpoint in world.endpoints]
        todo += [("", [action]) for action in [*plan.of_machine(world), *upkeep]]
        todo = [(name, actions) for name, actions in todo if actions]
        if not todo:
            return False
        gate = asyncio.Semaphore(PARALLEL_ENDPOINTS)
        done = await asyncio.gather(*(self._apply(gate, name, actions) for name, actions in todo))
        acted = {name for name, _ in todo}
        ids = [endpoint.id for endpoint in world.endpoints if endpoint.name in acted]
        self._observer.acted_on(None if upkeep else ids)
        return any(done)

    async def _take_lease(self) -> bool:
        held = await self._lease.hold()
        if held and not self._holding:
            models = "" if self._lease.runs_models else ", for external models: the house that runs others is away"
            logger.info("control holds the lease%s", models)
            self._observer.refresh()
            self._history.clear()
        if self._holding and not held:
            logger.warning("another control holds the lease; this one waits")
        self._holding = held
        return held

    def _plan(self, world: World, endpoint: Endpoint) -> list[act.Action]:
        try:
            return plan.of_endpoint(world, endpoint)
        except Exception:
            logger.exception("endpoint %s cannot be planned", endpoint.name, extra={"endpoint": endpoint.name})
            self._count("plan", "error")
            return []

    async def _upkeep(self, world: World) -> list[act.Action]:
        now_s = self._ports.clock.monotonic_s()
        if now_s < self._upkeep_at_s:
            return []
        self._upkeep_at_s = now_s + UPKEEP_S
        references = await self._observer.references()
        self._history.forget_endpoints(references.endpoint_ids)
        return plan.of_upkeep(world, references)

    async def _apply(self, gate: asyncio.Semaphore, name: str, actions: Sequence[act.Action]) -> bool:
        """One endpoint's actions in order, up to the first that is void. Whether another lap should follow at once."""
        again = False
        async with gate:
            for action in actions:
                try:
                    done = await self._applier.apply(action)
                except RuntimeUnreachable as error:
                    logger.warning("the agent is away: %s waits (%s)", _label(action), error, extra={"endpoint": name})
                    self._count(type(action).__name__, "agent_away")
                    return again
                except Exception:
                    logger.exception("%s failed", _label(action), extra={"endpoint": name})
                    self._count(type(action).__name__, "error")
                    return again
                self._count(type(action).__name__, "done" if done else "void")
                if not done:
                    return again
                level = logging.DEBUG if isinstance(action, act.RetainEnvironments | act.Prune) else logging.INFO
                logger.log(level, "endpoint %s: %s", name, _label(action), extra={"endpoint": name})
                again = again or isinstance(action, act.PointTraffic | act.ReportFailure | act.Follow)
        return again

    def _tell_of_agent(self, away: bool) -> None:
        if away != self._agent_was_away and self._lease.runs_models:
            logger.warning("the agent is away: replicas stay as they are" if away else "the agent is back")
        self._agent_was_away = away

    # -- metrics -------------------------------------------------------------------------------------------------

    async def _keep_counting(self) -> None:
        """Writes the metrics' snapshot every second, and every few seconds asks what replicas use."""
        clock, turn = self._ports.clock, 0
        meter, growth = Meter(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")), Growth()
        while True:
            try:
                if turn % USAGE_TURNS == 0:
                    used = await self._ask_usage()
                    world = self._world
                    usages = meter.read(world, used, clock.monotonic_s()) if world else {}
                    self._ports.counted.set_replica_usage(usages)
                    for metric, labels, amount in growth.read(world, used) if world else ():
                        self._ports.counted.number(metric, *labels).add(amount)
                await asyncio.to_thread(self._ports.counted.flush)
            except Exception:
                logger.exception("usage of replicas cannot be counted")
            turn += 1
            await asyncio.sleep(COUNT_S)

    async def _ask_usage(self) -> Used:
        if self._ports.usage is None or not self._holding:
            return {}
        try:
            return await within(RUNTIME_DEADLINE_S, self._ports.usage())
        except (RuntimeUnreachable, asyncio.TimeoutError):
            return {}

    def _count(self, what: str, outcome: str) -> None:
        self._ports.counted.number(metrics.ACTIONS, what, outcome).add()


def _label(action: act.Action) -> str:
    """What an action is about, without the environment variables it may carry."""
    spec = getattr(action, "spec", None)
    subject = getattr(action, "replica_id", "") or getattr(spec, "id", "") or getattr(spec, "entity_name", "")
    if isinstance(action, act.PointTraffic | act.ReportFailure | act.Follow):
        subject = f"generation {action.generation}"
    return f"{type(action).__name__} {subject or getattr(spec, 'key', '')}".rstrip()
