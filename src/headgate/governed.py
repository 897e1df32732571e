"""Builds rate limits and guardrails of a server process. Part of the composition root, called by `web`."""

from __future__ import annotations

import secrets

from headgate.clock import SystemClock
from headgate.limits import redis_quotas, sharing
from headgate.settings import Settings
from headgate.store.database import Database
from headgate.store.quota import Quotas
from headgate.store.servers import Servers
from headgate.telemetry.counting import Metrics


def limits(settings: Settings, database: Database, server_id: str, counted: Metrics) -> sharing.Sharing:
    """The rate limits, shared with other servers where there can be any: in Redis when one is named, else in the database."""
    clock, url = SystemClock(), settings.rate_limits.redis_url
    if not sharing.are_possible(settings):
        return sharing.Sharing(settings, clock, counted)
    quotas = redis_quotas.RedisQuotas(redis_quotas.connect(url)) if url else Quotas(database)
    servers = Servers(database)
    # New with every start: what the process before it had leased is not this one's.
    me = f"{server_id}-{secrets.token_hex(8)}"
    return sharing.Sharing(
        settings, clock, counted, sharing.Others(me, quotas.exchange, lambda: servers.count(clock.now_ms()))
    )
