"""What is over is let go of at once: bodies are megabytes, and a collection of garbage may be minutes away."""

from __future__ import annotations

import asyncio
import contextlib
import gc

import pytest
from tests.unit.gateway.vendors.test_attempts import House, taken

from headgate.errors import HeadgateError
from headgate.gateway.call import Call


@pytest.mark.parametrize(
    "ways",
    [["broken"], ["broken", "well"], ["refusing"], ["garbled"], ["garbled", "broken"], ["keyless"], ["ends early"]],
    ids=" then ".join,
)
@pytest.mark.parametrize("stream", [False, True])
def test_no_request_stays_whatever_became_of_it(ways: list[str], stream: bool) -> None:
    asyncio.run(_asked(House(ways), stream))


async def _asked(house: House, stream: bool) -> None:
    await house.plane.look()
    gc.collect()
    before = _calls()
    gc.disable()
    try:
        await _one(house, stream)
        await asyncio.sleep(0)
        assert _calls() == before
    finally:
        gc.enable()


async def _one(house: House, stream: bool) -> None:
    with contextlib.suppress(HeadgateError):
        asked = house.plane.step(house.call(stream))
        assert asked is not None
        await taken(await asked)


def _calls() -> int:
    return sum(type(one) is Call for one in gc.get_objects())
