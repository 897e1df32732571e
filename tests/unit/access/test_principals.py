"""Who is let in."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest

from headgate import errors
from headgate.access import bootstrap
from headgate.access.principals import Authenticator, Principal, token_hash
from headgate.access.sealing import Keyring, Sealer
from headgate.store import tables
from headgate.store.database import Database

ADMIN = Principal("1", "admin", True)


def authenticator() -> Authenticator:
    return Authenticator(b"key", {token_hash(b"key", "secret"): ADMIN})


@pytest.mark.parametrize(
    "header", ["Bearer secret", "bearer secret", "Basic " + base64.b64encode(b"token:secret").decode()]
)
def test_a_good_token_is_known_again_and_again(header: str) -> None:
    known = authenticator()
    assert known.authenticate(header) is ADMIN
    assert known.authenticate(header) is ADMIN


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Basic !!",
        "Basic " + base64.b64encode(b"admin:secret").decode(),
        "Digest x",
        "secret",
    ],
)
def test_anything_else_is_refused_with_advice(header: str | None) -> None:
    with pytest.raises(errors.Unauthenticated, match="Authorization: Bearer"):
        authenticator().authenticate(header)


def test_a_refused_token_is_not_in_the_message() -> None:
    with pytest.raises(errors.Unauthenticated) as refused:
        authenticator().authenticate("Bearer nearly-right")
    assert "nearly-right" not in str(refused.value)


SEALER = Sealer(Keyring([bytes(32)]))


def database_in(folder: Path) -> Database:
    made = Database(f"sqlite:///{folder}/x.db")
    tables.metadata.create_all(made.engine)
    return made


def test_the_first_token_is_made_once_and_kept_private(tmp_path: Path) -> None:
    database = database_in(tmp_path)
    first = bootstrap.ensure_admin_token(database, tmp_path, "", SEALER)
    again = bootstrap.ensure_admin_token(database, tmp_path, "", SEALER)
    assert first.made_now and not again.made_now and first.value == again.value
    assert stat.S_IMODE((tmp_path / "admin-token").stat().st_mode) == 0o600
    assert bootstrap.authenticator(database, "root", SEALER).authenticate(f"Bearer {first.value}").user_name == "root"
    assert first.value not in (tmp_path / "x.db").read_bytes().decode("latin1")
    database.close()


def test_a_given_token_replaces_the_old_one(tmp_path: Path) -> None:
    database = database_in(tmp_path)
    old = bootstrap.ensure_admin_token(database, tmp_path, "", SEALER)
    bootstrap.ensure_admin_token(database, tmp_path, "mine", SEALER)
    known = bootstrap.authenticator(database, "admin", SEALER)
    assert known.authenticate("Bearer mine").admin
    with pytest.raises(errors.Unauthenticated):
        known.authenticate(f"Bearer {old.value}")
    database.close()


def test_the_workspace_has_one_number_of_digits(tmp_path: Path) -> None:
    database = database_in(tmp_path)
    number = bootstrap.workspace_id(database)
    assert number.isdigit() and len(number) == 16 and bootstrap.workspace_id(database) == number
    database.close()
