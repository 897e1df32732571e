"""Signing keys, secrets of service principals, logins."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "signing_keys",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("public_key", sa.Text(), nullable=False),
        sa.Column("sealed_private_key", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("signs_from", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signing_keys")),
    )
    op.create_table(
        "revoked_tokens",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_revoked_tokens")),
        comment="Sessions ended before their time, until they would have expired anyway.",
    )
    _of_a_principal(
        "client_secrets",
        "id",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.UniqueConstraint("digest", name=op.f("uq_client_secrets_digest")),
        comment="Secrets of service principals: a keyed hash of each, never its value.",
    )
    _of_a_principal(
        "authorization_codes",
        "digest",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=256), nullable=False),
        sa.Column("redirect_uri", sa.Text(), nullable=False),
        sa.Column("challenge", sa.String(length=128), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("origin", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
    )
    _of_a_principal(
        "refresh_tokens",
        "digest",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=256), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("origin", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
    )
    _of_a_principal(
        "external_accounts",
        "digest",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("group_ids", sa.JSON(), nullable=False),
        comment="Which user an account at the login provider is.",
    )


def _of_a_principal(
    table: str, key: str, *columns: sa.Column[Any] | sa.UniqueConstraint, comment: str | None = None
) -> None:
    op.create_table(
        table,
        *columns,
        sa.Column("principal_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["principal_id"], ["identities.id"], name=op.f(f"fk_{table}_principal_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint(key, name=op.f(f"pk_{table}")),
        comment=comment,
    )
    op.create_index(op.f(f"ix_{table}_principal_id"), table, ["principal_id"])
