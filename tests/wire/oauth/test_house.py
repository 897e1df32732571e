"""Tokens on a house of two servers: keys change under load, principals go, processes die; nobody who is good notices."""

from __future__ import annotations

import base64
import threading
from urllib.parse import urlencode

import jwt
import pytest
from tests.scenario.house import TOKEN, Answer, House, until
from tests.wire.oauth.conftest import Robot, new_robot

pytestmark = pytest.mark.wire
ME = "/api/2.0/preview/scim/v2/Me"
KEYS = "/api/2.0/oauth/signing-keys"
ROW = {"dataframe_records": [{"a": 1.0}]}


def ask(house: House, robot: Robot, **more: str) -> Answer:
    basic = base64.b64encode(f"{robot.client_id}:{robot.secret}".encode()).decode()
    form = urlencode({"grant_type": "client_credentials", "scope": "all-apis", **more}).encode()
    kind = "application/x-www-form-urlencoded"
    return house.request("POST", "/oidc/v1/token", form, token=None, Authorization=f"Basic {basic}", Content_Type=kind)


def token(house: House, robot: Robot, **more: str) -> str:
    answer = ask(house, robot, **more)
    assert answer.status == 200, answer
    return str(answer.json["access_token"])


def query(house: House, bearer: str) -> int:
    endpoint = house.api("GET", "/quick")
    return house.request("POST", endpoint["endpoint_url"].removeprefix(house.url), ROW, token=bearer).status


def details(house: House) -> str:
    return str(house.api("GET", "/quick")["data_plane_info"]["query_info"]["authorization_details"])


def everywhere(house: House, path: str, bearer: str) -> set[int]:
    """Statuses of enough requests on connections of their own that every server has answered."""
    return {house.request("GET", path, token=bearer).status for _ in range(12)}


def test_keys_change_while_tokens_are_used_and_nobody_notices(house: House) -> None:
    robot = new_robot(house, "rotating", "CAN_QUERY")
    wide, narrow = token(house, robot), token(house, robot, authorization_details=details(house))
    stop, seen = threading.Event(), set()

    def use() -> None:
        while not stop.is_set():
            fresh = token(house, robot)
            seen.add((query(house, narrow), query(house, wide), house.request("GET", ME, token=fresh).status))

    users = [threading.Thread(target=use) for _ in range(2)]
    for user in users:
        user.start()
    try:
        for _ in range(2):
            before = signing(house)
            house.request("POST", f"{KEYS}/rotate", {})
            until(lambda before=before: signing(house) != before, "the new key signs")
            until(lambda: key_of(token(house, robot)) == signing(house), "tokens are signed with it")
    finally:
        stop.set()
        for user in users:
            user.join(60)
    assert seen == {(200, 200, 200)}
    assert key_of(wide) != signing(house) and everywhere(house, ME, wide) == {200}
    published = {key["kid"] for key in house.request("GET", "/oidc/jwks.json", token=None).json["keys"]}
    assert {key_of(wide), signing(house)} <= published


def signing(house: House) -> str:
    [key] = [key["id"] for key in house.request("GET", KEYS).json["keys"] if key["state"] == "SIGNING"]
    return str(key)


def key_of(bearer: str) -> str:
    return str(jwt.get_unverified_header(bearer)["kid"])


def test_a_principal_that_is_deleted_is_refused_at_once_on_both_servers(house: House) -> None:
    robot = new_robot(house, "deleted", "CAN_QUERY")
    wide, narrow = token(house, robot), token(house, robot, authorization_details=details(house))
    assert everywhere(house, ME, wide) == {200} and query(house, narrow) == 200
    assert house.request("DELETE", f"/api/2.0/preview/scim/v2/ServicePrincipals/{robot.id}").status == 204
    assert everywhere(house, ME, wide) == {401}
    assert {query(house, narrow) for _ in range(12)} == {401}
    assert ask(house, robot).json["error"] == "invalid_client"


def test_tokens_outlive_the_servers_that_made_them(house: House) -> None:
    robot = new_robot(house, "surviving", "CAN_QUERY")
    wide, narrow = token(house, robot), token(house, robot, authorization_details=details(house))
    for pid in house.pids("server"):
        house.kill(pid)
    until(lambda: len(house.pids("server")) == 2 and house.healthy(), "the servers are back")
    until(lambda: query(house, narrow) == 200, "requests are answered")
    assert everywhere(house, ME, wide) == {200}


def test_a_token_for_one_endpoint_is_good_for_nothing_else(house: House) -> None:
    robot = new_robot(house, "narrow", "CAN_QUERY")
    narrow = token(house, robot, authorization_details=details(house))
    assert query(house, narrow) == 200
    for path in (ME, "/api/2.0/serving-endpoints/quick", "/metrics"):
        assert house.request("GET", path, token=narrow).status == 403, path
    for name in ("other", "nobody"):
        assert house.request("POST", f"/serving-endpoints/{name}/invocations", ROW, token=narrow).status == 403
    stranger = new_robot(house, "stranger")
    assert query(house, token(house, stranger)) == 404
    assert ask(house, stranger, authorization_details=details(house)).json["error"] == "invalid_authorization_details"
    told = house.request("POST", "/serving-endpoints/quick/invocations", ROW, token=TOKEN)
    assert told.status == 403 and "OAuth tokens only" in told.json["message"]
