"""A request as the compiled decoder reads it: values ready to be joined with those of other requests, and predicted at once.

Made by `compiled`, carried by `serving` and its parts, answered by `scoring.Scorer.answer`. Holds no behaviour.
"""

from __future__ import annotations

from typing import Any, Hashable


class Rows:
    """One request's rows."""

    __slots__ = ("body", "content_type", "count", "key", "values")

    def __init__(self, count: int, key: Hashable, values: Any, body: bytes, content_type: str) -> None:
        self.count = count
        """Rows, at least one."""
        self.key = key
        """Requests with equal keys may be predicted in one call."""
        self.values = values
        """What `compiled.Layout` packed: bytes, row after row, or one packed column each."""
        self.body = body
        self.content_type = content_type
        """With the body: to answer it alone, by MLflow's own functions."""
