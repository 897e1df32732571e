"""The client's side of an external OpenID Connect provider: discovery, where to send a browser, and what a code it brings back says.

Blocking, for handlers in threads; every answer is bounded in time and size. Nothing of a token is logged.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import jwt
import requests
import urllib3

from headgate.clock import Clock
from headgate.settings import LoginSettings

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Asymmetric ones only."""

_MOST_BYTES = 1024 * 1024
_DISCOVERY_LIFE_S = 3600.0
_KEYS_LIFE_S = 300.0
_AT_ONCE = 8
"""Logins that wait for the provider at a time: threads that hang there answer nobody else."""
_BETWEEN_KEY_LOOKS_S = 5.0
"""An unknown key id makes us look again, but not more often."""


class LoginFailed(Exception):
    """Nobody can be let in; the message, which the person reads, says why and what to do. Holds no secret."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One login on its way: what was sent along, to be recognised when the browser comes back."""

    state: str
    nonce: str
    verifier: str
    redirect_uri: str


class Provider:
    """Thread-safe. Nothing is asked before the first login."""

    def __init__(self, settings: LoginSettings, client_secret: str, clock: Clock) -> None:
        self._settings = settings
        self._client_secret = client_secret
        self._clock = clock
        self._lock = threading.Lock()
        self._free = threading.BoundedSemaphore(_AT_ONCE)
        self._metadata: tuple[float, Mapping[str, Any]] | None = None
        self._keys: tuple[float, Mapping[str, jwt.PyJWK]] | None = None

    def authorization_url(self, attempt: Attempt, challenge: str) -> str:
        """Where to send the browser. Raises LoginFailed."""
        with self._place():
            endpoint = self._endpoint("authorization_endpoint")
        parameters = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": attempt.redirect_uri,
            "scope": self._settings.scopes,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(parameters)}"

    def claims(self, attempt: Attempt, code: str, wanted: frozenset[str]) -> Mapping[str, Any]:
        """What the provider says about who brought this code: the ID token, and, when `wanted` are not all in it, userinfo. Raises LoginFailed."""
        with self._place():
            return self._claims(attempt, code, wanted)

    def _claims(self, attempt: Attempt, code: str, wanted: frozenset[str]) -> Mapping[str, Any]:
        answer = self._exchange(attempt, code)
        claims = self._verified(str(answer.get("id_token", "")), attempt)
        if wanted <= claims.keys() or "userinfo_endpoint" not in self._discovered():
            return claims
        bearer = {"Authorization": f"Bearer {answer.get('access_token', '')}"}
        more = self._asked("GET", self._endpoint("userinfo_endpoint"), headers=bearer)
        if more.get("sub") != claims["sub"]:
            raise LoginFailed("The login provider's userinfo is about somebody else than its ID token. Try again.")
        return {**more, **claims}

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        if not self._free.acquire(blocking=False):
            raise LoginFailed("Too many people are logging in at this moment. Try again in a moment.")
        try:
            yield
        finally:
            self._free.release()

    # -- the code --------------------------------------------------------------------------------------------------

    def _exchange(self, attempt: Attempt, code: str) -> Mapping[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": attempt.redirect_uri,
            "code_verifier": attempt.verifier,
        }
        methods = self._discovered().get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        client_id, secret = self._settings.client_id, self._client_secret
        if not secret:
            return self._asked("POST", self._endpoint("token_endpoint"), data={**form, "client_id": client_id})
        if "client_secret_basic" in methods:
            # RFC 6749 §2.3.1: both are form-encoded first.
            basic = (quote(client_id, safe=""), quote(secret, safe=""))
            return self._asked("POST", self._endpoint("token_endpoint"), data=form, auth=basic)
        form |= {"client_id": client_id, "client_secret": secret}
        return self._asked("POST", self._endpoint("token_endpoint"), data=form)

    def _verified(self, token: str, attempt: Attempt) -> Mapping[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
            claims: Mapping[str, Any] = jwt.decode(
                token,
                # The bare key: one that names no algorithm would be taken for RS256's only.
                self._key(header.get("kid")).key,
                algorithms=list(ALGORITHMS),
                audience=self._settings.client_id,
                issuer=self._settings.issuer,
                # By our clock, below.
                options={
                    "require": ["iss", "aud", "sub", "exp", "iat"],
                    "verify_exp": False, "verify_nbf": False, "verify_iat": False,
                },
            )  # fmt: skip
            self._check_times(claims)
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise LoginFailed(f"The login provider's ID token cannot be trusted: {error}.") from None
        audiences = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        if claims.get("azp", self._settings.client_id if len(audiences) == 1 else "") != self._settings.client_id:
            raise LoginFailed("The login provider's ID token was made for another client.")
        if not hmac.compare_digest(str(claims.get("nonce", "")), attempt.nonce):
            raise LoginFailed("The login provider's answer belongs to another login. Begin again at /login.")
        return claims

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        now_s, skew_s = self._clock.now_ms() / 1000.0, self._settings.clock_skew_s
        if now_s >= float(claims["exp"]) + skew_s:
            raise ValueError("it has expired; is a clock wrong?")
        if float(claims["iat"]) > now_s + skew_s or float(claims.get("nbf", 0)) > now_s + skew_s:
            raise ValueError("it is from the future; is a clock wrong?")

    # -- what the provider publishes ---------------------------------------------------------------------------------

    def _discovered(self) -> Mapping[str, Any]:
        with self._lock:
            now_s = self._clock.monotonic_s()
            if self._metadata is None or now_s - self._metadata[0] > _DISCOVERY_LIFE_S:
                url = f"{self._settings.issuer.rstrip('/')}/.well-known/openid-configuration"
                found = self._asked("GET", url)
                if found.get("issuer") != self._settings.issuer:
                    raise LoginFailed(
                        f"The login provider calls itself {str(found.get('issuer'))[:200]!r}, and login.issuer says {self._settings.issuer!r}. "
                        "They must be the same, to the last character."
                    )
                self._metadata = (now_s, found)
            return self._metadata[1]

    def _endpoint(self, name: str) -> str:
        url = self._discovered().get(name)
        if not isinstance(url, str) or urlsplit(url).scheme not in ("http", "https"):
            raise LoginFailed(f"The login provider does not say what its {name} is.")
        return url

    def _key(self, key_id: str | None) -> jwt.PyJWK:
        url = self._endpoint("jwks_uri")
        with self._lock:
            now_s = self._clock.monotonic_s()
            age_s = float("inf") if self._keys is None else now_s - self._keys[0]
            known = {} if self._keys is None else self._keys[1]
            if age_s > _KEYS_LIFE_S or (_named(known, key_id) is None and age_s > _BETWEEN_KEY_LOOKS_S):
                known = _read_keys(self._asked("GET", url))
                self._keys = (now_s, known)
        found = _named(known, key_id)
        if found is None:
            raise ValueError("it is signed with a key that the provider does not publish")
        return found

    def _asked(self, method: str, url: str, **more: Any) -> Mapping[str, Any]:
        """A JSON object. Raises LoginFailed."""
        try:
            with requests.request(
                method, url, timeout=self._settings.timeout_s, allow_redirects=False, stream=True, **more
            ) as answer:
                raw = self._read(answer)
                if answer.status_code != 200:
                    raise LoginFailed(
                        f"The login provider answered {answer.status_code} at {urlsplit(url).path}{_why(raw)}. Begin again at /login."
                    )
            return _object(raw)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise LoginFailed(
                f"The login provider at {urlsplit(url).netloc} cannot be reached ({type(error).__name__}). Try again in a moment."
            ) from None
        except ValueError:
            raise LoginFailed(
                f"The login provider's answer at {urlsplit(url).path} is too long or not a JSON object."
            ) from None

    def _read(self, answer: requests.Response) -> bytes:
        """Its body, up to a size and a time: the timeout is that of one read, and there may be many. Raises ValueError."""
        raw, end_s = b"", self._clock.monotonic_s() + self._settings.timeout_s
        while piece := answer.raw.read1(_MOST_BYTES, decode_content=True):
            raw += piece
            if len(raw) > _MOST_BYTES or self._clock.monotonic_s() > end_s:
                raise ValueError
        return raw


def _object(raw: bytes) -> Mapping[str, Any]:
    found = json.loads(raw)
    if not isinstance(found, dict):
        raise ValueError
    return found


def _why(raw: bytes) -> str:
    try:
        found = _object(raw)
    except ValueError:
        return ""
    told = [str(found[name])[:200] for name in ("error", "error_description") if isinstance(found.get(name), str)]
    return f" ({': '.join(told)})" if told else ""


def _read_keys(found: Mapping[str, Any]) -> Mapping[str, jwt.PyJWK]:
    keys: dict[str, jwt.PyJWK] = {}
    for number, one in enumerate(found.get("keys") or ()):
        if not isinstance(one, dict) or one.get("use", "sig") != "sig" or one.get("kty") not in ("RSA", "EC", "OKP"):
            continue
        try:
            keys[str(one.get("kid", f"#{number}"))] = jwt.PyJWK(one)
        except (jwt.PyJWTError, ValueError, TypeError):
            continue  # of a kind that we do not know
    return keys


def _named(known: Mapping[str, jwt.PyJWK], key_id: str | None) -> jwt.PyJWK | None:
    if key_id is not None:
        return known.get(key_id)
    return next(iter(known.values())) if len(known) == 1 else None
