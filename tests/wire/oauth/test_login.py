"""People log in at a real provider, on a house of two servers: who they are here, their groups, what their session is good for."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
import requests
from tests.scenario.house import House
from tests.wire.oauth.conftest import CLIENT_SECRET, Provider

from headgate import settings as settings_module

pytestmark = pytest.mark.wire
SCIM = "/api/2.0/preview/scim/v2"


class Browser:
    """Follows redirects one by one and keeps cookies, as a person's does."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.session = requests.Session()
        self.session.trust_env = False

    def get(self, path: str) -> requests.Response:
        url = urljoin(self.house.url, path)
        headers = {"Accept": "text/html"}
        return self.session.get(url, headers=headers, allow_redirects=False, timeout=30)

    def post(self, path: str, origin: str, **form: str) -> requests.Response:
        headers = {"Accept": "text/html", "Origin": origin}
        url = urljoin(self.house.url, path)
        return self.session.post(url, data=form, headers=headers, allow_redirects=False, timeout=30)

    def to_provider(self, return_to: str = "/login") -> str:
        """The URL of the provider that `/login` leads to."""
        answer = self.get(f"/login?return_to={return_to}")
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    def answered(self, url: str, subject: str) -> str:
        """Where the provider sends somebody back to."""
        done = self.session.post(url, data={"sub": subject}, allow_redirects=False, timeout=30)
        assert done.status_code in (302, 303), done.text
        return str(done.headers["location"])

    def log_in(self, subject: str, return_to: str = "/login") -> requests.Response:
        return self.get(self.answered(self.to_provider(return_to), subject))


def person(house: House, name: str) -> Any:
    """As SCIM shows them."""
    found = house.request("GET", f'{SCIM}/Users?filter=userName+eq+"{name}"').json["Resources"]
    assert len(found) == 1, found
    return found[0]


def groups(house: House, name: str) -> set[str]:
    return {group["display"] for group in person(house, name).get("groups", ())}


def test_a_first_login_makes_a_user_and_later_ones_find_it(house: House, provider: Provider) -> None:
    provider.account(
        "kim", email="kim@example.com", name="Kim Lee", given_name="Kim", groups=["engineering", "unknown"]
    )
    browser = Browser(house)
    answer = browser.log_in("kim", "/mlflow/")
    assert answer.status_code == 303 and answer.headers["location"] == "/mlflow/", answer.text
    kim = person(house, "kim@example.com")
    assert kim["displayName"] == "Kim Lee" and groups(house, "kim@example.com") >= {"engineers"}
    assert "headgate_login" not in browser.session.cookies
    for _ in range(6):  # whichever server answers
        assert "Kim Lee" in browser.get("/login").text
    provider.account("kim", email="kim.new@example.com", name="Kim", groups=[])
    assert Browser(house).log_in("kim").status_code == 303
    assert person(house, "kim@example.com")["id"] == kim["id"], "the same account is the same user under any name"
    assert "engineers" not in groups(house, "kim@example.com")


def test_the_providers_bosses_are_administrators_as_long_as_they_are(house: House, provider: Provider) -> None:
    provider.account("bo", email="bo@example.com", groups=["bosses"])
    Browser(house).log_in("bo")
    assert "admins" in groups(house, "bo@example.com")
    provider.account("bo", email="bo@example.com", groups=["admins"])
    Browser(house).log_in("bo")
    assert "admins" not in groups(house, "bo@example.com"), "a group of that name gives nothing"


def test_groups_that_were_given_here_stay(house: House, provider: Provider) -> None:
    provider.account("lu", email="lu@example.com", groups=["engineering"])
    Browser(house).log_in("lu")
    lu = person(house, "lu@example.com")
    made = house.request("POST", f"{SCIM}/Groups", {"displayName": "local", "members": [{"value": lu["id"]}]})
    assert made.status == 201, made
    provider.account("lu", email="lu@example.com", groups=[])
    Browser(house).log_in("lu")
    assert groups(house, "lu@example.com") & {"local", "engineers"} == {"local"}


