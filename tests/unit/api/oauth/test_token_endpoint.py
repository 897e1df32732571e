"""Who gets a token, for what, and what the token is then good for; everything else is refused in OAuth's own words."""

from __future__ import annotations

import json

import jwt
import pytest
from tests.fakes import callers
from tests.fakes.api_house import TOKEN, WORKSPACE_ID, Answer
from tests.unit.api.oauth.conftest import SECRETS, OAuthHouse, Robot

from headgate.access.oauth import authorization_details, issuing

ME = "/api/2.0/preview/scim/v2/Me"
ENDPOINTS = "/api/2.0/serving-endpoints"


@pytest.fixture(scope="module")
def robot(oauth: OAuthHouse) -> Robot:
    return oauth.robot("robot")


@pytest.fixture(scope="module")
def endpoint_id(oauth: OAuthHouse, robot: Robot) -> str:
    """An endpoint that the robot may query."""
    made = oauth.create("churn", route_optimized=True).body["id"]
    grant(oauth, made, robot, "CAN_QUERY")
    return str(made)


def grant(oauth: OAuthHouse, endpoint_id: str, robot: Robot, level: str) -> None:
    entry = {"service_principal_name": robot.client_id, "permission_level": level}
    oauth.as_admin("PUT", f"/api/2.0/permissions/serving-endpoints/{endpoint_id}", {"access_control_list": [entry]})


def refused(answer: Answer) -> tuple[int, str]:
    assert set(answer.body) == {"error", "error_description"} and answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    return answer.status, answer.body["error"]


def test_a_service_principal_gets_a_token_for_its_secret(oauth: OAuthHouse, robot: Robot) -> None:
    answer = robot.ask()
    assert answer.headers["cache-control"] == "no-store"
    assert {**answer.body, "access_token": "?"} == {
        "access_token": "?", "token_type": "Bearer", "expires_in": 3600, "scope": "all-apis",
    }  # fmt: skip
    claims = jwt.decode(answer.body["access_token"], options={"verify_signature": False})
    assert (claims["sub"], claims["client_id"], claims["aud"]) == (robot.id, robot.client_id, WORKSPACE_ID)
    assert claims["iss"] == "http://headgate.test/oidc"
    assert oauth.as_token(answer.body["access_token"], "GET", ME).body["id"] == robot.id


def test_credentials_come_with_basic_or_in_the_form_but_not_in_both(oauth: OAuthHouse, robot: Robot) -> None:
    grant_type = {"grant_type": "client_credentials"}
    form = {**grant_type, "client_id": robot.client_id, "client_secret": robot.secret}
    assert oauth.token(**form).status == 200
    assert oauth.token((robot.client_id, robot.secret), **grant_type, client_id=robot.client_id).status == 200
    assert refused(oauth.token((robot.client_id, robot.secret), **form)) == (400, "invalid_request")
    other = {**grant_type, "client_id": "other"}
    assert refused(oauth.token((robot.client_id, robot.secret), **other)) == (400, "invalid_request")
    bearer = {"authorization": "Bearer whatever"}
    assert oauth.form("/oidc/v1/token", form, **bearer).status == 200


@pytest.mark.parametrize(
    ("client_id", "secret"),
    [("{id}", "wrong"), ("{id}", "{secret}x"), ("00000000-0000-0000-0000-000000000000", "{secret}"), ("{id}", ""),
     ("", "{secret}"), ("ada", TOKEN), ("{number}", "{secret}")],
)  # fmt: skip
def test_a_wrong_secret_and_an_unknown_client_are_told_the_same(
    oauth: OAuthHouse, robot: Robot, client_id: str, secret: str
) -> None:
    words = {"id": robot.client_id, "secret": robot.secret, "number": robot.id}
    answer = oauth.token((client_id.format(**words), secret.format(**words)), grant_type="client_credentials")
    assert refused(answer) == (401, "invalid_client") and answer.headers["www-authenticate"].startswith("Basic")


def test_a_principal_that_is_deleted_or_deactivated_is_refused_at_once(oauth: OAuthHouse) -> None:
    gone, resting = oauth.robot("gone"), oauth.robot("resting")
    tokens = {one.id: one.token() for one in (gone, resting)}
    oauth.as_admin("DELETE", f"{callers.SCIM}/ServicePrincipals/{gone.id}")
    off = {"Operations": [{"op": "replace", "path": "active", "value": False}]}
    oauth.as_admin("PATCH", f"{callers.SCIM}/ServicePrincipals/{resting.id}", off)
    for one in (gone, resting):
        assert oauth.as_token(tokens[one.id], "GET", ME).status == 401
        assert refused(one.ask()) == (401, "invalid_client")


