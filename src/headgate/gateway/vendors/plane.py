"""Vendors as one object: made by `gateway.plane` from its needs, told every routing table and every change of a secret, closed with the gateway."""

from __future__ import annotations

from dataclasses import dataclass

from headgate.clock import Clock
from headgate.domain.routing import RoutingTable
from headgate.gateway.stages.call_provider import AskVendors
from headgate.gateway.vendors.attempts import VendorAttempts
from headgate.gateway.vendors.fleet import Fleet
from headgate.gateway.vendors.keys import Keys, KeySource
from headgate.language_settings import ProviderSettings
from headgate.telemetry.counting import Metrics
from headgate.upstream.port import Upstream

SECRETS = "secrets"
"""Topic of the store's notices."""


@dataclass(frozen=True, slots=True)
class VendorNeeds:
    """What is needed to ask vendors."""

    upstream: Upstream
    """Closed with the gateway."""
    keys: KeySource
    settings: ProviderSettings


class VendorPlane:
    """`update` with every table, `run` as a task, `close` at the end."""

    def __init__(self, needs: VendorNeeds, clock: Clock, counted: Metrics) -> None:
        self._upstream = needs.upstream
        self.fleet = Fleet(needs.settings, clock, counted)
        self._keys = Keys(needs.keys, self.fleet.all, clock, counted)
        self._attempts = VendorAttempts(needs.upstream, self.fleet, clock, counted)
        self.step = AskVendors(self._attempts, self.fleet.ready, clock, counted)
        """The pipeline's last step."""

    def update(self, table: RoutingTable) -> None:
        """Follows the routing table."""
        if self.fleet.update(table):
            self._keys.hint()

    def hint(self, topic: str) -> None:
        """A change notice was heard."""
        if topic == SECRETS:
            self._keys.hint()

    async def look(self) -> None:
        """Opens the keys there are, before requests come. Never raises."""
        await self._keys.look()

    async def run(self) -> None:
        """Follows secrets until cancelled."""
        await self._keys.run()

    async def close(self) -> None:
        """Drops whatever is still under way."""
        await self._attempts.close()
        await self._upstream.close()
