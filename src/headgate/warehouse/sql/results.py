"""Answers of `/api/2.0/sql/statements`. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from headgate.errors import HeadgateError


@dataclass(frozen=True, slots=True)
class Result:
    """What a query gave. Values are texts or None."""

    columns: list[dict[str, Any]]
    rows: list[list[str | None]]
    truncated: bool


def succeeded(statement_id: str, result: Result) -> dict[str, Any]:
    """All of it in one chunk."""
    count = len(result.rows)
    chunk = {"chunk_index": 0, "row_offset": 0, "row_count": count}
    return {
        "statement_id": statement_id,
        "status": {"state": "SUCCEEDED"},
        "manifest": {
            "format": "JSON_ARRAY",
            "schema": {"column_count": len(result.columns), "columns": result.columns},
            "total_chunk_count": 1,
            "chunks": [chunk],
            "total_row_count": count,
            "truncated": result.truncated,
        },
        "result": {**chunk, "data_array": result.rows},
    }


def failed(statement_id: str, error: HeadgateError) -> dict[str, Any]:
    """It ran, or was about to, and could not; HTTP 200 all the same."""
    status: dict[str, Any] = {"state": "FAILED", "error": {"error_code": error.error_code, "message": error.message}}
    state = getattr(error, "sql_state", None)
    return {"statement_id": statement_id, "status": status | ({"sql_state": state} if state else {})}


def running(statement_id: str, state: str = "PENDING") -> dict[str, Any]:
    """`PENDING`, `RUNNING`, `CANCELED` or `CLOSED`."""
    return {"statement_id": statement_id, "status": {"state": state}}