def test_a_secret_that_expired_or_was_deleted_gets_no_token(oauth: OAuthHouse) -> None:
    robot = oauth.robot("short")
    short = oauth.as_admin("POST", SECRETS.format(robot.id), {"lifetime": "60s"})
    basic = robot.client_id, short["secret"]
    assert oauth.token(basic, grant_type="client_credentials").status == 200
    oauth.clock.pass_s(60)
    assert refused(oauth.token(basic, grant_type="client_credentials")) == (401, "invalid_client")
    oauth.as_admin("DELETE", f"{SECRETS.format(robot.id)}/{robot.secret_id}")
    assert refused(robot.ask()) == (401, "invalid_client")


def test_a_token_is_good_for_an_hour(oauth: OAuthHouse, robot: Robot) -> None:
    token = robot.token()
    oauth.clock.pass_s(3599)
    assert oauth.as_token(token, "GET", ME).status == 200
    oauth.clock.pass_s(2)
    assert oauth.as_token(token, "GET", ME).error[:2] == (401, "UNAUTHENTICATED")


# -- tokens for one endpoint -------------------------------------------------------------------------------------------


def test_a_token_is_exchanged_for_one_that_is_good_for_one_endpoint(
    oauth: OAuthHouse, robot: Robot, endpoint_id: str
) -> None:
    details = oauth.get("churn").body["data_plane_info"]["query_info"]["authorization_details"]
    exchange = {"grant_type": issuing.JWT_BEARER, "authorization_details": details}
    answer = oauth.token(**exchange, assertion=robot.token())
    assert answer.status == 200 and answer.body["token_type"] == "Bearer" and answer.body["expires_in"] == 3600
    assert answer.body["authorization_details"] == json.loads(details)
    narrow = answer.body["access_token"]
    principal = oauth.app.state.dependencies.authenticator.authenticate(f"Bearer {narrow}")
    assert (principal.id, principal.endpoint_id, principal.credential) == (robot.id, endpoint_id, "oauth")
    for path in (ME, f"{ENDPOINTS}/churn", ENDPOINTS):
        assert oauth.as_token(narrow, "GET", path).error[:2] == (403, "PERMISSION_DENIED")
    assert refused(oauth.token(**exchange, assertion=narrow)) == (400, "invalid_grant")


def test_a_secret_gets_such_a_token_without_a_detour(oauth: OAuthHouse, robot: Robot, endpoint_id: str) -> None:
    token = robot.token(authorization_details=authorization_details.for_query(endpoint_id))
    principal = oauth.app.state.dependencies.authenticator.authenticate(f"Bearer {token}")
    assert principal.endpoint_id == endpoint_id


def test_what_the_caller_may_not_do_is_in_no_token(oauth: OAuthHouse, endpoint_id: str) -> None:
    other = oauth.robot("other")
    asked = {"grant_type": issuing.JWT_BEARER, "assertion": other.token()}
    hidden = oauth.token(**asked, authorization_details=authorization_details.for_query(endpoint_id))
    unknown = oauth.token(**asked, authorization_details=authorization_details.for_query("0" * 32))
    assert refused(hidden) == refused(unknown) == (400, "invalid_authorization_details")
    assert hidden.raw.replace(endpoint_id.encode(), b"0" * 32) == unknown.raw


@pytest.mark.parametrize(
    ("level", "action", "good"),
    [("CAN_VIEW", "query", False), ("CAN_QUERY", "query", True), ("CAN_QUERY", "manage", False),
     ("CAN_MANAGE", "manage", True), ("CAN_MANAGE", "query", True)],
)  # fmt: skip
def test_an_action_takes_its_level(oauth: OAuthHouse, level: str, action: str, good: bool) -> None:
    name = f"{level}-{action}"
    robot, made = oauth.robot(name), oauth.create(name).body["id"]
    grant(oauth, made, robot, level)
    details = json.loads(authorization_details.for_query(made))
    details[0]["actions"] = [f"{action}_inference_endpoint"]
    answer = robot.ask(authorization_details=json.dumps(details))
    assert (answer.status == 200) == good
    if not good:
        assert refused(answer) == (400, "invalid_authorization_details") and level in answer.body["error_description"]


