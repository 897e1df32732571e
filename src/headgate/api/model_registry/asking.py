"""One call to the registry: who asks, and what they may. Made for each request of the MLflow and Unity Catalog families."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from headgate import errors
from headgate.access import naming
from headgate.access.directory import Directory
from headgate.access.model_rights import ModelRights
from headgate.access.principals import Principal
from headgate.domain.grants import Securable
from headgate.domain.identity import Population
from headgate.domain.model_privileges import EXECUTE, MANAGE, Standing
from headgate.domain.registered_model import Author, ModelName, ModelVersion
from headgate.registry.models import NewModel, Registry

_NOBODY = Directory(Population())


@dataclass(frozen=True, slots=True)
class Asking:
    """All methods raise ResourceDoesNotExist for what is hidden from the caller, PermissionDenied where something is missing."""

    registry: Registry
    rights: ModelRights
    caller: Principal
    directory: Directory = _NOBODY
    workspace_id: str = ""

    @property
    def author(self) -> Author:
        """The caller, as the registry notes it."""
        return Author(self.caller.id, self.caller.user_name)

    @property
    def metastore_id(self) -> str:
        """Of the one metastore there is."""
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"metastore of {self.workspace_id}"))

    def standing(self, securable: Securable) -> Standing:
        """Of the caller."""
        return self.rights.standing(self.caller, securable)

    def may_make(self, new: NewModel) -> NewModel:
        """The model, with the catalog and schema that are to be made with it. Raises ResourceAlreadyExists."""
        missing = self.rights.require_new_model(self.caller, ModelName.parse(new.name))
        return NewModel(new.name, new.author, new.description, new.tags, missing)

    def uploadable(self, name: str, version: str) -> ModelVersion:
        """A version that the caller made, or may MANAGE: to add files to it and to complete it."""
        standing = self.standing(ModelName.parse(name).securable)
        standing.require_seen()
        found = self.registry.version(name, version)
        if found.creator_id != self.caller.id:
            standing.require(MANAGE)
        return found

    def require_transfer(self, name: str, version: str, *, writing: bool) -> None:
        """The caller may upload (`writing`) or download files of a version, now. Raises InvalidState as well."""
        if writing:
            self.uploadable(name, version)
        else:
            self.rights.require(self.caller, name, EXECUTE)
        self.registry.check_transfer(name, version, writing=writing)

    def owner_name(self, owner_id: str) -> str:
        """Of a user, group or service principal; its id when it was deleted."""
        owner = self.directory.by_id(owner_id)
        return owner_id if owner is None else naming.name_of(owner)

    def owner_named(self, name: str) -> str:
        """The id of somebody who is to own something. Raises InvalidParameterValue."""
        owner = naming.find(self.directory, name)
        if owner is None:
            raise errors.InvalidParameterValue(
                f"There is no user, service principal (named by application id) or group {name!r} to be the owner."
            )
        return owner.id
