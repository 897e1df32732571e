"""Brings a database to the newest schema. Called once at start, by the supervisor, before anything else opens it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from headgate.store import (
    audit_tables,
    grant_tables,
    identity_tables,
    oauth_tables,
    quota_tables,
    record_tables,
    registry_tables,
    secret_tables,
    tables,
    tracking_tables,
)
from headgate.store.database import Database, ahead_ms_within

# Importing them adds their tables to the one metadata.
EVERY = (
    tables,
    registry_tables,
    identity_tables,
    oauth_tables,
    grant_tables,
    secret_tables,
    audit_tables,
    tracking_tables,
    quota_tables,
    record_tables,
)
metadata = tables.metadata

FOLDER = Path(__file__).parent / "migrations"
_PATIENCE_S = 5


class TooNew(Exception):
    """The schema is one that this version does not know; the message says what to do."""


def upgrade(database: Database) -> None:
    """Runs the migrations that are missing, in one transaction where the database can. Raises TooNew."""
    with database.write() as connection:
        there = MigrationContext.configure(connection).get_current_revision()
        if there is not None and there not in _known():
            raise TooNew(
                f"this database has the schema {there} of a newer Headgate: install the version that its other servers have, or had last"
            )
        command.upgrade(config(connection), "head")


@dataclass(frozen=True, slots=True)
class Look:
    """A database from outside."""

    revision: str | None
    """Of its schema; None: it is empty."""
    known: frozenset[str]
    """All schemas that this version knows."""
    ahead_ms: int
    """How far this machine's clock is ahead of the database's."""


def look(url: str) -> Look:
    """Changes nothing, and waits a few seconds at most. Raises what SQLAlchemy raises."""
    options = {} if url.startswith("sqlite") else {"connect_timeout": _PATIENCE_S}
    engine = sa.create_engine(url, connect_args=options)
    try:
        with engine.connect() as connection:
            revision = MigrationContext.configure(connection).get_current_revision()
            ahead_ms = ahead_ms_within(connection)
    finally:
        engine.dispose()
    return Look(revision, _known(), ahead_ms)


def _known() -> frozenset[str]:
    return frozenset(script.revision for script in ScriptDirectory(str(FOLDER)).walk_revisions())


def config(connection: object) -> Config:
    """Alembic's configuration for one open connection."""
    made = Config()
    made.set_main_option("script_location", str(FOLDER))
    made.attributes["connection"] = connection
    return made
