"""Secret scopes and secrets. Holds sealed texts only; who may do what with a scope are grants on its id."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import sqlalchemy as sa

from headgate.domain import secret_rules
from headgate.domain.grants import SECRET_SCOPE, Held, Securable
from headgate.domain.secret_rules import MANAGE, Scope, Secret, folded
from headgate.errors import ResourceAlreadyExists, ResourceDoesNotExist, ResourceLimitExceeded
from headgate.store import grant_tables, grants, secret_tables
from headgate.store.database import Database

_S = secret_tables.secret_scopes
_K = secret_tables.secrets
_G = grant_tables.grants
_TOPIC = "sealing"
"""Of `access.sealing`: sealed texts are made and stored within one transaction of it."""
VALUES = "secrets"
"""Topic of every change of a value: what was read of them is to be read again."""


class Secrets:
    """Repository of scopes and secrets. Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create_scope(self, scope: Scope, manager: str) -> None:
        """A new scope that `manager` may MANAGE. Raises ResourceAlreadyExists, ResourceLimitExceeded."""
        with self._database.write(_TOPIC) as connection:
            same = sa.select(_S.c.id).where(_S.c.folded_name == folded(scope.name))
            if connection.execute(same).first() is not None:
                raise ResourceAlreadyExists(f"Scope {scope.name} already exists!")
            count = connection.execute(sa.select(sa.func.count()).select_from(_S)).scalar() or 0
            if count >= secret_rules.MOST_SCOPES:
                raise ResourceLimitExceeded(
                    f"There are {count} secret scopes already, which is the most there may be; delete one that is not used any more."
                )
            row = {
                "id": scope.id,
                "name": scope.name,
                "folded_name": folded(scope.name),
                "created_at": scope.created_at_ms,
            }
            connection.execute(sa.insert(_S).values(row))
            grants.replace_within(connection, Securable(SECRET_SCOPE, scope.id), {manager: [MANAGE]})

    def delete_scope(self, scope: Scope) -> None:
        """With everything in it. Raises ResourceDoesNotExist."""
        with self._database.write(_TOPIC, VALUES) as connection:
            if connection.execute(sa.delete(_S).where(_S.c.id == scope.id)).rowcount == 0:
                raise _no_scope(scope.name)
            grants.replace_within(connection, Securable(SECRET_SCOPE, scope.id), {})

    def scopes(self, grantees: Iterable[str] | None) -> list[Scope]:
        """Those that any of the grantees has something on (None: all), by name."""
        query = sa.select(_S).order_by(_S.c.folded_name)
        if grantees is not None:
            query = query.where(_S.c.id.in_(sa.select(_G.c.securable_id).where(_granted(grantees))))
        with self._database.read() as connection:
            return [_scope(row) for row in connection.execute(query)]

    def permission(self, name: str, grantees: Iterable[str] | None) -> tuple[Scope, str] | None:
        """The scope of that name and the most that any of the grantees may do there (None as grantees: everything).

        None alike, after the same one query, for a scope that is not there and for one they have nothing on.
        """
        named = _S.c.folded_name == folded(name)
        # Grants are looked for even where there is no such scope: the steps inside the database are the same, too.
        scope_id = sa.func.coalesce(sa.select(_S.c.id).where(named).scalar_subquery(), "")
        mine = sa.select(_G.c.privilege).where(_G.c.securable_id == scope_id, _granted(grantees or ()))
        with self._database.read() as connection:
            held = [MANAGE] if grantees is None else list(connection.execute(mine).scalars())
            row = connection.execute(sa.select(_S).where(named)).first() if held else None
        most = secret_rules.most(held)
        return None if row is None or most is None else (_scope(row), most)

    def put(self, scope: Scope, secret: Secret, seal: Callable[[], str]) -> None:
        """Writes a secret, sealed within the transaction. Raises ResourceDoesNotExist, ResourceLimitExceeded."""
        mine = sa.and_(_K.c.scope_id == scope.id, _K.c.key == secret.key)
        with self._database.write(_TOPIC, VALUES) as connection:
            if connection.execute(sa.select(_S.c.id).where(_S.c.id == scope.id)).first() is None:
                raise _no_scope(scope.name)
            replaced = connection.execute(sa.delete(_K).where(mine)).rowcount
            in_scope = sa.select(sa.func.count()).select_from(_K).where(_K.c.scope_id == scope.id)
            if not replaced and (connection.execute(in_scope).scalar() or 0) >= secret_rules.MOST_SECRETS:
                raise ResourceLimitExceeded(
                    f"Scope {scope.name} has {secret_rules.MOST_SECRETS} secrets already, which is the most one may have; "
                    "delete some, or use another scope."
                )
            row = {
                "scope_id": scope.id,
                "key": secret.key,
                "version": secret.version,
                "updated_at": secret.updated_at_ms,
            }
            connection.execute(sa.insert(_K).values(row | {"sealed": seal()}))

    def delete(self, scope: Scope, key: str) -> bool:
        """Whether there was one."""
        with self._database.write(_TOPIC, VALUES) as connection:
            mine = sa.and_(_K.c.scope_id == scope.id, _K.c.key == key)
            return connection.execute(sa.delete(_K).where(mine)).rowcount > 0

    def secrets(self, scope: Scope) -> list[Secret]:
        """All of a scope, by key."""
        query = sa.select(_K.c.key, _K.c.updated_at, _K.c.version).where(_K.c.scope_id == scope.id).order_by(_K.c.key)
        with self._database.read() as connection:
            return [Secret(key, updated_at, version) for key, updated_at, version in connection.execute(query)]

    def sealed(self, scope: Scope, key: str) -> tuple[str, str] | None:
        """A secret's sealed value and its version."""
        query = sa.select(_K.c.sealed, _K.c.version).where(_K.c.scope_id == scope.id, _K.c.key == key)
        with self._database.read() as connection:
            row = connection.execute(query).first()
        return None if row is None else (row.sealed, row.version)

    def permissions(self, scope: Scope) -> Held:
        """Everything granted on a scope."""
        with self._database.read() as connection:
            return grants.of_within(connection, Securable(SECRET_SCOPE, scope.id))

    def grant(self, scope: Scope, grantee: str, permission: str | None) -> bool:
        """This permission on a scope and no other for a grantee; None takes it away. Whether there was one. Raises ResourceDoesNotExist."""
        with self._database.write(_TOPIC) as connection:
            if connection.execute(sa.select(_S.c.id).where(_S.c.id == scope.id)).first() is None:
                raise _no_scope(scope.name)
            securable = Securable(SECRET_SCOPE, scope.id)
            held = dict(grants.of_within(connection, securable))
            before = held.pop(grantee, None)
            if permission is not None:
                held[grantee] = frozenset({permission})
            grants.replace_within(connection, securable, held)
        return before is not None


def _granted(grantees: Iterable[str]) -> sa.ColumnElement[bool]:
    return sa.and_(_G.c.kind == SECRET_SCOPE, _G.c.grantee_id.in_(sorted(grantees)))


def _scope(row: sa.Row[tuple[str, ...]]) -> Scope:
    return Scope(row.id, row.name, row.created_at)


def _no_scope(name: str) -> ResourceDoesNotExist:
    return ResourceDoesNotExist(f"Scope {name} does not exist!")
