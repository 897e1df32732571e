"""Users, groups and service principals over SCIM."""

from __future__ import annotations

import itertools
from typing import Any
from urllib.parse import quote

import pytest
from tests.fakes import callers
from tests.fakes.api_house import ApiHouse
from tests.fakes.callers import SCIM

PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
_numbers = itertools.count()


def name() -> str:
    return f"user{next(_numbers)}@example.com"


def patch(api: ApiHouse, kind: str, identity_id: str, *operations: Any) -> Any:
    answer = api.request("PATCH", f"{SCIM}/{kind}/{identity_id}", {"schemas": [PATCH], "Operations": list(operations)})
    assert answer.status == 200, answer.raw
    return answer.body


def listed(api: ApiHouse, kind: str, **query: Any) -> Any:
    text = "&".join(f"{key}={quote(str(value))}" for key, value in query.items())
    answer = api.request("GET", f"{SCIM}/{kind}", query=text)
    assert answer.status == 200, answer.raw
    return answer.body


def displays(resource: Any, attribute: str) -> list[str]:
    return [one["display"] for one in resource.get(attribute, [])]


def test_a_user_is_created_shown_replaced_patched_and_deleted(api: ApiHouse) -> None:
    user_name = name()
    body = {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": user_name,
        "name": {"givenName": "Cleo", "familyName": "K."},
        "entitlements": [{"value": "workspace-access"}],
        "externalId": "e1",
        "nickName": "is ignored",
    }
    made = api.request("POST", f"{SCIM}/Users", body)
    assert made.status == 201
    assert made.body == {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "id": made.body["id"],
        "userName": user_name,
        "displayName": "Cleo K.",
        "name": {"givenName": "Cleo", "familyName": "K."},
        "emails": [{"value": user_name, "type": "work", "primary": True}],
        "active": True,
        "externalId": "e1",
        "groups": [{"display": "users", "type": "direct", "value": "3", "$ref": "Groups/3"}],
        "entitlements": [{"value": "workspace-access"}],
    }
    path = f"{SCIM}/Users/{made.body['id']}"
    assert made.body["id"].isdigit() and 15 <= len(made.body["id"]) <= 16
    assert api.request("GET", path).body == made.body
    replaced = api.request("PUT", path, {"userName": user_name, "displayName": "Cleo", "active": False}).body
    assert (replaced["displayName"], replaced["active"], replaced["name"]) == ("Cleo", False, {})
    assert "entitlements" not in replaced and "externalId" not in replaced
    patched = patch(api, "Users", made.body["id"], {"op": "replace", "path": "active", "value": "true"})
    assert patched["active"] is True and patched["displayName"] == "Cleo"
    gone = api.request("DELETE", path)
    assert (gone.status, gone.raw) == (204, b"")
    assert api.request("GET", path).error[:2] == (404, "RESOURCE_DOES_NOT_EXIST")
    assert api.request("DELETE", path).error[:2] == (404, "RESOURCE_DOES_NOT_EXIST")


def test_a_group_has_users_service_principals_and_groups(api: ApiHouse) -> None:
    user, robot = callers.user(api.as_admin, name()), callers.service_principal(api.as_admin, "robot")
    inner = callers.group(api.as_admin, "inner", [user.id])
    made = api.request("POST", f"{SCIM}/Groups", {"displayName": "outer", "members": [{"value": inner}]}).body
    outer = made["id"]
    assert made["members"] == [{"display": "inner", "value": inner, "$ref": f"Groups/{inner}", "type": "direct"}]
    seen = patch(api, "Groups", outer, {"op": "add", "path": "members", "value": [{"value": robot.id}]})
    assert displays(seen, "members") == ["inner", "robot"]
    user_groups = api.request("GET", f"{SCIM}/Users/{user.id}").body["groups"]
    assert [(one["display"], one["type"]) for one in user_groups] == [
        ("inner", "direct"),
        ("users", "direct"),
        ("outer", "indirect"),
    ]
    seen = patch(api, "Groups", outer, {"op": "remove", "path": f'members[value eq "{inner}"]'})
    assert displays(seen, "members") == ["robot"]
    renamed = api.request("PUT", f"{SCIM}/Groups/{outer}", {"displayName": "outermost"}).body
    assert renamed["displayName"] == "outermost" and "members" not in renamed
    assert api.request("DELETE", f"{SCIM}/Groups/{outer}").status == 204
    assert api.request("GET", f"{SCIM}/ServicePrincipals/{robot.id}").status == 200, "members stay"


