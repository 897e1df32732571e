"""Puts a new key in place of the old one, while servers run. Called by `headgate secrets rotate-key`, on a machine that has the key.

Whatever kills it, every sealed text has its key: the new key is on disk before anything is sealed with it, the old one leaves only
once nothing is sealed with it any more. Running it again finishes what was begun.
"""

from __future__ import annotations

import fcntl
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from headgate.access import sealing, secret_key
from headgate.access.sealing import Keyring, SealBroken, Sealer, UnusableKey
from headgate.settings import Settings
from headgate.store import leases, sealed_columns
from headgate.store.database import Database


@dataclass(frozen=True, slots=True)
class Rotation:
    """What was done."""

    key_id: str
    """Of the key that everything is sealed with now."""
    resealed: int
    """Texts that were sealed with another one."""
    file: Path | None
    """Where the key is; None: in HEADGATE_SECRET_KEY."""


def rotate(settings: Settings) -> Rotation:
    """With a key file: makes a new key and seals everything anew. With HEADGATE_SECRET_KEY: seals everything anew with its first key.

    Raises UnusableKey.
    """
    file = settings.data_dir / sealing.KEY_FILE
    given = sealing.given_keys(settings)
    if not given and not file.exists():
        raise UnusableKey(
            f"there is no key to replace: HEADGATE_SECRET_KEY is not set and {file} does not exist. "
            "Give --data-dir, and run this as the user and on the machine that `headgate serve` runs as and on."
        )
    database = Database(settings.database_url)
    try:
        if given:
            return _with_given_key(database, Sealer(Keyring(given, file)))
        with _alone(file):
            return _with_new_key(database, file)
    except sa.exc.DBAPIError as error:
        raise UnusableKey(
            f"the database cannot be read or is older than this version (start `headgate serve` once): {error.orig}"
        ) from error
    finally:
        database.close()


def _with_new_key(database: Database, file: Path) -> Rotation:
    old = Keyring([], file).in_order()
    _check_sealing(database, Sealer(Keyring(old)))
    new = secrets.token_bytes(sealing.KEY_BYTES)
    secret_key.write_keys(file, [new, *old])
    resealed = _reseal(database, Sealer(Keyring([new, *old])))
    secret_key.write_keys(file, [new])
    return Rotation(sealing.key_id(new), resealed, file)


def _with_given_key(database: Database, sealer: Sealer) -> Rotation:
    """Servers cannot be handed a key while they run: those running must have started with it."""
    first = sealing.key_id(sealer.keyring.in_order()[0])
    if _check_sealing(database, sealer) != first:
        raise UnusableKey(
            f"the running server does not seal with the first key of HEADGATE_SECRET_KEY ({first}) yet. "
            "Put the new key in front of the old one, separated by a comma, start `headgate serve` again with that, then run this once more."
        )
    return Rotation(first, _reseal(database, sealer), None)


def _check_sealing(database: Database, sealer: Sealer) -> str:
    """That these are this database's keys; the id of the one it was last started with. Raises UnusableKey."""
    check = leases.fact(database, secret_key.CHECK)
    if check is None:
        raise UnusableKey("this database holds nothing sealed yet: start `headgate serve` once.")
    try:
        sealer.open(check, f"fact:{secret_key.CHECK}")
    except SealBroken as error:
        raise UnusableKey(f"the key that is here is not the one of this database: {error}") from error
    here = [sealing.key_id(key) for key in sealer.keyring.in_order()]
    secret_key.check_all_are_here(database, here, "Put the keys that are missing beside it before replacing any.")
    return str(sealing.key_id_of(check))


def _reseal(database: Database, sealer: Sealer) -> int:
    """Everything with the first key. Nobody seals with another one meanwhile: they find it in the file, or were started with it."""
    first = sealing.key_id(sealer.keyring.in_order()[0])

    def reseal(sealed: str, context: str) -> str:
        return sealer.seal(sealer.open(sealed, context), context)

    try:
        done = sealed_columns.replace(database, sealing.TOPIC, first, reseal)
    except SealBroken as error:
        raise UnusableKey(f"not everything could be sealed anew, so every key is kept: {error}") from error
    left = {key: count for key, count in sealed_columns.key_ids(database).items() if key != first}
    if left:
        raise UnusableKey(f"something is still sealed with other keys ({left}), so they are kept. Run this again.")
    return done


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    with (file.parent / (file.name + ".lock")).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UnusableKey("another `headgate secrets rotate-key` is at work; wait for it") from None
        yield
