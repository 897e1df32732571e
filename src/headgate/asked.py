"""Builds what asks vendors in a server process: the HTTP client, and who opens their keys. Part of the composition root, called by `web`."""

from __future__ import annotations

from headgate.access import external_models
from headgate.access.sealing import Sealer
from headgate.access.secrets import Vault
from headgate.clock import SystemClock
from headgate.gateway.vendors.keys import KeySource
from headgate.gateway.vendors.plane import VendorNeeds
from headgate.settings import Settings
from headgate.store import secrets
from headgate.store.database import Database
from headgate.telemetry.counting import Metrics
from headgate.upstream.client import open_upstream


def vendors(settings: Settings, database: Database, sealer: Sealer, counted: Metrics) -> VendorNeeds:
    """Call it on the event loop that will serve."""
    clock = SystemClock()
    open_target = external_models.opened(Vault(secrets.Secrets(database), sealer, clock), sealer)
    keys = KeySource(open_target, lambda: database.revision(secrets.VALUES))
    return VendorNeeds(open_upstream(settings.providers, clock, counted), keys, settings.providers)
