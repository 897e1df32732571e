"""Who asked for a token, logged in or out is in the audit log; what they showed for it is not."""

from __future__ import annotations

from tests.fakes.api_house import TOKEN
from tests.unit.api.oauth.conftest import OAuthHouse
from tests.unit.api.oauth.test_browser import OURS, cookie, exchange, let_in, login

EVENTS = "/api/2.0/audit/events"


def test_tokens_and_logins_are_written_down_without_what_was_shown(oauth: OAuthHouse) -> None:
    robot = oauth.robot("audited")
    oauth.audit.write_waiting()
    before = {one["event_id"] for one in oauth.request("GET", EVENTS).body["events"]}
    robot.token()
    oauth.token((robot.client_id, "wrong-secret"), grant_type="client_credentials")
    session = cookie(login(oauth))
    login(oauth, "wrong-token")
    code = let_in(oauth, session)
    refresh = exchange(oauth, code).body["refresh_token"]
    oauth.form("/logout", {}, cookie=session, **OURS)
    oauth.form("/logout", {}, cookie=session, origin="http://evil.test")
    oauth.request("GET", "/login", token="")
    oauth.request("GET", "/login/callback", token="", query="error=access_denied")
    oauth.audit.write_waiting()
    raw = oauth.request("GET", EVENTS)
    seen = [
        (
            one["user_identity"]["user_name"],
            one["action_name"],
            one["response"]["status_code"],
            one["outcome"],
            one["object"],
        )
        for one in reversed(raw.body["events"])
        if one["event_id"] not in before
    ]
    assert sorted(seen) == sorted(
        [
            (robot.client_id, "token", 200, "DONE", robot.client_id),
            ("", "token", 401, "REFUSED", robot.client_id),
            ("ada", "log_in", 303, "DONE", ""),
            ("", "log_in", 400, "FAILED", ""),
            ("ada", "let_program_in", 303, "DONE", "databricks-cli"),
            ("ada", "token", 200, "DONE", "databricks-cli"),
            ("ada", "log_out", 200, "DONE", ""),
            ("", "log_out", 403, "REFUSED", ""),
            ("", "log_in_at_provider", 403, "REFUSED", ""),
        ]
    )
    for shown in (robot.secret, "wrong-secret", TOKEN, "wrong-token", code, refresh, session.partition("=")[2]):
        assert shown.encode() not in raw.raw
