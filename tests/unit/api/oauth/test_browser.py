"""A person at a browser: logs in with a token, lets a program in, logs out; and nothing of it works from another site."""

from __future__ import annotations

import html
import re
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from tests.fakes import callers
from tests.fakes.api_house import TOKEN, Answer
from tests.unit.api.oauth.conftest import OAuthHouse

from headgate.access.oauth import issuing
from headgate.access.principals import SESSION

HOST = "http://headgate.test"
OURS = {"origin": HOST, "accept": "text/html"}
VERIFIER = "v" * 43
ASK = {
    "response_type": "code", "client_id": "databricks-cli", "redirect_uri": "http://localhost:8020", "state": "s&t",
    "scope": "all-apis offline_access", "code_challenge": issuing.challenge(VERIFIER), "code_challenge_method": "S256",
}  # fmt: skip


def login(oauth: OAuthHouse, token: str = TOKEN, return_to: str = "/login", **headers: str) -> Answer:
    return oauth.form("/login", {"token": token, "return_to": return_to}, **{**OURS, **headers})


def cookie(answer: Answer) -> str:
    return answer.headers["set-cookie"].partition(";")[0]


def authorize(oauth: OAuthHouse, session: str | None, **changes: Any) -> Answer:
    asked = {name: value for name, value in {**ASK, **changes}.items() if value is not None}
    headers = {"accept": "text/html", **({"cookie": session} if session else {})}
    return oauth.request("GET", "/oidc/v1/authorize", token="", query=urlencode(asked), headers=headers)


def fields(page: Answer) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page.raw.decode())
    return {name: html.unescape(value) for name, value in found}


def sent_to(answer: Answer) -> tuple[str, dict[str, str]]:
    assert answer.status == 303, answer.raw
    parts = urlsplit(answer.headers["location"])
    return f"{parts.scheme}://{parts.netloc}{parts.path}", {k: v[0] for k, v in parse_qs(parts.query).items()}


def let_in(oauth: OAuthHouse, session: str, **changes: Any) -> str:
    """The code that the program is given."""
    page = authorize(oauth, session, **changes)
    assert page.status == 200, page.raw
    answer = oauth.form("/oidc/v1/authorize", {**fields(page), "answer": "allow"}, cookie=session, **OURS)
    return sent_to(answer)[1]["code"]


def exchange(oauth: OAuthHouse, code: str, **changes: str) -> Answer:
    given = {
        "grant_type": "authorization_code", "code": code, "code_verifier": VERIFIER, "client_id": "databricks-cli",
        "redirect_uri": "http://localhost:8020", **changes,
    }  # fmt: skip
    return oauth.token(**given)


@pytest.fixture(scope="module")
def session(oauth: OAuthHouse) -> str:
    return cookie(login(oauth))


# -- sessions ----------------------------------------------------------------------------------------------------------


def test_without_a_provider_a_person_logs_in_with_a_token(oauth: OAuthHouse) -> None:
    page = oauth.request("GET", "/login", token="", query="return_to=/mlflow/", headers={"accept": "text/html"})
    assert page.status == 200 and fields(page) == {"return_to": "/mlflow/"} and b'type="password"' in page.raw
    answer = login(oauth, return_to="/mlflow/")
    assert answer.status == 303 and answer.headers["location"] == "/mlflow/"
    set_cookie = answer.headers["set-cookie"]
    for part in ("HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=43200"):
        assert part in set_cookie
    assert TOKEN not in set_cookie and "Secure" not in set_cookie
    found = oauth.oauth.sessions.principal_of(cookie(answer))
    assert found is not None and (found.user_name, found.credential, found.admin) == ("ada", SESSION, True)
    again = oauth.request("GET", "/login", token="", headers={"cookie": cookie(answer)})
    assert again.status == 200 and b"ada" in again.raw


def test_pages_let_nothing_in_and_nobody_frame_them(oauth: OAuthHouse) -> None:
    page = oauth.request("GET", "/login", token="")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "script" not in policy
    assert page.headers["x-frame-options"] == "DENY" and page.headers["cache-control"] == "no-store"


def test_a_wrong_token_logs_nobody_in(oauth: OAuthHouse) -> None:
    robot = oauth.robot("browser")
    for token in ("wrong", "", robot.token(), robot.secret):
        answer = login(oauth, token)
        assert "set-cookie" not in answer.headers and answer.status == 400 and b"access token" in answer.raw
        plain = login(oauth, token, accept="*/*")
        assert plain.error[:2] == (403, "PERMISSION_DENIED")


@pytest.mark.parametrize(
    "path", ["//evil.test", "/\\evil.test", "https://evil.test", "", "login", "/a b", "/\x00", "/é"]
)
def test_nobody_is_sent_elsewhere_after_the_login(oauth: OAuthHouse, path: str) -> None:
    assert login(oauth, return_to=path).headers["location"] == "/login"


