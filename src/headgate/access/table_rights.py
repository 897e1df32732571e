"""What a caller may do with the tables that requests leave behind. Asked before SQL reads one, and before an endpoint is given one.

A table that one may not read is one that is not there. `system.*` holds everybody's requests: administrators only.
"""

from __future__ import annotations

from collections.abc import Sequence

from headgate import errors
from headgate.access.model_rights import ModelRights
from headgate.access.principals import Principal
from headgate.access.rights import Rights
from headgate.domain.grants import CAN_MANAGE, SCHEMA, Securable, includes
from headgate.domain.model_privileges import CREATE_TABLE, SELECT, USE_SCHEMA, Standing
from headgate.domain.request_record import InferenceTable
from headgate.store import inference_tables
from headgate.store.inference_tables import Claim, InferenceTables

SYSTEM = "system"
"""The catalog of the house's own tables."""


class TableRights:
    """One per process; thread-safe. Every method asks the database."""

    def __init__(self, tables: InferenceTables, rights: Rights, model_rights: ModelRights) -> None:
        self._tables, self._rights, self._model_rights = tables, rights, model_rights

    def readable(self, caller: Principal, full_name: str) -> Claim | None:
        """The inference table of that name (lower case), if there is one and the caller may read it.

        Administrators; those with CAN_MANAGE on the endpoint whose requests it holds, while that is there; those with SELECT (owners have
        it) on the schema in which it was made.
        """
        claim = self._tables.get(full_name)
        return claim if claim is not None and self._may_read(caller, claim) else None

    def reads_system(self, caller: Principal) -> bool:
        """Whether the caller may read `system.*`."""
        return caller.admin

    def all_readable(self, caller: Principal, schema_name: str = "") -> Sequence[Claim]:
        """Those that `readable` would give, by name; `schema_name` (`catalog.schema`): only those in it."""
        claims = self._tables.of_schema(schema_name) if schema_name else self._tables.all()
        if caller.admin or not claims:
            return claims
        levels = self._rights.endpoint_levels(caller, {claim.endpoint_id for claim in claims if claim.alive})
        viewer = self._model_rights.viewer(caller)
        return [
            claim
            for claim in claims
            if includes(levels.get(claim.endpoint_id), CAN_MANAGE)
            or (claim.in_schema and _selects(viewer.standing(Securable(SCHEMA, claim.schema_name), claim.schema_owner)))
        ]

    def require_to_keep(self, caller: Principal, endpoint_id: str, table: InferenceTable) -> None:
        """The caller may have this endpoint's requests kept there; that it may manage the endpoint is asked elsewhere.

        Takes CREATE_TABLE, USE_CATALOG and USE_SCHEMA, also of those who own a table. A table whose endpoint is gone becomes this one's, when
        the caller may read it anyway. Raises InvalidParameterValue, ResourceDoesNotExist, PermissionDenied, ResourceAlreadyExists.
        """
        name = inference_tables.full_name(table)
        claim = self._tables.get(name)
        if claim is not None and claim.endpoint_id == endpoint_id:
            return
        if table.catalog.lower() == SYSTEM:
            raise errors.InvalidParameterValue(f"Nobody can add tables to the catalog {SYSTEM}: choose another one.")
        self._require_place(caller, Securable(SCHEMA, name.rpartition(".")[0]))
        if claim is None:
            return
        may = not claim.alive and self._may_read(caller, claim)
        if not may or not self._tables.hand_over(name, endpoint_id):
            raise inference_tables.taken(name)

    def _require_place(self, caller: Principal, schema: Securable) -> None:
        here = self._model_rights.standing(caller, schema)
        here.require(USE_SCHEMA)
        here.require(CREATE_TABLE)
        self._model_rights.require_existing(schema)

    def _may_read(self, caller: Principal, claim: Claim) -> bool:
        if caller.admin:
            return True
        if claim.alive and includes(self._rights.endpoint_level(caller, claim.endpoint_id), CAN_MANAGE):
            return True
        return claim.in_schema and _selects(self._model_rights.standing(caller, Securable(SCHEMA, claim.schema_name)))


def _selects(standing: Standing) -> bool:
    return standing.barred is None and SELECT in standing.privileges
