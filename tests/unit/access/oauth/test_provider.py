"""A login provider on a port of its own that answers as it is told: whatever it gets wrong, nobody is let in, and the person is told why."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from tests.unit.access.oauth.conftest import HandClock

from headgate.access.oauth.provider import Attempt, LoginFailed, Provider
from headgate.settings import LoginSettings

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
ATTEMPT = Attempt("state", "nonce", "verifier", "http://headgate.test/login/callback")
WANTED = frozenset(("email",))


class Fake:
    """What it says, to be changed by a test; and what it was asked."""

    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self.asked: list[tuple[str, dict[str, Any], str | None]] = []
        self.pages: dict[str, Any] = {}
        self.status = 200
        self.url = ""

    def reset(self) -> None:
        self.asked.clear()
        self.status = 200
        keys = [jwk(RSA.public_key(), "rsa"), jwk(EC.public_key(), "ec")]
        self.pages = {
            "/.well-known/openid-configuration": {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/jwks",
                "userinfo_endpoint": f"{self.url}/userinfo",
            },
            "/jwks": {"keys": keys},
            "/userinfo": {"sub": "sub", "email": "from@userinfo"},
        }
        self.say()

    def say(self, key: Any = RSA, algorithm: str = "RS256", kid: str | None = "rsa", **changes: Any) -> None:
        """The ID token that the next code brings."""
        now = self.clock.now_ms() // 1000
        claims = {
            "iss": self.url, "aud": "headgate", "sub": "sub", "exp": now + 300, "iat": now, "nonce": "nonce",
            "email": "ada@headgate.test", **changes,
        }  # fmt: skip
        kept = {name: value for name, value in claims.items() if value is not None}
        headers = {} if kid is None else {"kid": kid}
        self.pages["/token"] = {"access_token": "at", "id_token": jwt.encode(kept, key, algorithm, headers=headers)}


def jwk(public: Any, kid: str) -> dict[str, Any]:
    algorithm: Any = jwt.algorithms.RSAAlgorithm if kid == "rsa" else jwt.algorithms.ECAlgorithm
    return {**json.loads(algorithm.to_jwk(public)), "kid": kid}


@pytest.fixture(scope="module")
def serving() -> Iterator[Fake]:
    fake = Fake(HandClock())

    class Answering(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
            path = self.path.partition("?")[0]
            fake.asked.append((path, parse_qs(body), self.headers.get("authorization")))
            page = fake.pages.get(path)
            raw = page if isinstance(page, bytes) else json.dumps(page).encode()
            self.send_response(fake.status if path == "/token" else 200 if page is not None else 404)
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = answer

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield fake
    server.shutdown()
    server.server_close()
    thread.join(10)


@pytest.fixture
def fake(serving: Fake, clock: HandClock) -> Fake:
    serving.clock = clock
    serving.reset()
    return serving


def provider(fake: Fake, secret: str = "s&cret", **changes: Any) -> Provider:
    settings = LoginSettings(issuer=fake.url, client_id="headgate", **changes)
    return Provider(settings, secret, fake.clock)


def failed(fake: Fake, asked: Provider | None = None) -> str:
    with pytest.raises(LoginFailed) as caught:
        (asked or provider(fake)).claims(ATTEMPT, "code", WANTED)
    return str(caught.value)


def test_a_code_brings_claims(fake: Fake) -> None:
    asked = provider(fake)
    url = asked.authorization_url(ATTEMPT, "challenge")
    assert url.startswith(f"{fake.url}/authorize?") and "code_challenge=challenge" in url and "nonce=nonce" in url
    assert asked.claims(ATTEMPT, "code", WANTED)["email"] == "ada@headgate.test"
    _, form, authorization = next(one for one in fake.asked if one[0] == "/token")
    assert (form["code"], form["code_verifier"], form["redirect_uri"]) == (
        ["code"],
        ["verifier"],
        [ATTEMPT.redirect_uri],
    )
    assert authorization is not None and authorization.startswith("Basic ") and "client_secret" not in form


def test_the_secret_goes_as_the_provider_wants_it(fake: Fake) -> None:
    fake.pages["/.well-known/openid-configuration"]["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    provider(fake).claims(ATTEMPT, "code", WANTED)
    assert fake.asked[-2][1]["client_secret"] == ["s&cret"] or fake.asked[-1][1].get("client_secret") == ["s&cret"]
    fake.asked.clear()
    provider(fake, secret="").claims(ATTEMPT, "code", WANTED)
    form = next(one for one in fake.asked if one[0] == "/token")
    assert form[1]["client_id"] == ["headgate"] and form[2] is None


@pytest.mark.parametrize(
    ("key", "algorithm", "kid"), [(RSA, "RS256", "rsa"), (RSA, "PS256", "rsa"), (EC, "ES256", "ec")]
)
def test_asymmetric_signatures_are_verified(fake: Fake, key: Any, algorithm: str, kid: str) -> None:
    fake.say(key, algorithm, kid)
    assert provider(fake).claims(ATTEMPT, "code", WANTED)["sub"] == "sub"


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"iss": "http://elsewhere"}, "issuer"), ({"aud": "other"}, "udience"), ({"aud": ["headgate", "other"]}, "another client"),
     ({"aud": ["headgate", "other"], "azp": "other"}, "another client"), ({"azp": "other"}, "another client"),
     ({"nonce": "other"}, "another login"), ({"nonce": None}, "another login"), ({"sub": None}, "sub"), ({"exp": None}, "exp"),
     ({"iat": None}, "iat")],
)  # fmt: skip
def test_an_id_token_for_something_else_is_refused(fake: Fake, changes: dict[str, Any], told: str) -> None:
    fake.say(**changes)
    assert told in failed(fake)


def test_clocks_may_differ_by_a_minute(fake: Fake, clock: HandClock) -> None:
    now = clock.now_ms() // 1000
    for changes in ({"exp": now - 59}, {"iat": now + 59}, {"nbf": now + 59}):
        fake.say(**changes)
        provider(fake).claims(ATTEMPT, "code", WANTED)
    for changes in ({"exp": now - 60}, {"iat": now + 61}, {"nbf": now + 61}, {"exp": "soon"}):
        fake.say(**changes)
        assert "cannot be trusted" in failed(fake)


def test_forged_id_tokens_are_refused(fake: Fake) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    for key, algorithm, kid in (
        (other, "RS256", "rsa"),
        ("s&cret" * 8, "HS256", "rsa"),
        (None, "none", "rsa"),
        (other, "RS256", "x"),
    ):
        fake.say(key, algorithm, kid)
        assert "cannot be trusted" in failed(fake)
    head, body, _ = fake.pages["/token"]["id_token"].split(".")
    for token in (f"{head}.{body}.", f"{head}.{body}", "", "x" * 100):
        fake.pages["/token"]["id_token"] = token
        assert "cannot be trusted" in failed(fake)


def test_without_a_key_id_the_only_key_is_meant(fake: Fake) -> None:
    fake.say(kid=None)
    assert "cannot be trusted" in failed(fake)
    fake.pages["/jwks"] = {"keys": [jwk(RSA.public_key(), "rsa"), {"kty": "oct", "k": "AAAA"}, "rubbish"]}
    assert provider(fake).claims(ATTEMPT, "code", WANTED)


def test_new_keys_are_looked_up_but_not_for_every_rubbish(fake: Fake, clock: HandClock) -> None:
    asked = provider(fake)
    fake.pages["/jwks"] = {"keys": []}
    assert "does not publish" in failed(fake, asked)
    fake.pages["/jwks"] = {"keys": [jwk(RSA.public_key(), "rsa")]}
    looks = sum(one[0] == "/jwks" for one in fake.asked)
    failed(fake, asked)
    assert sum(one[0] == "/jwks" for one in fake.asked) == looks, "not twice within seconds"
    clock.pass_s(6)
    fake.say()
    assert asked.claims(ATTEMPT, "code", WANTED)


def test_what_the_id_token_lacks_is_asked_of_userinfo_about_the_same_person(fake: Fake) -> None:
    fake.say(email=None)
    assert provider(fake).claims(ATTEMPT, "code", WANTED)["email"] == "from@userinfo"
    assert fake.asked[-1][2] == "Bearer at"
    fake.pages["/userinfo"]["sub"] = "other"
    assert "somebody else" in failed(fake)


def test_a_provider_under_another_name_is_not_believed(fake: Fake) -> None:
    fake.pages["/.well-known/openid-configuration"]["issuer"] = "http://other"
    assert "calls itself" in failed(fake)


@pytest.mark.parametrize("page", [b"not json", b"[]", b"x" * (1024 * 1024 + 2), None])
@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/token", "/jwks"])
def test_answers_that_make_no_sense_are_told_as_such(fake: Fake, path: str, page: Any) -> None:
    fake.pages[path] = page
    assert "login provider" in failed(fake)


def test_a_refusal_is_passed_on_and_no_secret_with_it(fake: Fake) -> None:
    fake.status, fake.pages["/token"] = 400, {"error": "invalid_grant", "error_description": "used before"}
    told = failed(fake)
    assert "invalid_grant: used before" in told and "s&cret" not in told


def test_a_provider_that_is_away_or_hangs_is_not_waited_for_long(fake: Fake) -> None:
    gone = dataclasses.replace(LoginSettings(), issuer="http://127.0.0.1:9", client_id="headgate", timeout_s=0.2)
    assert "cannot be reached" in failed(fake, Provider(gone, "", fake.clock))


def test_only_so_many_people_wait_for_it_at_once(fake: Fake) -> None:
    asked = provider(fake)
    for _ in range(8):
        assert asked._free.acquire(blocking=False)
    assert "Too many people" in failed(fake, asked)
    asked._free.release()
    assert asked.claims(ATTEMPT, "code", WANTED)
