"""Builds the `World` of a lap. Reads only what may have changed: with everything asleep a lap costs a few small queries.

Called by the loop. It writes nothing, and no endpoint's trouble may hide another's.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from headgate.clock import Clock, within
from headgate.control import world
from headgate.control.history import History
from headgate.control.world import ENDED, References, Rules, Unavailable, World
from headgate.domain import following
from headgate.domain.endpoint import Endpoint, Generation, ServedEntity
from headgate.domain.environment import ModelDescription
from headgate.domain.following import Target, Targets
from headgate.domain.replica import Replica
from headgate.errors import HeadgateError, TemporarilyUnavailable
from headgate.replicas.runtime import Observation, Runtime, RuntimeUnreachable
from headgate.settings import Settings
from headgate.store.activity import Activity, Load
from headgate.store.database import Database
from headgate.store.endpoints import Endpoints
from headgate.store.replicas import Replicas
from headgate.store.served_models import ALIASES

logger = logging.getLogger(__name__)

RUNTIME_DEADLINE_S = 5.0
"""The agent answers at once; one that does not is as good as away."""
QUIET_S = 5.0
"""With nothing alive the agent and the loads are asked for only this often, unless somebody gives notice."""
FEW = 20
"""Up to so many endpoints' replicas are read one by one, more all at once."""

Describe = Callable[[str, str], ModelDescription]
"""(registered model, version) -> what the registry knows. Synchronous. Raises HeadgateError when it is gone, TemporarilyUnavailable when
that cannot be said now."""


def rules_of(settings: Settings, cores: int) -> Rules:
    """The settings the plan obeys."""
    replicas = settings.replicas
    return Rules(
        cores=cores,
        processes_per_entity=replicas.processes_per_entity,
        memory_per_concurrency_bytes=replicas.memory_per_concurrency_bytes,
        start_attempts=replicas.start_attempts,
        load_deadline_s=replicas.load_deadline_s,
        drain_deadline_s=replicas.drain_deadline_s,
        restart_backoff_s=replicas.restart_backoff_s,
        restart_backoff_max_s=replicas.restart_backoff_max_s,
        idle_s=settings.scaling.idle_s,
        wake_deadline_s=settings.limits.wake_deadline_s,
    )


@dataclass(slots=True)
class _Known:
    """What was read last."""

    wish_revision: int = -1
    demand_revision: int = -1
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    keys: Mapping[tuple[str, int], Mapping[str, str]] = field(default_factory=dict)
    """(endpoint id, generation) -> served entity name -> deployment key."""
    alias_revision: int = -1
    """-1: followers may be others than before."""
    followed: frozenset[Target] = frozenset()
    targets: Targets = field(default_factory=dict)
    lagging: frozenset[str] = frozenset()
    """Endpoints with an alias to follow that has moved."""
    owners: Mapping[str, str] = field(default_factory=dict)
    """Deployment key -> endpoint id."""
    moving: frozenset[str] = frozenset()
    """Endpoints that do not rest, whatever their replicas do."""
    alive: frozenset[str] = frozenset()
    """Endpoints with a replica that has not ended."""
    rows: dict[str, tuple[Replica, ...]] = field(default_factory=dict)
    replicas: dict[str, Replica] = field(default_factory=dict)
    stale: set[str] | None = None
    """Endpoints whose replicas must be read again; None: all."""
    demands: Mapping[str, int] = field(default_factory=dict)
    loads: Mapping[str, Load] = field(default_factory=dict)
    loads_read_at_s: float = float("-inf")
    described: dict[tuple[str, int, str], ModelDescription | Unavailable] = field(default_factory=dict)
    locks: dict[tuple[str, int], Mapping[str, str]] = field(default_factory=dict)
    """(endpoint id, pending generation) -> deployment key -> lock of earlier generations."""


