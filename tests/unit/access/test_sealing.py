"""What is secret is sealed, opens only where it belongs, and a start with the wrong key is refused."""

from __future__ import annotations

import base64
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from headgate import settings as settings_module
from headgate.access import sealing, secret_key
from headgate.access.sealing import Keyring, SealBroken, Sealer, UnusableKey
from headgate.settings import Settings
from headgate.store import leases, sealed_columns, tables
from headgate.store.database import Database

OLD, NEW = b"o" * 32, b"n" * 32


def sealer_of(*keys: bytes) -> Sealer:
    return Sealer(Keyring(keys))


def settings_in(folder: Path, *keys: bytes) -> Settings:
    given = ",".join(base64.b64encode(key).decode() for key in keys)
    return settings_module.load({"data_dir": folder, "secret_key": given}, environ={})


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/x.db")
    tables.metadata.create_all(made.engine)
    yield made
    made.close()


def test_what_is_sealed_opens_and_never_looks_the_same() -> None:
    sealer = sealer_of(NEW)
    first, second = (sealer.seal(b"canary", "secret:s:k") for _ in range(2))
    assert first != second and sealer.open(first, "secret:s:k") == sealer.open(second, "secret:s:k") == b"canary"
    assert "canary" not in first and sealing.key_id_of(first) == sealing.key_id(NEW)
    assert len(first) > sealing.PREFIX_CHARACTERS and first[: sealing.PREFIX_CHARACTERS].endswith(".")


def test_it_opens_nowhere_else() -> None:
    sealed = sealer_of(NEW).seal(b"canary", "secret:s:k")
    with pytest.raises(SealBroken, match="belongs elsewhere"):
        sealer_of(NEW).open(sealed, "secret:s:other")
    with pytest.raises(SealBroken, match="is not here"):
        sealer_of(OLD).open(sealed, "secret:s:k")


@pytest.mark.parametrize("place", [0, 4, 20, -1])
def test_a_changed_one_does_not_open(place: int) -> None:
    sealed = sealer_of(NEW).seal(b"canary", "here")
    changed = list(sealed)
    changed[place] = "0" if changed[place] != "0" else "1"
    with pytest.raises(SealBroken):
        sealer_of(NEW).open("".join(changed), "here")
    with pytest.raises(SealBroken):
        sealer_of(NEW).open(sealed[:30], "here")


def test_the_first_key_seals_and_all_open() -> None:
    both, old = sealer_of(NEW, OLD), sealer_of(OLD)
    assert both.open(old.seal(b"x", "c"), "c") == b"x"
    assert sealing.key_id_of(both.seal(b"x", "c")) == sealing.key_id(NEW)


@pytest.mark.parametrize(
    "text",
    [NEW.hex(), NEW.hex().upper(), base64.b64encode(NEW).decode(), base64.urlsafe_b64encode(NEW).decode().rstrip("=")],
)
def test_keys_are_read_as_hex_and_as_base64(text: str) -> None:
    assert sealing.read_keys(f" {text},\n{OLD.hex()} ", "here") == [NEW, OLD]


@pytest.mark.parametrize("text", ["", "tooshort", "é" * 40, NEW.hex() + "00", f"{NEW.hex()},nonsense"])
def test_what_is_no_key_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(UnusableKey) as refused:
        sealing.read_keys(text, "HEADGATE_SECRET_KEY")
    assert "HEADGATE_SECRET_KEY" in str(refused.value) and NEW.hex() not in str(refused.value)
    assert "nonsense" not in str(refused.value)


def test_the_key_is_made_once_and_kept_private(database: Database, tmp_path: Path) -> None:
    made = secret_key.ensure(database, settings_in(tmp_path))
    assert stat.S_IMODE((tmp_path / "secret-key").stat().st_mode) == 0o600
    again = secret_key.ensure(database, settings_in(tmp_path))
    assert again.keyring.in_order() == made.keyring.in_order() and len(made.keyring.in_order()[0]) == 32


def test_a_given_key_is_written_nowhere(database: Database, tmp_path: Path) -> None:
    given = settings_in(tmp_path, NEW)
    secret_key.ensure(database, given)
    assert not (tmp_path / "secret-key").exists()
    assert "secret_key" not in given.to_json() and given.secret_key not in repr(given)


def test_a_lost_key_is_not_replaced(database: Database, tmp_path: Path) -> None:
    secret_key.ensure(database, settings_in(tmp_path))
    (tmp_path / "secret-key").unlink()
    with pytest.raises(UnusableKey, match=r"Put the key back .* it is that of the other servers"):
        secret_key.ensure(database, settings_in(tmp_path))
    assert not (tmp_path / "secret-key").exists()


def test_a_wrong_key_is_refused(database: Database, tmp_path: Path) -> None:
    secret_key.ensure(database, settings_in(tmp_path, OLD))
    with pytest.raises(
        UnusableKey, match=r"not the one this database was sealed with.* All servers of a database need the same"
    ):
        secret_key.ensure(database, settings_in(tmp_path, NEW))
    secret_key.ensure(database, settings_in(tmp_path, NEW, OLD))


def test_a_key_that_something_is_still_sealed_with_cannot_be_left_out(database: Database, tmp_path: Path) -> None:
    old = secret_key.ensure(database, settings_in(tmp_path, OLD))
    sealing.sealed_fact(database, old, "token_hash_key", lambda: "ab")
    secret_key.ensure(database, settings_in(tmp_path, NEW, OLD))
    with pytest.raises(UnusableKey, match=f"1 with {sealing.key_id(OLD)}"):
        secret_key.ensure(database, settings_in(tmp_path, NEW))


def test_a_fact_of_an_older_version_is_sealed_and_stays_what_it_was(database: Database) -> None:
    leases.set_fact(database, "token_hash_key", "plain")
    sealer = sealer_of(NEW)
    for _ in range(2):
        assert sealing.sealed_fact(database, sealer, "token_hash_key", lambda: "other") == "plain"
    assert sealing.key_id_of(leases.fact(database, "token_hash_key") or "") == sealing.key_id(NEW)


def test_a_running_server_finds_keys_that_came_later(tmp_path: Path) -> None:
    file = tmp_path / "secret-key"
    secret_key.write_keys(file, [OLD])
    running = Sealer(Keyring([], file))
    sealed = running.seal(b"x", "c")
    secret_key.write_keys(file, [NEW, OLD])
    assert sealing.key_id_of(running.seal(b"x", "c")) == sealing.key_id(NEW) and running.open(sealed, "c") == b"x"


def test_every_text_is_sealed_anew_where_it_lies(database: Database) -> None:
    old, both, new = sealer_of(OLD), sealer_of(NEW, OLD), sealer_of(NEW)
    for number in range(450):
        sealing.sealed_fact(database, old, f"fact-{number}", lambda: "value")
    leases.set_fact(database, "workspace_id", "123")
    replaced = sealed_columns.replace(
        database, sealing.TOPIC, sealing.key_id(NEW), lambda text, context: both.seal(both.open(text, context), context)
    )
    assert replaced == 450 and sealed_columns.key_ids(database) == {sealing.key_id(NEW): 450}
    assert sealing.sealed_fact(database, new, "fact-449", lambda: "") == "value"
    assert leases.fact(database, "workspace_id") == "123"
