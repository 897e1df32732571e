"""Records of requests as `app` and `web` compose them: who keeps them in a server process, and the process that loads them into tables."""

from __future__ import annotations

import logging
from collections.abc import Callable

from headgate.clock import SystemClock
from headgate.domain.routing import RoutingTable
from headgate.gateway.keeping import Keeper, KeepsNothing
from headgate.gateway.records.keeper import Records
from headgate.settings import Settings
from headgate.telemetry.counting import Metrics
from headgate.warehouse import presence
from headgate.warehouse.spool import segments
from headgate.warehouse.spool.writing import Spool

logger = logging.getLogger(__name__)


def keeper(settings: Settings, counted: Metrics) -> Keeper:
    """Of one server process; writes from now on. Raises SettingsError."""
    if presence.missing() is not None:
        return KeepsNothing()  # nobody would ever take them from the disk
    clock = SystemClock()
    spool = Spool(segments.folder(settings.data_dir), settings.warehouse, clock, counted)
    spool.start()
    return Records(spool, clock, settings.warehouse.payload_bytes)


def announcing(read: Callable[[], RoutingTable], settings: Settings) -> Callable[[], RoutingTable]:
    """`read`, of one server process, blocking as that. Makes the spool's folder as soon as an endpoint wants records: the process that loads
    them wakes up by that, and writes down what all endpoints serve, before there is a request."""
    folder = segments.folder(settings.data_dir)

    def newest() -> RoutingTable:
        table = read()
        if presence.missing() is None and _wants_records(table):
            try:
                if not segments.in_use(folder):
                    segments.prepare(folder)
            except OSError as error:  # the first request tries it again
                logger.warning("the spool's folder %s cannot be made: %s", folder, error)
        return table

    return newest


def _wants_records(table: RoutingTable) -> bool:
    routes = (endpoint.gateway for endpoint in table.endpoints.values())
    return any(route.usage_tracked or route.inference_table is not None for route in routes)
