"""Grants: who may do what with what. Written by the API; read by it and, for endpoints, with the routing table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

import sqlalchemy as sa

from headgate.domain.grants import ENDPOINT, Held, Securable
from headgate.store import grant_tables, tables
from headgate.store.database import Database, grow_within

TOPIC = "grants"
"""Its revision grows with every change of any grant, always as the last in its transaction."""

_E = tables.endpoints
_G = grant_tables.grants


class Grants:
    """Repository of grants. Every method is one transaction; functions below it work inside somebody else's."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, securable: Securable) -> Held:
        """Everything granted on one securable."""
        with self._database.read() as connection:
            return of_within(connection, securable)

    def of_kind(self, kind: str) -> Mapping[str, Held]:
        """Securable id -> what is granted on it, for all of a kind that have any grant."""
        with self._database.read() as connection:
            return of_kind_within(connection, kind)

    def on_endpoint(self, endpoint_id: str, grantees: Iterable[str]) -> frozenset[str]:
        """Levels that any of them was given on an endpoint."""
        return self._levels(_E.c.id == endpoint_id, grantees)

    def on_endpoint_named(self, name: str, grantees: Iterable[str]) -> frozenset[str]:
        """The same by name. The one query is the same, and as long, for a name nobody has as for one they have nothing on."""
        return self._levels(_E.c.name == name, grantees)

    def _levels(self, which: sa.ColumnElement[bool], grantees: Iterable[str]) -> frozenset[str]:
        endpoint = sa.select(_E.c.id).where(which, _E.c.deleted_at.is_(None)).scalar_subquery()
        # Grants are looked for even where there is no such endpoint: the steps inside the database are the same, too.
        mine = sa.and_(_G.c.securable_id == sa.func.coalesce(endpoint, ""), _G.c.grantee_id.in_(sorted(grantees)))
        query = sa.select(_G.c.privilege).where(_G.c.kind == ENDPOINT, mine)
        with self._database.read() as connection:
            return frozenset(connection.execute(query).scalars())

    def replace(self, securable: Securable, held: Mapping[str, Iterable[str]]) -> None:
        """These grants and no others."""
        with self._database.write(*_topics(securable)) as connection:
            replace_within(connection, securable, held)

    def rewrite(self, securable: Securable, change: Callable[[Held], Mapping[str, Iterable[str]]]) -> Held:
        """What there is becomes what `change` makes of it, which may raise; what there is then. Two at a time take turns."""
        with self._database.write(*_topics(securable)) as connection:
            replace_within(connection, securable, change(of_within(connection, securable)))
            return of_within(connection, securable)

    def change(
        self, securable: Securable, add: Mapping[str, Iterable[str]], remove: Mapping[str, Iterable[str]]
    ) -> Held:
        """Takes away, then grants; what there is then."""
        with self._database.write(*_topics(securable)) as connection:
            held: dict[str, set[str]] = defaultdict(set)
            for grantee, privileges in of_within(connection, securable).items():
                held[grantee] |= privileges
            for grantee, gone in remove.items():
                held[grantee] -= set(gone)
            for grantee, more in add.items():
                held[grantee] |= set(more)
            replace_within(connection, securable, held)
        return {grantee: frozenset(privileges) for grantee, privileges in held.items() if privileges}


def of_within(connection: sa.Connection, securable: Securable) -> Held:
    """As `Grants.of`."""
    mine = sa.and_(_G.c.kind == securable.kind, _G.c.securable_id == securable.id)
    rows = connection.execute(sa.select(_G.c.grantee_id, _G.c.privilege).where(mine))
    return _held((grantee, privilege) for grantee, privilege in rows)


def of_kind_within(connection: sa.Connection, kind: str) -> Mapping[str, Held]:
    """As `Grants.of_kind`."""
    pairs: dict[str, list[tuple[str, str]]] = defaultdict(list)
    query = sa.select(_G.c.securable_id, _G.c.grantee_id, _G.c.privilege).where(_G.c.kind == kind)
    for securable_id, grantee, privilege in connection.execute(query):
        pairs[securable_id].append((grantee, privilege))
    return {securable_id: _held(own) for securable_id, own in pairs.items()}


def replace_within(connection: sa.Connection, securable: Securable, held: Mapping[str, Iterable[str]]) -> None:
    """As `Grants.replace`; with nothing, forgets the securable. Whoever changes an endpoint's announces `routing`."""
    grow_within(connection, TOPIC)
    kind, securable_id = securable.kind, securable.id
    connection.execute(sa.delete(_G).where(_G.c.kind == kind, _G.c.securable_id == securable_id))
    rows = [
        {"kind": kind, "securable_id": securable_id, "grantee_id": grantee, "privilege": privilege}
        for grantee, privileges in held.items()
        for privilege in sorted(set(privileges))
    ]
    if rows:
        connection.execute(sa.insert(_G), rows)


def move_within(connection: sa.Connection, old: Securable, new: Securable) -> None:
    """What was renamed keeps its grants."""
    if old != new:
        replace_within(connection, new, of_within(connection, old))
        replace_within(connection, old, {})


def forget_grantee_within(connection: sa.Connection, grantee: str) -> None:
    """A principal is deleted: so is everything it was granted. Announce `routing` as well."""
    grow_within(connection, TOPIC)
    connection.execute(sa.delete(_G).where(_G.c.grantee_id == grantee))


def _topics(securable: Securable) -> tuple[str, ...]:
    # The revision's row makes writers take turns.
    return ("routing",) if securable.kind == ENDPOINT else (TOPIC,)


def _held(pairs: Iterable[tuple[str, str]]) -> Held:
    found: dict[str, set[str]] = defaultdict(set)
    for grantee, privilege in pairs:
        found[grantee].add(privilege)
    return {grantee: frozenset(privileges) for grantee, privileges in found.items()}
