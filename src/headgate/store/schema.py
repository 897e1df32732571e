"""Brings a database to the newest schema. Called once at start, by the supervisor, before anything else opens it."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config

from headgate.store.database import Database

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