def test_a_service_principal_has_an_application_id_of_its_own_or_the_given_one(api: ApiHouse) -> None:
    made = api.request("POST", f"{SCIM}/ServicePrincipals", {"displayName": "nightly"}).body
    given = "5F0C7A54-1b7c-4a39-a4fb-2b8d4c3f1e55"
    second = api.request("POST", f"{SCIM}/ServicePrincipals", {"displayName": "x", "applicationId": given}).body
    assert len(made["applicationId"]) == 36 and second["applicationId"] == given.lower()
    taken = api.request("POST", f"{SCIM}/ServicePrincipals", {"applicationId": given})
    assert taken.error[:2] == (409, "RESOURCE_ALREADY_EXISTS")
    changed = {**made, "displayName": "daily", "active": False}
    replaced = api.request("PUT", f"{SCIM}/ServicePrincipals/{made['id']}", changed).body
    assert replaced == {**made, "displayName": "daily", "active": False}
    patched = patch(api, "ServicePrincipals", made["id"], {"op": "add", "path": "roles", "value": [{"value": "r"}]})
    assert patched["roles"] == [{"value": "r"}]
    moved = api.request("PUT", f"{SCIM}/ServicePrincipals/{made['id']}", {"applicationId": given})
    assert "cannot be changed" in moved.error[2]


def test_groups_are_joined_and_left_through_the_user_too_and_staying_is_the_default(api: ApiHouse) -> None:
    first, second = callers.group(api.as_admin, "first"), callers.group(api.as_admin, "second")
    user = callers.user(api.as_admin, name(), [first])
    path = f"{SCIM}/Users/{user.id}"
    joined = patch(api, "Users", user.id, {"op": "add", "path": "groups", "value": [{"value": second}]})
    assert displays(joined, "groups") == ["first", "second", "users"]
    assert displays(api.request("PUT", path, {"userName": user.name}).body, "groups") == ["first", "second", "users"]
    left = patch(api, "Users", user.id, {"op": "remove", "path": f'groups[value eq "{first}"]'})
    assert displays(left, "groups") == ["second", "users"]
    assert displays(api.request("PUT", path, {**left, "groups": []}).body, "groups") == ["users"]
    refused = api.request("POST", f"{SCIM}/Users", {"userName": name(), "groups": [{"value": "99"}]})
    assert refused.error[:2] == (404, "RESOURCE_DOES_NOT_EXIST")


def test_what_was_read_can_be_written_back_unchanged(api: ApiHouse) -> None:
    inner = callers.group(api.as_admin, "in")
    callers.group(api.as_admin, "out", [inner])
    user = callers.user(api.as_admin, name(), [inner])
    for path in (f"{SCIM}/Users/{user.id}", f"{SCIM}/Groups/{inner}", f"{SCIM}/Groups/3", f"{SCIM}/Users/1"):
        before = api.request("GET", path).body
        assert api.request("PUT", path, before).body == before
        assert api.request("GET", path).body == before


def test_me_has_groups_and_the_entitlements_of_groups(api: ApiHouse) -> None:
    group = callers.group(api.as_admin, "entitled")
    patch(api, "Groups", group, {"op": "add", "path": "entitlements", "value": [{"value": "allow-cluster-create"}]})
    user = callers.user(api.as_admin, name(), [group])
    patch(api, "Users", user.id, {"op": "add", "path": "entitlements", "value": [{"value": "workspace-consume"}]})
    body = api.request("GET", f"{SCIM}/Me", token=user.token).body
    assert (body["id"], body["userName"], displays(body, "groups")) == (user.id, user.name, ["entitled", "users"])
    assert body["entitlements"] == [
        {"value": "workspace-consume"},
        {"value": "allow-cluster-create", "type": "indirect"},
        {"value": "databricks-sql-access", "type": "indirect"},
        {"value": "workspace-access", "type": "indirect"},
    ]
    robot = callers.service_principal(api.as_admin, "robot")
    body = api.request("GET", f"{SCIM}/Me", token=robot.token).body
    assert (body["userName"], body["displayName"]) == (robot.name, "robot")


def test_lists_are_filtered_sorted_paged_and_reduced(api: ApiHouse) -> None:
    for number in (2, 3, 1):
        api.as_admin("POST", f"{SCIM}/Users", {"userName": f"page{number}", "displayName": f"p{9 - number}"})
    everybody = listed(api, "Users", filter='userName sw "page"')
    assert everybody["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:ListResponse"]
    assert [one["userName"] for one in everybody["Resources"]] == ["page1", "page2", "page3"]
    assert [everybody[key] for key in ("totalResults", "startIndex", "itemsPerPage")] == [3, 1, 3]
    page = listed(api, "Users", filter='userName sw "page"', startIndex=2, count=1)
    assert [page[key] for key in ("totalResults", "startIndex", "itemsPerPage")] == [3, 2, 1]
    assert [one["userName"] for one in page["Resources"]] == ["page2"]
    past = listed(api, "Users", filter='userName sw "page"', startIndex=9)
    assert (past["Resources"], past["totalResults"]) == ([], 3)
    none = listed(api, "Users", filter='userName sw "page"', count=0, startIndex=-5)
    assert (none["Resources"], none["totalResults"], none["startIndex"]) == ([], 3, 1)
    by_display = listed(api, "Users", filter='userName sw "page"', sortBy="displayName")
    assert [one["userName"] for one in by_display["Resources"]] == ["page3", "page2", "page1"]
    turned = listed(api, "Users", filter='userName sw "page"', sortBy="userName", sortOrder="descending")
    assert [one["userName"] for one in turned["Resources"]] == ["page3", "page2", "page1"]
    only = listed(api, "Users", filter='userName eq "page1"', attributes="userName,emails.value")
    assert set(only["Resources"][0]) == {"schemas", "id", "userName", "emails"}
    without = listed(api, "Users", filter='userName eq "page1"', excludedAttributes="groups, active")
    assert "groups" not in without["Resources"][0] and "name" in without["Resources"][0]
    one = api.request("GET", f"{SCIM}/Groups/2", query="attributes=displayName").body
    assert one == {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "id": "2", "displayName": "admins"}


