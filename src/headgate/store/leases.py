"""Leases and single facts of the installation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from headgate.store import tables
from headgate.store.database import Database

_L = tables.leases
_F = tables.facts


@dataclass(frozen=True, slots=True)
class Claim:
    """Who wants a lease, from when, for how long."""

    name: str
    holder: str
    now_ms: int
    for_ms: int


def acquire(database: Database, claim: Claim) -> bool:
    """Takes or renews a lease; False while another holder's has not run out."""
    name, holder, now_ms = claim.name, claim.holder, claim.now_ms
    values = {"holder": holder, "expires_at": now_ms + claim.for_ms}
    with database.write() as connection:
        mine_or_over = sa.or_(_L.c.holder == holder, _L.c.expires_at < now_ms)
        taken = connection.execute(sa.update(_L).where(_L.c.name == name, mine_or_over).values(values))
        if taken.rowcount:
            return True
        if connection.execute(sa.select(_L.c.name).where(_L.c.name == name)).first() is not None:
            return False
        connection.execute(sa.insert(_L).values(name=name, **values))
    return True


def is_held(database: Database, name: str, now_ms: int) -> bool:
    """Whether somebody holds it."""
    with database.read() as connection:
        held = sa.select(_L.c.name).where(_L.c.name == name, _L.c.expires_at >= now_ms)
        return connection.execute(held).first() is not None


def release(database: Database, name: str, holder: str) -> None:
    """Gives a lease back, so that the next one need not wait for it to run out."""
    with database.write() as connection:
        connection.execute(sa.delete(_L).where(_L.c.name == name, _L.c.holder == holder))


def fact(database: Database, name: str) -> str | None:
    """A single value of this installation."""
    with database.read() as connection:
        return connection.execute(sa.select(_F.c.value).where(_F.c.name == name)).scalar()


def fact_or_set(database: Database, name: str, value: str) -> str:
    """The value there is; `value` when there was none (whoever writes first wins)."""
    with database.write() as connection:
        found = connection.execute(sa.select(_F.c.value).where(_F.c.name == name)).scalar()
        if found is not None:
            return str(found)
        connection.execute(sa.insert(_F).values(name=name, value=value))
    return value


def set_fact(database: Database, name: str, value: str) -> None:
    """Replaces a value."""
    with database.write() as connection:
        connection.execute(sa.delete(_F).where(_F.c.name == name))
        connection.execute(sa.insert(_F).values(name=name, value=value))


def settle_fact(database: Database, name: str, settle: Callable[[str | None], str], topic: str) -> str:
    """Replaces a value, or None, by what `settle` makes of it, within one `database.write(topic)`."""
    with database.write(topic) as connection:
        found = connection.execute(sa.select(_F.c.value).where(_F.c.name == name)).scalar()
        settled = settle(found)
        if found is None:
            connection.execute(sa.insert(_F).values(name=name, value=settled))
        elif settled != found:
            connection.execute(sa.update(_F).where(_F.c.name == name).values(value=settled))
    return settled
