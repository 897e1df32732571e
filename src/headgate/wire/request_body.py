"""What both doors (api, gateway) do with a request body that is too long. ASGI in, nothing kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from headgate.clock import within

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_MOST_BYTES = 256 * 1024**2
_MOST_S = 10.0


async def discard(receive: Receive) -> None:
    """Reads on, for a bounded while, what will not be used.

    A client that is still sending when its connection closes sees a broken connection instead of the answer that says what
    was wrong. Returns early when the client left.
    """
    left, ends = _MOST_BYTES, time.monotonic() + _MOST_S
    while left > 0 and (remaining := ends - time.monotonic()) > 0:
        try:
            message = await within(remaining, receive())
        except asyncio.TimeoutError:
            return
        left -= len(message.get("body", b""))
        if not message.get("more_body", False):
            return
