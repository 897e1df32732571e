"""Users, groups, service principals and their access tokens; who is in which group through others. Pure.

Ids are digits, one sequence for all kinds. A group's members are users, service principals and groups; everybody is in `users`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

from headgate import errors

ADMINISTRATOR_ID = "1"
"""The user made at the first start. Cannot be deleted, deactivated or taken out of `admins`: somebody must be able to get in."""
ADMINS_ID = "2"
USERS_ID = "3"
BUILT_IN = {ADMINS_ID: "admins", USERS_ID: "users"}
"""Groups that are always there, under these names."""

WORKSPACE_ACCESS = "workspace-access"
"""The entitlement to create serving endpoints."""
ENTITLEMENTS = (
    WORKSPACE_ACCESS,
    "databricks-sql-access",
    "allow-cluster-create",
    "allow-instance-pool-create",
    "workspace-consume",
)
"""What clients may grant. Only `WORKSPACE_ACCESS` means something here; the others are kept and shown."""
GIVEN_TO = {ADMINS_ID: ENTITLEMENTS[:4], USERS_ID: ENTITLEMENTS[:2]}
"""Entitlements of the built-in groups in the beginning."""

MAX_NAME_CHARACTERS = 256


@dataclass(frozen=True, slots=True)
class User:
    """A person."""

    id: str
    user_name: str
    """Usually an e-mail address; unique, whatever its case."""
    display_name: str = ""
    given_name: str = ""
    family_name: str = ""
    external_id: str = ""
    """What an identity provider calls it."""
    active: bool = True
    entitlements: tuple[str, ...] = ()
    """Its own, without those of its groups."""
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServicePrincipal:
    """A program."""

    id: str
    application_id: str
    """A UUID; what it is called as a caller and in permissions."""
    display_name: str = ""
    external_id: str = ""
    active: bool = True
    entitlements: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """A group of users, service principals and groups."""

    id: str
    display_name: str
    """Unique, whatever its case."""
    members: frozenset[str] = frozenset()
    """Ids of those directly in it. Empty for `users`: that is everybody."""
    external_id: str = ""
    entitlements: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()


Identity = User | ServicePrincipal | Group


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A personal access token, without its value. Times are milliseconds since the epoch."""

    id: str
    """Hex digits; says nothing about the value."""
    digest: str
    """Keyed hash of the value."""
    principal_id: str
    """Whose calls it makes."""
    created_by_id: str
    created_at_ms: int
    comment: str = ""
    expires_at_ms: int | None = None
    """None: never."""
    last_used_at_ms: int | None = None
    """To a minute or so."""

    def has_expired(self, now_ms: int) -> bool:
        """Whether it is good for nothing any more."""
        return self.expires_at_ms is not None and now_ms >= self.expires_at_ms


@dataclass(frozen=True, slots=True)
class Population:
    """Everybody there is, read at once."""

    revision: int = -1
    users: tuple[User, ...] = ()
    service_principals: tuple[ServicePrincipal, ...] = ()
    groups: tuple[Group, ...] = ()
    tokens: tuple[AccessToken, ...] = ()


def folded(name: str) -> str:
    """What two names have in common when they are one name."""
    return name.casefold()


def groups_above(groups: Iterable[Group]) -> Mapping[str, frozenset[str]]:
    """Member id -> ids of all groups it is in, directly or through others; without `users`. Only ids that are in some group."""
    direct: dict[str, set[str]] = {}
    for group in groups:
        for member in group.members:
            direct.setdefault(member, set()).add(group.id)
    return {member: _reach(member, direct) for member in direct}


def _reach(start: str, direct: Mapping[str, set[str]]) -> frozenset[str]:
    found: set[str] = set()
    left = [start]
    while left:
        more = direct.get(left.pop(), set()) - found
        found |= more
        left += more
    return frozenset(found)


def check_members(group: Group, groups: Mapping[str, Group], known: Set[str]) -> None:
    """Whether these may be its members. `groups` are all by id, `known` are all ids. Raises InvalidParameterValue."""
    if group.id == USERS_ID and group.members:
        raise errors.InvalidParameterValue("Everybody is in the group users: its members cannot be changed.")
    for member in sorted(group.members - known):
        raise errors.InvalidParameterValue(
            f"There is no user, service principal or group with id {member} to be a member."
        )
    if USERS_ID in group.members:
        raise errors.InvalidParameterValue("The group users cannot be a member: it is everybody.")
    if group.id == ADMINS_ID and ADMINISTRATOR_ID not in group.members:
        raise errors.InvalidParameterValue("The first administrator cannot be taken out of the group admins.")
    above = groups_above([*(other for other in groups.values() if other.id != group.id), group])
    if group.id in above.get(group.id, frozenset()):
        raise errors.InvalidParameterValue(
            f"Group {group.display_name} would be a member of itself, through: "
            f"{', '.join(sorted(groups[one].display_name for one in group.members if _is_below(group.id, one, above)))}."
        )


def _is_below(group_id: str, member: str, above: Mapping[str, frozenset[str]]) -> bool:
    return member == group_id or member in above.get(group_id, frozenset())


def check(identity: Identity) -> None:
    """Its names and what is built in. Raises InvalidParameterValue."""
    if isinstance(identity, User):
        _check_name("userName", identity.user_name)
        if identity.id == ADMINISTRATOR_ID and not identity.active:
            raise errors.InvalidParameterValue("The first administrator cannot be deactivated.")
    elif isinstance(identity, Group):
        _check_name("displayName", identity.display_name)
        if BUILT_IN.get(identity.id, identity.display_name) != identity.display_name:
            raise errors.InvalidParameterValue(f"The group {BUILT_IN[identity.id]} is built in: it cannot be renamed.")
    else:
        _check_name("applicationId", identity.application_id)
    for text in (identity.display_name, identity.external_id, *identity.entitlements, *identity.roles):
        if len(text) > MAX_NAME_CHARACTERS or not text.isprintable():
            raise errors.InvalidParameterValue(
                f"A value is longer than {MAX_NAME_CHARACTERS} characters or not printable."
            )


def check_deletable(identity_id: str) -> None:
    """Raises InvalidParameterValue for what is built in."""
    if identity_id == ADMINISTRATOR_ID:
        raise errors.InvalidParameterValue("The first administrator cannot be deleted.")
    if identity_id in BUILT_IN:
        raise errors.InvalidParameterValue(f"The group {BUILT_IN[identity_id]} is built in: it cannot be deleted.")


def _check_name(field: str, name: str) -> None:
    if not name or name != name.strip() or len(name) > MAX_NAME_CHARACTERS or not name.isprintable():
        raise errors.InvalidParameterValue(
            f"{field} must be 1 to {MAX_NAME_CHARACTERS} printable characters, without space around them."
        )
