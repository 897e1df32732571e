"""Every operation on an endpoint by every caller; what a stranger is told is what an unknown name is told."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import sqlalchemy as sa
from tests.fakes.api_house import ENDPOINTS
from tests.unit.api.permissions.conftest import House

from headgate import errors

PERMISSIONS = "/api/2.0/permissions/serving-endpoints"
OPERATIONS = [
    ("GET", "{se}/{name}", None, "CAN_VIEW"),
    ("GET", "{se}/{name}/metrics", None, "CAN_VIEW"),
    ("GET", "{se}/{name}/openapi", None, "CAN_VIEW"),
    ("GET", "{permissions}/{name}", None, "CAN_VIEW"),
    ("GET", "{permissions}/{name}/permissionLevels", None, "CAN_VIEW"),
    ("GET", "{se}/{name}/served-models/churn-1/logs", None, "CAN_MANAGE"),
    ("GET", "{se}/{name}/served-models/churn-1/build-logs", None, "CAN_MANAGE"),
    ("PUT", "{se}/{name}/config", {"served_entities": []}, "CAN_MANAGE"),
    ("POST", "{se}/{name}/config:stop", None, "CAN_MANAGE"),
    ("POST", "{se}/{name}/config:start", None, "CAN_MANAGE"),
    ("PATCH", "{se}/{name}/tags", {}, "CAN_MANAGE"),
    ("PATCH", "{se}/{name}/notifications", {}, "CAN_MANAGE"),
    ("PATCH", "{se}/{name}/telemetry-config", {}, "CAN_MANAGE"),
    ("PATCH", "{se}/{name}/description", {}, "CAN_MANAGE"),
    ("PATCH", "{se}/{name}/budget-policy", {}, "CAN_MANAGE"),
    ("PATCH", "{se}/{name}/creator", {}, "CAN_MANAGE"),
    ("PUT", "{se}/{name}/rate-limits", {}, "CAN_MANAGE"),
    ("PUT", "{se}/{name}/ai-gateway", {}, "CAN_MANAGE"),
    ("PATCH", "{permissions}/{name}", {}, "CAN_MANAGE"),
    ("PUT", "{permissions}/{name}", {}, "CAN_MANAGE"),
    ("DELETE", "{se}/{name}", None, "CAN_MANAGE"),
]
LEVELS = {"vera": "CAN_VIEW", "quinn": "CAN_QUERY", "mara": "CAN_MANAGE", "ada": "CAN_MANAGE"}
ABILITY = {"CAN_VIEW": "View", "CAN_QUERY": "Query", "CAN_MANAGE": "Manage"}


def send(api: House, who: str, operation: tuple[str, str, Any, str], name: str) -> Any:
    method, path, body, _ = operation
    path = path.format(se=ENDPOINTS, permissions=PERMISSIONS, name=name)
    return api.by(who, method, path, body)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: f"{operation[0]} {operation[1]}")
@pytest.mark.parametrize("who", sorted(LEVELS))
def test_what_a_level_includes_is_done_and_the_rest_refused(
    api: House, endpoint: dict[str, Any], who: str, operation: tuple[str, str, Any, str]
) -> None:
    answer = send(api, who, operation, endpoint["name"])
    wanted = operation[3]
    if wanted == "CAN_VIEW" or LEVELS[who] == "CAN_MANAGE":
        # Some cannot be done right now; that they get so far is the point.
        assert answer.status in (200, 400, 409), answer.raw
    else:
        status, code, message = answer.error
        assert (status, code) == (403, "PERMISSION_DENIED")
        assert f"User does not have permission '{ABILITY[wanted]}' on Endpoint {endpoint['name']}" in message


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: f"{operation[0]} {operation[1]}")
def test_a_stranger_is_told_what_an_unknown_name_is_told_after_the_same_questions_to_the_store(
    api: House, endpoint: dict[str, Any], operation: tuple[str, str, Any, str]
) -> None:
    unknown = "u" + endpoint["name"][1:]
    told, asked = [], []
    api.by("sam", "GET", ENDPOINTS)  # everybody's names are read now, not below
    for name in (endpoint["name"], unknown):
        with statements(api) as seen:
            answer = send(api, "sam", operation, name)
        assert answer.error[0] == 404
        told.append(answer.raw.decode().replace(name, "NAME"))
        asked.append(seen)
    assert told[0] == told[1]
    assert asked[0] == asked[1]


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH"])
def test_an_id_is_as_hidden_as_a_name(api: House, endpoint: dict[str, Any], method: str) -> None:
    told = []
    api.by("sam", "GET", ENDPOINTS)
    for endpoint_id in (endpoint["id"], "0123456789abcdef" * 2):
        with statements(api) as seen:
            body = None if method == "GET" else {}
            answer = api.by("sam", method, f"{PERMISSIONS}/{endpoint_id}", body)
        told.append((answer.status, answer.raw.decode().replace(endpoint_id, "ID"), seen))
    assert told[0] == told[1]
    assert told[0][0] == 404


def test_the_answer_tells_the_callers_own_level(api: House, endpoint: dict[str, Any]) -> None:
    for who, level in LEVELS.items():
        answer = api.by(who, "GET", f"{ENDPOINTS}/{endpoint['name']}")
        assert answer.body["permission_level"] == level


def test_a_list_shows_what_the_caller_may_see(api: House, endpoint: dict[str, Any]) -> None:
    for who in (*LEVELS, "sam"):
        answer = api.by(who, "GET", ENDPOINTS)
        names = [found["name"] for found in answer.body["endpoints"]]
        assert (endpoint["name"] in names) == (who in LEVELS)


def test_anybody_creates_and_then_manages(api: House) -> None:
    answer = api.by("sam", "POST", ENDPOINTS, {"name": "sams"})
    assert (answer.body["creator"], answer.body["permission_level"]) == ("sam", "CAN_MANAGE")
    assert api.by("vera", "GET", f"{ENDPOINTS}/sams").status == 404
    assert api.by("sam", "DELETE", f"{ENDPOINTS}/sams").status == 200


def test_creating_takes_the_entitlement(api: House) -> None:
    path = "/api/2.0/preview/scim/v2/Groups/3"
    patch = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"]}
    taken = {"op": "remove", "path": 'entitlements[value eq "workspace-access"]'}
    assert api.request("PATCH", path, {**patch, "Operations": [taken]}).status in (200, 204)
    answer = api.by("sam", "POST", ENDPOINTS, {"name": "no"})
    given = {"op": "add", "path": "entitlements", "value": [{"value": "workspace-access"}]}
    assert api.request("PATCH", path, {**patch, "Operations": [given]}).status in (200, 204)
    assert answer.error[:2] == (403, "PERMISSION_DENIED")
    assert "workspace-access" in answer.error[2]


def test_models_the_caller_may_not_serve_are_not_deployed(api: House, endpoint: dict[str, Any]) -> None:
    def nobody(caller: Any, model: str) -> None:
        raise errors.PermissionDenied(f"{caller.user_name} lacks EXECUTE on {model}")

    before = api.app.state.dependencies
    api.app.state.dependencies = dataclasses.replace(before, may_serve=nobody)
    try:
        body = {"served_entities": [{"entity_name": "main.default.churn", "entity_version": "1"}]}
        for method, path, sent in (
            ("PUT", f"{ENDPOINTS}/{endpoint['name']}/config", body),
            ("POST", ENDPOINTS, {"name": "other", "config": body}),
            ("PATCH", f"{ENDPOINTS}/{endpoint['name']}/creator", {}),
        ):
            answer = api.by("mara", method, path, sent)
            assert answer.error == (403, "PERMISSION_DENIED", "mara lacks EXECUTE on main.default.churn")
    finally:
        api.app.state.dependencies = before


def test_an_endpoint_outlives_its_creator(api: House) -> None:
    leaver = api.person("leaver")
    made = api.by("leaver", "POST", ENDPOINTS, {"name": "orphan"}).body
    assert api.request("DELETE", f"/api/2.0/preview/scim/v2/Users/{leaver.id}").status in (200, 204)
    assert api.request("GET", f"{ENDPOINTS}/orphan").body["id"] == made["id"]
    listed = api.request("GET", f"{PERMISSIONS}/{made['id']}").body["access_control_list"]
    assert [control.get("group_name") for control in listed] == ["admins"]
    answer = api.request("PATCH", f"{ENDPOINTS}/orphan/creator", {"user_name": "vera"})
    assert answer.body["creator"] == "vera"
    assert api.by("vera", "GET", f"{ENDPOINTS}/orphan").body["permission_level"] == "CAN_MANAGE"


def test_a_manager_takes_over_and_cannot_name_others(api: House, endpoint: dict[str, Any]) -> None:
    path = f"{ENDPOINTS}/{endpoint['name']}/creator"
    answer = api.by("mara", "PATCH", path, {"user_name": "vera"})
    assert answer.error[:2] == (403, "PERMISSION_DENIED")
    assert api.by("mara", "PATCH", path, {}).body["creator"] == "mara"
    assert api.request("PATCH", path, {"user_name": "nobody"}).error[:2] == (404, "RESOURCE_DOES_NOT_EXIST")
    both = {"user_name": "vera", "service_principal_name": "x"}
    assert api.request("PATCH", path, both).error[:2] == (400, "INVALID_PARAMETER_VALUE")


class statements:
    """The texts of all statements sent to the store inside the block."""

    def __init__(self, api: House) -> None:
        self._engine, self.seen = api.database.engine, list[str]()

    def __enter__(self) -> list[str]:
        sa.event.listen(self._engine, "before_cursor_execute", self._saw)
        return self.seen

    def __exit__(self, *_: object) -> None:
        sa.event.remove(self._engine, "before_cursor_execute", self._saw)

    def _saw(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        self.seen.append(statement)
