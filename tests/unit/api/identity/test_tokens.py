"""Personal access tokens: one's own, and everybody's for administrators."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from tests.fakes import callers
from tests.fakes.api_house import WORKSPACE_ID, ApiHouse
from tests.fakes.callers import SCIM

from headgate.api.identity import tokens as rules

OWN = "/api/2.0/token"
MANAGED = "/api/2.0/token-management"
TWO_YEARS_MS = 2 * 365 * 86_400_000


def ids(infos: Any) -> list[str]:
    return [one["token_id"] for one in infos["token_infos"]]


def test_a_token_of_ones_own_is_shown_once_listed_and_revoked(api: ApiHouse) -> None:
    user = callers.user(api.as_admin, "own@example.com")
    made = api.request("POST", f"{OWN}/create", {"comment": "laptop", "lifetime_seconds": 90}, token=user.token).body
    info = made["token_info"]
    assert made["token_value"].startswith("hgt_") and len(info["token_id"]) == 64
    assert info["expiry_time"] - info["creation_time"] == 90_000 and info["comment"] == "laptop"
    listed = api.request("GET", f"{OWN}/list", token=made["token_value"])
    assert info in listed.body["token_infos"] and made["token_value"].encode() not in listed.raw
    assert len(listed.body["token_infos"]) == 2
    assert api.request("POST", f"{OWN}/delete", {"token_id": info["token_id"]}, token=user.token).body == {}
    assert api.request("GET", f"{OWN}/list", token=made["token_value"]).error[:2] == (401, "UNAUTHENTICATED")
    again = api.request("POST", f"{OWN}/delete", {"token_id": info["token_id"]}, token=user.token)
    assert again.error[:2] == (404, "RESOURCE_DOES_NOT_EXIST")


def test_a_token_works_as_a_password_too(api: ApiHouse) -> None:
    user = callers.user(api.as_admin, "basic@example.com")
    basic = base64.b64encode(f"token:{user.token}".encode()).decode()
    answer = api.request("GET", f"{SCIM}/Me", token="", headers={"authorization": f"Basic {basic}"})
    assert answer.body["userName"] == "basic@example.com"


def test_a_token_without_a_lifetime_is_good_for_two_years_and_none_for_longer(api: ApiHouse) -> None:
    info = api.as_admin("POST", f"{OWN}/create", {})["token_info"]
    assert info["expiry_time"] - info["creation_time"] == TWO_YEARS_MS
    for lifetime in (0, -1, TWO_YEARS_MS // 1000 + 1):
        refused = api.request("POST", f"{OWN}/create", {"lifetime_seconds": lifetime})
        assert refused.error[:2] == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.parametrize(
    "body", [{"scopes": ["serving"]}, {"autoscope_enabled": True}, {"comment": "a\nb"}, {"comment": 7}]
)
def test_what_would_not_be_enforced_or_cannot_be_shown_is_refused(api: ApiHouse, body: Any) -> None:
    assert api.request("POST", f"{OWN}/create", body).error[:2] == (400, "INVALID_PARAMETER_VALUE")


def test_the_comment_is_all_that_changes(api: ApiHouse) -> None:
    user = callers.user(api.as_admin, "comment@example.com")
    info = api.request("POST", f"{OWN}/create", {"comment": "a"}, token=user.token).body["token_info"]
    path = f"{OWN}/{info['token_id']}"
    body = {"token": {"comment": "b"}, "update_mask": "comment"}
    assert api.request("PATCH", path, body, token=user.token).status == 200
    listed = api.request("GET", f"{OWN}/list", token=user.token).body["token_infos"]
    assert {**info, "comment": "b"} in listed
    assert api.request("PATCH", path, body).error[:2] == (404, "RESOURCE_DOES_NOT_EXIST"), "not the administrator's own"
    assert api.request("PATCH", path, {"token": {}}, token=user.token).status == 400


def test_there_is_a_most_of_tokens_for_one(api: ApiHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    user = callers.user(api.as_admin, "many@example.com")
    monkeypatch.setattr(rules, "MOST", 3)
    statuses = [api.request("POST", f"{OWN}/create", {}, token=user.token).status for _ in range(3)]
    assert statuses == [200, 200, 400]
    assert api.request("POST", f"{OWN}/create", {}, token=user.token).error[1] == "QUOTA_EXCEEDED"


def test_others_tokens_are_nobodys_business_but_administrators(api: ApiHouse) -> None:
    victim, user = (callers.user(api.as_admin, f"{who}@example.com") for who in ("victim", "curious"))
    (token_id,) = ids(api.request("GET", f"{OWN}/list", token=victim.token).body)
    refused = [
        api.request("GET", f"{MANAGED}/tokens", token=user.token),
        api.request("GET", f"{MANAGED}/tokens/{token_id}", token=user.token),
        api.request("DELETE", f"{MANAGED}/tokens/{token_id}", token=user.token),
        api.request("POST", f"{MANAGED}/on-behalf-of/tokens", {"user_name": "victim@example.com"}, token=user.token),
    ]
    assert {answer.error[:2] for answer in refused} == {(403, "PERMISSION_DENIED")}
    hidden = api.request("POST", f"{OWN}/delete", {"token_id": token_id}, token=user.token)
    assert hidden.error[:2] == (404, "RESOURCE_DOES_NOT_EXIST")
    assert token_id not in ids(api.request("GET", f"{OWN}/list", token=user.token).body)
    assert api.request("GET", f"{SCIM}/Me", token=victim.token).status == 200


def test_an_administrator_sees_and_revokes_anybodys(api: ApiHouse) -> None:
    user = callers.user(api.as_admin, "managed@example.com")
    (token_id,) = ids(api.request("GET", f"{OWN}/list", token=user.token).body)
    info = api.as_admin("GET", f"{MANAGED}/tokens/{token_id}")["token_info"]
    assert (info["owner_id"], info["created_by_id"], info["created_by_username"]) == (int(user.id), 1, "ada")
    assert info["workspace_id"] == int(WORKSPACE_ID) and "last_used_day" not in info
    api.identities.note_use({token_id: 3 * 86_400_000 + 5})
    assert info | {"last_used_day": 3 * 86_400_000} in api.as_admin("GET", f"{MANAGED}/tokens")["token_infos"]
    made = api.request("POST", f"{OWN}/create", {}, token=user.token).body["token_info"]["token_id"]
    answer = api.request("GET", f"{MANAGED}/tokens", query="created_by_username=Managed@example.com")
    assert ids(answer.body) == [made]
    assert ids(api.request("GET", f"{MANAGED}/tokens", query=f"created_by_id={user.id}").body) == [made]
    assert api.request("DELETE", f"{MANAGED}/tokens/{token_id}").body == {}
    assert api.request("GET", f"{SCIM}/Me", token=user.token).status == 401
    assert api.request("GET", f"{MANAGED}/tokens/{token_id}").error[:2] == (404, "RESOURCE_DOES_NOT_EXIST")


def test_tokens_on_behalf_of_others_need_somebody_to_be_for(api: ApiHouse) -> None:
    path = f"{MANAGED}/on-behalf-of/tokens"
    assert api.request("POST", path, {}).error[:2] == (400, "INVALID_PARAMETER_VALUE")
    assert api.request("POST", path, {"user_name": "ada", "application_id": "x"}).status == 400
    for body in ({"user_name": "nobody"}, {"application_id": "nobody"}):
        assert api.request("POST", path, body).error[:2] == (404, "RESOURCE_DOES_NOT_EXIST")


def test_the_token_set_at_start_is_not_revoked_here(api: ApiHouse) -> None:
    for method, path, body in (
        ("POST", f"{OWN}/delete", {"token_id": api.admin_token_id}),
        ("DELETE", f"{MANAGED}/tokens/{api.admin_token_id}", None),
    ):
        assert "set at every start" in api.request(method, path, body).error[2]
    assert api.request("GET", f"{SCIM}/Me").status == 200


def test_whoever_is_deactivated_or_deleted_is_refused_and_can_come_back_only_from_the_former(api: ApiHouse) -> None:
    user = callers.user(api.as_admin, "leaver@example.com")
    path = f"{SCIM}/Users/{user.id}"
    for active, status in (("false", 401), ("true", 200)):
        operations = [{"op": "replace", "path": "active", "value": active}]
        api.as_admin("PATCH", path, {"Operations": operations})
        assert api.request("GET", f"{SCIM}/Me", token=user.token).status == status
    api.as_admin("DELETE", path)
    assert api.request("GET", f"{SCIM}/Me", token=user.token).error[:2] == (401, "UNAUTHENTICATED")
    assert callers.user(api.as_admin, "leaver@example.com").id != user.id
    assert api.request("GET", f"{SCIM}/Me", token=user.token).status == 401


def test_only_a_keyed_hash_of_a_token_is_stored(api: ApiHouse) -> None:
    value = api.as_admin("POST", f"{OWN}/create", {"comment": "secret"})["token_value"]
    (token,) = [one for one in api.identities.tokens() if one.comment == "secret"]
    assert value not in repr(token) and len(token.digest) == 64
