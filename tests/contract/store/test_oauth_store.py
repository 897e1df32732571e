"""Keys, secrets, codes and refresh tokens: what is gone is gone, also when several ask at once, and with whom it belonged to."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import pytest

from headgate import errors
from headgate.domain.identity import ServicePrincipal, User
from headgate.store.database import Database
from headgate.store.identities import Identities
from headgate.store.oauth.client_secrets import ClientSecret, ClientSecrets
from headgate.store.oauth.logins import MOST_REFRESH_TOKENS, AuthorizationCode, ExternalAccount, Logins, RefreshToken
from headgate.store.oauth.signing_keys import SigningKeys, StoredKey

ROBOT = ServicePrincipal("1000000000000001", "11111111-2222-3333-4444-555555555555", "robot")
ADA = User("1000000000000002", "ada@headgate.test")
KEY = StoredKey("k1", "public", "s1.sealed", 1, 2)


@pytest.fixture
def people(database: Database) -> Identities:
    made = Identities(database)
    made.ensure_built_in("admin")
    made.add(ROBOT)
    made.add(ADA)
    return made


def secret(number: int, expires_at_ms: int = 10_000, created_at_ms: int = 1) -> ClientSecret:
    return ClientSecret(f"s{number}", ROBOT.id, f"digest-{number}", created_at_ms, expires_at_ms)


def code(digest: str = "c", expires_at_ms: int = 10_000) -> AuthorizationCode:
    return AuthorizationCode(
        digest, ADA.id, "databricks-cli", "http://localhost:8020", "challenge", "all-apis", expires_at_ms
    )


def refresh(digest: str = "r", created_at_ms: int = 1, expires_at_ms: int = 10_000) -> RefreshToken:
    return RefreshToken(digest, ADA.id, "databricks-cli", "all-apis", created_at_ms, expires_at_ms)


def test_keys_are_replaced_as_a_whole_and_every_change_is_announced(database: Database) -> None:
    keys = SigningKeys(database)
    assert keys.read().keys == () and keys.revision() == 0
    keys.replace(lambda before: (*before, KEY))
    assert keys.read().keys == (KEY,) and keys.revision() == keys.read().revision == 1
    ended, newer = dataclasses.replace(KEY, expires_at_ms=9), dataclasses.replace(KEY, id="k2", signs_from_ms=5)
    keys.replace(lambda before: (ended, newer))
    assert keys.read().keys == (ended, newer)
    keys.replace(lambda before: before[1:], "sealing")
    assert keys.read().keys == (newer,) and database.revision("sealing") == 1


def test_of_many_writers_each_sees_what_the_others_made(database: Database) -> None:
    keys = SigningKeys(database)
    keys.replace(lambda before: before)

    def add(number: int) -> None:
        keys.replace(lambda before: before or (dataclasses.replace(KEY, id=f"k{number}"),))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(8)))
    assert len(keys.read().keys) == 1


def test_a_revoked_token_is_remembered_until_it_would_have_expired(database: Database) -> None:
    keys = SigningKeys(database)
    keys.revoke("a", 100, now_ms=50)
    keys.revoke("a", 100, now_ms=50)
    keys.revoke("b", 300, now_ms=60)
    assert keys.read().revoked == {"a", "b"}
    keys.revoke("c", 300, now_ms=100)
    assert keys.read().revoked == {"b", "c"}


def test_a_principal_has_so_many_secrets_and_expired_ones_make_room(database: Database, people: Identities) -> None:
    secrets = ClientSecrets(database)
    secrets.add(secret(1, expires_at_ms=50), most=2)
    secrets.add(secret(2), most=2)
    with pytest.raises(errors.InvalidState, match="2 secrets already"):
        secrets.add(secret(3, created_at_ms=49), most=2)
    secrets.add(secret(3, created_at_ms=50), most=2)
    assert [found.id for found in secrets.of(ROBOT.id)] == ["s2", "s3"]


def test_rivals_do_not_make_one_secret_too_many(database: Database, people: Identities) -> None:
    secrets = ClientSecrets(database)
    secrets.add(secret(0), most=5)

    def add(number: int) -> bool:
        try:
            secrets.add(secret(number), most=5)
        except errors.InvalidState:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(add, range(1, 9))) == 4
    assert len(secrets.of(ROBOT.id)) == 5


def test_a_deleted_secret_is_gone_and_only_its_owners_can_be_named(database: Database, people: Identities) -> None:
    secrets = ClientSecrets(database)
    secrets.add(secret(1), most=5)
    for principal, name in ((ADA.id, "s1"), (ROBOT.id, "s2")):
        with pytest.raises(errors.ResourceDoesNotExist):
            secrets.delete(principal, name)
    secrets.delete(ROBOT.id, "s1")
    assert secrets.of(ROBOT.id) == []


def test_a_code_is_good_once(database: Database, people: Identities) -> None:
    logins = Logins(database)
    logins.add_code(code(), now_ms=1)
    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(logins.take_code, ["c"] * 6))
    assert [found for found in taken if found] == [code()]
    assert logins.take_code("nobody's") is None


def test_of_ones_refresh_tokens_the_newest_are_kept(database: Database, people: Identities) -> None:
    logins = Logins(database)
    for number in range(MOST_REFRESH_TOKENS + 2):
        logins.add_refresh_token(refresh(f"r{number}", created_at_ms=number))
    assert logins.refresh_token("r1") is None and logins.refresh_token("r2") is not None


def test_expired_codes_and_refresh_tokens_are_forgotten(database: Database, people: Identities) -> None:
    logins = Logins(database)
    logins.add_code(code("old", expires_at_ms=5), now_ms=1)
    logins.add_code(code("new"), now_ms=5)
    assert logins.take_code("old") is None and logins.take_code("new") is not None
    logins.add_refresh_token(refresh("old", expires_at_ms=5))
    logins.add_refresh_token(refresh("new", created_at_ms=5))
    assert logins.refresh_token("old") is None and logins.refresh_token("new") == refresh("new", created_at_ms=5)


def test_an_account_elsewhere_is_one_user_and_keeps_its_groups(database: Database, people: Identities) -> None:
    logins = Logins(database)
    account = ExternalAccount("d", ADA.id, "https://login.test", "sub", ("7",))
    logins.keep_account(account)
    moved = dataclasses.replace(account, group_ids=("8", "9"))
    logins.keep_account(moved)
    assert logins.account("d") == logins.account_of(ADA.id, "https://login.test") == moved
    assert logins.account("e") is None and logins.account_of(ADA.id, "https://other.test") is None


def test_two_first_logins_at_once_are_one_account(database: Database, people: Identities) -> None:
    logins = Logins(database)
    account = ExternalAccount("d", ADA.id, "https://login.test", "sub")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(logins.keep_account, [account] * 8))
    assert logins.account("d") == account


def test_whoever_is_deleted_leaves_nothing_to_come_back_with(database: Database, people: Identities) -> None:
    secrets, logins = ClientSecrets(database), Logins(database)
    secrets.add(secret(1), most=5)
    logins.add_code(code(), now_ms=1)
    logins.add_refresh_token(refresh())
    logins.keep_account(ExternalAccount("d", ADA.id, "https://login.test", "sub"))
    people.remove(ServicePrincipal, ROBOT.id)
    people.remove(User, ADA.id)
    assert secrets.of(ROBOT.id) == [] and logins.take_code("c") is None
    assert logins.refresh_token("r") is None and logins.account("d") is None
