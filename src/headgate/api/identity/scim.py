"""SCIM: `/api/2.0/preview/scim/v2/{Me,Users,Groups,ServicePrincipals}`. Everybody may read; administrators write.

Reads the directory in memory; what was written is in force on every server process when the answer is out.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Annotated, Any, Generic

from fastapi import APIRouter, Body, Query
from pydantic import BaseModel, Field

from headgate import errors
from headgate.access.directory import Directory
from headgate.access.principals import SERVICE_PRINCIPAL
from headgate.api.dependencies import ApiDependencies, Caller, Given, Visit, Visiting
from headgate.api.identity import filters, patches, resources
from headgate.api.identity.resources import LISTED, Kind, One, Resource
from headgate.api.identity.rights import require_admin
from headgate.api.in_force import wait_until_known
from headgate.domain.identity import Group, Identity, ServicePrincipal, User

PREFIX = "/api/2.0/preview/scim/v2"
MAX_COUNT = 10_000
_TOLD = 15
"""Members that one line of the audit log names."""
_LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"

Content = Annotated[dict[str, Any], Body()]


def routes() -> APIRouter:
    """The family."""
    router = APIRouter(prefix=PREFIX, tags=["identity"])
    router.get("/Me")(me)
    _Family(resources.USERS).add_to(router)
    _Family(resources.GROUPS).add_to(router)
    _Family(resources.SERVICE_PRINCIPALS).add_to(router)
    return router


def me(caller: Caller, dependencies: Given) -> Resource:
    """The caller, as SCIM shows users; with the entitlements of its groups."""
    directory = dependencies.directory()
    resource = {**_of_anybody(caller.id, directory), "schemas": [resources.USERS.schema], "userName": caller.user_name}
    if caller.kind == SERVICE_PRINCIPAL:
        resource["emails"] = [{"value": caller.user_name, "type": "work", "primary": True}]
    inherited = caller.entitlements - {one["value"] for one in resource.get("entitlements", [])}
    more = [{"value": one, "type": "indirect"} for one in sorted(inherited)]
    return resource | {"entitlements": [*resource.get("entitlements", []), *more]}


class Wanted(BaseModel):
    """What a list, or one of it, is asked to be: parameters of the query."""

    filter: str = ""
    attributes: str = ""
    excluded_attributes: str = Field("", alias="excludedAttributes")
    sort_by: str = Field("", alias="sortBy", max_length=256)
    sort_order: str = Field("ascending", alias="sortOrder")
    start_index: int = Field(1, alias="startIndex")
    count: int = MAX_COUNT


class _Family(Generic[One]):
    """The routes of one kind of principal."""

    def __init__(self, kind: Kind[One]) -> None:
        self._kind: Kind[One] = kind

    def add_to(self, router: APIRouter) -> None:
        """All of them."""
        path = f"/{self._kind.plural}"
        for method, suffix, handler, status in (
            ("GET", "", self.list, 200),
            ("POST", "", self.create, 201),
            ("GET", "/{id}", self.get, 200),
            ("PUT", "/{id}", self.put, 200),
            ("PATCH", "/{id}", self.patch, 200),
            ("DELETE", "/{id}", self.delete, 204),
        ):
            verb, plural = handler.__name__, self._kind.noun.replace(" ", "_") + "s"
            more: dict[str, Any] = {"name": f"{verb}_{plural}", "summary": f"{verb.capitalize()} {self._kind.plural}"}
            router.add_api_route(path + suffix, handler, methods=[method], status_code=status, **more)

    def list(self, dependencies: Given, wanted: Annotated[Wanted, Query()]) -> Resource:
        """All that match `filter`, a page of them at a time."""
        directory = dependencies.directory()
        found = [resources.shown(self._kind, one, directory) for one in self._kind.all(directory)]
        if wanted.filter:
            matches = filters.parse(wanted.filter)
            found = [one for one in found if matches(one)]
        if wanted.sort_by:
            found.sort(key=lambda one: _sort_key(one, wanted.sort_by), reverse=wanted.sort_order == "descending")
        start = max(wanted.start_index, 1)
        page = found[start - 1 :][: max(min(wanted.count, MAX_COUNT), 0)]
        return {
            "schemas": [_LIST],
            "totalResults": len(found),
            "startIndex": start,
            "itemsPerPage": len(page),
            "Resources": [_reduced(one, wanted) for one in page],
        }

    def get(self, id: str, dependencies: Given, wanted: Annotated[Wanted, Query()]) -> Resource:
        """One by its id."""
        return _reduced(self._shown(id, dependencies.directory()), wanted)

    def create(self, visit: Visiting, body: Content) -> Resource:
        """A new one; `groups` are joined at once."""
        require_admin(visit.caller, f"create {self._kind.plural}")
        new = resources.new_of(self._kind, str(10**14 + secrets.randbelow(9 * 10**15)), body)
        visit.request.state.audit_object = new.id
        visit.dependencies.identities.add(new, resources.direct_groups(body, frozenset()))
        return self._written(new.id, visit.dependencies)

    def put(self, id: str, visit: Visiting, body: Content) -> Resource:
        """Replaces one: what the body leaves out becomes empty, but for names and groups."""
        require_admin(visit.caller, f"change {self._kind.plural}")
        return self._change(id, visit, lambda _: body)

    def patch(self, id: str, visit: Visiting, body: Content) -> Resource:
        """Applies the PatchOp's `Operations` in their order, all or none."""
        require_admin(visit.caller, f"change {self._kind.plural}")
        operations = body.get("Operations", body.get("operations"))
        if not isinstance(operations, list):
            raise errors.InvalidParameterValue("Operations: a list is required.")
        return self._change(id, visit, lambda before: patches.apply(before, operations, LISTED))

    def delete(self, id: str, visit: Visiting) -> None:
        """Removes one with its tokens, memberships and permissions."""
        require_admin(visit.caller, f"delete {self._kind.plural}")
        visit.dependencies.identities.remove(self._kind.type, id)
        wait_until_known(visit.dependencies)

    def _change(self, id: str, visit: Visit, make: Callable[[Resource], Resource]) -> Resource:
        """`make` gets the resource as it is and returns the one that is to be; it is called within the transaction."""
        directory = visit.dependencies.directory()

        def changed(one: One, groups: frozenset[str]) -> tuple[One, frozenset[str]]:
            before = resources.shown(self._kind, one, directory) | {"groups": [{"value": group} for group in groups]}
            after = make(before)
            resources.check_everybody(one.id, before, after)
            wanted, into = self._kind.read(one, after), resources.direct_groups(after, groups)
            visit.request.state.audit_object = _described(id, (one, groups), (wanted, into))
            return wanted, into

        visit.dependencies.identities.change(self._kind.type, id, changed)
        return self._written(id, visit.dependencies)

    def _written(self, id: str, dependencies: ApiDependencies) -> Resource:
        wait_until_known(dependencies)
        directory = dependencies.directory()
        if directory.revision < dependencies.identities.revision():  # this process hangs behind
            directory = Directory(dependencies.identities.read())
        return self._shown(id, directory)

    def _shown(self, id: str, directory: Directory) -> Resource:
        one = directory.by_id(id)
        if not isinstance(one, self._kind.type):
            raise errors.ResourceDoesNotExist(f"{self._kind.noun.capitalize()} with id {id} not found.")
        return resources.shown(self._kind, one, directory)


