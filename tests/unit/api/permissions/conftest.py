"""One application with five callers: an administrator, and four who hold something, or nothing, on the endpoints of a test."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fakes import callers
from tests.fakes.api_house import TOKEN, Answer, ApiHouse

from headgate.api import unity_catalog
from headgate.clock import SystemClock
from headgate.registry.local_disk import LocalDisk
from headgate.registry.models import Registry
from headgate.store import schema
from headgate.store.database import Database


class House(ApiHouse):
    """Callers by name; `bot` is a service principal."""

    def __init__(self, folder: Path) -> None:
        (folder / "models").mkdir()
        database = Database(f"sqlite:///{folder / 'headgate.db'}")
        schema.upgrade(database)  # with the built-in catalog and what is granted on it
        registry = Registry(database, LocalDisk(folder / "models"), SystemClock())
        super().__init__(folder, families=[unity_catalog.routes(registry)])
        team = callers.group(self.as_admin, "team")
        people = [callers.user(self.as_admin, name, [team] if name == "quinn" else []) for name in _PEOPLE]
        self.bot = callers.service_principal(self.as_admin, "Robot")
        self._tokens = {"ada": TOKEN, **{one.name: one.token for one in people}}

    def person(self, name: str) -> callers.Caller:
        """A new user."""
        made = callers.user(self.as_admin, name)
        self._tokens[name] = made.token
        return made

    def by(self, who: str, method: str, path: str, body: Any = None, query: str = "") -> Answer:
        """One request of somebody's."""
        return self.request(method, path, body, token=self._tokens[who], query=query)


_PEOPLE = ("mara", "quinn", "vera", "sam")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("api"))
    yield house
    house.close()


def entry(name: str, level: str, field: str = "user_name") -> dict[str, str]:
    return {field: name, "permission_level": level}


ENTRIES = [entry("mara", "CAN_MANAGE"), entry("team", "CAN_QUERY", "group_name"), entry("vera", "CAN_VIEW")]
"""What the callers hold: a manager, a querier through a group, a viewer; sam has nothing."""


@pytest.fixture
def endpoint(api: House, request: pytest.FixtureRequest) -> dict[str, Any]:
    """An endpoint of ada's, on which the callers hold what they are called after."""
    name = "e-" + hashlib.sha256(request.node.name.encode()).hexdigest()[:12]
    made = api.create(name).body
    answer = api.request(
        "PUT", f"/api/2.0/permissions/serving-endpoints/{made['id']}", {"access_control_list": ENTRIES}
    )
    assert answer.status == 200, answer.raw
    return dict(made)
