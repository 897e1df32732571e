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


def upgrade(database: Database) -> None:
    """Runs the migrations that are missing, in one transaction where the database can."""
    with database.write() as connection:
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
    scripts = ScriptDirectory(str(FOLDER)).walk_revisions()
    return Look(revision, frozenset(script.revision for script in scripts), ahead_ms)


def config(connection: object) -> Config:
    """Alembic's configuration for one open connection."""
    made = Config()
    made.set_main_option("script_location", str(FOLDER))
    made.attributes["connection"] = connection
    return made
