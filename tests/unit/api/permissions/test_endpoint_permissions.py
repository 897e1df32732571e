"""The permissions API: shapes, replacing, merging, and who cannot lock themselves out."""

from __future__ import annotations

from typing import Any

import pytest
from tests.fakes.api_house import ENDPOINTS
from tests.unit.api.permissions.conftest import ENTRIES, House, entry

PERMISSIONS = "/api/2.0/permissions/serving-endpoints"
INHERITED = {"permission_level": "CAN_MANAGE", "inherited": True, "inherited_from_object": ["/serving-endpoints/"]}


def direct(level: str) -> list[dict[str, Any]]:
    return [{"permission_level": level, "inherited": False}]


def ask(api: House, method: str, place: str, *entries: dict[str, str], who: str = "ada") -> Any:
    body = None if method == "GET" else {"access_control_list": list(entries)}
    return api.by(who, method, f"{PERMISSIONS}/{place}", body)


def levels(answer: Any) -> dict[str, str]:
    """Name -> direct level."""
    found = {}
    for control in answer.body["access_control_list"]:
        name = next(control[key] for key in ("user_name", "group_name", "service_principal_name") if key in control)
        for shown in control["all_permissions"]:
            if not shown["inherited"]:
                found[name] = shown["permission_level"]
    return found


def test_the_answer_has_the_documented_shape(api: House, endpoint: dict[str, Any]) -> None:
    robot = entry(api.bot.name, "CAN_QUERY", "service_principal_name")
    assert ask(api, "PATCH", endpoint["id"], robot).status == 200
    assert ask(api, "GET", endpoint["id"]).body == {
        "object_id": f"/serving-endpoints/{endpoint['id']}",
        "object_type": "serving-endpoint",
        "access_control_list": [
            {"user_name": "mara", "display_name": "mara", "all_permissions": direct("CAN_MANAGE")},
            {"user_name": "vera", "display_name": "vera", "all_permissions": direct("CAN_VIEW")},
            {"service_principal_name": api.bot.name, "display_name": "Robot", "all_permissions": direct("CAN_QUERY")},
            {"group_name": "admins", "all_permissions": [INHERITED]},
            {"group_name": "team", "all_permissions": direct("CAN_QUERY")},
        ],
    }


def test_the_creator_has_can_manage_from_the_beginning(api: House) -> None:
    made = api.by("vera", "POST", ENDPOINTS, {"name": "veras"}).body
    assert levels(ask(api, "GET", made["id"], who="vera")) == {"vera": "CAN_MANAGE"}


def test_the_name_does_as_well_as_the_id(api: House, endpoint: dict[str, Any]) -> None:
    assert ask(api, "GET", endpoint["name"]).body == ask(api, "GET", endpoint["id"]).body
    assert ask(api, "PATCH", endpoint["name"], entry("sam", "CAN_VIEW")).status == 200
    assert levels(ask(api, "GET", endpoint["id"]))["sam"] == "CAN_VIEW"


def test_a_name_that_looks_like_an_id_is_no_way_to_another_endpoint(api: House, endpoint: dict[str, Any]) -> None:
    made = api.by("sam", "POST", ENDPOINTS, {"name": endpoint["id"]})
    assert made.status == 200
    answer = ask(api, "GET", endpoint["id"], who="sam")
    assert answer.body["object_id"] == f"/serving-endpoints/{made.body['id']}"
    assert ask(api, "GET", endpoint["id"], who="mara").body["object_id"] == f"/serving-endpoints/{endpoint['id']}"


def test_put_replaces_and_patch_merges(api: House, endpoint: dict[str, Any]) -> None:
    merged = ask(api, "PATCH", endpoint["id"], entry("vera", "CAN_QUERY"), entry("sam", "CAN_VIEW"))
    assert levels(merged) == {"mara": "CAN_MANAGE", "team": "CAN_QUERY", "vera": "CAN_QUERY", "sam": "CAN_VIEW"}
    lowered = ask(api, "PATCH", endpoint["id"], entry("vera", "CAN_VIEW"))
    assert levels(lowered)["vera"] == "CAN_VIEW"
    replaced = ask(api, "PUT", endpoint["id"], entry("sam", "CAN_QUERY"))
    assert levels(replaced) == {"sam": "CAN_QUERY"}
    assert levels(ask(api, "PUT", endpoint["id"])) == {}


