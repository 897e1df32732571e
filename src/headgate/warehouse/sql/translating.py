"""Databricks' SQL into DuckDB's: one query, its tables replaced by names of ours, its parameters by values. Pure; asked by `child`.

What this lets through is looked at once more, as DuckDB reads it, where it runs (`checking`).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from headgate.warehouse.sql import meanings, problems
from headgate.warehouse.sql.statement import MOST_CHARACTERS, Parameter, Statement
from headgate.warehouse.tables import places
from headgate.warehouse.tables.places import TableName

MOST_NODES = 20_000
LONGEST_NAME = 255
_NAMED = (exp.Alias, exp.Aliases, exp.Column, exp.Dot, exp.Star)
_TYPE = re.compile(
    r"(?:(?:STRING|BOOLEAN|BYTE|TINYINT|SHORT|SMALLINT|INT|INTEGER|LONG|BIGINT|FLOAT|DOUBLE|DATE|TIMESTAMP|TIMESTAMP_NTZ|BINARY)"
    r"|DECIMAL(?:\(\d{1,2}(?:,\s*\d{1,2})?\))?)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Translated:
    """What is to be run, and the tables it reads, by the names they have in it."""

    text: str
    tables: Mapping[str, TableName]


def translate(statement: Statement, readable: Callable[[TableName], bool]) -> Translated:
    """`readable`: whether there is such a table and the caller may read it. Raises StatementError."""
    tree = _parsed(statement.text)
    _name_columns(tree)
    tree = meanings.adapt(tree)
    tables: dict[TableName, str] = {}
    # What nobody has written cannot be meant by anything that somebody has.
    stem = "headgate_"
    while stem in statement.text.lower():
        stem += "_"
    for table in list(tree.find_all(exp.Table)):
        _replace_table(table, _Replacing(statement, tables, readable, stem))
    for column in tree.find_all(exp.Column):
        column.set("db", None)
        column.set("catalog", None)
    _put_values(tree, statement.parameters)
    try:
        text = tree.sql(dialect="duckdb", unsupported_level=sqlglot.ErrorLevel.RAISE)
    except (SqlglotError, RecursionError, ValueError) as error:
        raise problems.not_allowed(_first_line(error)) from error
    return Translated(text, {alias: name for name, alias in tables.items()})


def _parsed(text: str) -> exp.Expression:
    if len(text) > MOST_CHARACTERS:
        raise problems.syntax(f"The statement has more than {MOST_CHARACTERS} characters.")
    logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns of what is refused below
    try:
        statements = [tree for tree in sqlglot.parse(text, dialect="databricks") if tree is not None]
    except (SqlglotError, RecursionError) as error:
        raise problems.syntax(_first_line(error)) from error
    if len(statements) != 1:
        raise problems.syntax("Send exactly one statement.")
    tree = statements[0]
    if not isinstance(tree, exp.Query):
        raise problems.not_allowed(tree.key.upper() if not isinstance(tree, exp.Command) else str(tree.this).upper())
    if sum(1 for _ in tree.walk()) > MOST_NODES:
        raise problems.syntax("The statement is too large.")
    return tree


def _name_columns(tree: exp.Expression) -> None:
    """A column without a name has its own text for one, as it was written; what DuckDB is asked in its place looks otherwise."""
    select: exp.Expression | None = tree
    while isinstance(select, (exp.SetOperation, exp.Subquery)):
        select = select.this
    for found in select.expressions if isinstance(select, exp.Select) else ():
        if not isinstance(found, _NAMED):
            text = found.sql(dialect="databricks", normalize_functions="lower")[:LONGEST_NAME]
            found.replace(exp.alias_(found.copy(), text, quoted=True))


@dataclass(frozen=True, slots=True)
class _Replacing:
    """Tables by names of ours, the same one for the same table."""

    statement: Statement
    names: dict[TableName, str]
    readable: Callable[[TableName], bool]
    stem: str


def _replace_table(table: exp.Table, replacing: _Replacing) -> None:
    statement, names = replacing.statement, replacing.names
    if not isinstance(table.this, exp.Identifier):
        return  # a function: `checking` knows which may stand here
    if not table.db and _is_named_before(table):
        return
    named = table.args.get("alias")
    versioned = named is not None and isinstance(named.this, exp.Parameter)  # `table@v1`
    if versioned or table.args.get("version") is not None or table.args.get("when") is not None:
        raise problems.not_allowed("Reading an older version of a table")
    name = places.named(table.catalog or statement.catalog, table.db or statement.schema, table.name)
    written = ".".join(f"`{part}`" for part in (table.catalog, table.db, table.name) if part)
    if (table.catalog and not table.db) or not replacing.readable(name):
        raise problems.no_table(written)
    alias = table.alias or table.name
    new = exp.to_identifier(names.setdefault(name, f"{replacing.stem}{len(names)}"))
    table.set("this", new)
    table.set("db", None)
    table.set("catalog", None)
    if not table.alias:
        table.set("alias", exp.TableAlias(this=exp.to_identifier(alias, quoted=True)))


def _is_named_before(table: exp.Table) -> bool:
    """Whether a WITH around it names it."""
    node = table.parent
    while node is not None:
        ahead = node.args.get("with_") or node.args.get("with")
        if ahead is not None and any(item.alias.lower() == table.name.lower() for item in ahead.expressions):
            return True
        node = node.parent
    return False


def _put_values(tree: exp.Expression, parameters: Sequence[Parameter]) -> None:
    known = {parameter.name: parameter for parameter in parameters}
    for marker in list(tree.find_all(exp.Placeholder, exp.Parameter)):
        name = marker.name
        if not name or name not in known:
            raise problems.no_value(name or "?")
        parameter = known[name]
        if not _TYPE.fullmatch(parameter.type):
            raise problems.bad_value(name, f"value of a type that can be given ({parameter.type[:40]})")
        kind = exp.DataType.build(_BY_NAME.get(parameter.type.upper(), parameter.type), dialect="databricks")
        value = exp.Null() if parameter.value is None else exp.Literal.string(parameter.value)
        marker.replace(exp.Cast(this=value, to=kind))


_BY_NAME = {"BYTE": "TINYINT", "SHORT": "SMALLINT", "LONG": "BIGINT"}


def _first_line(error: Exception) -> str:
    plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    return plain.partition("\n")[0][:500] or type(error).__name__
