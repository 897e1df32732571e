"""Users, service principals, groups and access tokens. Written by the API and at start; every server follows topic `identity`.

Writers are one after another on every database: each begins by raising the topic's revision, one row that the others wait for.
So a rule over several rows (no group within itself) that held for the writer holds for all.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

from headgate import errors
from headgate.domain import identity
from headgate.domain.identity import AccessToken, Group, Identity, Population, ServicePrincipal, User
from headgate.store import grants
from headgate.store.database import Database, revision_within
from headgate.store.identity_tables import access_tokens, identities, memberships

TOPIC = "identity"

_I = identities
_M = memberships
_T = access_tokens

_AT_ONCE = 500

_KINDS: Mapping[type[Identity], str] = {User: "user", ServicePrincipal: "service_principal", Group: "group"}
_SHOWN = {"user": "user", "service_principal": "service principal", "group": "group"}
_TAKEN = {
    "user": "User with username",
    "service_principal": "Service principal with application ID",
    "group": "Group with name",
}
"""Terraform looks for these words."""

Groups = frozenset[str]
"""Ids of those that somebody is directly in."""

One = TypeVar("One", User, ServicePrincipal, Group)


class Identities:
    """Repository of everybody and their tokens. Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def revision(self) -> int:
        """How often anything of it was written."""
        return self._database.revision(TOPIC)

    def read(self) -> Population:
        """Everybody. The revision is read first: a change while reading makes the reader read again."""
        with self._database.read() as connection:
            revision = revision_within(connection, TOPIC)
            found = _everybody(connection)
            tokens = tuple(_tokens(connection, sa.true()))
        return Population(
            revision,
            tuple(one for one in found if isinstance(one, User)),
            tuple(one for one in found if isinstance(one, ServicePrincipal)),
            tuple(one for one in found if isinstance(one, Group)),
            tokens,
        )

    def add(self, new: Identity, into: Iterable[str] = ()) -> None:
        """Somebody new, as a member of these groups. Raises ResourceAlreadyExists, InvalidParameterValue."""
        identity.check(new)
        with self._database.write(TOPIC) as connection:
            _check_free(connection, new)
            connection.execute(sa.insert(_I).values(_values(new)))
            _set_members(connection, new)
            _join(connection, new.id, into)

    def change(self, kind: type[One], identity_id: str, changed: Callable[[One, Groups], tuple[One, Groups]]) -> One:
        """Replaces it, and the groups it is directly in, by what `changed` makes of them within the transaction; that may raise.

        Raises ResourceDoesNotExist, ResourceAlreadyExists, InvalidParameterValue.
        """
        with self._database.write(TOPIC) as connection:
            before = _one(connection, kind, identity_id)
            groups = frozenset(
                connection.execute(sa.select(_M.c.group_id).where(_M.c.member_id == identity_id)).scalars()
            )
            after, into = changed(before, groups)
            identity.check(after)
            if _name(after) != _name(before):
                _check_free(connection, after)
            connection.execute(sa.update(_I).where(_I.c.id == identity_id).values(_values(after)))
            _set_members(connection, after)
            for group_id in groups - into:
                group = _one(connection, Group, group_id)
                _set_members(connection, dataclasses.replace(group, members=group.members - {identity_id}))
            _join(connection, identity_id, into - groups)
        return after

    def remove(self, kind: type[One], identity_id: str) -> None:
        """It is gone, with its tokens, memberships and grants. Raises ResourceDoesNotExist, InvalidParameterValue."""
        identity.check_deletable(identity_id)
        with self._database.write(TOPIC, "routing") as connection:
            _one(connection, kind, identity_id)
            connection.execute(sa.delete(_I).where(_I.c.id == identity_id))
            grants.forget_grantee_within(connection, identity_id)

    def ensure_built_in(self, admin_user: str) -> None:
        """The first administrator, called `admin_user`, and the built-in groups. Raises ResourceAlreadyExists when somebody else has that name."""
        with self._database.read() as connection:
            before = {one.id: one for one in _everybody(connection)}
        old = before.get(identity.ADMINISTRATOR_ID)
        if old is None:
            administrator = User(identity.ADMINISTRATOR_ID, admin_user, admin_user)
            identity.check(administrator)
            with self._database.write(TOPIC) as connection:
                if _known(connection, [administrator.id]):  # somebody else starts just now
                    return
                connection.execute(sa.insert(_I).values(_values(administrator)))
                for group_id, name in identity.BUILT_IN.items():
                    group = Group(group_id, name, entitlements=identity.GIVEN_TO[group_id])
                    connection.execute(sa.insert(_I).values(_values(group)))
                connection.execute(sa.insert(_M).values(group_id=identity.ADMINS_ID, member_id=administrator.id))
        elif isinstance(old, User) and old.user_name != admin_user:
            display = admin_user if old.display_name == old.user_name else old.display_name
            renamed = dataclasses.replace(old, user_name=admin_user, display_name=display)
            self.change(User, old.id, lambda _, groups: (renamed, groups))

    # -- tokens ---------------------------------------------------------------------------------------------------

    def add_token(self, token: AccessToken, most: int) -> None:
        """A new token; its principal's expired ones go. Raises ResourceDoesNotExist, QuotaExceeded when there are `most` already."""
        mine = _T.c.principal_id == token.principal_id
        with self._database.write(TOPIC) as connection:
            if connection.execute(sa.select(_I.c.id).where(_I.c.id == token.principal_id)).first() is None:
                raise errors.ResourceDoesNotExist(f"There is nobody with id {token.principal_id}.")
            connection.execute(sa.delete(_T).where(mine, _T.c.expires_at <= token.created_at_ms))
            count = connection.execute(sa.select(sa.func.count()).select_from(_T).where(mine)).scalar() or 0
            if count >= most:
                raise errors.QuotaExceeded(
                    f"There are {count} tokens already, which is the most that one user or service principal may have. "
                    "Revoke some that are not needed any more."
                )
            connection.execute(sa.insert(_T).values(_token_values(token)))

    def replace_token(self, token: AccessToken) -> None:
        """The token of that id is this one from now on; nothing is written when it already is."""
        with self._database.read() as connection:
            old = connection.execute(sa.select(_T).where(_T.c.id == token.id)).first()
        if old is not None and old.digest == token.digest:
            return
        with self._database.write(TOPIC) as connection:
            connection.execute(sa.delete(_T).where(sa.or_(_T.c.id == token.id, _T.c.digest == token.digest)))
            connection.execute(sa.insert(_T).values(_token_values(token)))

    def revoke_token(self, token_id: str) -> None:
        """It is good for nothing any more. Raises ResourceDoesNotExist."""
        with self._database.write(TOPIC) as connection:
            if not connection.execute(sa.delete(_T).where(_T.c.id == token_id)).rowcount:
                raise errors.ResourceDoesNotExist(f"Token {token_id} does not exist.")

    def describe_token(self, token_id: str, comment: str) -> None:
        """Another comment."""
        with self._database.write() as connection:
            connection.execute(sa.update(_T).where(_T.c.id == token_id).values(comment=comment))

    def tokens(self, principal_id: str | None = None) -> list[AccessToken]:
        """Of one principal or of all, oldest first, with their last use."""
        with self._database.read() as connection:
            return _tokens(connection, sa.true() if principal_id is None else _T.c.principal_id == principal_id)

    def note_use(self, last_used_at_ms: Mapping[str, int]) -> None:
        """When tokens (by id) were last used. Changes nothing for anybody else: no revision grows."""
        with self._database.write() as connection:
            for token_id, at_ms in last_used_at_ms.items():
                older = sa.or_(_T.c.last_used_at.is_(None), _T.c.last_used_at < at_ms)
                connection.execute(sa.update(_T).where(_T.c.id == token_id, older).values(last_used_at=at_ms))


