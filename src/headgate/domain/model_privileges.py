"""Privileges on catalogs, schemas and registered models, and how they are inherited. Pure; asked by `access.model_rights`.

What is granted on a catalog holds for its schemas and models, what is granted on a schema for its models. Whoever owns something
has every privilege on it and below it. To reach anything in a catalog takes USE_CATALOG there, in a schema USE_SCHEMA as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from headgate import errors
from headgate.domain.grants import CATALOG, METASTORE, MODEL, SCHEMA, Securable

ALL_PRIVILEGES = "ALL_PRIVILEGES"
"""Everything that can be granted but MANAGE."""
APPLY_TAG = "APPLY_TAG"
BROWSE = "BROWSE"
"""To see that it is there and how it is described, for those who ask with `include_browse`."""
CREATE_CATALOG = "CREATE_CATALOG"
CREATE_MODEL = "CREATE_MODEL"
CREATE_MODEL_VERSION = "CREATE_MODEL_VERSION"
CREATE_SCHEMA = "CREATE_SCHEMA"
CREATE_TABLE = "CREATE_TABLE"
"""To have an endpoint's requests kept in an inference table there."""
EXECUTE = "EXECUTE"
"""To load and to serve."""
MANAGE = "MANAGE"
"""To grant, to rename, to delete, to change the owner, the comment and aliases."""
SELECT = "SELECT"
"""To read inference tables."""
USE_CATALOG = "USE_CATALOG"
USE_SCHEMA = "USE_SCHEMA"

_ON_MODELS = frozenset({ALL_PRIVILEGES, APPLY_TAG, BROWSE, CREATE_MODEL_VERSION, EXECUTE, MANAGE})
_ON_SCHEMAS = _ON_MODELS | {CREATE_MODEL, CREATE_TABLE, SELECT, USE_SCHEMA}
GRANTABLE: Mapping[str, frozenset[str]] = {
    METASTORE: frozenset({CREATE_CATALOG}),
    CATALOG: _ON_SCHEMAS | {CREATE_SCHEMA, USE_CATALOG},
    SCHEMA: _ON_SCHEMAS,
    MODEL: _ON_MODELS,
}
"""Kind of securable -> what can be granted on it and means something on it."""
TITLES = {METASTORE: "Metastore", CATALOG: "Catalog", SCHEMA: "Schema", MODEL: "Routine or Model"}
_NEEDED_INSIDE = {CATALOG: USE_CATALOG, SCHEMA: USE_SCHEMA}
_TO_SEE = {METASTORE: CREATE_CATALOG, CATALOG: USE_CATALOG, SCHEMA: USE_SCHEMA, MODEL: EXECUTE}


@dataclass(frozen=True, slots=True)
class Level:
    """A catalog, schema or model, as far as one caller is concerned."""

    securable: Securable
    owner_id: str | None
    """None: there is none of that name."""
    granted: frozenset[str] = frozenset()
    """To the caller or its groups, here."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a caller may do with one securable."""

    securable: Securable
    privileges: frozenset[str]
    """Effective ones, inherited or not; empty: its existence is hidden."""
    barred: Securable | None = None
    """The catalog or schema around it that the caller may not use."""

    @property
    def browse_only(self) -> bool:
        """Whether all the caller may do is to see that it is there."""
        return self.privileges <= {BROWSE} or self.barred is not None

    def sees(self, *, browsing: bool) -> bool:
        """Whether a list shows it; `browsing`: with what is there only to be browsed."""
        return not self.browse_only or (browsing and BROWSE in self.privileges)

    def require(self, privilege: str) -> None:
        """Nothing when the caller has it. Raises ResourceDoesNotExist when it is hidden, PermissionDenied naming what is missing."""
        if not self.privileges:
            raise absent(self.securable)
        if self.barred is not None:
            raise denied(_NEEDED_INSIDE[self.barred.kind], self.barred)
        if privilege not in self.privileges:
            raise denied(privilege, self.securable)

    def require_seen(self, *, browsing: bool = False) -> None:
        """Nothing when the caller may read its description. Raises as `require`."""
        if not self.sees(browsing=browsing):
            self.require(_TO_SEE[self.securable.kind])


def standing(levels: Sequence[Level], keys: frozenset[str]) -> Standing:
    """Of a caller with these keys (its id and groups) towards the last of `levels`, which come from the catalog down."""
    held: frozenset[str] = frozenset()
    barred = None
    for level in levels:
        kind = level.securable.kind
        own = GRANTABLE[kind] if level.owner_id in keys else expanded(level.granted, kind)
        held = (held | own) & GRANTABLE[kind]
        if level is not levels[-1] and barred is None and _NEEDED_INSIDE[kind] not in held:
            barred = level.securable
    return Standing(levels[-1].securable, held, barred)


def everything(securable: Securable) -> Standing:
    """An administrator's."""
    return Standing(securable, GRANTABLE[securable.kind])


def expanded(privileges: Iterable[str], kind: str) -> frozenset[str]:
    """With what ALL_PRIVILEGES means."""
    held = frozenset(privileges)
    return held | (GRANTABLE[kind] - {MANAGE}) if ALL_PRIVILEGES in held else held


def path_to(securable: Securable) -> list[Securable]:
    """From its catalog down to itself; the metastore is around nothing, since nothing is inherited from it."""
    if securable.kind == METASTORE:
        return [securable]
    parts = securable.id.split(".")
    kinds = (CATALOG, SCHEMA, MODEL)[: len(parts)]
    return [Securable(kind, ".".join(parts[: depth + 1])) for depth, kind in enumerate(kinds)]


def absent(securable: Securable) -> errors.Hidden:
    """The one answer for what is not there and for what is hidden."""
    if securable.kind == MODEL:
        return errors.Hidden(f"Registered model {securable.id} does not exist.")
    return errors.Hidden(f"{TITLES[securable.kind]} {securable.id} does not exist.")


def taken(securable: Securable) -> errors.ResourceAlreadyExists:
    """The error for a name that is in use."""
    if securable.kind == MODEL:
        return errors.ResourceAlreadyExists(f"Registered model {securable.id} already exists.")
    return errors.ResourceAlreadyExists(f"{TITLES[securable.kind]} {securable.id} already exists.")


def denied(privilege: str, securable: Securable) -> errors.PermissionDenied:
    """Names what is missing where, and who can help."""
    where = f"{TITLES[securable.kind]} '{securable.id}'" if securable.id else "the metastore"
    who = "Its owner, or somebody with MANAGE on it," if securable.id else "An administrator"
    return errors.PermissionDenied(f"User does not have {privilege} on {where}. {who} can grant it.")
