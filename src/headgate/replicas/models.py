"""The folders of models that this machine's replicas and builds use: brought here first where they lie elsewhere, and kept meanwhile.

Held by the agent. What brings them is handed in (`ModelFiles`); without it all models lie on this machine's disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

_PARALLEL = 8
UNAVAILABLE = "the model's files could not be fetched"
"""How the reason of a start begins that failed for lack of them."""


class Held(Protocol):
    """A folder that stays until `release`."""

    def release(self) -> None: ...


class ModelFiles(Protocol):
    """Copies of models on this machine."""

    def is_copy(self, path: str) -> bool:
        """Whether the folder is one of a copy, there or not."""

    def hold(self, place: Path, stop: threading.Event, *, fetch: bool = True) -> Held:
        """Blocks until it is there. Raises OSError, also soon after `stop` is set."""


class Models:
    """Used on one event loop."""

    def __init__(self, files: ModelFiles | None = None) -> None:
        self._files = files
        # Its own threads: a fetch may take as long as it likes without keeping others from theirs.
        self._threads = ThreadPoolExecutor(_PARALLEL, "models")

    async def hold(self, path: str, *, fetch: bool = True) -> Held | None:
        """Makes the folder be there, and stay until released. None: it needs nobody's care. Raises OSError."""
        if self._files is None or not self._files.is_copy(path):
            return None
        files, stop = self._files, threading.Event()
        taking = asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: files.hold(Path(path), stop, fetch=fetch)
        )
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            stop.set()
            taking.add_done_callback(_let_go)
            raise
        except OSError as error:
            raise OSError(f"{UNAVAILABLE}: {error}") from error

    @contextlib.asynccontextmanager
    async def held(self, path: str) -> AsyncIterator[None]:
        """The same for as long as a block runs."""
        held = await self.hold(path)
        try:
            yield
        finally:
            if held is not None:
                held.release()

    def close(self) -> None:
        """Nothing more is fetched."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _let_go(taken: asyncio.Future[Held]) -> None:
    """Of what came when nobody wanted it any more."""
    if not taken.cancelled() and taken.exception() is None:
        taken.result().release()
