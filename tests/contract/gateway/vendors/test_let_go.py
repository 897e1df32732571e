"""A request that is over is let go of at once, over real sockets: bodies are megabytes, and collections are rare in a server."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from tests.contract.gateway.bench import Run, until
from tests.contract.gateway.vendors.outside import Outside, outside

from headgate.gateway.call import Call

TIMES = 8


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("stream", [False, True])
def test_no_request_stays_until_the_next_collection(run: Run, tmp_path: Path, status: int, stream: bool) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            out.act("first", status=status)
            await out.serve(out.entity("first", 100))
            await _asked(out, stream)
            gc.collect()
            gc.disable()
            before = _calls()  # of other tests, too
            try:
                for _ in range(TIMES):
                    await _asked(out, stream)
                # The connection may still know the last one.
                await until(lambda: _calls() <= before + 1)
            finally:
                gc.enable()

    run(main())


def _calls() -> int:
    return sum(type(one) is Call for one in gc.get_objects())


async def _asked(out: Outside, stream: bool) -> None:
    await (out.stream() if stream else out.ask())
    out.keeper.calls.clear()
