"""What every endpoint serves and served, deleted ones among them: rows of `system.serving.served_entities`. Read by the loader.

An endpoint's rows go soon after it is deleted, so deleting writes down here what it served.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from headgate.domain.ai_gateway import CUSTOM_MODEL, EXTERNAL_MODEL
from headgate.domain.endpoint import EndpointConfig, ServedEntity
from headgate.domain.served_entity_record import ServedEntityRecord
from headgate.store import tables
from headgate.store.database import Database
from headgate.store.record_tables import past_endpoints

TOPIC = "wish"
"""Its revision grows with whatever changes what is read here."""
KEPT_MS = 30 * 86_400_000
"""The loader has this long to learn that an endpoint was deleted; its table keeps the rows."""

_E = tables.endpoints
_G = tables.generations
_P = past_endpoints


def read(database: Database) -> Sequence[ServedEntityRecord]:
    """Every served entity of every config version, in one transaction."""
    query = sa.select(_E, _G.c.number, _G.c.config, _G.c.created_at.label("changed_at"))
    query = query.join(_G, _G.c.endpoint_id == _E.c.id).where(_E.c.deleted_at.is_(None))
    with database.read() as connection:
        there = [record for row in connection.execute(query) for record in _records(row)]
        gone = [
            ServedEntityRecord(**record)
            for served in connection.execute(sa.select(_P.c.served_entities)).scalars()
            for record in served
        ]
    return tuple(gone + there)


def reader(database: Database) -> Callable[[], Sequence[ServedEntityRecord]]:
    """The same, cheap to call often: the sequence of the last time, as long as nothing changed."""
    known: tuple[int, Sequence[ServedEntityRecord]] = (-1, ())

    def newest() -> Sequence[ServedEntityRecord]:
        nonlocal known
        revision = database.revision(TOPIC)
        if revision != known[0]:
            known = revision, read(database)
        return known[1]

    return newest


def keep_within(connection: sa.Connection, endpoint_id: str, now_ms: int) -> None:
    """In the transaction that deletes the endpoint: what it served stays known. Forgets those that are long gone."""
    query = sa.select(_E, _G.c.number, _G.c.config, _G.c.created_at.label("changed_at"))
    rows = connection.execute(query.join(_G, _G.c.endpoint_id == _E.c.id).where(_E.c.id == endpoint_id)).all()
    served = [dataclasses.asdict(record) for row in rows for record in _records(row, now_ms)]
    connection.execute(sa.delete(_P).where(_P.c.deleted_at < now_ms - KEPT_MS))
    if served:
        connection.execute(sa.insert(_P).values(id=endpoint_id, deleted_at=now_ms, served_entities=served))


def _records(row: sa.Row[Any], deleted_at_ms: int | None = None) -> Iterator[ServedEntityRecord]:
    for entity in EndpointConfig.from_json(row.config).served_entities:
        yield _record(row, entity, deleted_at_ms)


def _record(row: sa.Row[Any], entity: ServedEntity, deleted_at_ms: int | None) -> ServedEntityRecord:
    external = entity.external_model
    least, most = (None, None) if external else entity.concurrency()
    return ServedEntityRecord(
        served_entity_id=entity.id(row.id),
        endpoint_config_version=row.number,
        endpoint_name=row.name or row.deleted_name,
        endpoint_id=row.id,
        served_entity_name=entity.name,
        entity_type=EXTERNAL_MODEL if external else CUSTOM_MODEL,
        entity_name=external.name if external else entity.entity_name,
        change_time_ms=row.changed_at,
        created_by=entity.creator or row.creator,
        entity_version=entity.entity_version or None,
        task=(external.task if external else entity.task) or None,
        provider=external.provider if external else None,
        min_concurrency=least,
        max_concurrency=most,
        compute_type=None if external else entity.workload_type,
        endpoint_delete_time_ms=deleted_at_ms,
    )
