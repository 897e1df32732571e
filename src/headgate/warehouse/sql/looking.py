"""`SHOW CATALOGS`, `SHOW SCHEMAS`, `SHOW TABLES` and `DESCRIBE TABLE`: what there is to read. Pure; asked by `child`."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from headgate.warehouse.sql import problems
from headgate.warehouse.sql.statement import Statement
from headgate.warehouse.tables import places
from headgate.warehouse.tables.places import TableName

_LOOKS = re.compile(r"\s*(SHOW|DESC|DESCRIBE)\b", re.IGNORECASE)
_PART = r"(?:`[^`]+`|[\w-]+)"
_SHOW = re.compile(
    rf"\s*SHOW\s+(CATALOGS|SCHEMAS|DATABASES|TABLES)(?:\s+(?:IN|FROM)\s+({_PART}(?:\.{_PART})?))?(?:\s+(?:LIKE\s+)?'([^']*)')?[\s;]*",
    re.IGNORECASE,
)
_DESCRIBE = re.compile(
    rf"\s*DESC(?:RIBE)?\s+(?:TABLE\s+)?(?:EXTENDED\s+)?({_PART}(?:\.{_PART}){{0,2}})[\s;]*", re.IGNORECASE
)
_SQL_TYPES = {"integer": "int", "long": "bigint", "short": "smallint", "byte": "tinyint"}


@dataclass(frozen=True, slots=True)
class Listing:
    """Names of columns, and rows."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def looks(text: str) -> bool:
    """Whether a statement is one of these, and no query."""
    return _LOOKS.match(text) is not None


def described(statement: Statement) -> TableName | None:
    """The table that is to be described; None: the statement shows something. Raises StatementError."""
    found = _DESCRIBE.fullmatch(statement.text)
    if found is None:
        return None
    parts = _parts(found[1])
    return places.named(*([statement.catalog, statement.schema][: 3 - len(parts)] + parts))


def shown(statement: Statement, every: Callable[[], Iterable[TableName]]) -> Listing:
    """`every`: all tables that the caller may read. Raises StatementError."""
    found = _SHOW.fullmatch(statement.text)
    if found is None:
        raise problems.not_allowed("This form of SHOW or DESCRIBE")
    what, where, pattern = found[1].upper(), _parts(found[2] or ""), (found[3] or "*").lower()
    if what == "TABLES":
        catalog, schema = (where if len(where) == 2 else [statement.catalog, *(where or [statement.schema])])[:2]
        tables = [name for name in every() if (name.catalog, name.schema) == (catalog.lower(), schema.lower())]
        rows = [[name.schema, name.table, "false"] for name in sorted(tables) if _like(name.table, pattern)]
        return Listing(("database", "tableName", "isTemporary"), rows)
    if what == "CATALOGS":
        return Listing(("catalog",), _names((name.catalog for name in every()), pattern))
    catalog = (where[0] if where else statement.catalog).lower()
    return Listing(("databaseName",), _names((name.schema for name in every() if name.catalog == catalog), pattern))


def columns(schema: dict[str, Any]) -> Listing:
    """Of a table; `schema` as Delta writes it."""
    rows = [[field["name"], _type(field["type"]), ""] for field in schema["fields"]]
    return Listing(("col_name", "data_type", "comment"), rows)


def _type(told: Any) -> str:
    if isinstance(told, str):
        return _SQL_TYPES.get(told, told)
    if told["type"] == "array":
        return f"array<{_type(told['elementType'])}>"
    if told["type"] == "map":
        return f"map<{_type(told['keyType'])},{_type(told['valueType'])}>"
    return "struct<" + ",".join(f"{field['name']}:{_type(field['type'])}" for field in told["fields"]) + ">"


def _parts(written: str) -> list[str]:
    return [part.strip("`") for part in re.findall(_PART, written)]


def _names(found: Iterable[str], pattern: str) -> list[list[str]]:
    return [[name] for name in sorted(set(found)) if _like(name, pattern)]


def _like(name: str, pattern: str) -> bool:
    return any(fnmatch.fnmatchcase(name, one.replace("%", "*")) for one in pattern.split("|"))
