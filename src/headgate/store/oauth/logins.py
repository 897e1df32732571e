"""What is kept of people who log in: codes on their way to a client, refresh tokens, and which account elsewhere is whose."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from headgate.store.database import Database
from headgate.store.oauth_tables import authorization_codes, external_accounts, refresh_tokens

_C = authorization_codes
_R = refresh_tokens
_A = external_accounts


@dataclass(frozen=True, slots=True)
class AuthorizationCode:
    """What a code stands for. It is good once."""

    digest: str
    principal_id: str
    client_id: str
    redirect_uri: str
    challenge: str
    """S256 of the verifier that the client kept."""
    scope: str
    expires_at_ms: int
    origin: str = ""
    """Keyed hash of the access token that its person logged in with; empty: they logged in with a provider."""


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """What a refresh token stands for."""

    digest: str
    principal_id: str
    client_id: str
    scope: str
    created_at_ms: int
    expires_at_ms: int
    origin: str = ""
    """As of the code it was got with."""


@dataclass(frozen=True, slots=True)
class ExternalAccount:
    """Somebody at the login provider."""

    digest: str
    """Of issuer and subject."""
    principal_id: str
    issuer: str
    subject: str
    group_ids: tuple[str, ...] = ()
    """Groups that the last login put them into."""


MOST_REFRESH_TOKENS = 100
"""Of one person: every login of a program makes one, and nobody runs more programs."""


class Logins:
    """Repository. Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_code(self, code: AuthorizationCode, now_ms: int) -> None:
        """A new code. Expired ones are forgotten."""
        with self._database.write() as connection:
            connection.execute(sa.delete(_C).where(_C.c.expires_at <= now_ms))
            connection.execute(
                sa.insert(_C).values(
                    digest=code.digest,
                    principal_id=code.principal_id,
                    client_id=code.client_id,
                    redirect_uri=code.redirect_uri,
                    challenge=code.challenge,
                    scope=code.scope,
                    expires_at=code.expires_at_ms,
                    origin=code.origin,
                )
            )

    def take_code(self, digest: str) -> AuthorizationCode | None:
        """The code, which is gone then: of several who ask, one gets it."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(_C).where(_C.c.digest == digest)).first()
        if row is None:
            return None  # anybody may try: that writes nothing
        with self._database.write() as connection:
            if not connection.execute(sa.delete(_C).where(_C.c.digest == digest)).rowcount:
                return None
        return AuthorizationCode(
            row.digest, row.principal_id, row.client_id, row.redirect_uri, row.challenge, row.scope, row.expires_at,
            row.origin,
        )  # fmt: skip

    def add_refresh_token(self, token: RefreshToken) -> None:
        """A new refresh token. Expired ones are forgotten, and of its holder's all but the newest `MOST_REFRESH_TOKENS`."""
        with self._database.write() as connection:
            connection.execute(sa.delete(_R).where(_R.c.expires_at <= token.created_at_ms))
            connection.execute(
                sa.insert(_R).values(
                    digest=token.digest,
                    principal_id=token.principal_id,
                    client_id=token.client_id,
                    scope=token.scope,
                    created_at=token.created_at_ms,
                    expires_at=token.expires_at_ms,
                    origin=token.origin,
                )
            )
            own = sa.select(_R.c.digest).where(_R.c.principal_id == token.principal_id)
            older = own.order_by(_R.c.created_at.desc(), _R.c.digest).offset(MOST_REFRESH_TOKENS)
            gone = [row.digest for row in connection.execute(older)]
            if gone:
                connection.execute(sa.delete(_R).where(_R.c.digest.in_(gone)))

    def refresh_token(self, digest: str) -> RefreshToken | None:
        """The refresh token, expired or not."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(_R).where(_R.c.digest == digest)).first()
        if row is None:
            return None
        return RefreshToken(
            row.digest, row.principal_id, row.client_id, row.scope, row.created_at, row.expires_at, row.origin
        )

    def account(self, digest: str) -> ExternalAccount | None:
        """Somebody who has logged in before."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(_A).where(_A.c.digest == digest)).first()
        return None if row is None else _account(row)

    def account_of(self, principal_id: str, issuer: str) -> ExternalAccount | None:
        """The account that this user has logged in with at that provider."""
        query = sa.select(_A).where(_A.c.principal_id == principal_id)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return next((_account(row) for row in rows if row.issuer == issuer), None)

    def keep_account(self, account: ExternalAccount) -> None:
        """Remembers who somebody is, and the groups they have through the provider."""
        values = {
            "principal_id": account.principal_id,
            "issuer": account.issuer,
            "subject": account.subject,
            "group_ids": list(account.group_ids),
        }
        mine = sa.update(_A).where(_A.c.digest == account.digest).values(values)
        try:
            with self._database.write() as connection:
                if not connection.execute(mine).rowcount:
                    connection.execute(sa.insert(_A).values(digest=account.digest, **values))
        except sa.exc.IntegrityError:  # two first logins at once
            with self._database.write() as connection:
                connection.execute(mine)


def _account(row: sa.Row[tuple[object, ...]]) -> ExternalAccount:
    return ExternalAccount(row.digest, row.principal_id, row.issuer, row.subject, tuple(row.group_ids))
