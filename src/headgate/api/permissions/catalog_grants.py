"""`/api/2.1/unity-catalog/{permissions,effective-permissions}/{type}/{full_name}`: grants on the metastore, catalogs, schemas and models.

Who may change them `access.model_rights` says. Whoever may not is shown what they were granted themselves, if anything.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Annotated, TypeVar

from fastapi import APIRouter, Query
from pydantic import BaseModel

from headgate import errors
from headgate.access import naming
from headgate.access.directory import Directory
from headgate.access.model_rights import THE_METASTORE
from headgate.api.dependencies import ApiDependencies, Visit, Visiting
from headgate.domain import namespace
from headgate.domain.grants import CATALOG, METASTORE, MODEL, SCHEMA, Held, Securable
from headgate.domain.identity import USERS_ID
from headgate.domain.model_privileges import GRANTABLE, MANAGE, path_to
from headgate.domain.registered_model import ModelName
from headgate.wire.permissions import (
    Assignment,
    Assignments,
    EffectiveAssignment,
    EffectiveAssignments,
    EffectivePrivilege,
    GrantChanges,
    ListedEffectiveAssignments,
)

PREFIX = "/api/2.1/unity-catalog"
_KINDS = {
    "metastore": METASTORE,
    "catalog": CATALOG,
    "schema": SCHEMA,
    "function": MODEL,
    "model": MODEL,
    "registered_model": MODEL,
}
_LEAST_PAGE = 150
_MOST_PAGE = 500


class Asked(BaseModel):
    """What may be asked for in the query."""

    principal: str | None = None
    max_results: int | None = None
    page_size: int | None = None
    page_token: str | None = None


Shown = TypeVar("Shown", Assignment, EffectiveAssignment)


def routes() -> APIRouter:
    """The family."""
    router = APIRouter(prefix=PREFIX, tags=["Unity Catalog"])
    place = "/{securable_type}/{full_name}"
    router.get("/permissions" + place, response_model_exclude_none=True)(get_grants)
    router.patch("/permissions" + place, response_model_exclude_none=True)(update_grants)
    router.get("/effective-permissions" + place, response_model_exclude_none=True)(get_effective_grants)
    router.get("/privilege-assignments" + place, response_model_exclude_none=True)(list_grants)
    router.get("/effective-privilege-assignments" + place, response_model_exclude_none=True)(list_effective_grants)
    return router


def get_grants(securable_type: str, full_name: str, query: Annotated[Asked, Query()], visit: Visiting) -> Assignments:
    """What is granted on a securable itself."""
    securable = _securable(securable_type, full_name)
    page, token = _page(_direct(visit, securable, query.principal), query.max_results, query.page_token)
    return Assignments(privilege_assignments=page, next_page_token=token)


def list_grants(securable_type: str, full_name: str, query: Annotated[Asked, Query()], visit: Visiting) -> Assignments:
    """The same, always in pages."""
    securable = _securable(securable_type, full_name)
    page, token = _page(_direct(visit, securable, query.principal), query.page_size or 0, query.page_token)
    return Assignments(privilege_assignments=page, next_page_token=token)


def get_effective_grants(
    securable_type: str, full_name: str, query: Annotated[Asked, Query()], visit: Visiting
) -> EffectiveAssignments:
    """What is granted on a securable and, as far as it holds for it, on what it lies in."""
    securable = _securable(securable_type, full_name)
    page, token = _page(_effective(visit, securable, query.principal), query.max_results, query.page_token)
    return EffectiveAssignments(privilege_assignments=page, next_page_token=token)


def list_effective_grants(
    securable_type: str, full_name: str, query: Annotated[Asked, Query()], visit: Visiting
) -> ListedEffectiveAssignments:
    """The same, always in pages."""
    securable = _securable(securable_type, full_name)
    page, token = _page(_effective(visit, securable, query.principal), query.page_size or 0, query.page_token)
    return ListedEffectiveAssignments(effective_privilege_assignments=page, next_page_token=token)


def update_grants(securable_type: str, full_name: str, body: GrantChanges, visit: Visiting) -> Assignments:
    """Grant and take away. Takes MANAGE on the securable or what it lies in, or to own one of them."""
    securable = _securable(securable_type, full_name)
    dependencies, caller = visit.dependencies, visit.caller
    visit.request.state.audit_object = f"{securable.kind} {securable.id}".strip()
    dependencies.model_rights.require_to_grant(caller, securable)
    dependencies.model_rights.require_existing(securable)
    add: dict[str, set[str]] = {}
    remove: dict[str, set[str]] = {}
    for change in body.changes or ():
        grantee = _principal(dependencies.directory(), change.principal)
        add.setdefault(grantee, set()).update(_privileges(securable, change.add))
        remove.setdefault(grantee, set()).update(_privileges(securable, change.remove))
    dependencies.grants.change(securable, add, remove)
    if body.omit_permissions_in_response:
        return Assignments(privilege_assignments=[])
    # Everybody's, also if the caller has just taken their own right to see them away.
    return Assignments(privilege_assignments=_on(dependencies, securable, None, None))


def _securable(kind: str, full_name: str) -> Securable:
    """Raises InvalidParameterValue."""
    found = _KINDS.get(kind.lower())
    if found is None:
        raise errors.InvalidParameterValue(
            f"Securable type {kind!r} is not supported: use metastore, catalog, schema or function (registered models)."
        )
    if found == METASTORE:
        return THE_METASTORE
    if found == MODEL:
        return ModelName.parse(full_name).securable
    name = namespace.catalog_name(full_name) if found == CATALOG else namespace.schema_name(full_name)
    return Securable(found, name)


def _principal(directory: Directory, name: str) -> str:
    """Its id. Raises ResourceDoesNotExist."""
    found = naming.find(directory, name)
    if found is None:
        raise errors.ResourceDoesNotExist(
            f"Could not find principal with name {name}: give a user name, a group's name or an application id. "
            "Nothing was changed."
        )
    return found.id


def _privileges(securable: Securable, given: Iterable[str] | None) -> set[str]:
    """As they are stored. Raises InvalidParameterValue."""
    known = GRANTABLE[securable.kind]
    asked = {privilege.upper().replace(" ", "_") for privilege in given or ()}
    for privilege in sorted(asked - known):
        raise errors.InvalidParameterValue(
            f"Privilege {privilege} is not applicable to this entity [{securable.kind.upper()} {securable.id}]; "
            f"there are: {', '.join(sorted(known))}."
        )
    return asked


def _direct(visit: Visit, securable: Securable, principal: str | None) -> list[Assignment]:
    """By name of the principal. Raises ResourceDoesNotExist."""
    return _on(visit.dependencies, securable, _visible(visit, securable), principal)


def _on(
    dependencies: ApiDependencies, securable: Securable, allowed: frozenset[str] | None, principal: str | None
) -> list[Assignment]:
    held = dependencies.grants.of(securable)
    return [
        Assignment(principal=name, privileges=sorted(held[grantee]))
        for name, grantee in _named(dependencies.directory(), held, allowed, principal)
    ]


def _effective(visit: Visit, securable: Securable, principal: str | None) -> list[EffectiveAssignment]:
    dependencies = visit.dependencies
    allowed = _visible(visit, securable)
    here = [(one, dependencies.grants.of(one)) for one in reversed(path_to(securable))]
    everybody = {grantee: frozenset[str]() for _, held in here for grantee in held}
    found = []
    for name, grantee in _named(dependencies.directory(), everybody, allowed, principal):
        privileges = [
            EffectivePrivilege(
                privilege=privilege,
                inherited_from_type=None if one == securable else one.kind.upper(),
                inherited_from_name=None if one == securable else one.id,
            )
            for one, held in here
            for privilege in sorted(held.get(grantee, frozenset()) & GRANTABLE[securable.kind])
        ]
        if privileges:
            found.append(EffectiveAssignment(principal=name, privileges=privileges))
    return found


def _visible(visit: Visit, securable: Securable) -> frozenset[str] | None:
    """Whose grants the caller may see; None: everybody's. Raises ResourceDoesNotExist."""
    dependencies, caller = visit.dependencies, visit.caller
    standing = dependencies.model_rights.standing(caller, securable)
    if securable == THE_METASTORE:
        return None if caller.admin else caller.keys
    if not standing.privileges:
        standing.require(MANAGE)
    dependencies.model_rights.require_existing(securable)
    return None if MANAGE in standing.privileges else caller.keys


