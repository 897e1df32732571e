"""A key is replaced without losing anything, wherever the replacing is killed and whoever writes meanwhile."""

from __future__ import annotations

import base64
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes import vendors_endpoints

from headgate import settings as settings_module
from headgate.access import key_rotation, sealing, secret_key
from headgate.access.principals import Principal
from headgate.access.sealing import Keyring, Sealer, UnusableKey
from headgate.access.secrets import Vault
from headgate.clock import SystemClock
from headgate.domain.secret_references import SecretReference
from headgate.settings import Settings
from headgate.store import leases, schema, sealed_columns
from headgate.store.database import Database
from headgate.store.secrets import Secrets

ADMIN = Principal("1", "admin", admin=True)
COUNT = 8
SEALED = 2 * COUNT + 2
"""Secrets, keys of endpoints, one of an update, and a fact."""


def settings_in(folder: Path, *keys: bytes) -> Settings:
    given = ",".join(base64.b64encode(key).decode() for key in keys)
    return settings_module.load({"data_dir": folder, "secret_key": given}, environ={})


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setattr(sealed_columns, "_ROWS", 4)
    made = Database(settings_in(tmp_path).database_url)
    schema.upgrade(made)
    yield made
    made.close()


def filled(database: Database, sealer: Sealer) -> Vault:
    vault = Vault(Secrets(database), sealer, SystemClock())
    vault.create_scope("s", "1")
    for number in range(COUNT):
        vault.put(ADMIN, SecretReference("s", f"k{number}"), f"value {number}".encode())
    for number in range(COUNT):
        vendors_endpoints.create(database, sealer, f"llm-{number}", f"sk-{number}")
    vendors_endpoints.update(database, sealer, "llm-0")
    sealing.sealed_fact(database, sealer, "token_hash_key", lambda: "of tokens")
    return vault


def check_all_open(database: Database, settings: Settings) -> None:
    """A server that starts now reads everything."""
    sealer = secret_key.ensure(database, settings)
    vault = Vault(Secrets(database), sealer, SystemClock())
    for number in range(COUNT):
        assert vault.read(ADMIN, SecretReference("s", f"k{number}")) == f"value {number}".encode()
        assert vendors_endpoints.key_of(database, sealer, f"llm-{number}") == f"sk-{number}"
    assert sealing.sealed_fact(database, sealer, "token_hash_key", lambda: "another") == "of tokens"


