"""Reads the routing table that server processes swap in whole.

It is read whenever any replica comes or goes, so what cannot change, the served entities of a generation, is read once per generation,
grants only when some have changed, and what the gateway is asked for only where that has changed.
"""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from headgate.domain import gateway_route
from headgate.domain import grants as granted
from headgate.domain.endpoint import EndpointConfig
from headgate.domain.gateway_route import Wish
from headgate.domain.replica import ReplicaState
from headgate.domain.routing import PLAIN, EndpointRoute, EntityRoute, GatewayRoute, ReplicaAddress, RoutingTable
from headgate.errors import InvalidParameterValue
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


class _Served(NamedTuple):
    """What cannot change of a generation."""

    entities: tuple[EntityRoute, ...]
    """Without replicas."""
    config: EndpointConfig


class RoutingReader:
    """Reads the table again and again, for one caller at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._served: Mapping[_Place, _Served] = {}
        """Every serving generation."""
        self._gateways: Mapping[str, tuple[Sequence[object], GatewayRoute]] = {}
        """Endpoint id -> what was read, and what that asks of the gateway."""
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
            self._served = self._known(connection, {(row[0], row[3]) for row in endpoints if row[3] is not None})
        routes: dict[str, EndpointRoute] = {}
        gateways: dict[str, tuple[Sequence[object], GatewayRoute]] = {}
        for endpoint_id, name, stopped, serving, optimized, message, *asked in endpoints:  # attributes of rows are slow
            served = self._served.get((endpoint_id, serving))
            state = "STOPPED" if stopped else "NOT_READY" if served is None else "READY"
            gateway = PLAIN
            if served:
                try:
                    gateways[endpoint_id] = self._gateway(endpoint_id, [name, serving, *asked], served)
                    gateway = gateways[endpoint_id][1]
                except InvalidParameterValue as error:  # it must not serve without its limits, nor stop the others
                    state, message, served = (
                        "NOT_READY",
                        f"What is asked of its gateway makes no sense: {error.message}",
                        None,
                    )
            shown = served.entities if served and not stopped else ()
            entities = tuple([_with_replicas(entity, replicas, problems) for entity in shown])
            queriers, viewers = self._granted.get(endpoint_id, _NOBODY)
            route = EndpointRoute(
                endpoint_id, name, state, entities, message or "", bool(optimized), queriers, viewers, gateway
            )
            before = self._routes.get(name)
            routes[name] = before if before == route else route  # one object for what stays, not one per table
        self._routes, self._gateways = routes, gateways
        return RoutingTable(revision, routes)

    def _read_grants(self, connection: sa.Connection) -> None:
        """Unless they are as they were."""
        revision = revision_within(connection, grants.TOPIC)
        if revision != self._grants_revision:
            levels = (granted.CAN_QUERY, granted.CAN_VIEW)
            held = grants.of_kind_within(connection, granted.ENDPOINT)
            self._granted = {one: tuple(granted.grantees(own, level) for level in levels) for one, own in held.items()}
            self._grants_revision = revision

    def _gateway(
        self, endpoint_id: str, read: Sequence[object], served: _Served
    ) -> tuple[Sequence[object], GatewayRoute]:
        """One object while nothing it is made of has changed."""
        before = self._gateways.get(endpoint_id)
        if before is not None and before[0] == read:
            return before
        name, _, ai_gateway, limits, tags, policy = read
        wish = Wish(
            str(name), _loaded(ai_gateway), _loaded(limits) or (), _loaded(tags), str(policy) if policy else None
        )
        found = gateway_route.made(wish, served.config)
        # A new config that asks for the same is no news to limits and guardrails.
        return read, before[1] if before is not None and before[1] == found else found

    def _known(self, connection: sa.Connection, serving: set[_Place]) -> dict[_Place, _Served]:
        known = {place: self._served[place] for place in serving & self._served.keys()}
        missing = sorted(serving - known.keys())
        for start in range(0, len(missing), _AT_ONCE):
            these = sa.tuple_(_G.c.endpoint_id, _G.c.number).in_(missing[start : start + _AT_ONCE])
            for row in connection.execute(sa.select(_G.c.endpoint_id, _G.c.number, _G.c.config).where(these)):
                config = EndpointConfig.from_json(row.config)
                known[row.endpoint_id, row.number] = _Served(_bare(row.endpoint_id, config), config)
        return known


def read(database: Database) -> RoutingTable:
    """The table as it stands, for somebody who needs it once."""
    return RoutingReader(database).read()


# Not the config, which is long.
_ENDPOINTS = (
    sa.select(_E.c.id, _E.c.name, _E.c.stopped, _E.c.serving_generation, _E.c.route_optimized, _G.c.message)
    # As text: compared with what it was, and parsed only when it is something else.
    .add_columns(*(sa.cast(column, sa.Text) for column in (_E.c.ai_gateway, _E.c.rate_limits, _E.c.tags)))
    .add_columns(_E.c.budget_policy_id)
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
            id=entity.id(endpoint_id),
        )
        if entity.external_model is None
        else EntityRoute(
            name=entity.name,
            entity_name=entity.external_model.name,
            entity_version="",
            deployment_key=entity.deployment_key(endpoint_id),
            traffic_percentage=shares.get(entity.name, 0),
            max_concurrency=0,
            id=entity.id(endpoint_id),
            external=entity.external(endpoint_id),
        )
        for entity in config.served_entities
    )


def _loaded(text: object) -> Any:
    return None if text is None else json.loads(str(text))


def _with_replicas(
    entity: EntityRoute, replicas: Mapping[str, Sequence[ReplicaAddress]], problems: Mapping[str, str]
) -> EntityRoute:
    ready = tuple(replicas.get(entity.deployment_key, ()))
    problem = "" if ready else problems.get(entity.deployment_key, "")
    return dataclasses.replace(entity, replicas=ready, problem=problem) if ready or problem else entity
