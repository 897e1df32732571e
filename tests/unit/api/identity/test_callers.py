"""Callers made for tests are what they say."""

from __future__ import annotations

from tests.fakes import callers
from tests.fakes.api_house import ApiHouse

ME = f"{callers.SCIM}/Me"


def test_callers_made_for_tests_are_what_they_say(api: ApiHouse) -> None:
    team = callers.group(api.as_admin, "team")
    cleo = callers.user(api.as_admin, "cleo@example.com", [team])
    root = callers.administrator(api.as_admin, "root@example.com")
    robot = callers.service_principal(api.as_admin, "robot", [team])

    seen = {one.name: api.request("GET", ME, token=one.token).body for one in (cleo, root, robot)}
    assert [seen[one.name]["id"] for one in (cleo, root, robot)] == [cleo.id, root.id, robot.id]
    groups = {name: [group["display"] for group in body["groups"]] for name, body in seen.items()}
    assert groups == {
        "cleo@example.com": ["team", "users"],
        "root@example.com": ["admins", "users"],
        robot.name: ["team", "users"],
    }