def test_a_new_key_takes_over_while_a_server_runs(database: Database, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    running = secret_key.ensure(database, settings)
    vault = filled(database, running)
    [old] = running.keyring.in_order()
    told = key_rotation.rotate(settings)
    assert told.resealed == SEALED + 1 and told.file == tmp_path / "secret-key"
    assert sealed_columns.key_ids(database) == {told.key_id: SEALED + 1}
    assert base64.b64encode(old).decode() not in (tmp_path / "secret-key").read_text()
    assert stat.S_IMODE((tmp_path / "secret-key").stat().st_mode) == 0o600
    assert vault.read(ADMIN, SecretReference("s", "k7")) == b"value 7"
    vault.put(ADMIN, SecretReference("s", "k7"), b"value 7")
    assert set(sealed_columns.key_ids(database)) == {told.key_id}
    check_all_open(database, settings)


@pytest.mark.parametrize("step", range(8))
def test_killed_at_any_step_everything_opens_and_the_next_run_finishes(
    database: Database, tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_in(tmp_path)
    running = secret_key.ensure(database, settings)
    vault = filled(database, running)
    database.close()
    steps = iter(range(100))
    real_replace, real_write = Path.replace, Database.write

    def count_down() -> None:
        if next(steps) == step:
            os._exit(9)

    def replace(path: Path, target: Path) -> Path:
        count_down()
        done = real_replace(path, target)
        count_down()
        return done

    def write(self: Database, *topics: str) -> object:
        count_down()
        return real_write(self, *topics)

    child = os.fork()
    if child == 0:
        monkeypatch.setattr(Path, "replace", replace)
        monkeypatch.setattr(Database, "write", write)
        key_rotation.rotate(settings)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    # Two replacements of the file, before and after each; between them four batches (facts; 4, 4 and no secrets).
    assert code == 9
    assert vault.read(ADMIN, SecretReference("s", "k6")) == b"value 6"
    check_all_open(database, settings)
    told = key_rotation.rotate(settings)
    assert set(sealed_columns.key_ids(database)) == {told.key_id}
    assert len(sealing.read_keys((tmp_path / "secret-key").read_text(), "")) == 1
    check_all_open(database, settings)


def test_what_is_written_meanwhile_survives_every_rotation(database: Database, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    vault = filled(database, secret_key.ensure(database, settings))
    over = threading.Event()
    written: list[str] = []

    def write() -> None:
        while not over.is_set():
            key = f"w{len(written)}"
            vault.put(ADMIN, SecretReference("s", key), key.encode())
            written.append(key)

    thread = threading.Thread(target=write)
    thread.start()
    while not written:
        over.wait(0.001)
    told = [key_rotation.rotate(settings) for _ in range(3)]
    over.set()
    thread.join()
    fresh = Vault(Secrets(database), secret_key.ensure(database, settings), SystemClock())
    for key in written:
        assert fresh.read(ADMIN, SecretReference("s", key)) == key.encode()
    assert len({one.key_id for one in told}) == 3
    assert set(sealed_columns.key_ids(database)) == {told[-1].key_id}


def test_a_given_key_takes_over_in_three_steps(database: Database, tmp_path: Path) -> None:
    old, new = b"o" * 32, b"n" * 32
    filled(database, secret_key.ensure(database, settings_in(tmp_path, old)))
    with pytest.raises(UnusableKey, match="start `headgate serve` again"):
        key_rotation.rotate(settings_in(tmp_path, new, old))
    secret_key.ensure(database, settings_in(tmp_path, new, old))
    with pytest.raises(UnusableKey, match="keys that are not here"):
        key_rotation.rotate(settings_in(tmp_path, new))
    told = key_rotation.rotate(settings_in(tmp_path, new, old))
    assert told.file is None and told.resealed == SEALED and told.key_id == sealing.key_id(new)
    check_all_open(database, settings_in(tmp_path, new))
    assert not (tmp_path / "secret-key").exists()


def test_a_key_moves_from_the_file_into_the_environment(database: Database, tmp_path: Path) -> None:
    filled(database, secret_key.ensure(database, settings_in(tmp_path)))
    given = settings_in(tmp_path, b"e" * 32)
    secret_key.ensure(database, given)
    assert key_rotation.rotate(given).resealed == SEALED
    (tmp_path / "secret-key").unlink()
    check_all_open(database, given)


def test_without_the_right_key_nothing_is_touched(database: Database, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    with pytest.raises(UnusableKey, match="no key to replace"):
        key_rotation.rotate(settings)
    secret_key.write_keys(tmp_path / "secret-key", [b"x" * 32])
    with pytest.raises(UnusableKey, match="nothing sealed yet"):
        key_rotation.rotate(settings)
    filled(database, secret_key.ensure(database, settings))
    before = {name: leases.fact(database, name) for name in ("token_hash_key", secret_key.CHECK)}
    secret_key.write_keys(tmp_path / "secret-key", [b"y" * 32])
    with pytest.raises(UnusableKey, match="not the one of this database"):
        key_rotation.rotate(settings)
    assert sealing.read_keys((tmp_path / "secret-key").read_text(), "") == [b"y" * 32]
    assert before == {name: leases.fact(database, name) for name in before}


def test_a_text_that_does_not_open_keeps_every_key(database: Database, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    sealer = secret_key.ensure(database, settings)
    filled(database, sealer)
    leases.set_fact(database, "moved", str(leases.fact(database, "token_hash_key")))
    with pytest.raises(UnusableKey, match="every key is kept: fact:moved"):
        key_rotation.rotate(settings)
    assert len(sealing.read_keys((tmp_path / "secret-key").read_text(), "")) == 2
    assert sealer.keyring.in_order()[1] in Keyring([], tmp_path / "secret-key").in_order()


def test_two_at_once_do_not_mix(database: Database, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    filled(database, secret_key.ensure(database, settings))
    with key_rotation._alone(tmp_path / "secret-key"):
        with pytest.raises(UnusableKey, match="another"):
            key_rotation.rotate(settings)
