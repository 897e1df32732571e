"""How the fakes stop listening."""

from __future__ import annotations

import asyncio


async def close(server: asyncio.Server) -> None:
    """Closes a server; whoever was just being let in is connected.

    asyncio forgets a connection that it is letting in when its server is closed (python/cpython#109564), and some later test fails of the
    ResourceWarning.
    """
    loop = asyncio.get_running_loop()
    if isinstance(loop, asyncio.SelectorEventLoop):
        for listener in server.sockets:
            loop.remove_reader(listener)
        # One turn in which the last connection is made, one in which its protocol hears of it.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    server.close()