@pytest.mark.parametrize(
    "headers",
    [{"origin": "http://evil.test"}, {"origin": "null"}, {"origin": "", "sec-fetch-site": "cross-site"},
     {"origin": HOST, "sec-fetch-site": "cross-site"}, {"origin": "http://headgate.test.evil"}],
)  # fmt: skip
def test_forms_of_other_sites_do_nothing(oauth: OAuthHouse, session: str, headers: dict[str, str]) -> None:
    assert login(oauth, **headers).status == 403
    sent = {"cookie": session, "accept": "text/html", **headers}
    assert oauth.form("/logout", {}, **sent).status == 403
    assert oauth.form("/oidc/v1/authorize", {**ASK, "answer": "allow"}, **sent).status == 403
    assert oauth.form("/oidc/v1/authorize", {**ASK, "answer": "allow"}, cookie=session).status == 403
    assert oauth.oauth.sessions.principal_of(session) is not None


def test_logging_out_ends_the_session_wherever_its_cookie_is(oauth: OAuthHouse) -> None:
    mine = cookie(login(oauth))
    asked = oauth.request("GET", "/logout", token="", headers={"cookie": mine})
    assert asked.status == 200 and oauth.oauth.sessions.principal_of(mine) is not None
    answer = oauth.form("/logout", {}, cookie=mine, **OURS)
    assert answer.status == 200 and "Max-Age=0" in answer.headers["set-cookie"]
    assert oauth.oauth.sessions.principal_of(mine) is None
    assert oauth.form("/logout", {}, cookie=mine, **OURS).status == 200


def test_a_session_lasts_half_a_day_and_not_longer_than_its_token(oauth: OAuthHouse) -> None:
    ben = callers.user(oauth.as_admin, "ben@headgate.test")
    mine, his = cookie(login(oauth)), cookie(login(oauth, ben.token))
    sessions = oauth.oauth.sessions
    oauth.clock.pass_s(12 * 3600 - 60)
    assert sessions.principal_of(mine) is not None and sessions.principal_of(his) is not None
    listed = oauth.as_admin("GET", "/api/2.0/token-management/tokens")["token_infos"]
    for token in listed:
        if token["owner_id"] == int(ben.id) or str(token["owner_id"]) == ben.id:
            oauth.as_admin("DELETE", f"/api/2.0/token-management/tokens/{token['token_id']}")
    assert sessions.principal_of(his) is None
    oauth.clock.pass_s(61)
    assert sessions.principal_of(mine) is None


def test_who_is_deleted_is_logged_out(oauth: OAuthHouse) -> None:
    eve = callers.user(oauth.as_admin, "eve@headgate.test")
    hers = cookie(login(oauth, eve.token))
    assert oauth.oauth.sessions.principal_of(hers) is not None
    oauth.as_admin("DELETE", f"{callers.SCIM}/Users/{eve.id}")
    assert oauth.oauth.sessions.principal_of(hers) is None


def test_a_sessions_cookie_is_no_token_and_a_token_no_cookie(oauth: OAuthHouse, session: str) -> None:
    session = cookie(login(oauth))
    value = session.partition("=")[2]
    assert oauth.as_token(value, "GET", "/api/2.0/preview/scim/v2/Me").status == 401
    token = oauth.robot("cookie").token()
    for header in (f"headgate_session={token}", "headgate_session=", "other=1", "x" * 20_000, None):
        assert oauth.oauth.sessions.principal_of(header) is None
    assert oauth.oauth.sessions.principal_of(f"a=b; {session}; c=d") is not None


# -- letting a program in ----------------------------------------------------------------------------------------------


def test_a_person_lets_a_program_in_and_it_stays_in(oauth: OAuthHouse) -> None:
    where = sent_to(authorize(oauth, None))
    assert where[0] == ":///login"
    session = cookie(login(oauth, return_to=where[1]["return_to"]))
    page = authorize(oauth, session)
    assert b"databricks-cli" in page.raw and b"ada" in page.raw
    assert "form-action 'self' http://localhost:8020" in page.headers["content-security-policy"]
    answer = oauth.form("/oidc/v1/authorize", {**fields(page), "answer": "allow"}, cookie=session, **OURS)
    to, told = sent_to(answer)
    assert to == "http://localhost:8020" and told["state"] == "s&t" and set(told) == {"code", "state"}
    first = exchange(oauth, told["code"])
    assert first.status == 200 and first.body["expires_in"] == 3600
    assert oauth.as_token(first.body["access_token"], "GET", "/api/2.0/preview/scim/v2/Me").body["userName"] == "ada"
    refresh = {"grant_type": "refresh_token", "client_id": "databricks-cli"}
    for _ in range(2):
        oauth.clock.pass_s(3600)
        again = oauth.token(**refresh, refresh_token=first.body["refresh_token"])
        assert again.status == 200 and again.body["refresh_token"] == first.body["refresh_token"]
        assert oauth.as_token(again.body["access_token"], "GET", "/api/2.0/preview/scim/v2/Me").status == 200
    oauth.clock.pass_s(7 * 86400)
    assert oauth.token(**refresh, refresh_token=first.body["refresh_token"]).body["error"] == "invalid_grant"


