"""Secrets of service principals and keys of tokens, as administrators manage them; and what everybody may ask."""

from __future__ import annotations

import re
from pathlib import Path

import jwt
import pytest
from tests.fakes import callers
from tests.fakes.api_house import TOKEN, WORKSPACE_ID
from tests.unit.api.oauth.conftest import SECRETS, OAuthHouse

from headgate.access.oauth.tokens import Wish
from headgate.settings import Settings

KEYS = "/api/2.0/oauth/signing-keys"
ME = "/api/2.0/preview/scim/v2/Me"


@pytest.mark.parametrize("account", ["", "/0b5a1d2e-0000-0000-0000-000000000000"])
def test_a_secret_is_shown_once_listed_without_value_and_deleted(oauth: OAuthHouse, account: str) -> None:
    robot = oauth.robot(f"listed{len(account)}")
    path = SECRETS.format(robot.id).replace("/accounts", f"/accounts{account}")
    made = oauth.as_admin("POST", path, {"lifetime": "3600s"})
    assert set(made) == {"id", "secret", "status", "create_time", "update_time", "expire_time"}
    assert made["status"] == "ACTIVE" and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", made["expire_time"])
    listed = oauth.as_admin("GET", path)["secrets"]
    assert {one["id"] for one in listed} == {robot.secret_id, made["id"]}
    assert made["secret"] not in str(listed)
    assert oauth.as_admin("DELETE", f"{path}/{made['id']}") == {}
    assert [one["id"] for one in oauth.as_admin("GET", path)["secrets"]] == [robot.secret_id]
    for gone in (made["id"], "x", "%00"):
        assert oauth.request("DELETE", f"{path}/{gone}").error[:2] == (404, "RESOURCE_DOES_NOT_EXIST")


def test_a_principal_has_five_secrets_at_most(oauth: OAuthHouse) -> None:
    robot = oauth.robot("five")
    for _ in range(4):
        oauth.as_admin("POST", SECRETS.format(robot.id), {})
    status, code, message = oauth.request("POST", SECRETS.format(robot.id), {}).error
    assert (status, code) == (400, "INVALID_STATE") and "5 secrets already" in message


@pytest.mark.parametrize("lifetime", ["0s", "-1s", "1", "1h", "63072001s", "1e9s", "s", "99999999999999s"])
def test_a_lifetime_is_a_number_of_seconds_within_two_years(oauth: OAuthHouse, lifetime: str) -> None:
    path = SECRETS.format(callers.service_principal(oauth.as_admin, f"life {lifetime}").id)
    assert oauth.request("POST", path, {"lifetime": lifetime}).error[:2] == (400, "INVALID_PARAMETER_VALUE")
    assert oauth.request("POST", path, {"scopes": ["sql"]}).error[:2] == (400, "INVALID_PARAMETER_VALUE")
    assert oauth.request("POST", path).status == 200, "without a body, two years"


def test_only_administrators_manage_secrets_and_keys(oauth: OAuthHouse) -> None:
    robot, ben = oauth.robot("mine"), callers.user(oauth.as_admin, "ben2@headgate.test")
    path = SECRETS.format(robot.id)
    for token in (ben.token, robot.token()):
        for method, where in (
            ("POST", path), ("GET", path), ("DELETE", f"{path}/{robot.secret_id}"), ("GET", KEYS), ("POST", f"{KEYS}/rotate"),
        ):  # fmt: skip
            assert oauth.request(method, where, token=token).error[:2] == (403, "PERMISSION_DENIED")
            assert oauth.request(method, where, token="").error[:2] == (401, "UNAUTHENTICATED")
    for unknown in ("999", ben.id, robot.client_id):
        assert oauth.request("POST", SECRETS.format(unknown), {}).error[:2] == (404, "RESOURCE_DOES_NOT_EXIST")


