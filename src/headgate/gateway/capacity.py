"""All deployments of the routing table: who may be asked right now.

`switchboard` tells it the table, the stage `choose` asks it for a deployment, the gateway's housekeeping ticks it.
"""

from __future__ import annotations

from collections.abc import Iterable

from headgate.domain.routing import RoutingTable
from headgate.gateway.deployment import Deployment, Terms


class Capacity:
    """Deployments by key."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._deployments: dict[str, Deployment] = {}
        self._leaving: list[Deployment] = []

    def of(self, key: str) -> Deployment | None:
        """The deployment of a key; None when it is not in the current routing table."""
        return self._deployments.get(key)

    def all(self) -> Iterable[Deployment]:
        """Every deployment of the current table."""
        return self._deployments.values()

    def update(self, table: RoutingTable) -> None:
        """Follows the routing table: links to new replicas are opened, others finish what they have and close."""
        present = set()
        for endpoint in table.endpoints.values():
            for entity in endpoint.entities:
                if entity.external is not None:
                    continue
                key = entity.deployment_key
                present.add(key)
                deployment = self._deployments.get(key)
                if deployment is None:
                    deployment = self._deployments[key] = Deployment(endpoint, entity, self._terms)
                deployment.update(endpoint, entity)
        for key in self._deployments.keys() - present:
            deployment = self._deployments.pop(key)
            deployment.retire()
            self._leaving.append(deployment)
        names = {(endpoint.name, "") for endpoint in table.endpoints.values()}
        self._terms.counted.retain(
            names | {(e.name, entity.name) for e in table.endpoints.values() for entity in e.entities}
        )

    def tick(self) -> None:
        """Looks after every deployment; call it a few times a second."""
        now_s = self._terms.clock.monotonic_s()
        self._leaving = [deployment for deployment in self._leaving if not deployment.gone]
        for deployment in (*self._deployments.values(), *self._leaving):
            deployment.tick(now_s)

    def fail_waiting(self, error: Exception) -> None:
        """Nobody waits any longer."""
        for deployment in self._deployments.values():
            deployment.fail_waiting(error)

    async def close(self) -> None:
        """Closes every link at once."""
        for deployment in (*self._deployments.values(), *self._leaving):
            await deployment.close()
