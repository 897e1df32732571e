"""A change of an identity or token is answered once every server process knows it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fakes import callers
from tests.fakes.api_house import ApiHouse
from tests.fakes.callers import SCIM

from headgate.access.directory import Directory
from headgate.api import in_force


class Other:
    """Another server process, which swaps its directory when a handler has looked three times."""

    def __init__(self) -> None:
        self.looks = 0
        self.house: Any = None

    def pause(self, _seconds: float) -> None:
        self.looks += 1
        if self.looks == 3:
            self.report()

    def report(self) -> None:
        self.house.servers.report("server-1", 0, int(time.time() * 1000))
        self.house.servers.report_identity("server-1", self.house.identities.revision())


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Other]:
    made = Other()
    made.house = ApiHouse(tmp_path, pause=made.pause)
    yield made
    made.house.close()


def test_every_change_waits_for_the_slowest_server(other: Other) -> None:
    house = other.house
    user = callers.user(house.as_admin, "cleo@example.com")
    group = callers.group(house.as_admin, "team")
    (token,) = house.request("GET", "/api/2.0/token/list", token=user.token).body["token_infos"]
    changes: list[tuple[str, str, Any]] = [
        ("POST", f"{SCIM}/Users", {"userName": "max@example.com"}),
        ("PUT", f"{SCIM}/Groups/{group}", {"displayName": "crew"}),
        ("PATCH", f"{SCIM}/Groups/{group}", {"Operations": [{"op": "add", "path": "members", "value": [user.id]}]}),
        ("POST", "/api/2.0/token/create", {}),
        ("POST", "/api/2.0/token-management/on-behalf-of/tokens", {"user_name": user.name}),
        ("POST", "/api/2.0/token/delete", {"token_id": token["token_id"]}),
        ("DELETE", f"{SCIM}/Users/{user.id}", None),
    ]
    for method, path, body in changes:
        other.report()
        other.looks = 0
        answer = house.request(method, path, body)
        assert answer.status < 300, answer.raw
        assert other.looks == 3, (method, path)


def test_a_server_that_hangs_delays_the_answer_for_a_bounded_time(
    other: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_force, "LONGEST_WAIT_S", 0.02)
    other.report()
    other.looks = 100
    assert other.house.request("POST", f"{SCIM}/Users", {"userName": "max@example.com"}).status == 201


def test_what_was_written_is_shown_even_by_a_server_whose_own_directory_hangs(tmp_path: Path) -> None:
    house = ApiHouse(tmp_path)
    old = Directory(house.identities.read())
    hung = ApiHouse(tmp_path, directory=lambda: old)
    made = hung.request("POST", f"{SCIM}/Users", {"userName": "max@example.com"})
    assert made.status == 201 and made.body["userName"] == "max@example.com"
    house.close()
    hung.close()
