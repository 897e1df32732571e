"""First step: gives the request its id."""

from __future__ import annotations

from typing import Protocol

from headgate.gateway.call import Call

_VERSION_4 = 0x4000 << 64
_VARIANT = 0x8000 << 48
_RANDOM = (1 << 128) - 1 ^ (0xF000 << 64) ^ (0xC000 << 48)


class Bits(Protocol):
    def getrandbits(self, k: int) -> int: ...


class Trace:
    """`call.request_id` is set from here on."""

    def __init__(self, rng: Bits) -> None:
        self._rng = rng

    def __call__(self, call: Call) -> None:
        call.request_id = request_id(self._rng)


def request_id(rng: Bits) -> str:
    """A random UUID (version 4) as text; a fraction of the price of `uuid.uuid4`."""
    digits = "%032x" % (rng.getrandbits(128) & _RANDOM | _VERSION_4 | _VARIANT)
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
