"""Reads the routing table that server processes swap in whole.

It is read whenever any replica comes or goes, so what cannot change, the served entities of a generation, is read once per generation,
and grants only when some have changed.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from headgate.domain import grants as granted
from headgate.domain.endpoint import EndpointConfig
from headgate.domain.replica import ReplicaState
from headgate.domain.routing import EndpointRoute, EntityRoute, ReplicaAddress, RoutingTable
from headgate.store import grants, tables
from headgate.store.database import Database, revision_within

_E = tables.endpoints
_G = tables.generations
_R = tables.replicas
_AT_ONCE = 200
"""Configs read with one query; databases limit a query's parameters."""

_NOBODY = (frozenset[str](), frozenset[str]())

_Place = tuple[str, int]
"""(endpoint id, generation)."""


class RoutingReader:
    """Reads the table again and again, for one caller at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._entities: Mapping[_Place, tuple[EntityRoute, ...]] = {}
        """Of every serving generation, without replicas."""
        self._granted: Mapping[str, tuple[frozenset[str], ...]] = {}
        """Endpoint id -> who may query it, who may see it."""
        self._grants_revision = -1
        self._routes: Mapping[str, EndpointRoute] = {}

    def read(self) -> RoutingTable:
        """The table as it stands. Its revision is read first: a change while reading makes the reader read again."""
        with self._database.read() as connection:
            revision = revision_within(connection, "routing")
            replicas, problems = _replicas(connection)
            self._read_grants(connection)
            endpoints = connection.execute(_ENDPOINTS).all()
            self._entities = self._known(connection, {(row[0], row[3]) for row in endpoints if row[3] is not None})
        routes = {}
        for endpoint_id, name, stopped, serving, optimized, message in endpoints:  # attributes of rows are slow
            bare = self._entities.get((endpoint_id, serving))
            state = "STOPPED" if stopped else "NOT_READY" if bare is None else "READY"
            shown = bare if bare and not stopped else ()
            entities = tuple([_with_replicas(entity, replicas, problems) for entity in shown])
            queriers, viewers = self._granted.get(endpoint_id, _NOBODY)
            route = EndpointRoute(endpoint_id, name, state, entities, message or "", bool(optimized), queriers, viewers)
            before = self._routes.get(name)
            routes[name] = before if before == route else route  # one object for what stays, not one per table
        self._routes = routes
        return RoutingTable(revision, routes)

    def _read_grants(self, connection: sa.Connection) -> None:
        """Unless they are as they were."""
        revision = revision_within(connection, grants.TOPIC)
        if revision != self._grants_revision:
            levels = (granted.CAN_QUERY, granted.CAN_VIEW)
            held = grants.of_kind_within(connection, granted.ENDPOINT)
            self._granted = {one: tuple(granted.grantees(own, level) for level in levels) for one, own in held.items()}
            self._grants_revision = revision

    def _known(self, connection: sa.Connection, serving: set[_Place]) -> dict[_Place, tuple[EntityRoute, ...]]:
        known = {place: self._entities[place] for place in serving & self._entities.keys()}
        missing = sorted(serving - known.keys())
        for start in range(0, len(missing), _AT_ONCE):
            these = sa.tuple_(_G.c.endpoint_id, _G.c.number).in_(missing[start : start + _AT_ONCE])
            for row in connection.execute(sa.select(_G.c.endpoint_id, _G.c.number, _G.c.config).where(these)):
                known[row.endpoint_id, row.number] = _bare(row.endpoint_id, EndpointConfig.from_json(row.config))
        return known


def read(database: Database) -> RoutingTable:
    """The table as it stands, for somebody who needs it once."""
    return RoutingReader(database).read()


# Not the config, which is long.
_ENDPOINTS = (
    sa.select(_E.c.id, _E.c.name, _E.c.stopped, _E.c.serving_generation, _E.c.route_optimized, _G.c.message)
    .select_from(_E.outerjoin(_G, sa.and_(_G.c.endpoint_id == _E.c.id, _G.c.number == _E.c.wanted_generation)))
    .where(_E.c.deleted_at.is_(None))
    .order_by(_E.c.name)
)


def _replicas(connection: sa.Connection) -> tuple[Mapping[str, Sequence[ReplicaAddress]], Mapping[str, str]]:
    """By deployment key: replicas that take requests, and why one is none (the newest failure)."""
    ready: dict[str, list[ReplicaAddress]] = defaultdict(list)
    problems: dict[str, str] = {}
    wanted = sa.select(_R.c.id, _R.c.deployment_key, _R.c.state, _R.c.address, _R.c.slots, _R.c.message)
    wanted = wanted.where(_R.c.state.in_([ReplicaState.READY.value, ReplicaState.FAILED.value]))
    for row in connection.execute(wanted.order_by(_R.c.created_at)):
        if row.state == ReplicaState.READY.value:
            ready[row.deployment_key].append(ReplicaAddress(row.id, row.address, row.slots))
        else:
            problems[row.deployment_key] = row.message
    return ready, problems


def _bare(endpoint_id: str, config: EndpointConfig) -> tuple[EntityRoute, ...]:
    shares = {route.served_entity_name: route.traffic_percentage for route in config.routes}
    return tuple(
        EntityRoute(
            name=entity.name,
            entity_name=entity.entity_name,
            entity_version=entity.entity_version,
            deployment_key=entity.deployment_key(endpoint_id),
            traffic_percentage=shares.get(entity.name, 0),
            max_concurrency=entity.concurrency()[1],
        )
        for entity in config.served_entities
    )


def _with_replicas(
    entity: EntityRoute, replicas: Mapping[str, Sequence[ReplicaAddress]], problems: Mapping[str, str]
) -> EntityRoute:
    ready = tuple(replicas.get(entity.deployment_key, ()))
    problem = "" if ready else problems.get(entity.deployment_key, "")
    return dataclasses.replace(entity, replicas=ready, problem=problem) if ready or problem else entity
