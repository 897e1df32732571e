"""The audit log says whose identity, group or token was changed, and how."""

from __future__ import annotations

from pathlib import Path

from tests.fakes import callers
from tests.fakes.api_house import ApiHouse
from tests.fakes.callers import SCIM


def told(house: ApiHouse) -> list[tuple[str, str]]:
    """Oldest first: what was done to what."""
    house.audit.write_waiting()
    events = house.request("GET", "/api/2.0/audit/events").body["events"]
    return [(event["action_name"], event["object"]) for event in reversed(events)]


def test_who_came_into_which_group_and_whose_tokens_there_were_is_there(tmp_path: Path) -> None:
    house = ApiHouse(tmp_path)
    user = callers.user(house.as_admin, "cleo@example.com")
    group = callers.group(house.as_admin, "team")
    (token,) = house.identities.tokens(user.id)
    house.as_admin("PATCH", f"{SCIM}/Groups/2", {"Operations": [{"op": "add", "path": "members", "value": [user.id]}]})
    leave = {"op": "remove", "path": f'members[value eq "{user.id}"]'}
    house.as_admin("PATCH", f"{SCIM}/Groups/2", {"Operations": [leave]})
    deactivated = {"userName": user.name, "active": False, "groups": [{"value": group}]}
    house.as_admin("PUT", f"{SCIM}/Users/{user.id}", deactivated)
    house.as_admin("POST", "/api/2.0/token/delete", {"token_id": token.id})
    house.as_admin("DELETE", f"{SCIM}/Users/{user.id}")
    assert told(house) == [
        ("create_users", user.id),
        ("create_token_for", f"{token.id} of {user.id}"),
        ("create_groups", group),
        ("patch_groups", f"2 members +{user.id}"),
        ("patch_groups", f"2 members -{user.id}"),
        ("put_users", f"{user.id} deactivated groups +{group}"),
        ("revoke_own_token", f"{token.id} of {user.id}"),
        ("delete_users", user.id),
    ]
    house.close()
