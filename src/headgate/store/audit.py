"""The audit log. Written by `access.audit`, read by administrators. Nothing is changed once its outcome is known; old events are forgotten."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from headgate.domain.audit import BEGUN, AuditEvent, AuditFilter, AuditPlace
from headgate.store import audit_tables
from headgate.store.database import Database

_A = audit_tables.audit_events
_LENGTHS = {column.name: column.type.length for column in _A.columns if isinstance(column.type, sa.String)}


class AuditEvents:
    """Repository of the log. Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, events: Sequence[AuditEvent]) -> None:
        """New events."""
        with self._database.write() as connection:
            connection.execute(sa.insert(_A), [_values(event) for event in events])

    def finish(self, event: AuditEvent) -> None:
        """What became of one that was added as BEGUN."""
        values = {name: value for name, value in _values(event).items() if name != "event_id"}
        begun = sa.and_(_A.c.event_id == event.event_id, _A.c.outcome == BEGUN)
        with self._database.write() as connection:
            connection.execute(sa.update(_A).where(begun).values(values))

    def search(self, wanted: AuditFilter, limit: int, after: AuditPlace | None = None) -> list[AuditEvent]:
        """The newest first, at most `limit`, after a place."""
        query = sa.select(_A).where(*_conditions(wanted))
        if after is not None:
            earlier = _A.c.event_time < after.event_time_ms
            same = sa.and_(_A.c.event_time == after.event_time_ms, _A.c.event_id < after.event_id)
            query = query.where(sa.or_(earlier, same))
        query = query.order_by(_A.c.event_time.desc(), _A.c.event_id.desc()).limit(limit)
        with self._database.read() as connection:
            return [_event(row) for row in connection.execute(query)]

    def prune(self, before_ms: int) -> int:
        """Forgets what is older; how many those were."""
        with self._database.write() as connection:
            return connection.execute(sa.delete(_A).where(_A.c.event_time < before_ms)).rowcount


def _conditions(wanted: AuditFilter) -> list[sa.ColumnElement[bool]]:
    found = [_A.c.event_time >= wanted.since_ms]
    if wanted.until_ms is not None:
        found.append(_A.c.event_time < wanted.until_ms)
    if wanted.principal:
        found.append(sa.or_(_A.c.principal_id == wanted.principal, _A.c.principal_name == wanted.principal))
    same = {_A.c.outcome: wanted.outcome, _A.c.action_name: wanted.action, _A.c.service_name: wanted.service}
    found += [column == value for column, value in {**same, _A.c.object: wanted.object}.items() if value]
    return found


def _values(event: AuditEvent) -> dict[str, Any]:
    values = dataclasses.asdict(event)
    values["event_time"] = values.pop("event_time_ms")
    return {name: _fitting(name, value) for name, value in values.items()}


def _fitting(column: str, value: Any) -> Any:
    """Text as every database takes it: without NUL and lone surrogates, and not too long."""
    if not isinstance(value, str):
        return value
    clean = value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
    return clean[: _LENGTHS[column]]


def _event(row: sa.Row[Any]) -> AuditEvent:
    values = dict(row._mapping)
    return AuditEvent(event_time_ms=values.pop("event_time"), **values)
