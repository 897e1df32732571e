"""A request as the compiled decoder reads it: values ready to be joined with those of other requests, and predicted at once.

Made by `compiled`, carried by `serving` and its parts, answered by `scoring.Scorer.answer`.
"""

from __future__ import annotations

from typing import Any, Hashable, NamedTuple


class Rows(NamedTuple):
    """One request's rows."""

    count: int  # type: ignore[assignment]
    """At least one."""
    key: Hashable
    """Requests with equal keys may be predicted in one call."""
    values: Any
    """What `compiled.Layout` packed: bytes, row after row, or one packed column each."""
    body: bytes
    content_type: str
    """With the body: to answer it alone, by MLflow's own functions."""
