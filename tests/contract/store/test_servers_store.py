"""Which routing tables are in use, as far as server processes were heard of lately."""

from __future__ import annotations

from headgate.store.database import Database
from headgate.store.servers import FRESH_MS, Servers

NOW = 1_800_000_000_000


def test_nobody_was_heard_of(database: Database) -> None:
    assert Servers(database).slowest_revision(NOW) is None


def test_the_slowest_server_counts_by_what_it_said_last(database: Database) -> None:
    servers = Servers(database)
    servers.report("server-0", 3_000_000_000, NOW)
    servers.report("server-1", 4, NOW)
    assert servers.slowest_revision(NOW) == 4
    servers.report("server-1", 3_000_000_001, NOW + 1)
    assert servers.slowest_revision(NOW + 1) == 3_000_000_000


def test_a_row_counts_while_it_is_fresh_and_a_clock_that_is_ahead_does_not_make_it_fresher(database: Database) -> None:
    servers = Servers(database)
    servers.report("server-0", 4, NOW)
    assert servers.slowest_revision(NOW + FRESH_MS) == 4
    assert servers.slowest_revision(NOW + FRESH_MS + 1) is None
    assert servers.slowest_revision(NOW - FRESH_MS - 1) is None


def test_a_server_that_stopped_and_those_gone_without_a_word_are_forgotten(database: Database) -> None:
    servers = Servers(database)
    for number in range(3):
        servers.report(f"server-{number}", number, NOW + number)
    servers.remove("server-0")
    servers.remove("never-there")
    assert servers.slowest_revision(NOW) == 1
    servers.prune(NOW + 2)
    assert servers.slowest_revision(NOW) == 2


def test_the_slowest_directory_counts_and_one_that_is_not_known_yet_is_the_slowest(database: Database) -> None:
    servers = Servers(database)
    assert servers.slowest_identity(NOW) is None
    assert not servers.report_identity("server-0", 7), "it has no row yet"
    servers.report("server-0", 1, NOW)
    assert servers.slowest_identity(NOW) == -1
    assert servers.report_identity("server-0", 7)
    servers.report("server-1", 1, NOW)
    servers.report_identity("server-1", 6)
    assert servers.slowest_identity(NOW) == 6
    servers.report("server-0", 2, NOW + FRESH_MS + 1)
    assert servers.slowest_identity(NOW + FRESH_MS + 1) == 7, "only who was seen lately counts"


def test_servers_are_counted_while_they_are_heard_of(database: Database) -> None:
    servers = Servers(database)
    assert servers.count(NOW) == 0
    servers.report("server-0", 4, NOW)
    servers.report("server-1", 4, NOW + 10)
    assert servers.count(NOW + 20) == 2
    assert servers.count(NOW + FRESH_MS + 5) == 1
