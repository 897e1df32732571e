"""Brings a database to the newest schema. Called once at start, by the supervisor, before anything else opens it."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config

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
from headgate.store.database import Database

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


def upgrade(database: Database) -> None:
    """Runs the migrations that are missing, in one transaction where the database can."""
    with database.write() as connection:
        command.upgrade(config(connection), "head")


def config(connection: object) -> Config:
    """Alembic's configuration for one open connection."""
    made = Config()
    made.set_main_option("script_location", str(FOLDER))
    made.attributes["connection"] = connection
    return made
