"""What a caller may do with catalogs, schemas and registered models. Asked by the REST families before they ask the registry.

Rules are `domain.model_privileges`; an administrator may everything. Whoever has nothing on something is answered, in the same
steps, as if it were not there.
"""

from __future__ import annotations

from collections.abc import Sequence

from headgate import errors
from headgate.access.principals import Principal
from headgate.domain.grants import METASTORE, Securable
from headgate.domain.model_privileges import (
    CREATE_CATALOG,
    CREATE_MODEL,
    CREATE_SCHEMA,
    EXECUTE,
    MANAGE,
    USE_CATALOG,
    USE_SCHEMA,
    Level,
    Standing,
    absent,
    denied,
    everything,
    path_to,
    standing,
    taken,
)
from headgate.domain.namespace import namespace_securable
from headgate.domain.registered_model import ModelName
from headgate.store.database import Database
from headgate.store.model_access import Holdings, ModelAccess

THE_METASTORE = Securable(METASTORE, "")


class ModelRights:
    """One per process; thread-safe. Every method is one read transaction."""

    def __init__(self, database: Database) -> None:
        self._access = ModelAccess(database)

    def standing(self, caller: Principal, securable: Securable) -> Standing:
        """What the caller may do with a catalog, schema, model or the metastore. Does not say that there is one."""
        if caller.admin:
            return everything(securable)
        return standing(self._access.levels(path_to(securable), caller.keys, others=False), caller.keys)

    def viewer(self, caller: Principal) -> Viewer:
        """To judge whole lists by."""
        return Viewer(caller, None if caller.admin else self._access.holdings(caller.keys))

    def require(self, caller: Principal, full_name: str, privilege: str) -> None:
        """On a registered model. Raises ResourceDoesNotExist when it is hidden, PermissionDenied, InvalidParameterValue for no name.

        Returning does not say that the model exists: an administrator may everything with one that does not.
        """
        self.standing(caller, ModelName.parse(full_name).securable).require(privilege)

    def require_to_serve(self, caller: Principal, full_name: str) -> None:
        """What whoever creates or changes an endpoint needs on each model it serves. Raises as `require`."""
        self.require(caller, full_name, EXECUTE)

    def require_to_grant(self, caller: Principal, securable: Securable) -> None:
        """What it takes to change grants: to own it or something around it, or MANAGE. Raises as `require`."""
        if securable == THE_METASTORE:
            if not caller.admin:
                raise errors.PermissionDenied("Only an administrator can change what is granted on the metastore.")
            return
        self.standing(caller, securable).require(MANAGE)

    def require_existing(self, securable: Securable) -> None:
        """What `standing` does not say: that there is one. Raises ResourceDoesNotExist."""
        if securable != THE_METASTORE and self._access.levels([securable], ())[0].owner_id is None:
            raise absent(securable)

    def require_new_namespace(self, caller: Principal, full_name: str) -> None:
        """To create this catalog or schema. Raises as `require`."""
        securable = namespace_securable(full_name)
        around = path_to(securable)[:-1]
        if around:
            here = self.standing(caller, around[0])
            here.require(USE_CATALOG)
            here.require(CREATE_SCHEMA)
        elif CREATE_CATALOG not in self.standing(caller, THE_METASTORE).privileges:
            raise denied(CREATE_CATALOG, THE_METASTORE)

    def require_new_model(self, caller: Principal, name: ModelName) -> list[str]:
        """To create this model. Returns the catalog and schema that must be made with it.

        Raises as `require`, and ResourceAlreadyExists to whoever may know that.
        """
        metastore, *levels = self._access.levels([THE_METASTORE, *path_to(name.securable)], caller.keys)
        catalog, schema, model = levels
        missing = [level.securable for level in (catalog, schema) if level.owner_id is None]
        if model.owner_id is not None and (caller.admin or standing(levels, caller.keys).privileges):
            raise taken(name.securable)
        if not caller.admin:
            _require_place(caller.keys, metastore, (catalog, schema))
        return [securable.id for securable in missing]


def _require_place(keys: frozenset[str], metastore: Level, levels: Sequence[Level]) -> None:
    """Raises unless a model may be made in these (catalog, schema), which may have to be made first."""
    catalog, schema = levels
    if catalog.owner_id is None:
        if CREATE_CATALOG not in metastore.granted:
            raise absent(catalog.securable)
        return
    around, here = standing(levels[:1], keys), standing(levels, keys)
    around.require(USE_CATALOG)
    if CREATE_SCHEMA not in around.privileges:
        if schema.owner_id is None:
            raise absent(schema.securable)
        here.require(USE_SCHEMA)
    elif schema.owner_id is None:
        return
    # Whoever may create schemas finds out anyway that the name is taken.
    for privilege in (USE_SCHEMA, CREATE_MODEL):
        if privilege not in here.privileges:
            raise denied(privilege, schema.securable)


class Viewer:
    """What one caller sees in lists."""

    def __init__(self, caller: Principal, holdings: Holdings | None) -> None:
        """`holdings`: None for an administrator."""
        self._keys = caller.keys
        self._holdings = holdings

    def standing(self, securable: Securable, owner_id: str) -> Standing:
        """What the caller may do with something that somebody owns."""
        held = self._holdings
        if held is None:
            return everything(securable)
        levels = [Level(one, held.owners.get(one.id), held.granted.get(one, frozenset())) for one in path_to(securable)]
        levels[-1] = Level(securable, owner_id, levels[-1].granted)
        return standing(levels, self._keys)