def _named(
    directory: Directory, held: Held | Mapping[str, object], allowed: frozenset[str] | None, principal: str | None
) -> list[tuple[str, str]]:
    """Name and id of those with a grant, by name; of `principal` only, if it is given. Raises ResourceDoesNotExist."""
    only = None if principal is None else _principal(directory, principal)
    found = []
    for grantee in held:
        identity = directory.by_id(grantee)
        if identity is None or (allowed is not None and grantee not in allowed) or only not in (None, grantee):
            continue
        found.append((naming.ACCOUNT_USERS if grantee == USERS_ID else naming.name_of(identity), grantee))
    return sorted(found)


def _page(found: list[Shown], size: int | None, token: str | None) -> tuple[list[Shown], str | None]:
    """One page, and how to ask for the next. Raises InvalidParameterValue."""
    if size is None:
        return found, None
    if size < 0 or 0 < size < _LEAST_PAGE:
        raise errors.InvalidParameterValue(f"A page has at least {_LEAST_PAGE} entries; 0 lets the server choose.")
    after = _decoded(token) if token else ""
    rest = [one for one in found if one.principal > after]
    most = min(size or _MOST_PAGE, _MOST_PAGE)
    more = base64.urlsafe_b64encode(rest[most - 1].principal.encode()).decode() if len(rest) > most else None
    return rest[:most], more


def _decoded(token: str) -> str:
    try:
        return base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except ValueError:
        raise errors.InvalidParameterValue("page_token is not one that this server gave out.") from None