def test_only_our_own_access_tokens_are_exchanged(oauth: OAuthHouse, robot: Robot, endpoint_id: str) -> None:
    exchange = {
        "grant_type": issuing.JWT_BEARER,
        "authorization_details": authorization_details.for_query(endpoint_id),
    }
    personal = oauth.token(**exchange, assertion=TOKEN)
    assert refused(personal) == (400, "invalid_grant") and "personal access token" in personal.body["error_description"]
    token = robot.token()
    head, body, signature = token.split(".")
    for bad in (f"{head}.{body}.{signature[::-1]}", f"{head}.{body}.", "eyJ.eyJ.x"):
        assert refused(oauth.token(**exchange, assertion=bad)) == (400, "invalid_grant")
    oauth.clock.pass_s(3601)
    assert refused(oauth.token(**exchange, assertion=token)) == (400, "invalid_grant")
    assert refused(oauth.token(grant_type=issuing.JWT_BEARER, assertion=robot.token())) == (400, "invalid_request")


@pytest.mark.parametrize(
    "details",
    ["", "x", "{}", "[]", "[1]", "[{}]", "[{},{}]", "[" * 3000, '[{"type":"workspace_permission"}]',
     '[{"type":"workspace_permission","object_type":"serving-endpoints","object_path":"/serving-endpoints/churn","actions":["query_inference_endpoint"]}]',
     '[{"type":"workspace_permission","object_type":"serving-endpoints","object_path":"/serving-endpoints/%s","actions":[]}]' % ("0" * 32),
     '[{"type":"workspace_permission","object_type":"serving-endpoints","object_path":"/serving-endpoints/%s","actions":["fly"]}]' % ("0" * 32),
     '[{"type":"workspace_permission","object_type":"serving-endpoints","object_path":"/serving-endpoints/%s","actions":[[]]}]' % ("0" * 32)],
)  # fmt: skip
def test_details_that_are_not_understood_are_refused(oauth: OAuthHouse, robot: Robot, details: str) -> None:
    answer = robot.ask(authorization_details=details)
    if details:
        assert refused(answer) == (400, "invalid_authorization_details")
    else:
        assert answer.status == 200  # as if it had not been sent


# -- what is no grant --------------------------------------------------------------------------------------------------


def test_scopes_that_would_not_be_enforced_are_refused(oauth: OAuthHouse, robot: Robot) -> None:
    assert robot.ask(scope="all-apis offline_access").body["scope"] == "all-apis"
    for scope in ("sql", "all-apis sql", "offline_access"):
        assert refused(robot.ask(scope=scope)) == (400, "invalid_scope")


def test_requests_that_are_none_are_refused_in_oauths_words(oauth: OAuthHouse) -> None:
    assert refused(oauth.token()) == (400, "invalid_request")
    assert refused(oauth.token(grant_type="password", username="x")) == (400, "unsupported_grant_type")
    kind = {"content-type": "application/x-www-form-urlencoded"}
    for raw in (b"grant_type=a&grant_type=b", b"%ff=\xff", b"a=1&" * 60, b"x=" + b"y" * 70_000, b"rubbish"):
        answer = oauth.request("POST", "/oidc/v1/token", raw, token="", headers=kind)
        assert refused(answer) == (400, "invalid_request"), raw[:20]
    basic = {"authorization": "Basic !!"}
    assert refused(oauth.form("/oidc/v1/token", {"grant_type": "client_credentials"}, **basic)) == (
        401,
        "invalid_client",
    )
    assert oauth.request("GET", "/oidc/v1/token", token="").status == 405


def test_guessing_secrets_is_slowed_down(oauth: OAuthHouse, robot: Robot) -> None:
    waits: list[float] = []

    async def hold(seconds: float) -> None:
        waits.append(seconds)

    attempts = oauth.app.state.dependencies.attempts
    before, attempts.sleep = attempts.sleep, hold
    try:
        for _ in range(25):
            oauth.token((robot.client_id, "guess"), grant_type="client_credentials")
    finally:
        attempts.sleep = before
        oauth.clock.pass_s(120)
    assert waits and all(seconds > 0 for seconds in waits)
    assert robot.ask().status == 200
