"""Registered models: create, list, look, change, delete; their aliases."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from headgate import errors
from headgate.api.model_registry.asking import Asking
from headgate.api.model_registry.operations import ASKED, SEEN, Operation
from headgate.api.model_registry.pages import Search, model_key, shown
from headgate.api.unity_catalog import shapes
from headgate.api.unity_catalog.fields import ModelNamed, ModelParts, Paged, Tag, refuse
from headgate.api.unity_catalog.shapes import model_info, version_info, with_details
from headgate.domain.grants import SCHEMA, Securable
from headgate.domain.model_privileges import MANAGE
from headgate.domain.namespace import schema_name
from headgate.domain.registered_model import ModelChange, ModelName, RegisteredModel
from headgate.registry.models import NewModel

_EVERYWHERE, _EVERYWHERE_MOST = 100, 1_000
_OF_A_SCHEMA_MOST = 10_000


class CreateModel(ModelParts):
    name: str
    comment: str | None = None
    tags: list[Tag] = Field(default_factory=list)
    storage_location: str | None = None

    @property
    def securable(self) -> Securable:
        """What is to be made."""
        return ModelName.parse(self.full(self.name)).securable


class ListModels(Paged):
    catalog_name: str = ""
    schema_name: str = ""


class LookAtModel(ModelNamed):
    include_aliases: bool = False
    include_browse: bool = False


class UpdateModel(ModelNamed):
    new_name: str | None = None
    comment: str | None = None
    owner: str | None = None


class Alias(ModelNamed):
    alias: str
    include_aliases: bool = False


class AliasTo(ModelNamed):
    alias: str
    version_num: str


def _create(asking: Asking, sent: CreateModel) -> dict[str, Any]:
    refuse("files of models lie where the server keeps them", storage_location=sent.storage_location)
    tags = {tag.key: tag.value for tag in sent.tags}
    new = asking.may_make(NewModel(sent.full(sent.name), asking.author, sent.comment or "", tags))
    return _detailed(asking, asking.registry.create_model(new))


def _detailed(asking: Asking, model: RegisteredModel) -> dict[str, Any]:
    return with_details(model_info(asking, model), model, with_aliases=False)


def _list(asking: Asking, sent: ListModels) -> dict[str, Any]:
    limit = sent.limit(_EVERYWHERE, _EVERYWHERE_MOST)
    if sent.catalog_name or sent.schema_name:
        if not (sent.catalog_name and sent.schema_name):
            raise errors.InvalidParameterValue("catalog_name and schema_name must be given together.")
        schema = schema_name(f"{sent.catalog_name}.{sent.schema_name}")
        asking.standing(Securable(SCHEMA, schema)).require_seen(browsing=sent.include_browse)
        asking.registry.catalogs.get(schema)
        limit = sent.limit(_OF_A_SCHEMA_MOST, _OF_A_SCHEMA_MOST)
    viewer = asking.rights.viewer(asking.caller)

    def standing(model: RegisteredModel) -> Any:
        return viewer.standing(model.name.securable, model.owner_id)

    search = Search(
        lambda page: asking.registry.search_models(page, catalog=sent.catalog_name, schema=sent.schema_name),
        lambda model: standing(model).sees(browsing=sent.include_browse),
        model_key,
    )
    page = shown(search, limit, sent.page_token)
    models = [model_info(asking, model, browse_only=standing(model).browse_only) for model in page.found]
    answer: dict[str, Any] = {"registered_models": models}
    return {**answer, "next_page_token": page.next_token} if page.next_token else answer


def _look(asking: Asking, sent: LookAtModel) -> dict[str, Any]:
    standing = asking.standing(sent.securable)
    standing.require_seen(browsing=sent.include_browse)
    model = asking.registry.model(sent.full_name)
    info = model_info(asking, model, browse_only=standing.browse_only)
    return with_details(info, model, with_aliases=sent.include_aliases)


def _update(asking: Asking, sent: UpdateModel) -> dict[str, Any]:
    change = ModelChange(
        description=sent.comment,
        owner_id=asking.owner_named(sent.owner) if sent.owner else None,
        name=ModelName.parse(sent.full_name).renamed(sent.new_name) if sent.new_name else None,
    )
    return _detailed(asking, asking.registry.change_model(sent.full_name, change, asking.author))


def _delete(asking: Asking, sent: ModelNamed) -> dict[str, Any]:
    asking.registry.delete_model(sent.full_name)
    return {}


def _version_of_alias(asking: Asking, sent: Alias) -> dict[str, Any]:
    version = asking.registry.version_by_alias(sent.full_name, sent.alias)
    return with_details(version_info(asking, version), version, with_aliases=sent.include_aliases)


def _set_alias(asking: Asking, sent: AliasTo) -> dict[str, Any]:
    asking.registry.set_alias(sent.full_name, sent.alias, sent.version_num, asking.author)
    [alias] = shapes.aliases(ModelName.parse(sent.full_name), {sent.alias: int(sent.version_num)})
    return alias


def _delete_alias(asking: Asking, sent: Alias) -> dict[str, Any]:
    asking.registry.delete_alias(sent.full_name, sent.alias, asking.author)
    return {}


OPERATIONS = (
    Operation("POST", "models", CreateModel, _create, ASKED),
    Operation("GET", "models", ListModels, _list, ASKED),
    Operation("GET", "models/{full_name}", LookAtModel, _look, ASKED),
    Operation("PATCH", "models/{full_name}", UpdateModel, _update, MANAGE),
    Operation("DELETE", "models/{full_name}", ModelNamed, _delete, MANAGE),
    Operation("GET", "models/{full_name}/aliases/{alias}", Alias, _version_of_alias, SEEN),
    Operation("PUT", "models/{full_name}/aliases/{alias}", AliasTo, _set_alias, MANAGE),
    Operation("DELETE", "models/{full_name}/aliases/{alias}", Alias, _delete_alias, MANAGE),
)
