"""Records of requests as `app` and `web` compose them: who keeps them in a server process, and the process that loads them into tables."""

from __future__ import annotations

import logging

from headgate.clock import SystemClock
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
