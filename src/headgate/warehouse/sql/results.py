"""Answers of `/api/2.0/sql/statements`. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Outline:
    """What a query gave, without its rows."""

    columns: list[dict[str, Any]]
    row_count: int
    truncated: bool
    size_bytes: int
    """Of the rows as JSON: a list of lists of texts and nulls."""


def around(statement_id: str, outline: Outline) -> tuple[bytes, bytes, bytes]:
    """What comes before the rows in the answer about a statement that succeeded, and after them; all rows are in one chunk.

    The chunk, `result`, begins with the second part.
    """
    chunk = {"chunk_index": 0, "row_offset": 0, "row_count": outline.row_count, "byte_count": outline.size_bytes}
    manifest = {
        "format": "JSON_ARRAY",
        "schema": {"column_count": len(outline.columns), "columns": outline.columns},
        "total_chunk_count": 1,
        "chunks": [chunk],
        "total_row_count": outline.row_count,
        "total_byte_count": outline.size_bytes,
        "truncated": outline.truncated,
    }
    answer = {"statement_id": statement_id, "status": {"state": "SUCCEEDED"}, "manifest": manifest}
    return orjson.dumps(answer)[:-1] + b',"result":', orjson.dumps(chunk)[:-1] + b',"data_array":', b"}}"


def told(
    statement_id: str, state: str, error: dict[str, str] | None = None, sql_state: str | None = None
) -> dict[str, Any]:
    """The answer about one that has no result; HTTP 200 all the same."""
    status: dict[str, Any] = {"state": state}
    if error is not None:
        status["error"] = error
    if sql_state is not None:
        status["sql_state"] = sql_state
    return {"statement_id": statement_id, "status": status}
