"""Where Databricks' words mean something else in DuckDB, or nothing: what the translator itself leaves as it is. Pure; asked by `translating`.

Bodies of requests are kept as they came. What is not JSON is NULL when it is looked into, as in Databricks; DuckDB would fail.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from sqlglot import exp
from sqlglot.errors import SqlglotError

from headgate.warehouse.sql import problems

_UNITS = {"MM": "MONTH", "MON": "MONTH", "YYYY": "YEAR", "YY": "YEAR", "DD": "DAY"}


def adapt(tree: exp.Expression) -> exp.Expression:
    """The same query, of which the translator then makes DuckDB's. Raises StatementError."""
    for hint in list(tree.find_all(exp.Hint)):
        hint.pop()
    for node in reversed(list(tree.walk())):  # what is inside comes first
        new = _adapted(node)
        if new is not node:
            node.replace(new)
    return tree


def _adapted(node: exp.Expression) -> exp.Expression:
    change = _BY_NAME.get(node.name.lower()) if isinstance(node, exp.Anonymous) else _BY_KIND.get(type(node))
    return node if change is None else change(node)


def _call(name: str, *arguments: Any) -> exp.Expression:
    return exp.Anonymous(this=name, expressions=list(arguments))


def _renamed(name: str) -> Callable[[Any], exp.Expression]:
    return lambda node: _call(name, *node.expressions)


def _looked_into(node: Any) -> exp.Expression:
    """`column:path` is a text in Databricks, JSON in DuckDB."""
    return exp.JSONExtractScalar(this=_valid(node.this), expression=node.expression)


def _valid(text: exp.Expression) -> exp.Expression:
    if isinstance(text, (exp.ParseJSON, exp.Case)):
        return text
    return exp.Case(ifs=[exp.If(this=_call("json_valid", text.copy()), true=text)])


def _from_json(node: Any) -> exp.Expression:
    schema = node.expression
    if not isinstance(schema, exp.Literal) or not schema.is_string:
        raise problems.not_allowed("from_json with a schema that is not written out as text")
    return _call("from_json", _valid(node.this), exp.Literal.string(json.dumps(_structure(schema.name))))


def _structure(ddl: str) -> Any:
    """A schema such as `a INT, b ARRAY<STRING>`, as DuckDB wants it."""
    for written in (ddl, f"STRUCT<{ddl}>"):
        try:
            return _shape(exp.DataType.build(written, dialect="databricks"))
        except (SqlglotError, ValueError):
            continue
    raise problems.syntax(f"{ddl!r} is no schema for from_json.")


def _shape(kind: exp.Expression) -> Any:
    if kind.is_type("struct"):
        if not all(isinstance(field, exp.ColumnDef) for field in kind.expressions):
            raise ValueError
        fields = {field.name: _shape(field.args["kind"]) for field in kind.expressions}
        if not fields:
            raise ValueError
        return fields
    if kind.is_type("array"):
        return [_shape(kind.expressions[0])]
    return kind.sql(dialect="duckdb")


def _full_units(node: Any) -> exp.Expression:
    """Of 59 minutes past midnight to one, Databricks counts no hour, and DuckDB one."""
    unit = node.args.get("unit")
    if unit is None:
        return exp.DateDiff(this=node.this, expression=node.expression)
    return _call("datesub", exp.Literal.string(unit.name), *map(_as_time, (node.expression, node.this)))


def _as_time(value: exp.Expression) -> exp.Expression:
    return exp.cast(value, exp.DataType.build("TIMESTAMPTZ", dialect="duckdb"))


def _days_later(node: Any) -> exp.Expression:
    return exp.cast(exp.TsOrDsAdd(**node.args), "date")


def _truncated(node: Any) -> exp.Expression:
    unit = node.args["unit"].name.upper()
    node.set("unit", exp.Var(this=_UNITS.get(unit, unit)))
    return node


def _seconds(node: Any) -> exp.Expression:
    if node.args.get("format") is not None and not isinstance(node.this, exp.CurrentTimestamp):
        written = node.args["format"].name.replace("strict", "")
        if written != "%Y-%m-%d %H:%M:%S":
            return node
    return exp.cast(exp.Floor(this=_call("epoch", _as_time(node.this))), "bigint")


def _weekday(node: Any) -> exp.Expression:
    return exp.paren(exp.Sub(this=_call("isodow", *node.expressions), expression=exp.Literal.number(1)))


def _day_of_week(node: Any) -> exp.Expression:
    """Sunday is 1."""
    return exp.paren(exp.Add(this=exp.DayOfWeek(this=node.this), expression=exp.Literal.number(1)))


def _extracted(node: Any) -> exp.Expression:
    if node.name.upper() in ("DOW", "DAYOFWEEK"):
        return exp.paren(exp.Add(this=exp.Extract(**node.args), expression=exp.Literal.number(1)))
    return node


def _any(node: Any) -> exp.Expression:
    if node.expression is None:
        return node
    found = _call("len", _call("list_filter", node.this, node.expression))
    return exp.paren(exp.GT(this=found, expression=exp.Literal.number(0)))


def _positive(node: Any) -> exp.Expression:
    value, by = node.expressions
    inner = exp.paren(exp.Mod(this=exp.paren(value), expression=exp.paren(by)))
    return exp.paren(
        exp.Mod(this=exp.paren(exp.Add(this=inner, expression=by.copy())), expression=exp.paren(by.copy()))
    )


def _time_of(parts: int) -> Callable[[Any], exp.Expression]:
    def made(node: Any) -> exp.Expression:
        whole = exp.Div(this=exp.paren(node.expressions[0]), expression=exp.Literal.number(f"{parts}.0"))
        return _call("to_timestamp", whole)

    return made


_BY_KIND: dict[type[exp.Expression], Callable[[Any], exp.Expression]] = {
    exp.JSONExtract: _looked_into,
    exp.JSONExtractScalar: _looked_into,
    exp.FromJson: _from_json,
    exp.TimestampDiff: _full_units,
    exp.DateDiff: _full_units,
    exp.TsOrDsAdd: _days_later,
    exp.DateTrunc: _truncated,
    exp.TimestampTrunc: _truncated,
    exp.StrToUnix: _seconds,
    exp.DayOfWeek: _day_of_week,
    exp.Extract: _extracted,
    exp.Exists: _any,
    exp.Quantile: lambda node: _call("quantile_cont", node.this, node.args["quantile"]),
}
_BY_NAME: dict[str, Callable[[Any], exp.Expression]] = {
    "weekday": _weekday,
    "pmod": _positive,
    "arrays_overlap": _renamed("list_has_any"),
    "timestamp_seconds": _time_of(1),
    "timestamp_millis": _time_of(1000),
    "timestamp_micros": _time_of(1_000_000),
    "json_array_length": lambda node: _call("json_array_length", *map(_valid, node.expressions)),
}
