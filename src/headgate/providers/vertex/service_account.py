"""A service account's key made into the request for a short-lived token (OAuth's JWT bearer grant), as data.

Asked by the vendor; who sends it and keeps the token is the gateway. The key's own `token_uri` is not followed: whoever may write a config
could have this server post a signed assertion wherever they like.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import jwt
import orjson

from headgate.errors import InvalidParameterValue
from headgate.providers.port import BadAnswer, Credential, Outgoing

TOKEN_URI = "https://oauth2.googleapis.com/token"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
LIVES_S = 3600
"""As long as Google allows."""
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def token_request(key: str, now_s: float, token_uri: str = TOKEN_URI) -> Outgoing:
    """What to post for a token. `key`: the service account's key file, JSON. Raises InvalidParameterValue for another kind of key."""
    said = _key(key)
    claims = {
        "iss": said["client_email"],
        "sub": said["client_email"],
        "scope": SCOPE,
        "aud": token_uri,
        "iat": int(now_s),
        "exp": int(now_s) + LIVES_S,
    }
    headers = {"kid": said["private_key_id"]} if said.get("private_key_id") else {}
    try:
        assertion = jwt.encode(claims, said["private_key"], algorithm="RS256", headers=headers)
    except (jwt.PyJWTError, ValueError, TypeError):
        # Without the cause: it may quote the key.
        raise InvalidParameterValue(
            "private_key holds no RSA key that can be read: give the service account's whole key file."
        ) from None
    form = urlencode({"grant_type": GRANT, "assertion": assertion}).encode()
    return Outgoing("POST", token_uri, ((b"content-type", b"application/x-www-form-urlencoded"),), form)


def credential(body: bytes, now_s: float) -> Credential:
    """The token in Google's answer. Raises BadAnswer."""
    try:
        said = orjson.loads(body)
        token, lives_s = said["access_token"], float(said["expires_in"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        raise BadAnswer("Google answered without a token.") from None
    if not isinstance(token, str) or not token:
        raise BadAnswer("Google answered without a token.")
    return Credential(token, now_s + lives_s)


def _key(key: str) -> Mapping[str, Any]:
    try:
        said = orjson.loads(key)
    except orjson.JSONDecodeError:
        said = None
    if not isinstance(said, dict) or not all(
        isinstance(said.get(name), str) for name in ("client_email", "private_key")
    ):
        raise InvalidParameterValue(
            "private_key must be a service account's key file: JSON with client_email and private_key."
        )
    universe = said.get("universe_domain", "googleapis.com")
    if universe != "googleapis.com":
        raise InvalidParameterValue(f"private_key is of the universe {universe!r}: only googleapis.com is supported.")
    return said
