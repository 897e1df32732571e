"""Keeps secrets encrypted at rest: AES-256-GCM under keys that lie outside the database. Built by `app.py`, handed to whoever
stores something secret. Never logs or shows a key or what was sealed.

A sealed text says which key it was sealed with, so that several can be in use while `key_rotation` replaces one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from headgate.settings import Settings
from headgate.store import leases
from headgate.store.database import Database

TOPIC = "sealing"
"""Sealed texts are made and stored within one `database.write(TOPIC)`: a rotation then misses none."""
PREFIX_CHARACTERS = 12
"""Of a sealed text: the format and the key's id, `s1.<8 hex digits>.`."""
KEY_BYTES = 32
KEY_FILE = "secret-key"
"""In data_dir."""

_FORMAT = "s1"
_NONCE_BYTES = 12
_SEALED = re.compile(r"s1\.([0-9a-f]{8})\.([A-Za-z0-9_-]+={0,2})")


class SealBroken(Exception):
    """A sealed text cannot be opened: its key is not here, it was changed, or it belongs elsewhere."""


class UnusableKey(Exception):
    """A key, or the lack of one, stands in the way of starting. The message says what to do and holds no part of a key."""


class Keyring:
    """The keys in use: those given (environment), then those of a file, which is read again whenever it changes."""

    def __init__(self, given: Sequence[bytes], file: Path | None = None) -> None:
        self._given = tuple(given)
        self._file = file
        self._seen: tuple[int, int, int] | None = None
        self._ever: dict[str, bytes] = {key_id(key): key for key in given}
        self._keys: tuple[bytes, ...] = self._given
        if not self.in_order():
            raise UnusableKey(f"there is no key for secrets: neither HEADGATE_SECRET_KEY nor {file}")

    def in_order(self) -> tuple[bytes, ...]:
        """All of them; the first seals, every one opens. Raises UnusableKey for a file that holds something else."""
        if self._file is None:
            return self._given
        try:
            told = self._file.stat()
        except FileNotFoundError:
            return self._keys  # a running server goes on with what it knows
        seen = (told.st_ino, told.st_mtime_ns, told.st_size)
        if seen != self._seen:
            self._keys = tuple(dict.fromkeys((*self._given, *read_keys(self._file.read_text(), str(self._file)))))
            self._seen = seen
            self._ever = {**self._ever, **{key_id(key): key for key in self._keys}}
        return self._keys

    def by_id(self) -> dict[str, bytes]:
        """Key id -> key; also of those that have left the file since: what was read from the store just before still opens."""
        self.in_order()
        return self._ever


class Sealer:
    """Seals and opens. Thread-safe."""

    def __init__(self, keyring: Keyring) -> None:
        self.keyring = keyring

    def seal(self, secret: bytes, context: str) -> str:
        """Sealed text, to be stored within `database.write(TOPIC)`. It opens with the same `context` only: where it belongs."""
        key = self.keyring.in_order()[0]
        prefix = f"{_FORMAT}.{key_id(key)}."
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = AESGCM(key).encrypt(nonce, secret, (prefix + context).encode())
        return prefix + base64.urlsafe_b64encode(nonce + sealed).decode()

    def open(self, sealed: str, context: str) -> bytes:
        """What was sealed. Raises SealBroken."""
        matched = _SEALED.fullmatch(sealed)
        if matched is None:
            raise SealBroken(f"{context} is not sealed, or was cut off")
        key = self.keyring.by_id().get(matched[1])
        if key is None:
            raise SealBroken(f"{context} is sealed with the key {matched[1]}, which is not here")
        try:
            raw = base64.urlsafe_b64decode(matched[2])
            nonce, text = raw[:_NONCE_BYTES], raw[_NONCE_BYTES:]
            return AESGCM(key).decrypt(nonce, text, (sealed[:PREFIX_CHARACTERS] + context).encode())
        except (InvalidTag, binascii.Error, ValueError) as error:
            raise SealBroken(f"{context} was changed, or belongs elsewhere: it does not open") from error


def key_id(key: bytes) -> str:
    """Names a key without telling anything about it: 8 hex digits."""
    return hashlib.sha256(b"headgate key id\0" + key).hexdigest()[:8]


def key_id_of(sealed: str) -> str | None:
    """Of the key a text was sealed with; None: it is not sealed."""
    matched = _SEALED.match(sealed)
    return None if matched is None else matched[1]


def read_keys(text: str, where: str) -> list[bytes]:
    """Keys out of a text, separated by commas or white space: 32 bytes each, hex or base64. Raises UnusableKey."""
    found = [_read_key(word) for word in re.split(r"[\s,]+", text.strip()) if word]
    keys = [key for key in found if key is not None]
    if not keys or len(keys) != len(found):
        raise UnusableKey(
            f"{where} holds no usable key: give {KEY_BYTES} random bytes as base64 or hex, e.g. from `openssl rand -base64 32`; "
            "several are separated by commas, the first one seals."
        )
    return keys


def _read_key(word: str) -> bytes | None:
    if re.fullmatch(r"[0-9A-Fa-f]{64}", word):
        return bytes.fromhex(word)
    try:
        key = base64.b64decode(word.replace("-", "+").replace("_", "/") + "=" * (-len(word) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) == KEY_BYTES else None


def open_sealer(settings: Settings) -> Sealer:
    """With the keys of this installation, which `secret_key.ensure` has made and checked. Raises UnusableKey."""
    return Sealer(Keyring(given_keys(settings), settings.data_dir / KEY_FILE))


def given_keys(settings: Settings) -> list[bytes]:
    """Those of the settings (`HEADGATE_SECRET_KEY`). Raises UnusableKey."""
    return read_keys(settings.secret_key, "HEADGATE_SECRET_KEY") if settings.secret_key.strip() else []


def sealed_fact(database: Database, sealer: Sealer, name: str, make: Callable[[], str]) -> str:
    """A single secret value of this installation: opened; made when there is none; sealed when an older version left it open."""
    context = f"fact:{name}"

    def settle(found: str | None) -> str:
        if found is not None and key_id_of(found) is not None:
            return found
        return sealer.seal((make() if found is None else found).encode(), context)

    found = leases.fact(database, name)
    if found is None or key_id_of(found) is None:
        found = leases.settle_fact(database, name, settle, TOPIC)
    return sealer.open(found, context).decode()
