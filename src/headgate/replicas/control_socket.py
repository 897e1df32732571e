"""The server side of the agent's control protocol (see `messages`): one line in, one line out, many clients."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from headgate.replicas import messages

logger = logging.getLogger(__name__)

Verb = Callable[[Mapping[str, Any]], Any]
"""Answers at once with something JSON can hold."""


class ControlSocket:
    """Listens on a Unix socket and calls verbs by name."""

    def __init__(self, path: Path, verbs: Mapping[str, Verb]) -> None:
        self._path = path
        self._verbs = verbs
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Begins to answer; a leftover socket file is replaced."""
        self._path.unlink(missing_ok=True)
        mask = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(
                self._accept, str(self._path), limit=messages.LINE_LIMIT_BYTES
            )
        finally:
            os.umask(mask)

    async def close(self) -> None:
        """Ends all connections and stops listening."""
        if self._server is None:
            return
        self._server.close()
        for task in self._clients:
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        self._path.unlink(missing_ok=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._clients.add(task)
        task.add_done_callback(self._clients.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError, ValueError):
            while line := await reader.readline():
                writer.write(json.dumps(self._answer(json.loads(line))).encode() + b"\n")
                await writer.drain()

    def _answer(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        verb = self._verbs.get(str(asked.get("method")))
        if verb is None:
            return {"id": asked.get("id"), "error": f"there is no method {asked.get('method')!r}"}
        try:
            return {"id": asked.get("id"), "result": verb(asked.get("params") or {})}
        except (KeyError, TypeError, ValueError, OSError) as error:
            logger.error("control call %s failed", asked.get("method"), exc_info=error)
            return {"id": asked.get("id"), "error": repr(error)}
