"""Unity Catalog's grants: shapes, who may change them, inheritance, pages, and what cannot be granted."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.api.permissions.conftest import House

UC = "/api/2.1/unity-catalog"
PLACE = "function/main.default.walk"


@pytest.fixture(scope="module", autouse=True)
def model(api: House) -> str:
    """A model of mara's."""
    made = api.by("mara", "POST", f"{UC}/models", {"catalog_name": "main", "schema_name": "default", "name": "walk"})
    assert made.status == 200, made.raw
    return "main.default.walk"


def grant(api: House, who: str, place: str, principal: str, **changes: list[str]) -> Any:
    return api.by(who, "PATCH", f"{UC}/permissions/{place}", {"changes": [{"principal": principal, **changes}]})


def shown(api: House, who: str, place: str = PLACE, query: str = "", what: str = "permissions") -> Any:
    return api.by(who, "GET", f"{UC}/{what}/{place}", query=query)


def test_the_owner_grants_and_takes_away(api: House) -> None:
    answer = grant(api, "mara", PLACE, "vera", add=["EXECUTE", "APPLY TAG"])
    assert answer.body == {"privilege_assignments": [{"principal": "vera", "privileges": ["APPLY_TAG", "EXECUTE"]}]}
    assert shown(api, "mara").body == answer.body
    assert grant(api, "mara", PLACE, "vera", remove=["APPLY_TAG"]).body["privilege_assignments"] == [
        {"principal": "vera", "privileges": ["EXECUTE"]}
    ]
    assert grant(api, "mara", PLACE, "vera", remove=["EXECUTE"]).body == {"privilege_assignments": []}


@pytest.mark.parametrize("kind", ["FUNCTION", "function", "MODEL", "registered_model"])
def test_clients_call_a_model_by_several_kinds(api: House, kind: str) -> None:
    assert shown(api, "mara", f"{kind}/MAIN.default.Walk").status == 200


def test_every_kind_of_principal_has_a_name(api: House) -> None:
    names = ["vera", "team", "account users", api.bot.name]
    for name in names:
        assert grant(api, "mara", PLACE, name, add=["EXECUTE"]).status == 200
    listed = shown(api, "mara").body["privilege_assignments"]
    assert [one["principal"] for one in listed] == sorted(names)
    assert shown(api, "mara", query="principal=team").body["privilege_assignments"] == [
        {"principal": "team", "privileges": ["EXECUTE"]}
    ]
    for name in names:
        grant(api, "mara", PLACE, name, remove=["EXECUTE"])


def test_who_cannot_manage_is_refused_and_sees_their_own_grants(api: House) -> None:
    # Everybody may use main.default; that is what is seen of the model without a grant: nothing.
    assert shown(api, "sam").error[0] == 404
    grant(api, "mara", PLACE, "vera", add=["EXECUTE"])
    grant(api, "mara", PLACE, "team", add=["EXECUTE", "MANAGE"])
    assert grant(api, "vera", PLACE, "sam", add=["EXECUTE"]).error[:2] == (403, "PERMISSION_DENIED")
    assert [one["principal"] for one in shown(api, "vera").body["privilege_assignments"]] == ["vera"]
    assert len(shown(api, "quinn").body["privilege_assignments"]) == 2
    assert grant(api, "quinn", PLACE, "team", remove=["EXECUTE", "MANAGE"]).status == 200
    assert grant(api, "mara", PLACE, "vera", remove=["EXECUTE"]).status == 200


@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_a_hidden_model_is_one_that_does_not_exist(api: House, method: str) -> None:
    told = []
    for name in ("walk", "wilk"):
        body = {"changes": []} if method == "PATCH" else None
        answer = api.by("sam", method, f"{UC}/permissions/function/main.default.{name}", body)
        told.append((answer.status, answer.raw.decode().replace(name, "NAME")))
    assert told[0] == told[1]
    assert told[0][0] == 404


