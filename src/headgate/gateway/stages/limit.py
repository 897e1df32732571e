"""Fifth step: bounds on one request before anything is spent on it. Rate limits will join here."""

from __future__ import annotations

from headgate import errors
from headgate.gateway.call import Call


class Limit:
    """Refuses a body that is too long with 400 (never 413, which clients do not know)."""

    def __init__(self, payload_bytes: int) -> None:
        self._payload_bytes = payload_bytes

    def __call__(self, call: Call) -> None:
        if call.body_bytes > self._payload_bytes:
            raise errors.BadRequest(
                f"The request body is larger than the limit of {self._payload_bytes} bytes. Send fewer rows per request."
            )
