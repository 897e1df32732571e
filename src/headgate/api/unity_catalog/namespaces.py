"""Catalogs and schemas: create, list, look, change, delete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import Field

from headgate import errors
from headgate.api.model_registry.arguments import Arguments
from headgate.api.model_registry.asking import Asking
from headgate.api.model_registry.operations import ASKED, Operation
from headgate.api.model_registry.pages import Search, shown
from headgate.api.unity_catalog.fields import NamespaceNamed, Paged, refuse
from headgate.api.unity_catalog.shapes import catalog_info, schema_info
from headgate.domain.grants import CATALOG, SCHEMA, Securable
from headgate.domain.model_privileges import MANAGE, TITLES
from headgate.domain.namespace import Namespace, NamespaceChange, catalog_name
from headgate.registry import catalogs

_MOST = 10_000
_ELSEWHERE = "files of models lie where the server keeps them"
_OUTSIDE = "only catalogs of this server's own exist"


class CreateCatalog(Arguments):
    name: str
    comment: str | None = None
    properties: dict[str, str] | None = None
    storage_root: str | None = None
    connection_name: str | None = None
    provider_name: str | None = None
    share_name: str | None = None

    @property
    def securable(self) -> Securable:
        """What is to be made."""
        return Securable(CATALOG, catalog_name(self.name))


class CreateSchema(Arguments):
    name: str
    catalog_name: str
    comment: str | None = None
    properties: dict[str, str] | None = None
    storage_root: str | None = None

    @property
    def securable(self) -> Securable:
        """What is to be made."""
        return Securable(SCHEMA, f"{catalog_name(self.catalog_name)}.{catalog_name(self.name)}")


class ListSchemas(Paged):
    catalog_name: str


class Look(NamespaceNamed):
    include_browse: bool = False


class Update(NamespaceNamed):
    new_name: str | None = None
    owner: str | None = None
    comment: str | None = None
    properties: dict[str, str] | None = None


class Delete(NamespaceNamed):
    force: bool = Field(False, description="With everything in it.")


def _create_catalog(asking: Asking, sent: CreateCatalog) -> dict[str, Any]:
    refuse(_ELSEWHERE, storage_root=sent.storage_root)
    refuse(_OUTSIDE, connection_name=sent.connection_name, provider_name=sent.provider_name, share_name=sent.share_name)
    return catalog_info(asking, _created(asking, sent))


def _create_schema(asking: Asking, sent: CreateSchema) -> dict[str, Any]:
    refuse(_ELSEWHERE, storage_root=sent.storage_root)
    return schema_info(asking, _created(asking, sent))


def _created(asking: Asking, sent: CreateCatalog | CreateSchema) -> Namespace:
    full_name = sent.securable.id
    asking.rights.require_new_namespace(asking.caller, full_name)
    return asking.registry.catalogs.create(full_name, asking.author, sent.comment or "", sent.properties or {})


def _list_catalogs(asking: Asking, sent: Paged) -> dict[str, Any]:
    return _list(asking, sent, "")


def _list_schemas(asking: Asking, sent: ListSchemas) -> dict[str, Any]:
    catalog = catalog_name(sent.catalog_name)
    asking.standing(Securable(CATALOG, catalog)).require_seen(browsing=sent.include_browse)
    asking.registry.catalogs.get(catalog)
    return _list(asking, sent, catalog)


def _list(asking: Asking, sent: Paged, catalog: str) -> dict[str, Any]:
    viewer = asking.rights.viewer(asking.caller)

    def standing(one: Namespace) -> Any:
        return viewer.standing(one.securable, one.owner_id)

    search = Search(
        lambda page: asking.registry.catalogs.search(
            catalog=catalog, after=page.after[0] if page.after else "", limit=page.limit
        ),
        lambda one: standing(one).sees(browsing=sent.include_browse),
        lambda one: (one.full_name, 0),
    )
    page = shown(search, sent.limit(_MOST, _MOST), sent.page_token)
    info = schema_info if catalog else catalog_info
    answer: dict[str, Any] = {
        "schemas" if catalog else "catalogs": [
            info(asking, one, browse_only=standing(one).browse_only) for one in page.found
        ]
    }
    return {**answer, "next_page_token": page.next_token} if page.next_token else answer


def _look(asking: Asking, sent: Look) -> dict[str, Any]:
    standing = asking.standing(sent.securable)
    standing.require_seen(browsing=sent.include_browse)
    found = asking.registry.catalogs.get(sent.securable.id)
    info = catalog_info if found.securable.kind == CATALOG else schema_info
    return info(asking, found, browse_only=standing.browse_only)


def _update(asking: Asking, sent: Update) -> dict[str, Any]:
    full_name = sent.securable.id
    change = NamespaceChange(
        comment=sent.comment,
        properties=sent.properties,
        owner_id=asking.owner_named(sent.owner) if sent.owner else None,
        full_name=catalogs.renamed(full_name, sent.new_name) if sent.new_name else None,
    )
    found = asking.registry.catalogs.change(full_name, change, asking.author)
    info = catalog_info if found.securable.kind == CATALOG else schema_info
    return info(asking, found)


def _delete(asking: Asking, sent: Delete) -> dict[str, Any]:
    asking.registry.catalogs.delete(sent.securable.id, force=sent.force)
    return {}


def _of(kind: str, answer: Callable[[Asking, Any], dict[str, Any]]) -> Callable[[Asking, Any], dict[str, Any]]:
    """The same for one kind: a schema is not found among the catalogs, nor a catalog among the schemas."""

    def checked(asking: Asking, sent: Any) -> dict[str, Any]:
        if sent.securable.kind != kind:
            raise errors.InvalidParameterValue(f"{sent.full_name!r} is not the full name of a {TITLES[kind].lower()}.")
        return answer(asking, sent)

    return checked


OPERATIONS = (
    Operation("POST", "catalogs", CreateCatalog, _create_catalog, ASKED),
    Operation("GET", "catalogs", Paged, _list_catalogs, ASKED),
    Operation("GET", "catalogs/{full_name}", Look, _of(CATALOG, _look), ASKED),
    Operation("PATCH", "catalogs/{full_name}", Update, _of(CATALOG, _update), MANAGE),
    Operation("DELETE", "catalogs/{full_name}", Delete, _of(CATALOG, _delete), MANAGE),
    Operation("POST", "schemas", CreateSchema, _create_schema, ASKED),
    Operation("GET", "schemas", ListSchemas, _list_schemas, ASKED),
    Operation("GET", "schemas/{full_name}", Look, _of(SCHEMA, _look), ASKED),
    Operation("PATCH", "schemas/{full_name}", Update, _of(SCHEMA, _update), MANAGE),
    Operation("DELETE", "schemas/{full_name}", Delete, _of(SCHEMA, _delete), MANAGE),
)
