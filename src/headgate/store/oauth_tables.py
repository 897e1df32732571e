"""Tables of signing keys, secrets of service principals and logins, on the same metadata as `tables`. Pure data. Timestamps are milliseconds since the epoch."""

from __future__ import annotations

import sqlalchemy as sa

from headgate.store.tables import metadata


def _principal() -> sa.Column[str]:
    # Whoever is deleted leaves nothing to come back with.
    return sa.Column("principal_id", sa.ForeignKey("identities.id", ondelete="CASCADE"), nullable=False, index=True)


def _origin() -> sa.Column[str]:
    # Keyed hash of the access token that somebody logged in with, which it does not outlive; empty: with a provider.
    return sa.Column("origin", sa.String(64), nullable=False)


signing_keys = sa.Table(
    "signing_keys",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("public_key", sa.Text, nullable=False),
    sa.Column("sealed_private_key", sa.Text, nullable=False, info={"sealed": "signing-key:{id}"}),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    # Until then it only verifies, so that every server knows it before the first token comes.
    sa.Column("signs_from", sa.BigInteger, nullable=False),
    # NULL for the newest; then when the last token it signed has expired.
    sa.Column("expires_at", sa.BigInteger),
)

revoked_tokens = sa.Table(
    "revoked_tokens",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    comment="Sessions ended before their time, until they would have expired anyway.",
)

client_secrets = sa.Table(
    "client_secrets",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    _principal(),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    comment="Secrets of service principals: a keyed hash of each, never its value.",
)

authorization_codes = sa.Table(
    "authorization_codes",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    _principal(),
    sa.Column("client_id", sa.String(256), nullable=False),
    sa.Column("redirect_uri", sa.Text, nullable=False),
    sa.Column("challenge", sa.String(128), nullable=False),
    sa.Column("scope", sa.Text, nullable=False),
    _origin(),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
)

refresh_tokens = sa.Table(
    "refresh_tokens",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    _principal(),
    sa.Column("client_id", sa.String(256), nullable=False),
    sa.Column("scope", sa.Text, nullable=False),
    _origin(),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
)

external_accounts = sa.Table(
    "external_accounts",
    metadata,
    # A hash of issuer and subject: together they are longer than a key may be.
    sa.Column("digest", sa.String(64), primary_key=True),
    _principal(),
    sa.Column("issuer", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    # Groups the last login put the user into; the next one takes them away again where the claim is gone.
    sa.Column("group_ids", sa.JSON, nullable=False),
    comment="Which user an account at the login provider is.",
)
