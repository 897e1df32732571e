"""Bodies of the permissions API and of Unity Catalog's grants. Unknown fields are ignored; fields that are None are left out."""

from __future__ import annotations

from pydantic import BaseModel

from headgate.wire.endpoint_input import Text


class AccessControl(BaseModel):
    """Exactly one of the names."""

    user_name: Text | None = None
    group_name: Text | None = None
    service_principal_name: Text | None = None
    permission_level: Text | None = None


class AccessControlList(BaseModel):
    access_control_list: list[AccessControl] | None = None


class ShownLevel(BaseModel):
    permission_level: str
    inherited: bool
    inherited_from_object: list[str] | None = None


class ShownControl(BaseModel):
    user_name: str | None = None
    group_name: str | None = None
    service_principal_name: str | None = None
    display_name: str | None = None
    all_permissions: list[ShownLevel]


class ObjectPermissions(BaseModel):
    object_id: str
    object_type: str
    access_control_list: list[ShownControl]


class LevelDescription(BaseModel):
    permission_level: str
    description: str


class PermissionLevels(BaseModel):
    permission_levels: list[LevelDescription]


class NewCreator(BaseModel):
    """At most one of the names; none: the caller."""

    user_name: Text | None = None
    service_principal_name: Text | None = None


class GrantChange(BaseModel):
    principal: Text
    add: list[Text] | None = None
    remove: list[Text] | None = None


class GrantChanges(BaseModel):
    changes: list[GrantChange] | None = None
    omit_permissions_in_response: bool | None = None


class Assignment(BaseModel):
    principal: str
    privileges: list[str]


class Assignments(BaseModel):
    privilege_assignments: list[Assignment]
    next_page_token: str | None = None


class EffectivePrivilege(BaseModel):
    privilege: str
    inherited_from_type: str | None = None
    inherited_from_name: str | None = None


class EffectiveAssignment(BaseModel):
    principal: str
    privileges: list[EffectivePrivilege]


class EffectiveAssignments(BaseModel):
    privilege_assignments: list[EffectiveAssignment]
    next_page_token: str | None = None


class ListedEffectiveAssignments(BaseModel):
    effective_privilege_assignments: list[EffectiveAssignment]
    next_page_token: str | None = None
