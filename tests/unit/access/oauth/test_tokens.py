"""A token is good for who it says, until it says, when one of our keys signed exactly that."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from tests.unit.access.oauth.conftest import HandClock

from headgate import errors
from headgate.access.oauth import keys as signing
from headgate.access.oauth.keys import Key, KeySet
from headgate.access.oauth.tokens import SESSION_TYPE, Tokens, Wish
from headgate.access.principals import OAUTH, SESSION

ISSUER = "https://headgate.test/oidc"
WISH = Wish("42", ISSUER, 3600.0, more={"scope": "all-apis"})


def new_key(signs_from_ms: int = 0) -> Key:
    private = signing.new_private_key()
    return Key(signing.key_id(private.public_key()), private.public_key(), private, signs_from_ms)


KEY = new_key()


def tokens(clock: HandClock, *keys: Key, **more: Any) -> Tokens:
    known = KeySet(keys or (KEY,), more.pop("revoked", frozenset()))
    return Tokens(lambda: known, more.pop("audience", "workspace"), clock, more.pop("issuer", ISSUER))


def encoded(part: Any) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def refused(verifier: Tokens, token: str) -> str:
    with pytest.raises(errors.Unauthenticated) as caught:
        verifier.verify(token)
    assert token not in caught.value.message
    return caught.value.message


def test_a_token_says_who_it_is_for_and_until_when(clock: HandClock) -> None:
    ours = tokens(clock)
    verified = ours.verify(ours.issue(dataclasses.replace(WISH, endpoint_id="e" * 32)))
    assert verified is not None
    assert (verified.subject_id, verified.credential, verified.endpoint_id) == ("42", OAUTH, "e" * 32)
    assert verified.expires_at_s == clock.now_ms() // 1000 + 3600


def test_what_is_no_jwt_is_left_to_others(clock: HandClock) -> None:
    assert [tokens(clock).verify(token) for token in ("hgt_abc", "", "a.b.c", "eyJ.x")] == [None] * 4


def test_it_is_good_up_to_its_last_second_and_no_longer(clock: HandClock) -> None:
    ours = tokens(clock)
    token = ours.issue(WISH)
    clock.pass_s(3599.9)
    assert ours.verify(token) is not None
    clock.pass_s(0.1)
    assert "expired" in refused(ours, token)


def test_every_changed_bit_of_what_it_says_is_noticed(clock: HandClock) -> None:
    ours = tokens(clock)
    head, body, signature = ours.issue(WISH).split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    for change in ({"sub": "1"}, {"exp": claims["exp"] + 1}, {"endpoint_id": "f" * 32}, {"aud": "other"}):
        refused(ours, f"{head}.{encoded({**claims, **change})}.{signature}")
    turned = base64.urlsafe_b64decode(signature + "==")
    refused(ours, f"{head}.{body}.{encoded(bytes([turned[0] ^ 1, *turned[1:]]))}")
    refused(ours, f"{head}.{body}.")


def test_no_other_algorithm_is_believed(clock: HandClock) -> None:
    ours = tokens(clock)
    head, body, _ = ours.issue(WISH).split(".")
    kept = json.loads(base64.urlsafe_b64decode(head + "=="))
    unsigned = f"{encoded({**kept, 'alg': 'none'})}.{body}"
    refused(ours, f"{unsigned}.")
    # The public key, which everybody has, as a shared secret.
    public = signing.public_text(KEY.public).encode()
    confused = f"{encoded({**kept, 'alg': 'HS256'})}.{body}"
    refused(ours, f"{confused}.{encoded(hmac.digest(public, confused.encode(), hashlib.sha256))}")


def test_a_token_of_another_key_issuer_installation_or_kind_is_refused(clock: HandClock) -> None:
    ours = tokens(clock)
    foreign = new_key()
    disguised = dataclasses.replace(foreign, id=KEY.id)
    for other in (
        tokens(clock, foreign).issue(WISH),
        tokens(clock, disguised).issue(WISH),
        tokens(clock, audience="another workspace").issue(WISH),
        ours.issue(dataclasses.replace(WISH, issuer="https://elsewhere.test/oidc")),
        ours.issue(dataclasses.replace(WISH, kind=SESSION_TYPE)),
    ):
        refused(ours, other)
    with pytest.raises(errors.Unauthenticated):
        ours.verify_session(ours.issue(WISH))
    session = ours.verify_session(ours.issue(dataclasses.replace(WISH, kind=SESSION_TYPE)))
    assert (session.subject_id, session.credential) == ("42", SESSION)


def test_an_installation_without_an_address_of_its_own_goes_by_its_name_alone(clock: HandClock) -> None:
    ours = tokens(clock, issuer="")
    assert ours.verify(ours.issue(WISH)) and ours.verify(ours.issue(dataclasses.replace(WISH, issuer="http://b/oidc")))


def test_a_revoked_or_endless_token_is_refused(clock: HandClock) -> None:
    ours = tokens(clock)
    token = ours.issue(WISH)
    claims = ours.claims(token, "at+jwt")
    assert "revoked" in refused(tokens(clock, revoked=frozenset({claims["jti"]})), token)
    header = {"kid": KEY.id, "typ": "at+jwt"}
    for missing in ("exp", "sub", "aud", "iss", "jti"):
        kept = {name: value for name, value in claims.items() if name != missing}
        assert KEY.private is not None
        refused(ours, jwt.encode(kept, KEY.private, signing.ALGORITHM, headers=header))


def test_rubbish_is_refused_quickly_and_never_breaks_anything(clock: HandClock) -> None:
    ours = tokens(clock)
    for rubbish in (
        "eyJ..",
        "eyJ.é.x",
        f"eyJ{'A' * 9000}.b.c",
        "eyJhbGciOiJFUzI1NiJ9.e30.AAAA",
        "eyJhbGciOiJub25lIn0.e30.",
    ):
        refused(ours, rubbish)


def test_without_a_key_no_token_is_made(clock: HandClock) -> None:
    with pytest.raises(errors.TemporarilyUnavailable):
        Tokens(KeySet, "workspace", clock).issue(WISH)


def test_a_key_is_named_by_its_thumbprint_and_shown_without_what_is_private() -> None:
    shown = KeySet((KEY,)).jwks(0)["keys"][0]
    assert set(shown) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    members = {name: shown[name] for name in ("crv", "kty", "x", "y")}
    digest = hashlib.sha256(json.dumps(members, separators=(",", ":"), sort_keys=True).encode()).digest()
    assert shown["kid"] == encoded(digest)
    read = jwt.PyJWK(shown).key
    form = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert read.public_bytes(*form) == KEY.public.public_bytes(*form)