def test_a_manager_who_is_left_out_still_manages_and_is_shown_so(api: House, endpoint: dict[str, Any]) -> None:
    replaced = ask(api, "PUT", endpoint["id"], entry("sam", "CAN_QUERY"), who="mara")
    assert levels(replaced) == {"mara": "CAN_MANAGE", "sam": "CAN_QUERY"}


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_manager_cannot_take_managing_from_themselves(api: House, endpoint: dict[str, Any], method: str) -> None:
    answer = ask(api, method, endpoint["id"], entry("mara", "CAN_VIEW"), who="mara")
    assert answer.error[:2] == (400, "INVALID_PARAMETER_VALUE")
    assert levels(ask(api, "GET", endpoint["id"]))["mara"] == "CAN_MANAGE"


def test_who_manages_through_a_group_need_not_be_named(api: House, endpoint: dict[str, Any]) -> None:
    ask(api, "PUT", endpoint["id"], entry("team", "CAN_MANAGE", "group_name"))
    again = ask(api, "PUT", endpoint["id"], entry("team", "CAN_MANAGE", "group_name"), who="quinn")
    assert levels(again) == {"team": "CAN_MANAGE"}


@pytest.mark.parametrize(
    ("bad", "status", "code", "says"),
    [
        (
            {"user_name": "nobody", "permission_level": "CAN_VIEW"},
            404,
            "RESOURCE_DOES_NOT_EXIST",
            "no user called nobody",
        ),
        (
            {"group_name": "mara", "permission_level": "CAN_VIEW"},
            404,
            "RESOURCE_DOES_NOT_EXIST",
            "no group called mara",
        ),
        (
            {"service_principal_name": "Robot", "permission_level": "CAN_VIEW"},
            404,
            "RESOURCE_DOES_NOT_EXIST",
            "by its application id",
        ),
        ({"user_name": "sam", "permission_level": "CAN_RUN"}, 400, "INVALID_PARAMETER_VALUE", "CAN_VIEW, CAN_QUERY"),
        ({"user_name": "sam"}, 400, "INVALID_PARAMETER_VALUE", "needs a permission_level"),
        ({"permission_level": "CAN_VIEW"}, 400, "INVALID_PARAMETER_VALUE", "exactly one of"),
        (
            {"user_name": "sam", "group_name": "team", "permission_level": "CAN_VIEW"},
            400,
            "INVALID_PARAMETER_VALUE",
            "exactly one of",
        ),
        (
            {"group_name": "admins", "permission_level": "CAN_VIEW"},
            400,
            "INVALID_PARAMETER_VALUE",
            "admins has CAN_MANAGE",
        ),
    ],
)
def test_an_entry_that_cannot_be_is_refused_and_nothing_is_changed(
    api: House, endpoint: dict[str, Any], bad: dict[str, str], status: int, code: str, says: str
) -> None:
    before = ask(api, "GET", endpoint["id"]).body
    answer = ask(api, "PATCH", endpoint["id"], entry("sam", "CAN_VIEW"), bad)
    assert answer.error[:2] == (status, code)
    assert says in answer.error[2]
    assert ask(api, "GET", endpoint["id"]).body == before


def test_the_administrators_need_not_be_granted_anything(api: House, endpoint: dict[str, Any]) -> None:
    answer = ask(api, "PUT", endpoint["id"], *ENTRIES, entry("admins", "CAN_MANAGE", "group_name"))
    [admins] = [one for one in answer.body["access_control_list"] if one.get("group_name") == "admins"]
    assert admins["all_permissions"] == [INHERITED]


def test_of_two_levels_for_one_the_higher_counts(api: House, endpoint: dict[str, Any]) -> None:
    answer = ask(api, "PATCH", endpoint["id"], entry("sam", "CAN_QUERY"), entry("SAM", "CAN_VIEW"))
    assert levels(answer)["sam"] == "CAN_QUERY"


def test_the_levels_are_told(api: House, endpoint: dict[str, Any]) -> None:
    answer = api.by("vera", "GET", f"{PERMISSIONS}/{endpoint['id']}/permissionLevels")
    assert [one["permission_level"] for one in answer.body["permission_levels"]] == [
        "CAN_VIEW",
        "CAN_QUERY",
        "CAN_MANAGE",
    ]
    assert all(one["description"] for one in answer.body["permission_levels"])


def test_what_is_granted_is_told_to_the_servers(api: House, endpoint: dict[str, Any]) -> None:
    before = api.database.revision("routing")
    ask(api, "PATCH", endpoint["id"], entry("sam", "CAN_QUERY"))
    assert api.database.revision("routing") > before


def test_a_deleted_endpoint_takes_its_grants_along(api: House, endpoint: dict[str, Any]) -> None:
    assert api.by("mara", "DELETE", f"{ENDPOINTS}/{endpoint['name']}").status == 200
    assert ask(api, "GET", endpoint["id"], who="mara").status == 404
    again = api.create(endpoint["name"]).body
    assert levels(ask(api, "GET", again["id"])) == {"ada": "CAN_MANAGE"}
