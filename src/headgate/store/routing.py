"""Reads the routing table that server processes swap in whole."""

from __future__ import annotations

from collections import defaultdict

import sqlalchemy as sa

from headgate.domain.endpoint import Endpoint, ServedEntity
from headgate.domain.replica import ReplicaState
from headgate.domain.routing import EndpointRoute, EntityRoute, ReplicaAddress, RoutingTable
from headgate.store import tables
from headgate.store.database import Database
from headgate.store.endpoints import Endpoints

_R = tables.replicas


def read(database: Database) -> RoutingTable:
    """The table as it stands. Its revision is read first: a change while reading makes the reader read again."""
    revision = database.revision("routing")
    replicas: dict[str, list[ReplicaAddress]] = defaultdict(list)
    problems: dict[str, str] = {}
    wanted = sa.select(_R).where(_R.c.state.in_([ReplicaState.READY.value, ReplicaState.FAILED.value]))
    with database.read() as connection:
        for row in connection.execute(wanted.order_by(_R.c.created_at)):
            if row.state == ReplicaState.READY.value:
                replicas[row.deployment_key].append(ReplicaAddress(row.id, row.address, row.slots))
            else:
                problems[row.deployment_key] = row.message
    routes = {}
    for endpoint in Endpoints(database).all():
        entities = tuple(_entities(endpoint, replicas, problems))
        message = endpoint.wanted.message if endpoint.wanted is not None else ""
        routes[endpoint.name] = EndpointRoute(endpoint.id, endpoint.name, _state(endpoint), entities, message)
    return RoutingTable(revision, routes)


def _state(endpoint: Endpoint) -> str:
    if endpoint.stopped:
        return "STOPPED"
    return "NOT_READY" if endpoint.serving is None else "READY"


def _entities(
    endpoint: Endpoint, replicas: dict[str, list[ReplicaAddress]], problems: dict[str, str]
) -> list[EntityRoute]:
    if endpoint.serving is None or endpoint.stopped:
        return []
    config = endpoint.serving.config
    shares = {route.served_entity_name: route.traffic_percentage for route in config.routes}

    def route(entity: ServedEntity) -> EntityRoute:
        key = entity.deployment_key(endpoint.id)
        ready = tuple(replicas.get(key, ()))
        return EntityRoute(
            name=entity.name,
            entity_name=entity.entity_name,
            entity_version=entity.entity_version,
            deployment_key=key,
            traffic_percentage=shares.get(entity.name, 0),
            max_concurrency=entity.concurrency()[1],
            replicas=ready,
            problem="" if ready else problems.get(key, ""),
        )

    return [route(entity) for entity in config.served_entities]
