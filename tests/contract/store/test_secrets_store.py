"""Scopes, secrets and their permissions, on both databases."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from headgate import errors
from headgate.access.principals import Principal
from headgate.access.sealing import Keyring, Sealer
from headgate.access.secrets import SecretUnavailable, Vault
from headgate.clock import SystemClock
from headgate.domain import secret_rules
from headgate.domain.secret_references import SecretReference
from headgate.store import grants, sealed_columns, secret_tables
from headgate.store.database import Database
from headgate.store.secrets import Secrets

ADMIN = Principal("1", "admin", admin=True, keys=frozenset({"1", "2", "3"}))
ADA = Principal("50", "ada", admin=False, keys=frozenset({"50", "3", "70"}))
BOB = Principal("51", "bob", admin=False, keys=frozenset({"51", "3"}))


@pytest.fixture
def vault(database: Database) -> Vault:
    made = Vault(Secrets(database), Sealer(Keyring([b"k" * 32])), SystemClock())
    made.create_scope("Team", ADA.id)
    return made


def one(key: str, scope: str = "Team") -> SecretReference:
    return SecretReference(scope, key)


def test_a_secret_is_written_read_replaced_and_deleted(vault: Vault) -> None:
    for value in (b"", b"first", "zwölf \0 {{secrets/x/y}}".encode(), bytes(range(256)) * 512):
        vault.put(ADA, one("key"), value)
        assert vault.read(ADA, one("key")) == value
    assert [secret.key for secret in vault.secrets(ADA, "Team")] == ["key"]
    vault.delete(ADA, one("key"))
    for again in (lambda: vault.read(ADA, one("key")), lambda: vault.delete(ADA, one("key"))):
        with pytest.raises(errors.ResourceDoesNotExist, match="scope: Team and key: key"):
            again()


def test_no_value_reaches_the_disk_open(vault: Vault, database: Database, tmp_path: Path) -> None:
    vault.put(ADA, one("key"), b"canary-value-of-the-store")
    with database.read() as connection:
        [sealed] = connection.execute(secret_tables.secrets.select()).all()
    assert "canary" not in repr(sealed)
    for file in tmp_path.iterdir():
        assert b"canary" not in file.read_bytes()


def test_a_value_moved_to_another_row_does_not_open(vault: Vault, database: Database) -> None:
    vault.put(ADA, one("a"), b"of a")
    vault.put(ADA, one("b"), b"of b")
    checked = vault.check_references(ADA, {"B": "{{secrets/Team/b}}"})
    table = secret_tables.secrets
    with database.write() as connection:
        [moved] = connection.execute(table.select().where(table.c.key == "a")).all()
        connection.execute(table.update().where(table.c.key == "b").values(sealed=moved.sealed))
    with pytest.raises(errors.InternalError, match="cannot be opened"):
        vault.read(ADA, one("b"))
    with pytest.raises(SecretUnavailable, match="cannot be opened"):
        vault.value(one("b"), checked)


def test_scopes_are_one_whatever_their_case_and_keys_are_not(vault: Vault) -> None:
    with pytest.raises(errors.ResourceAlreadyExists, match="Scope TEAM already exists"):
        vault.create_scope("TEAM", BOB.id)
    vault.put(ADA, one("Key", "tEAM"), b"x")
    assert vault.read(ADA, one("Key", "team")) == b"x"
    with pytest.raises(errors.ResourceDoesNotExist):
        vault.read(ADA, one("key", "team"))
    assert [scope.name for scope in vault.scopes(ADA)] == ["Team"]


def test_whoever_has_nothing_is_answered_as_for_an_unknown_scope(vault: Vault) -> None:
    vault.put(ADA, one("key"), b"x")
    for name in ("Team", "nosuch", "not a name", "a\0b", "x" * 200):
        for refused in (
            lambda name=name: vault.read(BOB, one("key", name)),
            lambda name=name: vault.put(BOB, one("key", name), b""),
            lambda name=name: vault.secrets(BOB, name),
            lambda name=name: vault.delete(BOB, one("key", name)),
            lambda name=name: vault.delete_scope(BOB, name),
            lambda name=name: vault.permissions(BOB, name),
            lambda name=name: vault.grant(BOB, name, BOB.id, "MANAGE"),
        ):
            with pytest.raises(errors.ResourceDoesNotExist) as told:
                refused()
            assert told.value.message == f"Scope {name} does not exist!"
    assert vault.scopes(BOB) == []


def test_each_permission_includes_those_below_it(vault: Vault) -> None:
    vault.put(ADA, one("key"), b"x")
    vault.grant(ADA, "Team", BOB.id, "READ")
    assert vault.read(BOB, one("key")) == b"x" and [scope.name for scope in vault.scopes(BOB)] == ["Team"]
    with pytest.raises(errors.PermissionDenied, match="bob does not have permission to write scope Team"):
        vault.put(BOB, one("key"), b"y")
    vault.grant(ADA, "Team", BOB.id, "WRITE")
    vault.put(BOB, one("key"), b"y")
    for refused in (lambda: vault.delete_scope(BOB, "Team"), lambda: vault.permissions(BOB, "Team")):
        with pytest.raises(errors.PermissionDenied, match="It takes MANAGE"):
            refused()
    vault.grant(ADA, "Team", "3", "MANAGE")
    assert vault.permissions(BOB, "Team") == {"50": {"MANAGE"}, "51": {"WRITE"}, "3": {"MANAGE"}}
    assert not vault.grant(BOB, "Team", "99", None) and vault.grant(BOB, "Team", ADA.id, None)
    with pytest.raises(errors.InvalidParameterValue, match="OWN"):
        vault.grant(BOB, "Team", ADA.id, "OWN")


def test_groups_and_administrators(vault: Vault) -> None:
    vault.create_scope("by-group", "70")
    vault.put(ADA, one("k", "by-group"), b"x")
    assert [scope.name for scope in vault.scopes(ADMIN)] == ["by-group", "Team"]
    assert vault.read(ADMIN, one("k", "by-group")) == b"x"
    vault.grant(ADMIN, "by-group", "70", None)
    assert vault.permissions(ADMIN, "by-group") == {} and vault.read(ADMIN, one("k", "by-group")) == b"x"
    vault.delete_scope(ADMIN, "by-group")


def test_a_new_scope_of_an_old_name_has_nothing_of_the_old_one(vault: Vault, database: Database) -> None:
    vault.put(ADA, one("key"), b"x")
    vault.grant(ADA, "Team", BOB.id, "MANAGE")
    vault.delete_scope(ADA, "Team")
    assert sealed_columns.key_ids(database) == {}
    with database.read() as connection:
        assert grants.of_kind_within(connection, "secret-scope") == {}
    vault.create_scope("Team", ADA.id)
    assert vault.secrets(ADA, "Team") == []
    with pytest.raises(errors.ResourceDoesNotExist):
        vault.secrets(BOB, "Team")


def test_limits(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secret_rules, "MOST_SECRETS", 2)
    monkeypatch.setattr(secret_rules, "MOST_SCOPES", 2)
    vault.put(ADA, one("a"), b"")
    vault.put(ADA, one("b" * 128), b"x" * secret_rules.MOST_BYTES)
    vault.put(ADA, one("a"), b"again")
    with pytest.raises(errors.ResourceLimitExceeded, match="Team has 2 secrets"):
        vault.put(ADA, one("c"), b"")
    with pytest.raises(errors.InvalidParameterValue, match="at most 131072"):
        vault.put(ADA, one("a"), b"x" * (secret_rules.MOST_BYTES + 1))
    for key in ("", "b" * 129, "a/b", "ä", "a@b"):
        with pytest.raises(errors.InvalidParameterValue, match="not a valid secret key"):
            vault.put(ADA, one(key), b"")
    vault.create_scope("a@b.C-d_e", ADA.id)
    with pytest.raises(errors.ResourceLimitExceeded, match="2 secret scopes already"):
        vault.create_scope("third", ADA.id)
    for name in ("", "a b", "s" * 129, "ö", "a/b"):
        with pytest.raises(errors.InvalidParameterValue, match="not a valid scope name"):
            vault.create_scope(name, ADA.id)


def test_every_put_makes_another_version(vault: Vault) -> None:
    seen = set()
    for _ in range(3):
        vault.put(ADA, one("key"), b"same")
        seen.add(vault.secrets(ADA, "Team")[0].version)
    assert len(seen) == 3


def test_references_of_a_config_are_checked_for_the_caller(vault: Vault) -> None:
    vault.put(ADA, one("user"), b"me")
    vault.put(ADA, one("bytes"), b"\xff")
    vault.put(ADA, one("nul"), b"a\0b")
    good = {"URL": "db://{{secrets/Team/user}}@x", "PLAIN": "1"}
    [(name, version)] = vault.check_references(ADA, good).items()
    assert name.endswith("/user") and version == vault.secrets(ADA, "Team")[2].version
    assert vault.check_references(BOB, {"PLAIN": "1"}) == {}
    with pytest.raises(
        errors.ResourceDoesNotExist, match=r"URL refers to {{secrets/Team/user}}: Scope Team does not exist"
    ):
        vault.check_references(BOB, good)
    with pytest.raises(errors.ResourceDoesNotExist, match=r"A refers to .*scope: Team and key: gone"):
        vault.check_references(ADA, {"A": "{{secrets/Team/gone}}"})
    for key, problem in (("bytes", "not UTF-8"), ("nul", "contains a NUL")):
        with pytest.raises(errors.InvalidParameterValue, match=problem):
            vault.check_references(ADA, {"A": f"{{{{secrets/Team/{key}}}}}"})


def test_values_are_resolved_as_they_are_now(vault: Vault) -> None:
    variables = {"URL": "db://{{secrets/Team/user}}:{{secrets/Team/word}}", "PLAIN": "1"}
    vault.put(ADA, one("user"), b"me")
    vault.put(ADA, one("word"), b"old")
    checked = vault.check_references(ADA, variables)
    vault.delete(ADA, one("word"))
    with pytest.raises(SecretUnavailable, match=r"{{secrets/Team/word}} is not there: .*scope: Team and key: word"):
        vault.resolve(variables, checked)
    vault.put(ADA, one("word"), b"new")
    assert vault.resolve(variables, checked) == {"URL": "db://me:new"}
    vault.delete_scope(ADA, "Team")
    with pytest.raises(SecretUnavailable, match="scope Team does not exist"):
        vault.resolve(variables, checked)


def test_a_scope_made_anew_is_another_one(vault: Vault) -> None:
    variables = {"WORD": "{{secrets/Team/word}}"}
    vault.put(ADA, one("word"), b"ada's")
    checked = vault.check_references(ADA, variables)
    vault.delete_scope(ADA, "Team")
    vault.create_scope("Team", BOB.id)
    vault.put(BOB, one("word"), b"bob's")
    with pytest.raises(SecretUnavailable, match="scope Team was made anew"):
        vault.resolve(variables, checked)


def test_rivals_write_one_after_the_other(vault: Vault) -> None:
    """Creating the same scope, filling one scope, deleting it meanwhile: each answer is one of those there should be."""
    unexpected: list[BaseException] = []

    def work(number: int) -> None:
        for round_ in range(5):
            try:
                vault.create_scope(f"rival-{round_}", ADA.id)
                vault.put(ADA, one(f"k{number}", f"rival-{round_}"), b"x")
                vault.delete_scope(ADA, f"rival-{round_}")
            except (errors.ResourceAlreadyExists, errors.ResourceDoesNotExist):
                pass
            except BaseException as error:
                unexpected.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert unexpected == []
