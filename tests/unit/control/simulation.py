"""A house in memory: real store, real control, a `Machine`, and a clock moved by hand."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.unit.control.machine import Machine
from tests.unit.control.worlds import entity, model

from headgate import errors
from headgate.control.loop import Control, Ports
from headgate.domain.endpoint import Endpoint, EndpointConfig, Generation, Outcome, Route, ServedEntity
from headgate.domain.environment import ModelDescription
from headgate.domain.replica import Replica, ReplicaState
from headgate.domain.routing import EndpointRoute
from headgate.replicas.runtime import ReplicaSpec
from headgate.settings import LimitSettings, ReplicaSettings, ScalingSettings, Settings
from headgate.store import routing, tables
from headgate.store.activity import Activity, Load
from headgate.store.database import Database
from headgate.store.endpoints import Endpoints
from headgate.store.replicas import Replicas
from headgate.telemetry.counting import Metrics

SETTINGS = Settings(
    replicas=ReplicaSettings(processes_per_entity=2, restart_backoff_s=1, restart_backoff_max_s=8, drain_deadline_s=60),
    scaling=ScalingSettings(idle_s=30, down_window_s=10, lap_s=1),
    limits=LimitSettings(wake_deadline_s=60),
)


class ManualClock:
    """Stands still until moved."""

    def __init__(self) -> None:
        self.ms = 1_700_000_000_000

    def now_ms(self) -> int:
        return self.ms

    def monotonic_s(self) -> float:
        return self.ms / 1000


class House:
    """Wishes in, laps, facts out."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(f"sqlite:///{folder}/house.db")
        tables.metadata.create_all(self.database.engine)
        self.folder = folder
        self.clock = ManualClock()
        self.machine = Machine()
        self.endpoints = Endpoints(self.database)
        self.replicas = Replicas(self.database)
        self.activity = Activity(self.database)
        self.gone: set[str] = set()
        self.secret_vars: Callable[[ReplicaSpec], Mapping[str, str]] = lambda spec: {}
        self._numbers = itertools.count()
        self.control = self.new_control()

    def close(self) -> None:
        self.database.close()

    def new_control(self) -> Control:
        """Another control process; the one before is dead, and its lease runs out."""
        ports = Ports(
            database=self.database,
            runtime=self.machine,
            describe=self._describe,
            settings=SETTINGS,
            clock=self.clock,
            run_dir=self.folder,
            counted=Metrics(self.folder, "control"),
            cores=2,
            secret_vars=lambda spec: self.secret_vars(spec),
            new_id=lambda: f"r{next(self._numbers)}",
        )
        self.control = Control(ports)
        return self.control

    def _describe(self, name: str, version: str) -> ModelDescription:
        if version in self.gone:
            raise errors.ResourceDoesNotExist(f"Model version {name} {version} does not exist. Register it again.")
        return model(version)

    # -- wishes --------------------------------------------------------------------------------------------------

    def create(self, name: str, *entities: ServedEntity) -> None:
        now = self.clock.now_ms()
        wanted = Generation(1, config(*entities), Outcome.PENDING, now)
        self.endpoints.create(Endpoint(f"{next(self._numbers):032x}", name, "admin", now, now, wanted=wanted))

    def update(self, name: str, *entities: ServedEntity, **shares: int) -> None:
        self.endpoints.add_generation(name, config(*entities, **shares), self.clock.now_ms())

    def start(self, name: str) -> None:
        """What `config:start` does."""
        wanted = self.endpoints.get(name).wanted
        assert wanted is not None
        self.endpoints.add_generation(name, wanted.config, self.clock.now_ms())

    def call(self, name: str, of: ServedEntity) -> None:
        """A request waits."""
        endpoint = self.endpoints.get(name)
        self.activity.demand(endpoint.id, of.deployment_key(endpoint.id), self.clock.now_ms())

    def load(self, name: str, of: ServedEntity, in_flight: int, queued: int = 0) -> None:
        """What a server reports."""
        key, now = of.deployment_key(self.endpoints.get(name).id), self.clock.now_ms()
        self.activity.report("server", [Load(key, in_flight, queued, now)], now)

    # -- time ----------------------------------------------------------------------------------------------------

    async def laps(self, count: int, step_s: float = 1.0) -> None:
        """The machine does what was begun, control looks, time passes."""
        for _ in range(count):
            self.machine.tick()
            while await self.control.lap():
                pass
            self.clock.ms += int(step_s * 1000)

    # -- facts ---------------------------------------------------------------------------------------------------

    def rows(self, *states: ReplicaState) -> list[Replica]:
        return [row for row in self.replicas.everything() if row.state in (states or tuple(ReplicaState))]

    def ready(self) -> list[str]:
        """Names of the entities with a process in the routing table, one per process."""
        return sorted(row.entity_name for row in self.rows(ReplicaState.READY))

    def route(self, name: str) -> EndpointRoute:
        return routing.read(self.database).endpoints[name]

    def everything(self) -> Iterator[Endpoint]:
        yield from self.endpoints.everything()


def config(*entities: ServedEntity, **shares: int) -> EndpointConfig:
    """Equal shares, unless given by version: `v1=90`."""
    routes = {e.name: shares.get(f"v{e.entity_version}", 100 // len(entities)) for e in entities}
    return EndpointConfig(entities, tuple(Route(name, share) for name, share in routes.items()))


__all__ = ["SETTINGS", "House", "Machine", "ManualClock", "config", "entity"]