def test_everybody_may_read_and_only_administrators_write(api: ApiHouse) -> None:
    user = callers.user(api.as_admin, name())
    for kind in ("Users", "Groups", "ServicePrincipals"):
        assert api.request("GET", f"{SCIM}/{kind}", token=user.token).status == 200
        for method, path, body in (
            ("POST", kind, {}),
            ("PUT", f"{kind}/{user.id}", {}),
            ("PATCH", f"{kind}/{user.id}", {"Operations": []}),
            ("DELETE", f"{kind}/{user.id}", None),
        ):
            refused = api.request(method, f"{SCIM}/{path}", body, token=user.token)
            assert refused.error[:2] == (403, "PERMISSION_DENIED"), (method, path)
    assert api.request("GET", f"{SCIM}/Users/{user.id}", token=user.token).status == 200


def test_one_who_becomes_an_administrator_may_write_at_once_and_no_longer_afterwards(api: ApiHouse) -> None:
    user = callers.user(api.as_admin, name())

    def try_it() -> int:
        return api.request("POST", f"{SCIM}/Groups", {"displayName": name()}, token=user.token).status

    assert try_it() == 403
    patch(api, "Groups", "2", {"op": "add", "path": "members", "value": [{"value": user.id}]})
    assert try_it() == 201
    patch(api, "Groups", "2", {"op": "remove", "path": f'members[value eq "{user.id}"]'})
    assert try_it() == 403


@pytest.mark.parametrize(
    ("method", "path", "body", "told"),
    [
        ("POST", "Users", {"userName": ""}, "userName must be"),
        ("POST", "Users", {"userName": 7}, "userName must be a string"),
        ("POST", "Users", {"userName": "x", "active": "perhaps"}, "active must be true or false"),
        ("POST", "Users", {"userName": "x", "roles": ["r"]}, "roles must be a list of objects"),
        ("POST", "Users", {"userName": "x", "groups": [{"value": 3}]}, "groups must be a list of objects"),
        ("POST", "ServicePrincipals", {"applicationId": "x"}, "must be a UUID"),
        ("POST", "Groups", {"displayName": "x", "members": [{"value": "99"}]}, "with id 99"),
        ("POST", "Groups", {}, "displayName must be"),
        ("PUT", "Users/1", {"userName": "other"}, "userName cannot be changed"),
        ("PUT", "Users/1", {"active": False}, "cannot be deactivated"),
        ("PUT", "Groups/2", {"displayName": "admins", "members": []}, "cannot be taken out"),
        ("PUT", "Groups/2", {"displayName": "root", "members": [{"value": "1"}]}, "cannot be renamed"),
        (
            "PATCH",
            "Groups/3",
            {"Operations": [{"op": "replace", "path": "members", "value": ["1"]}]},
            "Everybody is in",
        ),
        ("PATCH", "Users/1", {}, "Operations: a list is required"),
        ("DELETE", "Users/1", None, "cannot be deleted"),
        ("DELETE", "Groups/3", None, "is built in"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_happens(api: ApiHouse, method: str, path: str, body: Any, told: str) -> None:
    callers.user(api.as_admin, name())  # so that the first administrator is not everybody
    before = api.identities.read()
    status, code, message = api.request(method, f"{SCIM}/{path}", body).error
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE") and told in message
    assert api.identities.read() == before


def test_names_that_are_taken_and_filters_nobody_understands(api: ApiHouse) -> None:
    user = callers.user(api.as_admin, name())
    taken = api.request("POST", f"{SCIM}/Users", {"userName": user.name.upper()})
    assert taken.error[:2] == (409, "RESOURCE_ALREADY_EXISTS")
    refused = api.request("GET", f"{SCIM}/Users", query="filter=userName%20is%20x")
    assert refused.error[:2] == (400, "INVALID_PARAMETER_VALUE")
    assert api.request("GET", f"{SCIM}/Users", query="count=many").error[:2] == (400, "INVALID_PARAMETER_VALUE")
    for kind in ("Users", "Groups", "ServicePrincipals"):
        wrong = "2" if kind != "Groups" else "1"
        assert api.request("GET", f"{SCIM}/{kind}/{wrong}").error[:2] == (404, "RESOURCE_DOES_NOT_EXIST")
        assert api.request("PATCH", f"{SCIM}/{kind}/{wrong}", {"Operations": []}).status == 404