def _name(one: Identity) -> str:
    if isinstance(one, User):
        return one.user_name
    return one.application_id if isinstance(one, ServicePrincipal) else one.display_name


def _check_free(connection: sa.Connection, one: Identity) -> None:
    """Of any kind: grants are given by name alone, and must not come to another than was meant."""
    name = _name(one)
    same = sa.and_(_I.c.folded_name == identity.folded(name), _I.c.id != one.id)
    kinds = connection.execute(sa.select(_I.c.kind).where(same)).scalars().all()
    if kinds:
        kind = _KINDS[type(one)]
        raise errors.ResourceAlreadyExists(f"{_TAKEN[kind if kind in kinds else kinds[0]]} {name} already exists.")


def _set_members(connection: sa.Connection, group: Identity) -> None:
    if not isinstance(group, Group):
        return
    have = frozenset(connection.execute(sa.select(_M.c.member_id).where(_M.c.group_id == group.id)).scalars())
    new = sorted(group.members - have)
    if not new and group.members == have:
        return
    identity.check_members(group, _groups_of_groups(connection), have | _known(connection, new))
    for gone in _portions(sorted(have - group.members)):
        connection.execute(sa.delete(_M).where(_M.c.group_id == group.id, _M.c.member_id.in_(gone)))
    if new:
        connection.execute(sa.insert(_M), [{"group_id": group.id, "member_id": member} for member in new])


