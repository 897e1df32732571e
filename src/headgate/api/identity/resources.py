"""Users, service principals and groups in SCIM's wire form, and back. Pure.

What is read back is always a whole resource: a PUT's body, or what a PATCH made of the present one.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from headgate import errors
from headgate.access.directory import Directory
from headgate.domain.identity import USERS_ID, Group, ServicePrincipal, User

SCHEMAS = "urn:ietf:params:scim:schemas:core:2.0:"
LISTED = frozenset({"members", "groups", "entitlements", "roles", "emails"})
"""Attributes that are lists of objects with a `value`."""

Resource = dict[str, Any]
One = TypeVar("One", User, ServicePrincipal, Group)


@dataclass(frozen=True, slots=True)
class Kind(Generic[One]):
    """What is said of one kind of principal in one place."""

    plural: str
    """As in the path: `Users`."""
    schema: str
    noun: str
    type: type[One]
    all: Callable[[Directory], tuple[One, ...]]
    show: Callable[[One, Directory], Resource]
    """Without id, groups and schemas."""
    blank: Callable[[str, Resource], One]
    """A new one of that id. May raise InvalidParameterValue."""
    read: Callable[[One, Resource], One]
    """As it is after a PUT of that resource. May raise InvalidParameterValue."""


def shown(kind: Kind[One], one: One, directory: Directory) -> Resource:
    """The whole resource."""
    groups = _groups(one.id, directory)
    resource = {"schemas": [kind.schema], "id": one.id, **kind.show(one, directory)}
    lists = {"groups": groups, "entitlements": _values(one.entitlements), "roles": _values(one.roles)}
    return resource | {name: entries for name, entries in lists.items() if entries}


def direct_groups(resource: Resource, before: frozenset[str]) -> frozenset[str]:
    """Ids of the groups the resource says it is directly in; those from before when it says nothing of groups."""
    if resource.get("groups") is None:
        return before
    direct = [one for one in _entries(resource, "groups") if one.get("type") != "indirect"]
    return frozenset(str(one.get("value")) for one in direct) - {USERS_ID}


def check_everybody(identity_id: str, before: Resource, after: Resource) -> None:
    """The group `users` is everybody. Raises InvalidParameterValue when its members would change."""
    if identity_id == USERS_ID and _entries(after, "members"):
        have, wanted = ({one["value"] for one in _entries(resource, "members")} for resource in (before, after))
        if have != wanted:
            raise errors.InvalidParameterValue("Everybody is in the group users: its members cannot be changed.")


def new_of(kind: Kind[One], identity_id: str, resource: Resource) -> One:
    """A new one as a POST's body describes it. Raises InvalidParameterValue."""
    return kind.read(kind.blank(identity_id, resource), resource)


def _groups(identity_id: str, directory: Directory) -> list[Resource]:
    found = []
    for group_id in directory.groups_of(identity_id):
        group = directory.by_id(group_id)
        if isinstance(group, Group):
            type_ = "direct" if identity_id in group.members or group_id == USERS_ID else "indirect"
            found.append(
                {"display": group.display_name, "type": type_, "value": group.id, "$ref": f"Groups/{group.id}"}
            )
    return sorted(found, key=lambda one: (one["type"], one["display"]))


def _show_user(user: User, _directory: Directory) -> Resource:
    name = {"givenName": user.given_name, "familyName": user.family_name}
    return {
        "userName": user.user_name,
        "displayName": user.display_name or user.user_name,
        "name": {key: value for key, value in name.items() if value},
        "emails": [{"value": user.user_name, "type": "work", "primary": True}],
        "active": user.active,
    } | _external(user.external_id)


def _read_user(user: User, resource: Resource) -> User:
    if _text(resource, "userName", user.user_name) != user.user_name:
        raise errors.InvalidParameterValue("userName cannot be changed: delete the user and create another one.")
    name = resource.get("name")
    name = name if isinstance(name, Mapping) else {}
    given_name, family_name = _text(name, "givenName"), _text(name, "familyName")
    return dataclasses.replace(
        user,
        display_name=_text(resource, "displayName") or " ".join(filter(None, (given_name, family_name))),
        given_name=given_name,
        family_name=family_name,
        external_id=_text(resource, "externalId"),
        active=_flag(resource, "active"),
        entitlements=_listed(resource, "entitlements"),
        roles=_listed(resource, "roles"),
    )


def _show_service_principal(one: ServicePrincipal, _directory: Directory) -> Resource:
    return {
        "applicationId": one.application_id,
        "displayName": one.display_name,
        "active": one.active,
    } | _external(one.external_id)


