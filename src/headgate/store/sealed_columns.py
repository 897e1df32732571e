"""Where sealed texts lie: columns that say so themselves, `info={"sealed": "<context, {column} for the row's own>"}`.

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


def columns() -> list[sa.Column[Any]]:
    """Every column that may hold sealed texts."""
    return [column for table in schema.metadata.sorted_tables for column in table.columns if "sealed" in column.info]


def key_ids(database: Database) -> Mapping[str, int]:
    """Key id -> how many texts are sealed with it."""
    found: Counter[str] = Counter()
    with database.read() as connection:
        for column in columns():
            prefix = sa.func.substr(column, 1, _ID.stop)
            query = sa.select(prefix, sa.func.count()).where(_is_sealed(column)).group_by(prefix)
            for start, count in connection.execute(query):
                found[start[_ID]] += count
    return found


def replace(database: Database, topic: str, key_id: str, reseal: Callable[[str, str], str]) -> int:
    """Puts `reseal(sealed, context)` in place of every text not sealed with `key_id`; how many. A few rows per `database.write(topic)`."""
    return sum(_replace(database, topic, column, _Work(key_id, reseal)) for column in columns())


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


def _is_sealed(column: sa.Column[Any]) -> sa.ColumnElement[bool]:
    return sa.func.substr(column, 1, len(_PREFIX)) == _PREFIX