def test_keys_are_replaced_while_tokens_go_on_working(oauth: OAuthHouse) -> None:
    robot = oauth.robot("rotating")
    before = robot.token()
    [old] = [key for key in oauth.as_admin("GET", KEYS)["keys"] if key["state"] == "SIGNING"]
    rotated = oauth.as_admin("POST", f"{KEYS}/rotate", {})
    assert {key["state"] for key in rotated["keys"]} >= {"SIGNING", "WAITING"}
    assert oauth.as_admin("POST", f"{KEYS}/rotate")["keys"] == rotated["keys"], "one waits already"
    oauth.clock.pass_s(61)
    after = robot.token()
    assert jwt.get_unverified_header(after)["kid"] != jwt.get_unverified_header(before)["kid"] == old["id"]
    for token in (before, after):
        assert oauth.as_token(token, "GET", ME).status == 200
    published = {key["kid"] for key in oauth.request("GET", "/oidc/jwks.json", token="").body["keys"]}
    assert {old["id"], jwt.get_unverified_header(after)["kid"]} <= published


def test_after_a_leak_every_old_token_is_refused(oauth: OAuthHouse) -> None:
    robot = oauth.robot("leaked")
    before = robot.token()
    assert oauth.as_token(before, "GET", ME).status == 200
    kept = oauth.as_admin("POST", f"{KEYS}/rotate", {"forget_old": True})["keys"]
    assert [key["state"] for key in kept] == ["SIGNING"]
    assert oauth.as_token(before, "GET", ME).status == 401
    assert oauth.as_token(robot.token(), "GET", ME).status == 200


def test_anybody_may_ask_where_tokens_are_got_and_verify_them(oauth: OAuthHouse) -> None:
    config = oauth.request("GET", "/.well-known/databricks-config", token="").body
    for path in (
        "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration",
    ):  # fmt: skip
        found = oauth.request("GET", config["oidc_endpoint"].removeprefix("http://headgate.test") + path, token="").body
        assert found["issuer"] == config["oidc_endpoint"] and found["token_endpoint"].endswith("/oidc/v1/token")
    account = f"/oidc/accounts/{config['account_id']}/.well-known/oauth-authorization-server"
    assert oauth.request("GET", account, token="").body == found
    token = oauth.robot("verified").token()
    jwks = jwt.PyJWKSet.from_dict(
        oauth.request("GET", found["jwks_uri"].removeprefix("http://headgate.test"), token="").body
    )
    key = next(key for key in jwks.keys if key.key_id == jwt.get_unverified_header(token)["kid"])
    options = {"verify_exp": False, "verify_iat": False}
    claims = jwt.decode(token, key, ["ES256"], options, audience=WORKSPACE_ID, issuer=found["issuer"])
    assert claims["scope"] == "all-apis"


def test_an_installation_with_an_address_of_its_own_stands_by_it(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, admin_user="ada", admin_token=TOKEN, external_url="https://gate.test/")
    house = OAuthHouse(tmp_path, settings=settings, external_url=settings.external_url)
    found = house.request("GET", "/oidc/.well-known/oauth-authorization-server", token="").body
    assert (found["issuer"], found["jwks_uri"]) == ("https://gate.test/oidc", "https://gate.test/oidc/jwks.json")
    token = house.robot("robot").token()
    assert jwt.decode(token, options={"verify_signature": False})["iss"] == "https://gate.test/oidc"
    assert house.as_token(token, "GET", ME).status == 200
    foreign = house.oauth.sessions._needs.tokens.issue(Wish("1", "http://headgate.test/oidc", 60.0))
    assert house.as_token(foreign, "GET", ME).status == 401
    form = {"token": TOKEN, "return_to": "/login"}
    for origin, status in (("https://gate.test", 303), ("http://headgate.test", 303), ("https://evil.test", 403)):
        answer = house.form("/login", form, origin=origin, accept="text/html")
        assert answer.status == status
        assert "set-cookie" not in answer.headers or "; Secure" in answer.headers["set-cookie"]
    made = house.create("here", route_optimized=True).body
    assert made["endpoint_url"] == f"https://gate.test/{WORKSPACE_ID}/serving-endpoints/here/invocations"
    house.close()
