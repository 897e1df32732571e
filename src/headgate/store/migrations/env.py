"""Alembic's entry: runs migrations on the connection that `store.schema.upgrade` hands over."""

from __future__ import annotations

from alembic import context

from headgate.store import registry_tables, tables

assert registry_tables  # importing it adds its tables to the metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=tables.metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
