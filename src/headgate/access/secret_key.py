"""The key of an installation: made at the first start, checked at every other. Called by `house` before anything else runs.

A database that was sealed with a key that is not here is never served and never given another key.
"""

from __future__ import annotations

import os
import secrets
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

from headgate.access import sealing
from headgate.access.sealing import KEY_FILE, Keyring, SealBroken, Sealer, UnusableKey
from headgate.settings import Settings
from headgate.store import leases, sealed_columns
from headgate.store.database import Database

CHECK = "secret_key_check"
"""A fact whose sealed value proves which key this installation has; sealed with the one that sealed at the last start or rotation."""
_CONTEXT = f"fact:{CHECK}"


def ensure(database: Database, settings: Settings) -> Sealer:
    """The sealer of this installation; its key is made now when there is none yet. Raises UnusableKey."""
    file = settings.data_dir / KEY_FILE
    given = sealing.given_keys(settings)
    if not given and not file.exists():
        if leases.fact(database, CHECK) is not None:
            raise UnusableKey(
                f"this database holds secrets sealed with a key that is not here: {file} is missing and HEADGATE_SECRET_KEY is not set. "
                f"Put the key back into {file}, or give it in HEADGATE_SECRET_KEY; of a database that other servers use too, it is that of "
                "the other servers. "
                "Without it the secrets in the database are lost; to begin anew, use another --data-dir."
            )
        write_keys(file, [secrets.token_bytes(sealing.KEY_BYTES)])
    sealer = Sealer(Keyring(given, file))
    _check(database, sealer, file)
    return sealer


def write_keys(file: Path, keys: Sequence[bytes]) -> None:
    """Replaces the key file, readable by its owner only; on disk when this returns."""
    draft = file.with_name(file.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as text:
        text.writelines(b64encode(key).decode() + "\n" for key in keys)
        text.flush()
        os.fsync(text.fileno())
    draft.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _check(database: Database, sealer: Sealer, file: Path) -> None:
    """That every sealed text there is has its key here. Raises UnusableKey."""
    here = [sealing.key_id(key) for key in sealer.keyring.in_order()]
    sealing_id = here[0]
    advice = f"Put the right key into HEADGATE_SECRET_KEY or {file} (beside others, the sealing one first). All servers of a database need the same."

    def settle(found: str | None) -> str:
        if found is not None:
            try:
                sealer.open(found, _CONTEXT)
            except SealBroken as error:
                raise UnusableKey(
                    f"the secret key is not the one this database was sealed with: {error}. {advice}"
                ) from error
        if found is None or sealing.key_id_of(found) != sealing_id:
            return sealer.seal(b"this is the key", _CONTEXT)
        return found

    leases.settle_fact(database, CHECK, settle, sealing.TOPIC)
    check_all_are_here(database, here, advice)


def check_all_are_here(database: Database, here: Sequence[str], advice: str) -> None:
    """Raises UnusableKey when something is sealed with a key that is none of these (ids)."""
    missing = {key: count for key, count in sealed_columns.key_ids(database).items() if key not in here}
    if missing:
        told = ", ".join(f"{count} with {key}" for key, count in sorted(missing.items()))
        raise UnusableKey(
            f"this database holds secrets sealed with keys that are not here ({told}; here: {', '.join(here)}). {advice}"
        )
