"""Signing keys as a server holds them in memory: which one signs now, which ones verify, and how one takes over from another.

Pure but for the making of a key. `trust` reads and writes them; `tokens` uses them.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

ALGORITHM = "ES256"
"""The only one: docs/decisions/0084."""

_COORDINATE_BYTES = 32


@dataclass(frozen=True, slots=True)
class Key:
    """One key pair. Times are milliseconds since the epoch."""

    id: str
    """RFC 7638 thumbprint of the public key: names it, and could not be another's."""
    public: ec.EllipticCurvePublicKey
    private: ec.EllipticCurvePrivateKey | None = field(repr=False)
    """None when it could not be opened: its tokens are still good, it signs no more."""
    signs_from_ms: int
    expires_at_ms: int | None = None
    """When no token it signed can be valid any more."""


@dataclass(frozen=True, slots=True)
class KeySet:
    """All keys, oldest first. Immutable: swapped whole."""

    keys: tuple[Key, ...] = ()
    revoked: frozenset[str] = frozenset()
    """Ids of tokens that are refused before their time."""
    revision: int = -1

    def signing(self, now_ms: int) -> Key | None:
        """The newest that may sign by now."""
        usable = [key for key in self.keys if key.private is not None]
        ready = [key for key in usable if key.signs_from_ms <= now_ms]
        return ready[-1] if ready else None

    def verifying(self, key_id: str, now_ms: int) -> Key | None:
        """The key of that id, unless its time is over."""
        for key in self.keys:
            if key.id == key_id:
                return key if key.expires_at_ms is None or now_ms < key.expires_at_ms else None
        return None

    def jwks(self, now_ms: int) -> dict[str, list[dict[str, str]]]:
        """The public keys as RFC 7517 says."""
        alive = [key for key in self.keys if self.verifying(key.id, now_ms) is not None]
        return {"keys": [{**jwk(key.public), "kid": key.id, "use": "sig", "alg": ALGORITHM} for key in alive]}


def new_private_key() -> ec.EllipticCurvePrivateKey:
    """A fresh one, from the operating system's randomness."""
    return ec.generate_private_key(ec.SECP256R1())


def key_id(public: ec.EllipticCurvePublicKey) -> str:
    """The thumbprint of RFC 7638."""
    members = ",".join(f'"{name}":"{value}"' for name, value in sorted(jwk(public).items()))
    return _base64(hashlib.sha256(f"{{{members}}}".encode()).digest())


def jwk(public: ec.EllipticCurvePublicKey) -> Mapping[str, str]:
    """The required members of its JWK."""
    numbers = public.public_numbers()
    x, y = (_base64(number.to_bytes(_COORDINATE_BYTES, "big")) for number in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def private_bytes(private: ec.EllipticCurvePrivateKey) -> bytes:
    """What is sealed: PKCS 8, PEM."""
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def read_private(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """Inverse of `private_bytes`."""
    found = serialization.load_pem_private_key(pem, password=None)
    assert isinstance(found, ec.EllipticCurvePrivateKey)
    return found


def public_text(public: ec.EllipticCurvePublicKey) -> str:
    """PEM."""
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def read_public(pem: str) -> ec.EllipticCurvePublicKey:
    """Inverse of `public_text`."""
    found = serialization.load_pem_public_key(pem.encode())
    assert isinstance(found, ec.EllipticCurvePublicKey)
    return found


def newest_signs_from_ms(keys: Iterable[Key]) -> int | None:
    """When the newest usable key began, or will begin, to sign; None: there is none."""
    return max((key.signs_from_ms for key in keys if key.private is not None), default=None)


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
