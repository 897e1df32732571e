"""Change notices between the processes of one machine: datagrams to every socket in `run_dir/notices`.

A notice is a hint. It may be lost; whoever listens also polls (`Database.revision`).
This is ground floor, since every room may announce or listen.
Topics: `wish` (an endpoint was written by the API), `routing` (the routing table changed), `demand` (a request waits for a
sleeping entity), `agent` (an environment or replica changed), `identity` (users, groups or tokens changed).
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path


class Announcer:
    """Tells every listener of this machine. Never blocks, never fails."""

    def __init__(self, run_dir: Path) -> None:
        self._folder = run_dir / "notices"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def announce(self, topic: str) -> None:
        """Sends one topic to all listeners."""
        try:
            names = os.listdir(self._folder)
        except OSError:
            return
        for name in names:
            self._send(topic, self._folder / name)

    def _send(self, topic: str, path: Path) -> None:
        try:
            self._socket.sendto(topic.encode(), str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)  # its listener is dead
        except OSError:
            pass  # full or gone: polling will notice

    def close(self) -> None:
        self._socket.close()


class Listener:
    """Calls `heard(topic)` on the running loop for each notice. `name` must be unique on the machine."""

    def __init__(self, run_dir: Path, name: str, heard: Callable[[str], None]) -> None:
        self._path = run_dir / "notices" / name
        self._heard = heard
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self._path))
        self._socket.setblocking(False)
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._read)

    def _read(self) -> None:
        while True:
            try:
                topic = self._socket.recv(256).decode()
            except BlockingIOError:
                return
            self._heard(topic)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()
        self._path.unlink(missing_ok=True)
