"""First stage: gives the request its id. The one place that logs a request (at debug)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from headgate.gateway.call import Call, Reply

logger = logging.getLogger(__name__)

_VARIANTS = "89ab"


class Bits(Protocol):
    def getrandbits(self, k: int) -> int: ...


class Trace:
    """`call.request_id` is set from here on."""

    def __init__(self, rng: Bits) -> None:
        self._rng = rng

    async def __call__(self, call: Call, next: Callable[[Call], Awaitable[Reply]]) -> Reply:
        call.request_id = request_id(self._rng)
        reply = await next(call)
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("%s %s %d %s", call.method, call.path, reply.status, call.request_id)
        return reply


def request_id(rng: Bits) -> str:
    """A random UUID (version 4) as text; a fraction of the price of `uuid.uuid4`."""
    number = rng.getrandbits(128)
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{_VARIANTS[number >> 60 & 3]}{digits[17:20]}-{digits[20:]}"
