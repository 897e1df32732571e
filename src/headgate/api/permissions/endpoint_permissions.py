"""`/api/2.0/permissions/serving-endpoints/{id}`: who may do what with an endpoint; by its id or (extension) its name.

An answer to a change means that the change is in force on every server. Rules are docs/decisions/0089.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fastapi import APIRouter

from headgate import errors
from headgate.access import naming, rights
from headgate.access.directory import Directory
from headgate.access.principals import Principal
from headgate.api import in_force
from headgate.api.dependencies import ApiDependencies, Caller, Given, Visit, Visiting
from headgate.api.serving_endpoints import find
from headgate.domain import endpoint_rules
from headgate.domain.endpoint import Endpoint
from headgate.domain.grants import CAN_MANAGE, CAN_QUERY, CAN_VIEW, ENDPOINT, LEVELS, Held, Securable, most
from headgate.domain.identity import ADMINS_ID, Identity
from headgate.wire.permissions import (
    AccessControl,
    AccessControlList,
    LevelDescription,
    ObjectPermissions,
    PermissionLevels,
    ShownControl,
    ShownLevel,
)

PREFIX = "/api/2.0/permissions/serving-endpoints"
_ROOT = "/serving-endpoints/"
_DESCRIPTIONS = {
    CAN_VIEW: "Can see the serving endpoint and its configuration",
    CAN_QUERY: "Can see the serving endpoint and send requests to it",
    CAN_MANAGE: "Can see, query, change and delete the serving endpoint, read its logs and set its permissions",
}


def routes() -> APIRouter:
    """The family."""
    router = APIRouter(prefix=PREFIX + "/{endpoint_id}", tags=["permissions"])
    router.get("", response_model_exclude_none=True)(get_permissions)
    router.put("", response_model_exclude_none=True)(set_permissions)
    router.patch("", response_model_exclude_none=True)(update_permissions)
    router.get("/permissionLevels")(get_permission_levels)
    return router


def get_permissions(endpoint_id: str, dependencies: Given, caller: Caller) -> ObjectPermissions:
    """Who may do what with an endpoint, administrators included. Takes CAN_VIEW."""
    endpoint = _find(dependencies, caller, endpoint_id, CAN_VIEW)
    return _shown(dependencies, endpoint, dependencies.grants.of(_securable(endpoint)))


def get_permission_levels(endpoint_id: str, dependencies: Given, caller: Caller) -> PermissionLevels:
    """The levels there are. Takes CAN_VIEW."""
    _find(dependencies, caller, endpoint_id, CAN_VIEW)
    levels = [LevelDescription(permission_level=level, description=_DESCRIPTIONS[level]) for level in LEVELS]
    return PermissionLevels(permission_levels=levels)


def set_permissions(endpoint_id: str, body: AccessControlList, visit: Visiting) -> ObjectPermissions:
    """Replace all grants on an endpoint; a caller who is no administrator keeps CAN_MANAGE. Takes CAN_MANAGE."""
    endpoint = _managed(visit, endpoint_id)
    wanted = _wanted(visit.dependencies.directory(), body)
    return _changed(visit, endpoint, lambda _: wanted)


def update_permissions(endpoint_id: str, body: AccessControlList, visit: Visiting) -> ObjectPermissions:
    """Give those named their new level and leave the others theirs. Takes CAN_MANAGE."""
    endpoint = _managed(visit, endpoint_id)
    wanted = _wanted(visit.dependencies.directory(), body)
    return _changed(visit, endpoint, lambda held: {**held, **wanted})


def _managed(visit: Visit, endpoint_id: str) -> Endpoint:
    endpoint = _find(visit.dependencies, visit.caller, endpoint_id, CAN_MANAGE)
    visit.request.state.audit_object = endpoint.name
    return endpoint


def _find(dependencies: ApiDependencies, caller: Principal, endpoint_id: str, wanted: str) -> Endpoint:
    """Raises ResourceDoesNotExist, PermissionDenied."""
    if endpoint_rules.is_id(endpoint_id):
        level = dependencies.rights.endpoint_level(caller, endpoint_id)
        found = None if level is None else dependencies.endpoints.by_id(endpoint_id)
        if found is not None:
            rights.require(level, wanted, found.name)
            return found
    return find(dependencies, caller, endpoint_id, wanted)


def _securable(endpoint: Endpoint) -> Securable:
    return Securable(ENDPOINT, endpoint.id)


def _wanted(directory: Directory, body: AccessControlList) -> dict[str, str]:
    """Grantee -> level. Raises InvalidParameterValue, ResourceDoesNotExist."""
    wanted: dict[str, str] = {}
    for control in body.access_control_list or ():
        level = control.permission_level
        if level not in LEVELS:
            raise errors.InvalidParameterValue(
                f"permission_level must be one of {', '.join(LEVELS)}, not {level!r}."
                if level
                else f"Each entry of access_control_list needs a permission_level: {', '.join(LEVELS)}."
            )
        grantee = _grantee(directory, control).id
        if grantee == ADMINS_ID:
            if level != CAN_MANAGE:
                raise errors.InvalidParameterValue("The group admins has CAN_MANAGE on every endpoint; leave it out.")
            continue
        wanted[grantee] = most((level, wanted.get(grantee, level))) or level
    return wanted


def _grantee(directory: Directory, control: AccessControl) -> Identity:
    """Raises InvalidParameterValue, ResourceDoesNotExist."""
    ways = {
        "user_name": directory.by_user_name,
        "group_name": directory.by_group_name,
        "service_principal_name": directory.by_application_id,
    }
    named = {field: name for field in ways if (name := getattr(control, field))}
    if len(named) != 1:
        raise errors.InvalidParameterValue(
            "Each entry of access_control_list needs exactly one of user_name, group_name, service_principal_name."
        )
    [(field, name)] = named.items()
    found = ways[field](name)
    if found is None:
        what = {"user_name": "user", "group_name": "group", "service_principal_name": "service principal"}[field]
        hint = "; it is named by its application id" if field == "service_principal_name" else ""
        raise errors.ResourceDoesNotExist(f"There is no {what} called {name}{hint}. Nothing was changed.")
    return found


def _changed(
    visit: Visit, endpoint: Endpoint, change: Callable[[Mapping[str, str]], Mapping[str, str]]
) -> ObjectPermissions:
    """Writes what becomes of the levels (grantee -> level), and waits until it is in force."""

    def rewritten(held: Held) -> Mapping[str, list[str]]:
        after = dict(change({grantee: most(levels) or CAN_VIEW for grantee, levels in held.items()}))
        return {grantee: [level] for grantee, level in _with_caller(visit.caller, after).items()}

    held = visit.dependencies.grants.rewrite(_securable(endpoint), rewritten)
    in_force.wait_until_routed(visit.dependencies)
    return _shown(visit.dependencies, endpoint, held)


def _with_caller(caller: Principal, levels: dict[str, str]) -> dict[str, str]:
    """The same, and the caller still manages. Raises InvalidParameterValue when they asked not to."""
    if caller.admin or any(levels.get(key) == CAN_MANAGE for key in caller.keys):
        return levels
    if caller.id in levels:
        raise errors.InvalidParameterValue(
            f"You would not be able to manage the endpoint any more: {caller.user_name} is given {levels[caller.id]}. "
            "Leave yourself out; somebody else who has CAN_MANAGE can take it from you."
        )
    return {**levels, caller.id: CAN_MANAGE}


def _shown(dependencies: ApiDependencies, endpoint: Endpoint, held: Held) -> ObjectPermissions:
    directory = dependencies.directory()
    own = {ADMINS_ID: [ShownLevel(permission_level=CAN_MANAGE, inherited=True, inherited_from_object=[_ROOT])]}
    for grantee, levels in held.items():
        level = most(levels)
        if level is not None:
            own.setdefault(grantee, []).append(ShownLevel(permission_level=level, inherited=False))
    found = ((directory.by_id(grantee), permissions) for grantee, permissions in own.items())
    entries = [(identity, permissions) for identity, permissions in found if identity is not None]
    entries.sort(key=lambda entry: (_ORDER.index(naming.kind_of(entry[0])), naming.name_of(entry[0])))
    return ObjectPermissions(
        object_id=_ROOT + endpoint.id,
        object_type=ENDPOINT,
        access_control_list=[_control(identity, permissions) for identity, permissions in entries],
    )


_ORDER = ("user_name", "service_principal_name", "group_name")


def _control(identity: Identity, permissions: list[ShownLevel]) -> ShownControl:
    kind, name = naming.kind_of(identity), naming.name_of(identity)
    display = None if kind == "group_name" else identity.display_name or name
    return ShownControl(**{kind: name}, display_name=display, all_permissions=permissions)