def _read_service_principal(one: ServicePrincipal, resource: Resource) -> ServicePrincipal:
    if _text(resource, "applicationId", one.application_id).lower() != one.application_id:
        raise errors.InvalidParameterValue("applicationId cannot be changed.")
    return dataclasses.replace(
        one,
        display_name=_text(resource, "displayName"),
        external_id=_text(resource, "externalId"),
        active=_flag(resource, "active"),
        entitlements=_listed(resource, "entitlements"),
        roles=_listed(resource, "roles"),
    )


def _application_id(resource: Resource) -> str:
    given = _text(resource, "applicationId")
    try:
        return str(uuid.UUID(given)) if given else str(uuid.uuid4())
    except ValueError:
        raise errors.InvalidParameterValue("applicationId must be a UUID; leave it out to have one made.") from None


def _show_group(group: Group, directory: Directory) -> Resource:
    members = [_member(member, directory) for member in directory.members(group)]
    members.sort(key=lambda one: str(one["display"]))
    shown_members = {"members": members} if members else {}
    meta = {"resourceType": "WorkspaceGroup"}
    return {"displayName": group.display_name, "meta": meta, **shown_members} | _external(group.external_id)


def _member(member_id: str, directory: Directory) -> Resource:
    one = directory.by_id(member_id)
    plural = "Groups" if isinstance(one, Group) else "Users" if isinstance(one, User) else "ServicePrincipals"
    display = "" if one is None else one.display_name or (one.user_name if isinstance(one, User) else one.id)
    return {"display": display, "value": member_id, "$ref": f"{plural}/{member_id}", "type": "direct"}


def _read_group(group: Group, resource: Resource) -> Group:
    members = frozenset(str(one.get("value")) for one in _entries(resource, "members"))
    return dataclasses.replace(
        group,
        display_name=_text(resource, "displayName", group.display_name),
        members=group.members if group.id == USERS_ID else members,
        external_id=_text(resource, "externalId"),
        entitlements=_listed(resource, "entitlements"),
        roles=_listed(resource, "roles"),
    )


def _external(external_id: str) -> Resource:
    return {"externalId": external_id} if external_id else {}


def _values(values: tuple[str, ...]) -> list[Resource]:
    return [{"value": value} for value in values]


def _text(resource: Mapping[str, Any], name: str, otherwise: str = "") -> str:
    value = resource.get(name)
    if value is None:
        return otherwise
    if not isinstance(value, str):
        raise errors.InvalidParameterValue(f"{name} must be a string.")
    return value


def _flag(resource: Resource, name: str) -> bool:
    value = resource.get(name, True)
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if value is None or isinstance(value, bool):
        return value is not False
    raise errors.InvalidParameterValue(f"{name} must be true or false.")


def _entries(resource: Resource, name: str) -> list[Mapping[str, Any]]:
    entries = resource.get(name) or []
    if not isinstance(entries, list) or not all(
        isinstance(one, Mapping) and isinstance(one.get("value"), str) and one["value"] for one in entries
    ):
        raise errors.InvalidParameterValue(f'{name} must be a list of objects with a value: [{{"value": "…"}}].')
    return entries


def _listed(resource: Resource, name: str) -> tuple[str, ...]:
    # Kept once each, in the order given.
    return tuple(dict.fromkeys(str(one["value"]) for one in _entries(resource, name)))


USERS: Kind[User] = Kind(
    plural="Users",
    schema=f"{SCHEMAS}User",
    noun="user",
    type=User,
    all=lambda directory: directory.users,
    show=_show_user,
    blank=lambda identity_id, resource: User(identity_id, _text(resource, "userName")),
    read=_read_user,
)
SERVICE_PRINCIPALS: Kind[ServicePrincipal] = Kind(
    plural="ServicePrincipals",
    schema=f"{SCHEMAS}ServicePrincipal",
    noun="service principal",
    type=ServicePrincipal,
    all=lambda directory: directory.service_principals,
    show=_show_service_principal,
    blank=lambda identity_id, resource: ServicePrincipal(identity_id, _application_id(resource)),
    read=_read_service_principal,
)
GROUPS: Kind[Group] = Kind(
    plural="Groups",
    schema=f"{SCHEMAS}Group",
    noun="group",
    type=Group,
    all=lambda directory: directory.groups,
    show=_show_group,
    blank=lambda identity_id, resource: Group(identity_id, _text(resource, "displayName")),
    read=_read_group,
)
