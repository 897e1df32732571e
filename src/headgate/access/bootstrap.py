"""The first administrator and the installation's identity: made at the first start, found again at every other."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import uuid
from dataclasses import dataclass
from pathlib import Path

from headgate import errors
from headgate.access.principals import new_token, token_hash
from headgate.access.sealing import Sealer, sealed_fact
from headgate.clock import Clock
from headgate.domain.identity import ADMINISTRATOR_ID, AccessToken
from headgate.settings import Settings
from headgate.store import houses, leases
from headgate.store.database import Database
from headgate.store.identities import Identities

logger = logging.getLogger(__name__)

HOUSE_FILE = "house-id"


@dataclass(frozen=True, slots=True)
class AdminToken:
    """The administrator's token and whether it was made just now."""

    value: str
    made_now: bool


def ensure_administrator(database: Database, settings: Settings, sealer: Sealer, clock: Clock) -> AdminToken:
    """Makes the built-in groups, the first administrator, and `settings.admin_token` its token.

    Without a given token, the one kept in `data_dir/admin-token` (0600), else a new one, which is kept there.
    """
    path = settings.data_dir / "admin-token"
    kept = path.read_text().strip() if path.exists() else ""
    value = settings.admin_token or kept or new_token()
    if value != kept:
        _write_private(path, value + "\n")
    identities = Identities(database)
    try:
        identities.ensure_built_in(settings.admin_user)
    except errors.ResourceAlreadyExists:
        logger.warning("the first administrator keeps its name: there is another user called %s", settings.admin_user)
    digest = token_hash(token_hash_key(database, sealer), value)
    own = own_house(settings)
    comment = f"admin-token of {own.where}"
    identities.replace_token(
        AccessToken(admin_token_id(own.id), digest, ADMINISTRATOR_ID, ADMINISTRATOR_ID, clock.now_ms(), comment)
    )
    return AdminToken(value, made_now=not settings.admin_token and not kept)


def admin_token_id(house_id: str) -> str:
    """Of the administrator's token that this house sets at every start."""
    return house_id.rjust(64, "0")


def own_house(settings: Settings) -> houses.House:
    """This house; its id is made at the first start and lies in the data directory, so that it moves with that."""
    path = settings.data_dir / HOUSE_FILE
    if not path.exists():
        _write_private(path, secrets.token_hex(8) + "\n")
    return houses.House(path.read_text().strip(), f"{socket.gethostname()}:{settings.data_dir}")


def server_id(settings: Settings, number: int) -> str:
    """Names a server process among those of all houses that share the database."""
    return f"{own_house(settings).id}-{number}"


def token_hash_key(database: Database, sealer: Sealer) -> bytes:
    """With which tokens are hashed; made at the first start."""
    return bytes.fromhex(sealed_fact(database, sealer, "token_hash_key", lambda: secrets.token_hex(32)))


def workspace_id(database: Database) -> str:
    """This installation's number, 16 digits; clients want it as `X-Databricks-Org-Id`."""
    return leases.fact_or_set(database, "workspace_id", str(10**15 + secrets.randbelow(9 * 10**15)))


def account_id(workspace_id: str) -> str:
    """The account that clients and tables are told of: there is one per installation."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, workspace_id))


def _write_private(path: Path, text: str) -> None:
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
