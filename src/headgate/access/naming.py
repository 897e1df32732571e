"""Names of users, groups and service principals, as clients write them in permissions, to ids and back."""

from __future__ import annotations

from headgate.access.directory import Directory
from headgate.domain.identity import USERS_ID, Group, Identity, ServicePrincipal, User

ACCOUNT_USERS = "account users"
"""What Unity Catalog calls the group of everybody."""


def find(directory: Directory, name: str) -> Identity | None:
    """Whoever has that name where any kind may stand: a user's name, an application id, a group's name."""
    if name == ACCOUNT_USERS:
        return directory.by_id(USERS_ID)
    return directory.by_user_name(name) or directory.by_application_id(name) or directory.by_group_name(name)


def name_of(identity: Identity) -> str:
    """What `find` finds it by."""
    if isinstance(identity, User):
        return identity.user_name
    return identity.application_id if isinstance(identity, ServicePrincipal) else identity.display_name


def kind_of(identity: Identity) -> str:
    """The field that names it in an access control list."""
    if isinstance(identity, Group):
        return "group_name"
    return "user_name" if isinstance(identity, User) else "service_principal_name"