class Observer:
    """Keeps what it has read; `refresh` makes it read all of it again."""

    def __init__(self, database: Database, runtime: Runtime, describe: Describe, settings: Settings) -> None:
        self._database = database
        self._endpoints = Endpoints(database)
        self._replicas = Replicas(database)
        self._activity = Activity(database)
        self._runtime = runtime
        self._describe = describe
        self._wake_deadline_ms = settings.limits.wake_deadline_s * 1000
        self._fresh_load_ms = int(max(5.0, 4 * settings.scaling.load_report_s) * 1000)
        self._known = _Known()
        self._observation: Observation | None = None
        self._ask_again_at_s = 0.0
        self._waiting: set[str] = set()
        """Endpoints whose models cannot be looked up now."""

    def refresh(self) -> None:
        """Something may have been written behind our back: trust nothing."""
        self._known = _Known()
        self.ask_again()

    def ask_again(self) -> None:
        """The agent gave notice, or was told something: ask it next time."""
        self._ask_again_at_s = 0.0

    def acted_on(self, endpoint_ids: Iterable[str] | None) -> None:
        """Replicas of these endpoints (None: of all) may have been written. Nobody else writes any."""
        if endpoint_ids is None or self._known.stale is None:
            self._known.stale = None
        else:
            self._known.stale.update(endpoint_ids)
        self.ask_again()

    async def look(self, clock: Clock, rules: Rules, history: History) -> World:
        """The world now."""
        now_ms = clock.now_ms()
        known = self._known
        busy = await asyncio.to_thread(self._read, known, clock)
        await self._ask_agent(clock.monotonic_s(), bool(busy))
        rows = [row for endpoint_id in known.alive for row in known.rows[endpoint_id] if row.state not in ENDED]
        history.note(now_ms, rows, known.loads, known.demands)
        return World(
            now_ms=now_ms,
            rules=rules,
            endpoints=tuple(known.endpoints[endpoint_id] for endpoint_id in busy),
            rows=known.rows,
            replicas=known.replicas,
            observation=self._observation,
            described=known.described,
            locks={key: lock for locks in known.locks.values() for key, lock in locks.items()},
            demands=known.demands,
            loads=known.loads,
            targets=known.targets,
            past=history.past(),
        )

    async def references(self) -> References:
        """What to keep. Looks up models of sleeping endpoints too, and again those that were not found."""
        return await asyncio.to_thread(self._read_references, self._known)

    async def _ask_agent(self, now_s: float, busy: bool) -> None:
        if now_s < self._ask_again_at_s and not busy:
            return
        try:
            self._observation = await within(RUNTIME_DEADLINE_S, self._runtime.observe())
        except (RuntimeUnreachable, asyncio.TimeoutError):
            self._observation = None
            return
        quiet = not busy and not self._observation.replicas
        self._ask_again_at_s = now_s + QUIET_S if quiet else 0.0

    # -- in a thread ---------------------------------------------------------------------------------------------

    def _read(self, known: _Known, clock: Clock) -> list[str]:
        """Brings `known` up to date; ids of the endpoints worth a look."""
        now_ms, now_s = clock.now_ms(), clock.monotonic_s()
        wish = self._database.revision("wish")
        if wish != known.wish_revision:
            self._read_endpoints(known)
            known.wish_revision, known.alias_revision = wish, -1
        self._read_aliases(known)
        self._read_rows(known)
        demand = self._database.revision("demand")
        if demand != known.demand_revision:
            known.demands = self._activity.demands()
            known.demand_revision = demand
        restless = (known.moving | known.alive) & known.endpoints.keys()
        if restless or now_s - known.loads_read_at_s >= QUIET_S:
            known.loads = self._activity.loads(now_ms - self._fresh_load_ms)
            known.loads_read_at_s = now_s
        busy = sorted(restless | self._called(known, now_ms) | known.lagging)
        return [endpoint_id for endpoint_id in busy if self._read_models(known, known.endpoints[endpoint_id])]

    def _read_endpoints(self, known: _Known) -> None:
        everything = self._endpoints.everything()
        known.endpoints = {endpoint.id: endpoint for endpoint in everything}
        keys, owners = {}, {}
        for endpoint in everything:
            for generation in _generations(endpoint):
                place = (endpoint.id, generation.number)
                keys[place] = known.keys.get(place) or _keys(endpoint, generation)
                owners.update(dict.fromkeys(keys[place].values(), endpoint.id))
        known.keys, known.owners = keys, owners
        known.described = {place: found for place, found in known.described.items() if place[:2] in keys}
        pending = {(e.id, g.number) for e in everything if (g := world.pending(e)) is not None}
        known.locks = {place: found for place, found in known.locks.items() if place in pending}
        known.moving = frozenset(endpoint.id for endpoint in everything if not world.rests(endpoint))

    def _read_aliases(self, known: _Known) -> None:
        configs = (e.wanted.config for e in known.endpoints.values() if e.wanted is not None and not e.deleted)
        followed = following.followed(configs) if known.alias_revision < 0 else known.followed
        if not followed:
            known.followed, known.targets, known.lagging, known.alias_revision = followed, {}, frozenset(), 0
            return
        revision = self._database.revision(ALIASES)
        if revision != known.alias_revision:
            known.followed, known.alias_revision = followed, revision
            known.targets = self._endpoints.targets(followed)
            lagging = (e.id for e in known.endpoints.values() if following.lagging(e, known.targets) is not None)
            known.lagging = frozenset(lagging)

    def _read_rows(self, known: _Known) -> None:
        stale, known.stale = known.stale, set()
        if stale is None or len(stale) > FEW:
            rows = _grouped(self._replicas.everything())
            known.replicas = {row.id: row for own in rows.values() for row in own}
            known.rows = rows
        elif stale:
            # Replaced, not changed: an earlier world may still refer to them.
            rows, replicas = dict(known.rows), dict(known.replicas)
            for endpoint_id in stale:
                for row in rows.pop(endpoint_id, ()):
                    del replicas[row.id]
                rows |= _grouped(self._replicas.of_endpoint(endpoint_id))
                replicas.update((row.id, row) for row in rows.get(endpoint_id, ()))
            known.rows, known.replicas = rows, replicas
        if stale != set():
            known.alive = frozenset(
                place for place, own in known.rows.items() if any(r.state not in ENDED for r in own)
            )

    def _called(self, known: _Known, now_ms: int) -> frozenset[str]:
        """Endpoints that rest while somebody asks for them."""
        keys = [key for key, load in known.loads.items() if load.in_flight or load.queued]
        oldest_ms = now_ms - self._wake_deadline_ms
        keys += [key for key, at in known.demands.items() if at >= oldest_ms]
        return frozenset(known.owners[key] for key in keys if key in known.owners)

    def _read_models(self, known: _Known, endpoint: Endpoint) -> bool:
        """Looks up what an endpoint serves, once per generation. False when that went wrong: it is left out of this lap."""
        try:
            for generation in _generations(endpoint):
                for entity in generation.config.served_entities:
                    place = (endpoint.id, generation.number, entity.name)
                    if place not in known.described and entity.external_model is None:
                        known.described[place] = self._model(entity)
            pending = world.pending(endpoint)
            if (
                pending is not None
                and not pending.config.is_external
                and (endpoint.id, pending.number) not in known.locks
            ):
                known.locks[endpoint.id, pending.number] = self._endpoints.locks(endpoint.id)
        except TemporarilyUnavailable as error:
            if endpoint.id not in self._waiting:
                logger.warning("endpoint %s waits: %s", endpoint.name, error)
            self._waiting.add(endpoint.id)
            return False
        except Exception:  # what breaks the registry for one endpoint must not stop the others
            logger.exception("endpoint %s: its models cannot be looked up", endpoint.name)
            return False
        self._waiting.discard(endpoint.id)
        return True

    def _model(self, entity: ServedEntity) -> ModelDescription | Unavailable:
        try:
            return self._describe(entity.entity_name, entity.entity_version)
        except TemporarilyUnavailable:
            raise
        except HeadgateError as error:
            return Unavailable(error.message)

    def _read_references(self, known: _Known) -> References:
        known.described = {
            place: found for place, found in known.described.items() if not isinstance(found, Unavailable)
        }
        environments: set[str] = set()
        for endpoint in known.endpoints.values():
            self._read_models(known, endpoint)
            for generation in _generations(endpoint):
                environments |= _environment_keys(known, endpoint.id, generation)
        return References(frozenset(known.endpoints), frozenset(known.owners), frozenset(environments))