def _groups_of_groups(connection: sa.Connection) -> Mapping[str, Group]:
    """All groups by id, with those members only that are groups."""
    inner: dict[str, set[str]] = defaultdict(set)
    both = sa.select(_M.c.group_id, _M.c.member_id).join(_I, _I.c.id == _M.c.member_id).where(_I.c.kind == "group")
    for group_id, member_id in connection.execute(both):
        inner[group_id].add(member_id)
    groups = connection.execute(sa.select(_I.c.id, _I.c.name).where(_I.c.kind == "group"))
    return {group_id: Group(group_id, name, frozenset(inner.get(group_id, ()))) for group_id, name in groups}


def _known(connection: sa.Connection, ids: Sequence[str]) -> frozenset[str]:
    """Which of these there are."""
    found: set[str] = set()
    for portion in _portions(ids):
        found.update(connection.execute(sa.select(_I.c.id).where(_I.c.id.in_(portion))).scalars())
    return frozenset(found)


def _portions(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Databases limit a query's parameters."""
    for start in range(0, len(ids), _AT_ONCE):
        yield ids[start : start + _AT_ONCE]


def _join(connection: sa.Connection, member_id: str, into: Iterable[str]) -> None:
    for group_id in into:
        group = _one(connection, Group, group_id)
        _set_members(connection, dataclasses.replace(group, members=group.members | {member_id}))


def _one(connection: sa.Connection, kind: type[One], identity_id: str) -> One:
    wanted = sa.and_(_I.c.id == identity_id, _I.c.kind == _KINDS[kind])
    row = connection.execute(sa.select(*_COLUMNS).where(wanted)).first()
    if row is None:
        raise errors.ResourceDoesNotExist(f"There is no {_SHOWN[_KINDS[kind]]} with id {identity_id}.")
    members = connection.execute(sa.select(_M.c.member_id).where(_M.c.group_id == identity_id)).scalars()
    found = _identity(row, members)
    assert isinstance(found, kind)
    return found


def _everybody(connection: sa.Connection) -> list[Identity]:
    """By name."""
    members: dict[str, set[str]] = defaultdict(set)
    for group_id, member_id in connection.execute(sa.select(_M.c.group_id, _M.c.member_id)):
        members[group_id].add(member_id)
    rows = connection.execute(sa.select(*_COLUMNS).order_by(_I.c.folded_name))
    return [_identity(row, members.get(row[0], ())) for row in rows]


_COLUMNS = (
    _I.c.id, _I.c.kind, _I.c.name, _I.c.display_name, _I.c.given_name, _I.c.family_name, _I.c.external_id, _I.c.active,
    _I.c.entitlements, _I.c.roles,
)  # fmt: skip


def _identity(row: Sequence[Any], members: Iterable[str]) -> Identity:
    # By position: there may be very many, and attributes of rows are slow.
    id_, kind, name, display_name, given_name, family_name, external_id, active, entitlements, roles = row
    entitlements, roles = tuple(entitlements), tuple(roles)
    if kind == "user":
        return User(id_, name, display_name, given_name, family_name, external_id, bool(active), entitlements, roles)
    if kind == "service_principal":
        return ServicePrincipal(id_, name, display_name, external_id, bool(active), entitlements, roles)
    return Group(id_, name, frozenset(members), external_id, entitlements, roles)


def _tokens(connection: sa.Connection, which: sa.ColumnElement[bool]) -> list[AccessToken]:
    # The table's columns are the dataclass's fields, in their order.
    rows = connection.execute(sa.select(_T).where(which).order_by(_T.c.created_at, _T.c.id))
    return [AccessToken(*row) for row in rows]


def _values(one: Identity) -> dict[str, object]:
    name = _name(one)
    return {
        "id": one.id,
        "kind": _KINDS[type(one)],
        "name": name,
        "folded_name": identity.folded(name),
        "display_name": one.display_name,
        "given_name": getattr(one, "given_name", ""),
        "family_name": getattr(one, "family_name", ""),
        "external_id": one.external_id,
        "active": getattr(one, "active", True),
        "entitlements": list(one.entitlements),
        "roles": list(one.roles),
    }


def _token_values(token: AccessToken) -> dict[str, object]:
    return {
        "id": token.id,
        "digest": token.digest,
        "principal_id": token.principal_id,
        "created_by_id": token.created_by_id,
        "created_at": token.created_at_ms,
        "comment": token.comment,
        "expires_at": token.expires_at_ms,
        "last_used_at": token.last_used_at_ms,
    }
