"""Which dialect a call is in."""

from __future__ import annotations

from headgate.gateway.call import Call
from headgate.gateway.dialects.identity import IDENTITY
from headgate.gateway.dialects.port import Dialect


def of(call: Call) -> Dialect:
    """How its client speaks, set by `stages.parse`."""
    return call.dialect or IDENTITY