def _generations(endpoint: Endpoint) -> list[Generation]:
    """The serving and the wanted one, each once; none of a deleted endpoint."""
    if endpoint.deleted:
        return []
    found = {
        generation.number: generation for generation in (endpoint.serving, endpoint.wanted) if generation is not None
    }
    return list(found.values())


def _grouped(rows: Iterable[Replica]) -> dict[str, tuple[Replica, ...]]:
    found: dict[str, list[Replica]] = {}
    for row in rows:
        found.setdefault(row.endpoint_id, []).append(row)
    return {endpoint_id: tuple(own) for endpoint_id, own in found.items()}


def _keys(endpoint: Endpoint, generation: Generation) -> dict[str, str]:
    return {entity.name: entity.deployment_key(endpoint.id) for entity in generation.config.served_entities}


def _environment_keys(known: _Known, endpoint_id: str, generation: Generation) -> set[str]:
    """With and without its lock: a replica may be started in either."""
    found = set()
    inherited = known.locks.get((endpoint_id, generation.number), {})
    for name, key in known.keys.get((endpoint_id, generation.number), {}).items():
        model = known.described.get((endpoint_id, generation.number, name))
        if isinstance(model, ModelDescription):
            lock = generation.locks.get(name) or inherited.get(key, "")
            found |= {model.environment.key, dataclasses.replace(model.environment, lock=lock).key}
    return found
