"""The body of every error, on both doors."""

from __future__ import annotations

from pydantic import BaseModel


class ErrorBody(BaseModel):
    """What was wrong and what to do."""

    error_code: str
    message: str
