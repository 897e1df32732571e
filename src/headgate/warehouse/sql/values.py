"""Rows as the statement API's JSON_ARRAY tells them: every value a text, NULL is null; and columns with Databricks' type names. Pure."""

from __future__ import annotations

import base64
import datetime
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa

_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")
_PLAIN = {
    "VARCHAR": ("STRING", "STRING"),
    "JSON": ("STRING", "STRING"),
    "UUID": ("STRING", "STRING"),
    "BOOLEAN": ("BOOLEAN", "BOOLEAN"),
    "TINYINT": ("BYTE", "TINYINT"),
    "SMALLINT": ("SHORT", "SMALLINT"),
    "INTEGER": ("INT", "INT"),
    "BIGINT": ("LONG", "BIGINT"),
    "HUGEINT": ("LONG", "BIGINT"),
    "UTINYINT": ("SHORT", "SMALLINT"),
    "USMALLINT": ("INT", "INT"),
    "UINTEGER": ("LONG", "BIGINT"),
    "UBIGINT": ("LONG", "BIGINT"),
    "FLOAT": ("FLOAT", "FLOAT"),
    "DOUBLE": ("DOUBLE", "DOUBLE"),
    "DATE": ("DATE", "DATE"),
    "TIMESTAMP": ("TIMESTAMP", "TIMESTAMP_NTZ"),
    "TIMESTAMP WITH TIME ZONE": ("TIMESTAMP", "TIMESTAMP"),
    "INTERVAL": ("INTERVAL", "INTERVAL"),
    "BLOB": ("BINARY", "BINARY"),
    "NULL": ("NULL", "VOID"),
}


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of a result."""

    rows: int
    result_bytes: int


def collected(batches: Iterable[pa.RecordBatch], types: list[str], bounds: Bounds) -> tuple[dict[str, Any], bytes]:
    """An outline of the result, and its rows up to the bounds as JSON: what becomes `data_array`."""
    schema: pa.Schema = batches.schema  # type: ignore[attr-defined]
    columns = [
        column(name, kind, position) for position, (name, kind) in enumerate(zip(schema.names, types, strict=True))
    ]
    return bounded(columns, _rows(batches), bounds)


def bounded(
    columns: list[dict[str, Any]], rows: Iterable[Sequence[str | None]], bounds: Bounds
) -> tuple[dict[str, Any], bytes]:
    """The same of rows of texts."""
    pieces: list[bytes] = []
    size_bytes, truncated = 2, False
    for row in rows:
        piece = json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        size_bytes += len(piece) + 1
        truncated = len(pieces) >= bounds.rows or size_bytes > bounds.result_bytes
        if truncated:
            break
        pieces.append(piece)
    text = b"[" + b",".join(pieces) + b"]"
    return {"columns": columns, "row_count": len(pieces), "truncated": truncated, "size_bytes": len(text)}, text


def _rows(batches: Iterable[pa.RecordBatch]) -> Iterator[Sequence[str | None]]:
    for batch in batches:
        yield from zip(*(_texts(batch.column(index)) for index in range(batch.num_columns)), strict=True)


def column(name: str, kind: str, position: int) -> dict[str, Any]:
    """One entry of the manifest's schema; `kind` is DuckDB's type."""
    told: dict[str, Any] = {"name": name, "position": position}
    decimal = _DECIMAL.fullmatch(kind)
    if decimal:
        precision, scale = map(int, decimal.groups())
        return told | {
            "type_name": "DECIMAL", "type_text": f"DECIMAL({precision},{scale})", "type_precision": precision, "type_scale": scale,
        }  # fmt: skip
    type_name, type_text = _PLAIN.get(kind.strip('"'), ("", ""))
    if not type_name:
        type_name, type_text = _nested(kind)
    return told | {"type_name": type_name, "type_text": type_text}


def _nested(kind: str) -> tuple[str, str]:
    if kind.endswith("]"):
        return "ARRAY", f"ARRAY<{_text_of(kind[: kind.rindex('[')])}>"
    if kind.startswith("MAP("):
        key, _, value = kind[4:-1].partition(", ")
        return "MAP", f"MAP<{_text_of(key)}, {_text_of(value)}>"
    if kind.startswith("STRUCT("):
        return "STRUCT", "STRUCT"
    if kind.startswith("TIMESTAMP"):
        return "TIMESTAMP", "TIMESTAMP_NTZ"
    return "STRING", "STRING"


def _text_of(kind: str) -> str:
    return str(column("", kind, 0)["type_text"])


def _texts(values: pa.Array) -> list[str | None]:
    kind = values.type
    maps = pa.types.is_map(kind) or pa.types.is_nested(kind)
    return [None if value is None else _text(value, kind if maps else None) for value in values.to_pylist()]


def _text(value: Any, kind: pa.DataType | None) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime.datetime):
        plain = value.astimezone(datetime.timezone.utc).replace(tzinfo=None) if value.tzinfo else value
        shown = plain.isoformat(timespec="microseconds" if plain.microsecond % 1000 else "milliseconds")
        return f"{shown}Z" if value.tzinfo else shown
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if kind is not None:
        return json.dumps(_plain(value, kind), ensure_ascii=False, separators=(",", ":"), default=str)
    return str(value)


def _plain(value: Any, kind: pa.DataType) -> Any:
    """Nested values as JSON tells them; a map is a list of pairs in Arrow."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if pa.types.is_map(kind):
        return {str(key): _plain(item, kind.item_type) for key, item in value}
    if pa.types.is_struct(kind):
        return {name: _plain(value[name], kind.field(name).type) for name in value}
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [_plain(item, kind.value_type) for item in value]
    return _text(value, None)
