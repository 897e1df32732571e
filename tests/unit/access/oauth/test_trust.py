"""Keys take over from one another without a token being refused that was good."""

from __future__ import annotations

import sqlalchemy as sa
from tests.unit.access.oauth.conftest import HandClock

from headgate.access.oauth.tokens import Tokens, Wish
from headgate.access.oauth.trust import KeyTerms, Trust
from headgate.access.sealing import Keyring, Sealer
from headgate.store.database import Database
from headgate.store.oauth.signing_keys import SigningKeys
from headgate.store.oauth_tables import signing_keys

DAY_S = 86400.0
LIFE_S = 3600.0
TERMS = KeyTerms(rotation_ms=int(30 * DAY_S * 1000), lead_ms=60_000, longest_life_ms=int(LIFE_S * 1000))
WISH = Wish("42", "issuer", LIFE_S)


class Server:
    """One process that trusts what the store says."""

    def __init__(self, database: Database, sealer: Sealer, clock: HandClock) -> None:
        self.trust = Trust(SigningKeys(database), sealer, clock, TERMS)
        self.tokens = Tokens(self.trust.now, "workspace", clock)
        self.trust.refresh()

    @property
    def signing(self) -> str:
        key = self.trust.now().signing(self.tokens._clock.now_ms())
        assert key is not None
        return key.id

    @property
    def known(self) -> list[str]:
        return [key.id for key in self.trust.now().keys]


def test_the_first_server_makes_a_key_and_the_second_uses_it(
    database: Database, sealer: Sealer, clock: HandClock
) -> None:
    first, second = Server(database, sealer, clock), Server(database, sealer, clock)
    assert first.known == second.known and len(first.known) == 1
    assert second.tokens.verify(first.tokens.issue(WISH)) is not None


def test_private_keys_lie_sealed(database: Database, sealer: Sealer, clock: HandClock) -> None:
    Server(database, sealer, clock)
    with database.read() as connection:
        [row] = connection.execute(sa.select(signing_keys))
    assert row.sealed_private_key.startswith("s1.") and "PRIVATE" not in str(tuple(row))
    assert b"PRIVATE" in sealer.open(row.sealed_private_key, f"signing-key:{row.id}")


def test_a_new_key_is_known_everywhere_before_it_signs(database: Database, sealer: Sealer, clock: HandClock) -> None:
    first, second = Server(database, sealer, clock), Server(database, sealer, clock)
    old = first.signing
    first.trust.rotate()
    second.trust.refresh()
    assert len(second.known) == 2 and first.signing == second.signing == old
    clock.pass_s(60)
    assert first.signing == second.signing != old
    assert second.tokens.verify(first.tokens.issue(WISH)) is not None


def test_asking_twice_makes_one_new_key(database: Database, sealer: Sealer, clock: HandClock) -> None:
    server = Server(database, sealer, clock)
    server.trust.rotate()
    server.trust.rotate()
    assert len(server.known) == 2


def test_old_tokens_are_good_until_they_expire_and_then_their_key_goes(
    database: Database, sealer: Sealer, clock: HandClock
) -> None:
    server = Server(database, sealer, clock)
    old = server.signing
    server.trust.rotate()
    clock.pass_s(59)
    last = server.tokens.issue(WISH)
    clock.pass_s(LIFE_S - 1)
    assert server.tokens.verify(last) is not None
    clock.pass_s(2 * LIFE_S)
    server.trust.rotate()
    assert old not in server.known and len(server.known) == 2


def test_a_key_is_replaced_when_it_is_old_and_by_one_server_only(
    database: Database, sealer: Sealer, clock: HandClock
) -> None:
    first, second = Server(database, sealer, clock), Server(database, sealer, clock)
    clock.pass_s(30 * DAY_S - 1)
    first.trust.refresh()
    assert len(first.known) == 1
    clock.pass_s(1)
    for server in (first, second, first):
        server.trust.refresh()
    assert len(first.known) == len(second.known) == 2
    assert set(first.known) == set(second.known)


def test_a_key_that_leaked_can_be_dropped_at_once(database: Database, sealer: Sealer, clock: HandClock) -> None:
    server, other = Server(database, sealer, clock), Server(database, sealer, clock)
    swaps: list[int] = []
    other.trust.swapped = lambda: swaps.append(1)
    token = server.tokens.issue(WISH)
    server.trust.rotate(forget_old=True)
    other.trust.refresh()
    assert len(other.known) == 1 and swaps == [1]
    assert other.trust.now().verifying(token, clock.now_ms()) is None
    assert other.tokens.verify(server.tokens.issue(WISH)) is not None


def test_a_server_without_the_secret_key_verifies_and_makes_a_key_of_its_own(
    database: Database, sealer: Sealer, clock: HandClock
) -> None:
    token = Server(database, sealer, clock).tokens.issue(WISH)
    stranger = Server(database, Sealer(Keyring([b"x" * 32])), clock)
    assert stranger.tokens.verify(token) is not None
    assert len(stranger.known) == 2 and stranger.tokens.verify(stranger.tokens.issue(WISH)) is not None


def test_a_revoked_token_is_refused_everywhere_and_forgotten_in_the_end(
    database: Database, sealer: Sealer, clock: HandClock
) -> None:
    first, second = Server(database, sealer, clock), Server(database, sealer, clock)
    first.trust.revoke("a", clock.now_ms() + 1000)
    second.trust.refresh()
    assert second.trust.now().revoked == {"a"}
    clock.pass_s(2)
    second.trust.revoke("b", clock.now_ms() + 1000)
    assert second.trust.now().revoked == {"b"}


def test_when_the_store_is_away_the_last_keys_go_on(database: Database, sealer: Sealer, clock: HandClock) -> None:
    server = Server(database, sealer, clock)
    token = server.tokens.issue(WISH)
    with database.engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE revisions"))
    assert server.tokens.verify(token) is not None
