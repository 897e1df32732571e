"""Where MLflow's server keeps experiments, runs and traces. Pure."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

SCHEMA = "headgate_tracking"
"""Of the tables in a PostgreSQL database that is ours as well: both sides keep a table `alembic_version`."""


def store_uri(configured: str, database_url: str, data_dir: Path) -> str:
    """`configured` if given; else beside our own tables: a file of its own in `data_dir`, or a schema of its own."""
    if configured:
        return configured
    if database_url.startswith("sqlite"):
        return f"sqlite:///{data_dir / 'tracking.db'}"
    url = sa.make_url(database_url).update_query_dict({"options": f"-csearch_path={SCHEMA}"})
    return url.render_as_string(hide_password=False)


def needs_schema(uri: str) -> bool:
    """Whether `SCHEMA` has to exist before its tables can be made."""
    return not uri.startswith("sqlite") and sa.make_url(uri).query.get("options") == f"-csearch_path={SCHEMA}"