def test_an_administrator_is_told_what_does_not_exist(api: House) -> None:
    for place in ("function/main.default.nothing", "schema/main.nothing", "catalog/nothing"):
        assert shown(api, "ada", place).error[:2] == (404, "RESOURCE_DOES_NOT_EXIST")
        assert grant(api, "ada", place, "vera", add=["MANAGE"]).error[:2] == (404, "RESOURCE_DOES_NOT_EXIST")


def test_effective_grants_say_where_they_come_from(api: House) -> None:
    assert grant(api, "ada", "schema/main.default", "vera", add=["EXECUTE"]).status == 200
    assert grant(api, "ada", "catalog/main", "vera", add=["EXECUTE", "USE_CATALOG"]).status == 200
    answer = shown(api, "mara", query="principal=vera", what="effective-permissions")
    assert answer.body["privilege_assignments"] == [
        {
            "principal": "vera",
            "privileges": [
                {"privilege": "EXECUTE", "inherited_from_type": "SCHEMA", "inherited_from_name": "main.default"},
                {"privilege": "EXECUTE", "inherited_from_type": "CATALOG", "inherited_from_name": "main"},
            ],
        }
    ]
    listed = shown(api, "mara", query="principal=vera", what="effective-privilege-assignments")
    assert listed.body["effective_privilege_assignments"] == answer.body["privilege_assignments"]
    grant(api, "ada", "schema/main.default", "vera", remove=["EXECUTE"])
    grant(api, "ada", "catalog/main", "vera", remove=["EXECUTE", "USE_CATALOG"])


def test_the_metastore_is_the_administrators(api: House) -> None:
    place = "metastore/whatever-it-is-called"
    assert grant(api, "mara", place, "vera", add=["CREATE_CATALOG"]).error[:2] == (403, "PERMISSION_DENIED")
    assert grant(api, "ada", place, "vera", add=["CREATE CATALOG"]).status == 200
    assert shown(api, "vera", place).body["privilege_assignments"] == [
        {"principal": "vera", "privileges": ["CREATE_CATALOG"]}
    ]
    assert shown(api, "mara", place).body == {"privilege_assignments": []}


@pytest.mark.parametrize(
    ("place", "principal", "privilege", "status", "says"),
    [
        ("table/main.default.walk", "vera", "SELECT", 400, "Securable type 'table' is not supported"),
        (PLACE, "vera", "USE_CATALOG", 400, "Privilege USE_CATALOG is not applicable to this entity"),
        (PLACE, "vera", "DANCE", 400, "Privilege DANCE is not applicable to this entity"),
        (PLACE, "nobody", "EXECUTE", 404, "Could not find principal with name nobody"),
        ("function/walk", "vera", "EXECUTE", 400, "three levels"),
    ],
)
def test_what_cannot_be_granted_says_so(
    api: House, place: str, principal: str, privilege: str, status: int, says: str
) -> None:
    answer = grant(api, "mara", place, principal, add=[privilege])
    assert answer.error[0] == status
    assert says in answer.error[2]
    assert shown(api, "mara").body == {"privilege_assignments": []}


def test_long_lists_come_in_pages(api: House) -> None:
    assert shown(api, "mara", query="max_results=149").error[:2] == (400, "INVALID_PARAMETER_VALUE")
    assert shown(api, "mara", query="max_results=0&page_token=%").error[:2] == (400, "INVALID_PARAMETER_VALUE")
    names = [f"p{number:03}" for number in range(151)]
    for name in names:
        api.as_admin("POST", "/api/2.0/preview/scim/v2/Groups", {"displayName": name})
    changes = [{"principal": name, "add": ["BROWSE"]} for name in names]
    patched = api.by(
        "mara", "PATCH", f"{UC}/permissions/{PLACE}", {"changes": changes, "omit_permissions_in_response": True}
    )
    assert patched.body == {"privilege_assignments": []}
    first = shown(api, "mara", query="max_results=150").body
    token = first["next_page_token"]
    second = shown(api, "mara", query=f"max_results=150&page_token={token}").body
    found = first["privilege_assignments"] + second["privilege_assignments"]
    assert [one["principal"] for one in found] == names
    assert "next_page_token" not in second
    listed = shown(api, "mara", query="page_size=150", what="privilege-assignments").body
    assert listed == first
