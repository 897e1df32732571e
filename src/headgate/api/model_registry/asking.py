"""One call to the registry: who asks, and what they may. Made for each request of the MLflow and Unity Catalog families."""

from __future__ import annotations

from dataclasses import dataclass

from headgate import errors
from headgate.access.model_rights import ModelRights
from headgate.access.principals import Principal
from headgate.domain.model_privileges import EXECUTE, MANAGE, Standing
from headgate.domain.registered_model import Author, ModelName, ModelVersion
from headgate.registry.models import NewModel, Registry


@dataclass(frozen=True, slots=True)
class Asking:
    """All methods raise ResourceDoesNotExist for what is hidden from the caller, PermissionDenied where something is missing."""

    registry: Registry
    rights: ModelRights
    caller: Principal

    @property
    def author(self) -> Author:
        """The caller, as the registry notes it."""
        return Author(self.caller.id, self.caller.user_name)

    def standing(self, name: str) -> Standing:
        """Of the caller, towards a model."""
        return self.rights.standing(self.caller, ModelName.parse(name).securable)

    def require(self, name: str, privilege: str) -> None:
        """The caller has a privilege on a model."""
        self.standing(name).require(privilege)

    def require_seen(self, name: str, *, browsing: bool = False) -> Standing:
        """The caller may read what is said of a model."""
        found = self.standing(name)
        found.require_seen(browsing=browsing)
        return found

    def may_make(self, new: NewModel) -> NewModel:
        """The model, with the catalog and schema that are to be made with it. Raises ResourceAlreadyExists."""
        missing = self.rights.require_new_model(self.caller, ModelName.parse(new.name))
        return NewModel(new.name, new.author, new.description, new.tags, missing)

    def uploadable(self, name: str, version: str) -> ModelVersion:
        """A version to which the caller may add files, or which it may complete."""
        try:
            found = self.registry.version(name, version)
        except errors.ResourceDoesNotExist:
            self.require(name, MANAGE)
            raise
        self.rights.require_upload(self.caller, found)
        return found

    def require_transfer(self, name: str, version: str, *, writing: bool) -> None:
        """The caller may upload (`writing`) or download files of a version, now. Raises InvalidState as well."""
        if writing:
            self.uploadable(name, version)
        else:
            self.require(name, EXECUTE)
        self.registry.check_transfer(name, version, writing=writing)