def _described(
    identity_id: str, before: tuple[Identity, frozenset[str]], after: tuple[Identity, frozenset[str]]
) -> str:
    """For the audit log: what was changed, who came in (+) and who went out (-)."""
    (old, out_of), (new, into) = before, after
    words = [identity_id]
    if not isinstance(old, Group) and not isinstance(new, Group) and old.active != new.active:
        words.append("activated" if new.active else "deactivated")
    sets = [("groups", out_of, into)]
    if isinstance(old, Group) and isinstance(new, Group):
        sets.append(("members", old.members, new.members))
    for what, had, has in sets:
        moved = [f"+{one}" for one in sorted(has - had)] + [f"-{one}" for one in sorted(had - has)]
        words += [what, *moved[:_TOLD]] if moved else []
    return " ".join(words)


def _of_anybody(identity_id: str, directory: Directory) -> Resource:
    one = directory.by_id(identity_id)
    if isinstance(one, User):
        return resources.shown(resources.USERS, one, directory)
    if isinstance(one, ServicePrincipal):
        return resources.shown(resources.SERVICE_PRINCIPALS, one, directory)
    raise errors.Unauthenticated("The caller was deleted a moment ago.")


def _sort_key(resource: Resource, path: str) -> str:
    return next((str(value).casefold() for value in filters.values(resource, path)), "")


def _reduced(resource: Resource, wanted: Wanted) -> Resource:
    """Only the attributes asked for; id and schemas are always there."""
    only, without = _names(wanted.attributes), _names(wanted.excluded_attributes)
    return {
        name: value
        for name, value in resource.items()
        if name in ("id", "schemas") or ((not only or name.lower() in only) and name.lower() not in without)
    }


def _names(text: str) -> set[str]:
    return {name.strip().split(".")[0].lower() for name in text.split(",") if name.strip()}
