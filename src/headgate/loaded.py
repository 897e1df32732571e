"""The process that takes finished requests of this machine into tables, and looks after those. Part of the composition root (`app.py`).

Small until there is something to load: what writes Delta tables is imported then, and 17 MB become a hundred.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from headgate.clock import SystemClock
from headgate.settings import Settings
from headgate.telemetry.counting import Metrics
from headgate.warehouse.spool import segments

if TYPE_CHECKING:
    from headgate.warehouse.tables.places import Places, TableName

PROCESS = "warehouse"
LOOK_S = 1.0
LIBRARY = {
    "_RJEM_MALLOC_CONF": "narenas:2,tcache:false,dirty_decay_ms:500,muzzy_decay_ms:0",
    "TOKIO_WORKER_THREADS": "4",
}
"""How deltalake uses memory and threads, read by it when it is imported. Its own choice is caches for each of a hundred short-lived threads and
arenas by the number of cores, which grow for hours (decision 0181). The environment of the house comes before it."""


NICENESS = 5
"""Requests come first where there are fewer cores than work: a table is a few seconds late anyway."""


def run(settings: Settings, lifeline_fd: int) -> None:
    """Until SIGTERM; then everything that the servers have left is loaded first. Ends at once with the house."""
    stop = _Stop(lifeline_fd)
    counted = Metrics(settings.sockets / "metrics", PROCESS)
    spool = segments.folder(settings.data_dir)
    stopping = False
    while not segments.in_use(spool):
        if stopping:
            return
        counted.flush()
        stopping = stop.within(LOOK_S)
    _load(settings, counted, stop)


def _load(settings: Settings, counted: Metrics, stop: _Stop) -> None:
    os.nice(NICENESS)
    for name, value in LIBRARY.items():
        os.environ.setdefault(name, value)
    from headgate.access import bootstrap
    from headgate.notices import Announcer
    from headgate.store import served_entity_history
    from headgate.store.database import Database
    from headgate.store.turns import Turn
    from headgate.warehouse import loading, prices
    from headgate.warehouse.spool.segments import Inbox
    from headgate.warehouse.tables import delta, places, rows
    from headgate.warehouse.upkeep import Upkeep

    clock, database = SystemClock(), Database(settings.database_url, Announcer(settings.sockets))
    workspace_id = bootstrap.workspace_id(database)
    where = places.open_places(settings)
    tables = delta.Tables(where, settings.warehouse)
    loader = loading.Loader(
        loading.Parts(
            inbox=Inbox(segments.folder(settings.data_dir), clock),
            tables=tables,
            prices=prices.load(settings.warehouse.prices),
            origin=rows.Origin(bootstrap.account_id(workspace_id), workspace_id),
            clock=clock,
            counted=counted,
            settings=settings.warehouse,
            entities=served_entity_history.reader(database),
        )
    )
    turn = Turn(database, clock, bootstrap.own_house(settings).id)
    there = names(settings, where)
    # Below data_dir they are this house's own.
    upkeep = Upkeep(tables, there if where.local else lambda: turn.of(there()), clock, counted)
    loader.start()
    upkeep.start()
    while not stop.within(LOOK_S):
        counted.flush()
    upkeep.stop()
    loader.stop()
    turn.end()
    database.close()
    counted.flush()


def names(settings: Settings, where: Places) -> Callable[[], Iterable[TableName]]:
    """All tables there are, wherever they lie."""
    if where.local:
        return where.found
    from headgate.registry.object_storage.bucket import Bucket
    from headgate.warehouse.tables import places

    bucket = Bucket(settings.storage, places.FOLDER)

    def found() -> Iterator[TableName]:
        for catalog in bucket.children("")[1]:
            for schema in bucket.children(catalog)[1]:
                for table in bucket.children(f"{catalog}/{schema}")[1]:
                    yield places.read_name(catalog, schema, table)

    return found


class _Stop:
    """SIGTERM or SIGINT, from now on."""

    def __init__(self, lifeline_fd: int) -> None:
        self._lifeline_fd = lifeline_fd
        self._told, tell = os.pipe()
        os.set_blocking(tell, False)
        signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)

    def within(self, timeout_s: float) -> bool:
        """Whether it has come, or does in this time. Does not return once the house is gone."""
        readable, _, _ = select.select([self._lifeline_fd, self._told], [], [], timeout_s)
        if self._lifeline_fd in readable:
            os._exit(0)
        return bool(readable)
