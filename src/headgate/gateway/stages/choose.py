"""Last step before the model: which served entity takes the request: the one the path names, else by the traffic percentages.

A request that was dealt to an entity without replicas waits for that entity, even when others have some: the split is the
owner's wish, and an entity that gets a share must wake. Vendors that are not well get no share while others are (`vendors.order`).
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from headgate import errors
from headgate.domain.routing import EndpointRoute, EntityRoute
from headgate.gateway.call import Call
from headgate.gateway.capacity import Capacity
from headgate.gateway.stages.find_endpoint import UNKNOWN, find
from headgate.gateway.switchboard import Switchboard
from headgate.gateway.vendors import order


class Chance(Protocol):
    def random(self) -> float: ...


class Choose:
    """`call.entity` and `call.deployment` are set from here on."""

    def __init__(
        self, switchboard: Switchboard, capacity: Capacity, rng: Chance, well: order.Ready = order.anybody
    ) -> None:
        """`well`: whether a vendor's entity is worth asking."""
        self._switchboard = switchboard
        self._capacity = capacity
        self._rng = rng
        self._well = well

    def __call__(self, call: Call) -> Awaitable[None] | None:
        entity = self._pick(call)
        if entity is None:
            return self._look_again(call)
        self._take(call, entity)
        return None

    async def again(self, call: Call) -> None:
        """Its entity left the routing table before a replica had the request: choose from what serves now."""
        call.endpoint = find(self._switchboard.table, call.head.endpoint_name, call.principal)
        waiting = self(call)
        if waiting is not None:
            await waiting

    def _pick(self, call: Call) -> EntityRoute | None:
        name = call.head.entity_name
        if name is not None:
            return by_name(call.endpoint, name)
        return by_share(call.endpoint, self._rng, self._well)

    def _take(self, call: Call, entity: EntityRoute) -> None:
        if entity.external is not None:
            call.entity, call.deployment = entity, None
            return
        deployment = self._capacity.of(entity.deployment_key)
        if deployment is None:
            # The route was found before the table was swapped, while another step waited.
            call.endpoint = find(self._switchboard.table, call.head.endpoint_name, call.principal)
            entity = self._pick(call) or self._nobody(call)
            deployment = self._capacity.of(entity.deployment_key)
            assert deployment is not None, "the table and its deployments are swapped together"
        call.entity, call.deployment = entity, deployment

    async def _look_again(self, call: Call) -> None:
        await self._switchboard.catch_up()
        call.endpoint = find(self._switchboard.table, call.head.endpoint_name, call.principal)
        self._take(call, self._pick(call) or self._nobody(call))

    def _nobody(self, call: Call) -> EntityRoute:
        """Raises InvalidState or EndpointNotFound."""
        name, entity_name = call.endpoint.name, call.head.entity_name
        if entity_name is None:
            raise errors.InvalidState(f"No served entity of endpoint {name} gets traffic. Update its traffic_config.")
        names = ", ".join(entity.name for entity in call.endpoint.entities)
        raise errors.EndpointNotFound(
            f"{UNKNOWN} Endpoint {name} has no served entity {entity_name}; it serves {names}."
        )


def by_name(endpoint: EndpointRoute, name: str) -> EntityRoute | None:
    """The served entity of that name."""
    for entity in endpoint.entities:
        if entity.name == name:
            return entity
    return None


def by_share(endpoint: EndpointRoute, rng: Chance, well: order.Ready = order.anybody) -> EntityRoute | None:
    """A served entity, by chance in proportion to its percentage; one with 0 % never. None when nobody gets traffic."""
    entities = order.sharing(endpoint, well)
    if len(entities) == 1 and entities[0].traffic_percentage > 0:
        return entities[0]
    total = sum(entity.traffic_percentage for entity in entities)
    left = rng.random() * total
    for entity in entities:
        left -= entity.traffic_percentage
        if left < 0:
            return entity
    return None