def test_a_code_is_good_once_for_a_minute_and_for_who_began(oauth: OAuthHouse) -> None:
    session = cookie(login(oauth))
    code = let_in(oauth, session)
    assert exchange(oauth, code).status == 200
    assert exchange(oauth, code).body["error"] == "invalid_grant"
    for change in (
        {"code_verifier": "w" * 43},
        {"client_id": "other"},
        {"redirect_uri": "http://localhost:1"},
        {"code_verifier": "v"},
    ):
        code = let_in(oauth, session)
        assert exchange(oauth, code, **change).body["error"] == "invalid_grant"
        assert exchange(oauth, code).body["error"] == "invalid_grant", "a code that was tried is spent"
    late = let_in(oauth, session)
    oauth.clock.pass_s(60)
    assert exchange(oauth, late).body["error"] == "invalid_grant"
    assert exchange(oauth, "unknown").body["error"] == "invalid_grant"


def test_without_offline_access_there_is_no_refresh_token(oauth: OAuthHouse) -> None:
    code = let_in(oauth, cookie(login(oauth)), scope="all-apis")
    assert "refresh_token" not in exchange(oauth, code).body


def test_a_refresh_token_ends_with_the_token_or_person_it_came_from(oauth: OAuthHouse) -> None:
    kim = callers.user(oauth.as_admin, "kim@headgate.test")
    refresh = exchange(oauth, let_in(oauth, cookie(login(oauth, kim.token)))).body["refresh_token"]
    given = {"grant_type": "refresh_token", "client_id": "databricks-cli", "refresh_token": refresh}
    assert oauth.token(**given).status == 200
    assert oauth.token(**{**given, "client_id": "other"}).body["error"] == "invalid_grant"
    oauth.as_admin("DELETE", f"{callers.SCIM}/Users/{kim.id}")
    assert oauth.token(**given).body["error"] == "invalid_grant"


def test_who_says_no_is_not_asked_again_by_a_redirect(oauth: OAuthHouse) -> None:
    session = cookie(login(oauth))
    page = authorize(oauth, session)
    answer = oauth.form("/oidc/v1/authorize", {**fields(page), "answer": "deny"}, cookie=session, **OURS)
    assert sent_to(answer)[1]["error"] == "access_denied"


@pytest.mark.parametrize(
    "change",
    [{"client_id": "unknown"}, {"client_id": None}, {"redirect_uri": "https://evil.test/"}, {"redirect_uri": "http://evil.test"},
     {"redirect_uri": "http://localhost.evil.test"}, {"redirect_uri": "http://localhost@evil.test"}, {"redirect_uri": None},
     {"redirect_uri": "http://user@localhost:1"}, {"redirect_uri": "http://localhost:99999"}, {"redirect_uri": "javascript://localhost/x"},
     {"redirect_uri": "http://localhost:1#x"}, {"redirect_uri": "http://[::1"}, {"redirect_uri": "http://localhost:1/\\evil"},
     {"redirect_uri": "http://localhost:8020/\r\nx"}],
)  # fmt: skip
def test_an_unsound_destination_gets_nothing_not_even_the_error(oauth: OAuthHouse, change: dict[str, str]) -> None:
    answer = authorize(oauth, cookie(login(oauth)), **change)
    assert answer.status == 400 and "location" not in answer.headers
    assert authorize(oauth, None, **change).status == 400


@pytest.mark.parametrize(
    ("change", "error"),
    [({"response_type": "token"}, "unsupported_response_type"), ({"code_challenge": None}, "invalid_request"),
     ({"code_challenge_method": "plain"}, "invalid_request"), ({"code_challenge": "short"}, "invalid_request"),
     ({"scope": "sql"}, "invalid_scope")],
)  # fmt: skip
def test_any_other_mistake_is_told_to_the_program(oauth: OAuthHouse, change: dict[str, str], error: str) -> None:
    to, told = sent_to(authorize(oauth, cookie(login(oauth)), **change))
    assert (to, told["error"], told["state"]) == ("http://localhost:8020", error, "s&t")


@pytest.mark.parametrize("redirect", ["http://127.0.0.1:5000/cb?x=1", "http://[::1]:9/", "http://localhost/"])
def test_any_loopback_address_will_do(oauth: OAuthHouse, redirect: str) -> None:
    code = let_in(oauth, cookie(login(oauth)), redirect_uri=redirect)
    assert exchange(oauth, code, redirect_uri=redirect).status == 200


def test_what_is_shown_is_escaped(oauth: OAuthHouse) -> None:
    mallory = callers.user(oauth.as_admin, "<b>mallory</b>")
    session = cookie(login(oauth, mallory.token))
    page = authorize(oauth, session, state='"><script>')
    assert b"<b>mallory" not in page.raw and b"<script>" not in page.raw and fields(page)["state"] == '"><script>'
    refused = authorize(oauth, session, client_id="<script>x</script>")
    assert b"<script>" not in refused.raw
