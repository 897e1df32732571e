"""`/api/2.0/secrets` over the application: shapes, codes, and that no answer, message or row holds a value."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from tests.fakes import callers
from tests.fakes.api_house import ENDPOINTS, TOKEN, Answer, ApiHouse

CANARY = "canary-of-the-secrets-api"
BASE = "/api/2.0/secrets"
TOKENS = {"ada": TOKEN}


@pytest.fixture(scope="module", autouse=True)
def others(api: ApiHouse) -> None:
    for name in ("reader", "writer", "stranger", "manager"):
        TOKENS[name] = callers.user(api.as_admin, name).token
    for scope in ("team", "hidden"):
        assert post(api, "scopes/create", {"scope": scope}).status == 200
    for name, permission in (("reader", "READ"), ("writer", "WRITE"), ("manager", "MANAGE")):
        assert post(api, "acls/put", {"scope": "team", "principal": name, "permission": permission}).body == {}
    assert post(api, "put", {"scope": "team", "key": "k", "string_value": CANARY}).body == {}


def post(api: ApiHouse, path: str, body: Any, **options: Any) -> Answer:
    return api.request("POST", f"{BASE}/{path}", body, **options)


def ask(api: ApiHouse, path: str, query: str = "", **options: Any) -> Answer:
    return api.request("GET", f"{BASE}/{path}", query=query, **options)


def entity(**variables: str) -> dict[str, Any]:
    return {"entity_name": "main.default.churn", "entity_version": "1", "environment_vars": variables}


def test_shapes_are_those_of_the_real_backend(api: ApiHouse) -> None:
    assert ask(api, "scopes/list").body == {
        "scopes": [{"name": "hidden", "backend_type": "DATABRICKS"}, {"name": "team", "backend_type": "DATABRICKS"}]
    }
    [listed] = ask(api, "list", "scope=team").body["secrets"]
    assert listed.keys() == {"key", "last_updated_timestamp"} and listed["key"] == "k"
    assert ask(api, "get", "scope=team&key=k").body == {"key": "k", "value": base64.b64encode(CANARY.encode()).decode()}
    assert ask(api, "acls/get", "scope=team&principal=reader").body == {"principal": "reader", "permission": "READ"}
    acls = ask(api, "acls/list", "scope=team").body
    assert acls["items"] == acls["acls"] and {"principal": "writer", "permission": "WRITE"} in acls["items"]
    assert ask(api, "list", "scope=hidden").body == {"secrets": []}


@pytest.mark.parametrize(
    ("path", "body", "code", "message"),
    [
        ("scopes/create", {}, "INVALID_PARAMETER_VALUE", "scope: this field is required"),
        ("scopes/create", {"scope": 7}, "INVALID_PARAMETER_VALUE", "scope"),
        ("scopes/create", {"scope": "x", "initial_manage_principal": "ada"}, "INVALID_PARAMETER_VALUE", "group users"),
        ("scopes/create", {"scope": "x", "scope_backend_type": "vault"}, "INVALID_PARAMETER_VALUE", "DATABRICKS"),
        ("scopes/create", {"scope": "x", "scope_backend_type": "AZURE_KEYVAULT"}, "INVALID_PARAMETER_VALUE", "Azure"),
        ("put", {"scope": "team", "key": "k", "string_value": [CANARY]}, "INVALID_PARAMETER_VALUE", "string_value"),
        ("put", {"scope": "team", "key": "k", "bytes_value": CANARY + "?"}, "MALFORMED_REQUEST", "base64"),
        ("put", {"scope": "team", "key": "k", "string_value": CANARY + "\ud800"}, "MALFORMED_REQUEST", "surrogate"),
        ("put", {"scope": "team", "key": "k", "string_value": CANARY, "bytes_value": ""}, "MALFORMED_REQUEST", "not both"),
        ("put", {"scope": "team", "key": "é", "string_value": CANARY}, "INVALID_PARAMETER_VALUE", "valid secret key"),
        ("put", {"scope": "team", "string_value": CANARY}, "INVALID_PARAMETER_VALUE", "key: this field is required"),
        ("acls/put", {"scope": "team", "principal": "reader", "permission": "OWN"}, "INVALID_PARAMETER_VALUE", "READ, WRITE"),
        ("acls/put", {"scope": "team", "principal": "no one", "permission": "READ"}, "INVALID_PARAMETER_VALUE", "no user"),
        ("scopes/create", {"scope": "TEAM"}, "RESOURCE_ALREADY_EXISTS", "already exists"),
        ("delete", {"scope": "team", "key": "gone"}, "RESOURCE_DOES_NOT_EXIST", "key: gone"),
        ("acls/delete", {"scope": "team", "principal": "stranger"}, "RESOURCE_DOES_NOT_EXIST", "stranger"),
        ("put", b'{"scope": "team", "key": "k", "string_value": "' + CANARY.encode(), "BAD_REQUEST", "not valid JSON"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_without_the_value(
    api: ApiHouse, caplog: pytest.LogCaptureFixture, path: str, body: Any, code: str, message: str
) -> None:
    caplog.set_level("DEBUG")
    status, found, said = post(api, path, body).error
    assert (found, message in said) == (code, True), said
    assert status == {"RESOURCE_ALREADY_EXISTS": 409, "RESOURCE_DOES_NOT_EXIST": 404}.get(code, 400)
    assert CANARY not in said and CANARY not in caplog.text


OPERATIONS = [
    ("GET", "list", "scope={scope}", None, "READ"),
    ("GET", "get", "scope={scope}&key=k", None, "READ"),
    ("POST", "put", "", {"key": "other", "string_value": CANARY}, "WRITE"),
    ("POST", "delete", "", {"key": "other"}, "WRITE"),
    ("GET", "acls/list", "scope={scope}", None, "MANAGE"),
    ("GET", "acls/get", "scope={scope}&principal=reader", None, "MANAGE"),
    ("POST", "acls/put", "", {"principal": "reader", "permission": "READ"}, "MANAGE"),
    ("POST", "acls/delete", "", {"principal": "nobody"}, "MANAGE"),
]
HELD = {"reader": "READ", "writer": "WRITE", "manager": "MANAGE", "ada": "MANAGE"}
ORDER = ["READ", "WRITE", "MANAGE"]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation[1])
@pytest.mark.parametrize("name", [*HELD, "stranger"])
def test_each_operation_takes_its_permission(api: ApiHouse, name: str, operation: Any) -> None:
    method, path, query, body, wanted = operation

    def send(scope: str) -> Answer:
        sent = None if body is None else {"scope": scope, **body}
        return api.request(method, f"{BASE}/{path}", sent, query=query.format(scope=scope), token=TOKENS[name])

    answer = send("team")
    if name == "stranger":
        assert answer.error == (404, "RESOURCE_DOES_NOT_EXIST", "Scope team does not exist!")
        assert send("nosuch").raw == answer.raw.replace(b"team", b"nosuch")
    elif ORDER.index(HELD[name]) < ORDER.index(wanted):
        status, code, message = answer.error
        assert (status, code) == (403, "PERMISSION_DENIED") and f"It takes {wanted}" in message
    else:
        assert answer.status == 200 or answer.error[:2] == (404, "RESOURCE_DOES_NOT_EXIST"), answer.raw
    if method == "GET" and path == "get" and answer.status != 200:
        assert CANARY.encode() not in answer.raw


def test_a_list_shows_what_the_caller_may_read(api: ApiHouse) -> None:
    for name in ("reader", "writer", "manager"):
        assert [scope["name"] for scope in ask(api, "scopes/list", token=TOKENS[name]).body["scopes"]] == ["team"]
    assert ask(api, "scopes/list", token=TOKENS["stranger"]).body == {"scopes": []}


def test_creating_with_a_reference_takes_read_and_that_it_is_there(api: ApiHouse) -> None:
    made = {"name": "by-reader", "config": {"served_entities": [entity(KEY="Bearer {{secrets/team/k}}")]}}
    created = api.request("POST", ENDPOINTS, made)
    assert created.status == 200 and CANARY.encode() not in created.raw
    shown = api.get("by-reader").body["pending_config"]["served_entities"][0]
    assert shown["environment_vars"] == {"KEY": "Bearer {{secrets/team/k}}"} and "secret_versions" not in shown
    for variables, status, code, names in (
        ({"KEY": "{{secrets/team/gone}}"}, 404, "RESOURCE_DOES_NOT_EXIST", ("KEY", "team", "gone")),
        ({"KEY": "{{secrets/nosuch/k}}"}, 404, "RESOURCE_DOES_NOT_EXIST", ("KEY", "nosuch")),
        ({"KEY": "{{secrets/team}}"}, 400, "INVALID_PARAMETER_VALUE", ("KEY", "{{secrets/team}}")),
    ):
        found = api.request(
            "POST", ENDPOINTS, {"name": "x", "config": {"served_entities": [entity(**variables)]}}
        ).error
        assert found[:2] == (status, code) and all(name in found[2] for name in names), found


def test_updating_and_starting_take_read_of_whoever_does_it(api: ApiHouse) -> None:
    config = {"served_entities": [entity(KEY="{{secrets/team/k}}")]}
    assert api.request("POST", ENDPOINTS, {"name": "shared", "config": config}).status == 200
    api.activate("shared")
    endpoint = api.get("shared").body["id"]
    grant = {"access_control_list": [{"user_name": "stranger", "permission_level": "CAN_MANAGE"}]}
    assert api.request("PATCH", f"/api/2.0/permissions/serving-endpoints/{endpoint}", grant).status == 200
    update = api.request("PUT", f"{ENDPOINTS}/shared/config", config, token=TOKENS["stranger"])
    assert update.error[:2] == (404, "RESOURCE_DOES_NOT_EXIST") and "Scope team does not exist" in update.error[2]
    assert api.request("POST", f"{ENDPOINTS}/shared/config:stop", {}, token=TOKENS["stranger"]).status == 200
    start = api.request("POST", f"{ENDPOINTS}/shared/config:start", {}, token=TOKENS["stranger"])
    assert start.error[:2] == (404, "RESOURCE_DOES_NOT_EXIST")
    assert api.request("POST", f"{ENDPOINTS}/shared/config:start", {}).status == 200


def test_a_rewritten_secret_asks_for_new_processes_and_an_untouched_one_does_not(api: ApiHouse) -> None:
    config = {"served_entities": [entity(KEY="{{secrets/team/turning}}")]}

    def deployed() -> str:
        wanted = api.endpoints.get("turning").wanted
        assert wanted is not None
        return wanted.config.served_entities[0].deployment_key("e")

    post(api, "put", {"scope": "team", "key": "turning", "string_value": "1"})
    api.request("POST", ENDPOINTS, {"name": "turning", "config": config})
    api.activate("turning")
    first = deployed()
    api.request("PUT", f"{ENDPOINTS}/turning/config", config)
    api.activate("turning")
    assert deployed() == first
    post(api, "put", {"scope": "team", "key": "turning", "string_value": "2"})
    api.request("PUT", f"{ENDPOINTS}/turning/config", config)
    assert deployed() != first
