"""A way to PostgreSQL that can be cut: a Unix socket before its own that passes on, refuses, or takes everything and says nothing."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

_CHUNK = 65536


class Way:
    """Threads, since it carries little. `open`, `refuse` and `silence` are in force at once, for connections that are there too."""

    def __init__(self, folder: Path, target: str) -> None:
        self._path = folder / Path(target).name
        self._target = target
        self._ends: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._open = threading.Event()
        self._listener: socket.socket | None = None
        self.open()

    def open(self) -> None:
        """As if nothing were between; what was kept waiting is broken."""
        self.refuse()
        self._open.set()
        self._listen()

    def refuse(self) -> None:
        """Nobody listens, and all connections are broken."""
        with self._lock:
            listener, self._listener = self._listener, None
        if listener is not None:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self._path.unlink(missing_ok=True)
        self._open.set()  # whoever waits goes on, and finds its connection broken
        with self._lock:
            ends, self._ends = self._ends, set()
        for end in ends:
            _break(end)

    def silence(self) -> None:
        """Connections are taken and kept, and nothing is passed on any more."""
        self._open.clear()

    def _listen(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._listener.listen(256)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(self._target)
            with self._lock:
                if self._listener is not listener:  # refused meanwhile
                    near.close()
                    far.close()
                    return
                self._ends |= {near, far}
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(_CHUNK):
                self._open.wait()
                sink.sendall(data)
        except OSError:
            pass
        with self._lock:
            self._ends -= {source, sink}
        _break(source)
        _break(sink)


def _break(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    end.close()


@contextmanager
def database() -> Iterator[tuple[str, Way]]:
    """URL of a PostgreSQL database of its own, and the way to it."""
    url = os.environ.get("HEADGATE_TEST_POSTGRESQL_URL", "")
    if not url:
        pytest.skip("HEADGATE_TEST_POSTGRESQL_URL is not set")
    name = f"headgate_{uuid.uuid4().hex[:12]}"
    made = sa.make_url(url)
    server = sa.create_engine(made, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
        sockets = connection.execute(sa.text("SHOW unix_socket_directories")).scalar_one().split(",")[0].strip()
        port = connection.execute(sa.text("SHOW port")).scalar_one()
    try:
        with tempfile.TemporaryDirectory(prefix="headgate-way-") as folder:  # paths of sockets must be short
            way = Way(Path(folder), f"{sockets}/.s.PGSQL.{port}")
            through = made.set(database=name, host=None, query={"host": folder, "port": port})
            yield through.render_as_string(hide_password=False), way
            way.refuse()
    finally:
        with server.connect() as connection:
            connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))
        server.dispose()
