"""Where sealed texts lie: columns that say so themselves, `info={"sealed": "<context, {column} for the row's own>"}`, and JSON columns
with sealed texts within, `info={"sealed_within": replaced}`.

Walked when a key is replaced and when keys are checked. Knows nothing of keys: it hands sealed texts out and takes others in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from headgate.store import schema
from headgate.store.database import Database

_PREFIX = "s1."
_ID = slice(3, 11)
_ROWS = 200

Reseal = Callable[[str, str], str]
"""(sealed text, context) -> the text that takes its place."""
Within = Callable[[Mapping[str, Any], Any, Reseal], Any]
"""(row, what its column holds, reseal) -> the same with every sealed text replaced."""


def columns() -> list[sa.Column[Any]]:
    """Every column that may hold sealed texts."""
    return [column for table in schema.metadata.sorted_tables for column in table.columns if "sealed" in column.info]


def documents() -> list[sa.Column[Any]]:
    """Every JSON column that may hold sealed texts within."""
    tables = schema.metadata.sorted_tables
    return [column for table in tables for column in table.columns if "sealed_within" in column.info]


def key_ids(database: Database) -> Mapping[str, int]:
    """Key id -> how many texts are sealed with it."""
    found: Counter[str] = Counter()
    with database.read() as connection:
        for column in columns():
            prefix = sa.func.substr(column, 1, _ID.stop)
            query = sa.select(prefix, sa.func.count()).where(_is_sealed(column)).group_by(prefix)
            for start, count in connection.execute(query):
                found[start[_ID]] += count
        for column in documents():
            for row in connection.execute(sa.select(column.table).where(_has_sealed(column))).mappings():
                found.update(sealed[_ID] for sealed in _within(column, row))
    return found


def replace(database: Database, topic: str, key_id: str, reseal: Callable[[str, str], str]) -> int:
    """Puts `reseal(sealed, context)` in place of every text not sealed with `key_id`; how many. A few rows per `database.write(topic)`."""
    work = _Work(key_id, reseal)
    done = sum(_replace(database, topic, column, work) for column in columns())
    return done + sum(_replace_within(database, topic, column, work) for column in documents())


class _Work:
    def __init__(self, key_id: str, reseal: Callable[[str, str], str]) -> None:
        self.wanted = f"{_PREFIX}{key_id}."
        self.reseal = reseal


def _replace(database: Database, topic: str, column: sa.Column[Any], work: _Work) -> int:
    done = 0
    while True:
        with database.write(topic) as connection:
            count = sum(1 for _ in _replaced(connection, column, work))
        done += count
        if count < _ROWS:
            return done


def _replaced(connection: sa.Connection, column: sa.Column[Any], work: _Work) -> Iterator[None]:
    table, context = column.table, str(column.info["sealed"])
    start = sa.func.substr(column, 1, len(work.wanted))
    query = sa.select(table).where(_is_sealed(column), start != work.wanted).limit(_ROWS)
    for row in connection.execute(query).mappings().all():
        mine = sa.and_(*(key == row[key] for key in table.primary_key.columns))
        resealed = work.reseal(row[column], context.format_map({str(name): value for name, value in row.items()}))
        connection.execute(sa.update(table).where(mine).values({column: resealed}))
        yield


def _replace_within(database: Database, topic: str, column: sa.Column[Any], work: _Work) -> int:
    """Row by row in the order of their keys, a few per transaction: what is written meanwhile is sealed with the new key anyway."""
    keys = sa.tuple_(*column.table.primary_key.columns)
    after: tuple[Any, ...] | None = None
    done = 0
    while True:
        query = sa.select(column.table).where(_has_sealed(column)).order_by(*column.table.primary_key.columns)
        query = query if after is None else query.where(keys > after)
        with database.write(topic) as connection:
            rows = connection.execute(query.limit(_ROWS)).mappings().all()
            done += sum(_replaced_within(connection, column, row, work) for row in rows)
        if len(rows) < _ROWS:
            return done
        after = tuple(rows[-1][key.name] for key in column.table.primary_key.columns)


def _replaced_within(connection: sa.Connection, column: sa.Column[Any], row: Mapping[Any, Any], work: _Work) -> int:
    old = [sealed for sealed in _within(column, row) if not sealed.startswith(work.wanted)]
    if old:

        def reseal(sealed: str, context: str) -> str:
            return sealed if sealed.startswith(work.wanted) else work.reseal(sealed, context)

        replaced: Within = column.info["sealed_within"]
        mine = sa.and_(*(key == row[key.name] for key in column.table.primary_key.columns))
        changed = {column: replaced(row, row[column.name], reseal)}
        connection.execute(sa.update(column.table).where(mine).values(changed))
    return len(old)


def _within(column: sa.Column[Any], row: Mapping[Any, Any]) -> list[str]:
    found: list[str] = []

    def note(sealed: str, _context: str) -> str:
        found.append(sealed)
        return sealed

    replaced: Within = column.info["sealed_within"]
    replaced(row, row[column.name], note)
    return found


def _has_sealed(column: sa.Column[Any]) -> sa.ColumnElement[bool]:
    return sa.cast(column, sa.Text).like(f'%"{_PREFIX}%')


def _is_sealed(column: sa.Column[Any]) -> sa.ColumnElement[bool]:
    return sa.func.substr(column, 1, len(_PREFIX)) == _PREFIX
