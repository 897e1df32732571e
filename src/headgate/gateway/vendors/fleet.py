"""All served entities that are vendors' models, by deployment key: follows the routing table as `capacity` does for models of our own."""

from __future__ import annotations

from collections.abc import Iterable

from headgate import errors
from headgate.clock import Clock
from headgate.domain.external_model import ExternalModel
from headgate.domain.routing import EntityRoute, RoutingTable
from headgate.gateway.vendors.vendor import Vendor
from headgate.language_settings import ProviderSettings
from headgate.telemetry import metrics
from headgate.telemetry.counting import Metrics

KEPT_S = 60.0
"""What has left the table is kept so long for requests that were on their way."""


class Fleet:
    """See the module."""

    def __init__(self, settings: ProviderSettings, clock: Clock, counted: Metrics) -> None:
        self._settings = settings
        self._clock = clock
        self._counted = counted
        self._vendors: dict[str, Vendor] = {}
        self._left: dict[str, tuple[Vendor, float]] = {}

    def all(self) -> Iterable[Vendor]:
        """Every one of the current table. Asked every few seconds, so what has left it long ago is let go here."""
        self._let_go()
        return self._vendors.values()

    def of(self, entity: EntityRoute) -> Vendor:
        """The vendor of an entity; of one that has just left the table, too. Raises TemporarilyUnavailable when that was long ago."""
        vendor = self._vendors.get(entity.deployment_key)
        if vendor is not None:
            return vendor
        left = self._left.get(entity.deployment_key)
        if left is None:
            raise errors.TemporarilyUnavailable(
                "The endpoint was changed while the request was on its way. Try again.", headers={"retry-after": "1"}
            )
        return left[0]

    def ready(self, entity: EntityRoute) -> bool:
        """Whether it is worth asking while others can answer as well."""
        vendor = self._vendors.get(entity.deployment_key)
        return vendor is not None and vendor.ready(self._clock.monotonic_s())

    def update(self, table: RoutingTable) -> bool:
        """Follows the table. Whether there are new ones, whose keys are to be opened."""
        now_s = self._clock.monotonic_s()
        self._let_go()
        names: dict[str, set[tuple[str, str]]] = {}
        new = False
        for endpoint in table.endpoints.values():
            for entity in endpoint.entities:
                if entity.external is None:
                    continue
                key = entity.deployment_key
                names.setdefault(key, set()).add((endpoint.name, entity.name))
                if key not in self._vendors:
                    self._vendors[key] = self._left.pop(key)[0] if key in self._left else self._made(entity)
                    new = True
        for key in self._vendors.keys() - names.keys():
            self._left[key] = self._vendors.pop(key), now_s
        for key, vendor in self._vendors.items():
            vendor.names = frozenset(names[key])
            self.show(vendor)
        return new

    def show(self, vendor: Vendor) -> None:
        """Sets the metric of its breaker."""
        for name in vendor.names:
            self._counted.number(metrics.BREAKER_STATE, *name).set(int(vendor.breaker.state))

    def _let_go(self) -> None:
        before_s = self._clock.monotonic_s() - KEPT_S
        self._left = {key: kept for key, kept in self._left.items() if kept[1] > before_s}

    def _made(self, entity: EntityRoute) -> Vendor:
        model: ExternalModel | None = entity.external
        assert model is not None, "asked of external models only"
        return Vendor(model, self._settings)