@pytest.mark.parametrize(
    ("claims", "told"),
    [({"name": "No Mail"}, "did not tell your"), ({"email": "v@example.com", "email_verified": False}, "not verified"),
     ({"email": "kim@example.com"}, "belongs to another account"), ({"email": " \x00 "}, "cannot be a user"),
     ({"email": "x" * 300}, "cannot be a user")],
)  # fmt: skip
def test_who_cannot_be_known_is_told_why(house: House, provider: Provider, claims: dict[str, Any], told: str) -> None:
    provider.account("kim", email="kim@example.com")
    Browser(house).log_in("kim")
    provider.account("nobody", **claims)
    answer = Browser(house).log_in("nobody")
    assert answer.status_code == 403 and told in answer.text, answer.text
    assert "set-cookie" not in answer.headers


def test_who_is_deactivated_here_stays_out(house: House, provider: Provider) -> None:
    provider.account("pat", email="pat@example.com")
    browser = Browser(house)
    browser.log_in("pat")
    off = {"Operations": [{"op": "replace", "path": "active", "value": False}]}
    assert house.request("PATCH", f"{SCIM}/Users/{person(house, 'pat@example.com')['id']}", off).status == 200
    assert browser.get("/login").status_code == 303, "the session is over at once"
    assert "deactivated" in Browser(house).log_in("pat").text


def test_an_answer_belongs_to_the_browser_and_the_login_it_was_asked_for(house: House, provider: Provider) -> None:
    provider.account("sam", email="sam@example.com")
    mine, theirs = Browser(house), Browser(house)
    back = mine.answered(mine.to_provider(), "sam")
    assert "has not begun a login" in theirs.get(back).text
    other = theirs.to_provider()
    assert other and "another login" in theirs.get(back).text
    state = parse_qs(urlsplit(back).query)["state"][0]
    assert "400" in mine.get(f"/login/callback?state={state}&code=wrong").text
    assert mine.get(back).status_code == 303
    again = mine.get(back)
    assert again.status_code == 403, "neither the cookie nor the code is good twice"
    denied = mine.get("/login/callback?error=access_denied&error_description=%3Cscript%3E")
    assert denied.status_code == 403 and "<script>" not in denied.text and "access_denied" in denied.text


def test_a_token_logs_nobody_in_where_there_is_a_provider(house: House) -> None:
    browser = Browser(house)
    answer = browser.post("/login", house.url, token="scenario-token", return_to="/login")
    assert "set-cookie" not in answer.headers and answer.status_code in (400, 403)


def test_a_session_opens_pages_and_ends_on_both_servers(house: House, provider: Provider) -> None:
    provider.account("tom", email="tom@example.com")
    browser = Browser(house)
    browser.log_in("tom")
    kept = browser.session.cookies["headgate_session"]
    assert browser.post("/logout", "http://evil.example").status_code == 403
    assert browser.post("/logout", house.url).status_code == 200
    old = Browser(house)
    old.session.cookies.set("headgate_session", kept)
    seen = {old.get("/login").status_code for _ in range(10)}
    assert seen == {303}, "a cookie that was kept is good nowhere"


def test_mlflows_pages_open_to_who_is_logged_in(house: House, provider: Provider) -> None:
    provider.account("uma", email="uma@example.com")
    browser = Browser(house)
    assert browser.get("/mlflow/").headers["location"].startswith("/login?return_to=")
    browser.log_in("uma", "/mlflow/")
    page = browser.get("/mlflow/")
    assert page.status_code == 200 and "text/html" in page.headers["content-type"], page.text
    search = browser.session.post(
        house.url + "/mlflow/ajax-api/2.0/mlflow/experiments/search",
        json={"max_results": 1},
        headers={"Origin": "http://evil.example"},
        timeout=60,
    )
    assert search.status_code == 403, "another site's page cannot use the login"


def test_the_providers_secret_lies_nowhere_in_the_open(house: House) -> None:
    """What the house wrote, and what its processes were started with."""
    sockets = settings_module.load({"data_dir": house.data_dir}, environ={}).sockets
    for folder in (house.data_dir, sockets):
        for file in folder.rglob("*"):
            if file.is_file():
                assert CLIENT_SECRET.encode() not in file.read_bytes(), file
    assert CLIENT_SECRET not in house.log.read_text()
    for role in ("server", "control", "agent"):
        for pid in house.pids(role):
            with open(f"/proc/{pid}/environ", "rb") as environ:
                assert CLIENT_SECRET.encode() not in environ.read()
