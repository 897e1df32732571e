"""Whether a query does nothing but read our tables, as DuckDB itself understands it. Pure; asked by the process that runs it.

Everything it may be made of is on a list here or in `functions`; what is on none is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from headgate.warehouse.sql import functions

_EXPRESSIONS = frozenset(
    (
        "COLUMN_REF", "CONSTANT", "FUNCTION", "OPERATOR", "COMPARISON", "CONJUNCTION", "CASE", "CAST", "BETWEEN", "SUBQUERY",
        "STAR", "WINDOW", "COLLATE", "LAMBDA", "LAMBDA_REF", "POSITIONAL_REFERENCE", "TYPE",
    )
)  # fmt: skip
_PLACES = frozenset(
    (
        "SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE", "BASE_TABLE", "JOIN", "SUBQUERY",
        "TABLE_FUNCTION", "EXPRESSION_LIST", "EMPTY", "EMPTY_FROM", "PIVOT",
    )
)  # fmt: skip
_MODIFIERS = frozenset(
    ("ORDER_MODIFIER", "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER", "DISTINCT_MODIFIER", "ASCENDING", "DESCENDING", "ORDER_DEFAULT", "DEFAULT")
)  # fmt: skip


class Refused(Exception):
    """What the query holds that it must not."""


def check(serialized: dict[str, Any], tables: Collection[str], taken: Collection[str]) -> None:
    """`serialized`: what `json_serialize_sql` says. `tables`: those that may be read; `taken`: what DuckDB's catalog has by itself.

    Raises Refused.
    """
    if serialized.get("error"):
        raise Refused(str(serialized.get("error_message", "this statement")))
    if len(serialized["statements"]) != 1:
        raise Refused("more than one statement")
    named = set(_named(serialized))
    clash = {name for name in named if name in taken}
    if clash:
        raise Refused(f"the name {sorted(clash)[0]}")
    for node in _nodes(serialized["statements"][0]):
        _check_node(node, {*tables, *named})


def _check_node(node: dict[str, Any], tables: Collection[str]) -> None:
    kind, role = node.get("type"), node.get("class")
    if not isinstance(kind, str):
        return
    if role is not None and role not in _EXPRESSIONS:
        raise Refused(f"{role} expression")
    if role is None and kind not in _PLACES and kind not in _MODIFIERS and not kind.endswith("_TYPE_INFO"):
        raise Refused(kind)
    if len((node.get("qualified_name") or {}).get("path", ())) > 1:
        raise Refused(".".join(map(str, node["qualified_name"]["path"])))
    if role is None and kind == "BASE_TABLE":
        if node.get("schema_name") or node.get("catalog_name") or str(node.get("table_name")).lower() not in tables:
            raise Refused(f"the table {node.get('table_name')}")
        if node.get("at_clause"):
            raise Refused("an older version of a table")
    if role is None and kind == "TABLE_FUNCTION":
        called = str(node["function"].get("function_name", "")).lower()
        if called not in functions.ROWS:
            raise Refused(f"the table function {called}")
    elif role in ("FUNCTION", "WINDOW"):
        called = str(node.get("function_name", "")).lower()
        if called not in functions.ALLOWED and called not in functions.ROWS:
            raise Refused(f"the function {called}")
        if node.get("schema") not in (None, "", "main") or node.get("catalog"):  # DuckDB 1 says `main` of its own
            raise Refused(f"the function {node.get('schema')}.{called}")


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield item
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)


def _named(value: Any) -> Iterator[str]:
    """Names that WITH gives."""
    for node in _nodes(value):
        for entry in (node.get("cte_map") or {}).get("map", ()):
            yield str(entry.get("key", "")).lower()
        if node.get("type") in ("RECURSIVE_CTE_NODE", "CTE_NODE") and node.get("cte_name"):
            yield str(node["cte_name"]).lower()
