"""The first administrator and the installation's identity: made at the first start, found again at every other."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from headgate.access.principals import Authenticator, Principal, token_hash
from headgate.access.sealing import Sealer, sealed_fact
from headgate.store import leases
from headgate.store.database import Database

ADMIN_ID = "1"


@dataclass(frozen=True, slots=True)
class AdminToken:
    """The administrator's token and whether it was made just now."""

    value: str
    made_now: bool


def ensure_admin_token(database: Database, data_dir: Path, given: str, sealer: Sealer) -> AdminToken:
    """Makes `given` the administrator's token; without one, the kept one, else a new one, kept in `data_dir/admin-token` (0600)."""
    path = data_dir / "admin-token"
    kept = path.read_text().strip() if path.exists() else ""
    value = given or kept or f"hgt_{secrets.token_urlsafe(32)}"
    if value != kept:
        _write_private(path, value + "\n")
    digest = token_hash(token_hash_key(database, sealer), value)
    if leases.fact(database, "admin_token_hash") != digest:
        leases.set_fact(database, "admin_token_hash", digest)
    return AdminToken(value, made_now=not given and not kept)


def authenticator(database: Database, admin_user: str, sealer: Sealer) -> Authenticator:
    """Knows the tokens there are. Call after `ensure_admin_token`."""
    digest = leases.fact(database, "admin_token_hash")
    if digest is None:
        raise RuntimeError("this installation has no administrator yet: start it with `headgate serve`")
    return Authenticator(token_hash_key(database, sealer), {digest: Principal(ADMIN_ID, admin_user, admin=True)})


def token_hash_key(database: Database, sealer: Sealer) -> bytes:
    """With which tokens are hashed; made at the first start."""
    return bytes.fromhex(sealed_fact(database, sealer, "token_hash_key", lambda: secrets.token_hex(32)))


def workspace_id(database: Database) -> str:
    """This installation's number, 16 digits; clients want it as `X-Databricks-Org-Id`."""
    return leases.fact_or_set(database, "workspace_id", str(10**15 + secrets.randbelow(9 * 10**15)))


def _write_private(path: Path, text: str) -> None:
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
