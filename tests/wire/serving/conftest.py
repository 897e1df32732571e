"""The REST application on a real port, with a control that decides at once, so that the clients' waiters end right away."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from tests.fakes.api_house import TOKEN, ApiHouse

from headgate.domain.endpoint import Endpoint, EndpointConfig
from headgate.store.endpoints import Endpoints, Seal


class PromptEndpoints(Endpoints):
    """Every wish comes true at once, except that version 3 of a model never loads."""

    def create(self, endpoint: Endpoint, manager: str | None = None, seal: Seal | None = None) -> Endpoint:
        made = super().create(endpoint, manager, seal)
        self._decide(endpoint.name)
        return made

    def add_generation(self, name: str, config: EndpointConfig, now_ms: int, seal: Seal | None = None) -> Endpoint:
        pending = super().add_generation(name, config, now_ms, seal)
        self._decide(name)
        return pending

    def _decide(self, name: str) -> None:
        endpoint = self.get(name)
        if endpoint.wanted is None:
            return
        broken = [e.name for e in endpoint.wanted.config.served_entities if e.entity_version == "3"]
        if broken:
            told = dict.fromkeys(broken, "The model does not load: add torch to its requirements.")
            self.fail(endpoint.id, endpoint.wanted.number, "A model does not load.", told)
        else:
            self.activate(endpoint.id, endpoint.wanted.number, {})


@dataclass(frozen=True)
class Served:
    """A running application and what a client needs to reach it."""

    house: ApiHouse
    url: str

    def environ(self) -> dict[str, str]:
        return {"DATABRICKS_HOST": self.url, "DATABRICKS_TOKEN": TOKEN}


@pytest.fixture
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    house = ApiHouse(tmp_path_factory.mktemp("served"), addresses=lambda url: [])
    prompt = PromptEndpoints(house.database)
    house.app.state.dependencies = dataclasses.replace(house.app.state.dependencies, endpoints=prompt)
    with house.serving() as url:
        yield Served(house, url)
    house.close()
