"""Versions of registered models: list, look, change, delete; and how MLflow's native store makes them.

Bytes travel over the Files API (`model_registry.files`), whatever route made the version.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from headgate.api.model_registry.arguments import Arguments
from headgate.api.model_registry.asking import Asking
from headgate.api.model_registry.operations import ASKED, Operation
from headgate.api.model_registry.pages import Search, shown, version_key
from headgate.api.unity_catalog.fields import ModelNamed, ModelParts, Paged, Tag
from headgate.api.unity_catalog.shapes import version_info, with_details
from headgate.domain.grants import Securable
from headgate.domain.model_privileges import CREATE_MODEL_VERSION, MANAGE
from headgate.domain.registered_model import ModelName, VersionOrigin
from headgate.store.model_versions import VersionFilter

_LISTED, _LISTED_MOST = 100, 1_000


class Versions(Paged, ModelNamed):
    pass


class VersionNamed(ModelNamed):
    version: str


class LookAtVersion(VersionNamed):
    include_aliases: bool = False
    include_browse: bool = False


class UpdateVersion(VersionNamed):
    comment: str | None = None


class OfModel(ModelParts):
    model_name: str

    @property
    def full_name(self) -> str:
        """Of the model."""
        return self.full(self.model_name)

    @property
    def securable(self) -> Securable:
        """What `Operation.needs` is needed on."""
        return ModelName.parse(self.full_name).securable


class Dependencies(Arguments):
    dependencies: list[dict[str, Any]] = Field(default_factory=list)


class CreateVersion(OfModel):
    source: str | None = None
    run_id: str | None = Field(None, max_length=256)
    comment: str | None = None
    tags: list[Tag] = Field(default_factory=list)
    model_version_dependencies: Dependencies | None = None
    model_id: str | None = Field(None, max_length=256)
    run_tracking_server_id: str | None = Field(None, max_length=256)


class Credentials(OfModel):
    version: str
    operation: str = "READ_MODEL_VERSION"


def _list(asking: Asking, sent: Versions) -> dict[str, Any]:
    asking.standing(sent.securable).require_seen(browsing=sent.include_browse)
    name = asking.registry.model(sent.full_name).name
    search = Search(
        lambda page: asking.registry.search_versions(VersionFilter(name=name), page), lambda _: True, version_key
    )
    page = shown(search, sent.limit(_LISTED, _LISTED_MOST), sent.page_token)
    answer: dict[str, Any] = {"model_versions": [version_info(asking, version) for version in page.found]}
    return {**answer, "next_page_token": page.next_token} if page.next_token else answer


def _look(asking: Asking, sent: LookAtVersion) -> dict[str, Any]:
    asking.standing(sent.securable).require_seen(browsing=sent.include_browse)
    version = asking.registry.version(sent.full_name, sent.version)
    return with_details(version_info(asking, version), version, with_aliases=sent.include_aliases)


def _update(asking: Asking, sent: UpdateVersion) -> dict[str, Any]:
    version = asking.registry.version(sent.full_name, sent.version)
    if sent.comment is not None:
        version = asking.registry.describe_version(sent.full_name, sent.version, sent.comment, asking.author)
    return with_details(version_info(asking, version), version, with_aliases=False)


def _delete(asking: Asking, sent: VersionNamed) -> dict[str, Any]:
    asking.registry.delete_version(sent.full_name, sent.version, asking.author)
    return {}


def _create(asking: Asking, sent: CreateVersion) -> dict[str, Any]:
    uses = sent.model_version_dependencies
    origin = VersionOrigin(
        source=sent.source or "",
        run_id=sent.run_id or "",
        run_tracking_server_id=sent.run_tracking_server_id or "",
        logged_model_id=sent.model_id or "",
        description=sent.comment or "",
        tags={tag.key: tag.value for tag in sent.tags},
        dependencies=tuple(uses.dependencies) if uses else (),
    )
    version = asking.registry.create_version(sent.full_name, asking.author, origin)
    return with_details(version_info(asking, version), version, with_aliases=False)


def _finalize(asking: Asking, sent: VersionNamed) -> dict[str, Any]:
    asking.uploadable(sent.full_name, sent.version)
    version = asking.registry.finalize_version(sent.full_name, sent.version)
    return with_details(version_info(asking, version), version, with_aliases=False)


def _credentials(asking: Asking, sent: Credentials) -> dict[str, Any]:
    writing = sent.operation == "READ_WRITE_MODEL_VERSION"
    asking.require_transfer(sent.full_name, sent.version, writing=writing)
    # The switch that makes clients move bytes with URLs of ours instead of a cloud's client library.
    return {"storage_mode": "DEFAULT_STORAGE"}


OPERATIONS = (
    Operation("GET", "models/{full_name}/versions", Versions, _list, ASKED),
    Operation("GET", "models/{full_name}/versions/{version}", LookAtVersion, _look, ASKED),
    Operation("PATCH", "models/{full_name}/versions/{version}", UpdateVersion, _update, MANAGE),
    Operation("DELETE", "models/{full_name}/versions/{version}", VersionNamed, _delete, MANAGE),
    Operation("POST", "models/versions", CreateVersion, _create, CREATE_MODEL_VERSION),
    Operation("PATCH", "models/{full_name}/versions/{version}/finalize", VersionNamed, _finalize, ASKED),
    Operation("POST", "temporary-model-version-credentials", Credentials, _credentials, ASKED),
)
