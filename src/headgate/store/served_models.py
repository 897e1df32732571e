"""Where endpoints and the registry meet: what a deployment needs of a model, and what keeps a model from being deleted.

Both sides hold the model's row while they look and write, so of a deployment and a deletion that race one comes first and the other
is refused. Used inside the transactions of `endpoints`, `models` and `model_versions`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from headgate import errors
from headgate.domain.endpoint import EndpointConfig, Outcome
from headgate.domain.following import Target, Targets
from headgate.domain.registered_model import ModelName, VersionStatus
from headgate.store import registry_tables, tables

ALIASES = "aliases"
"""Topic of what an alias names: moved, deleted, or its version became READY."""

_M = registry_tables.registered_models
_V = registry_tables.model_versions
_E = tables.endpoints
_G = tables.generations


class InUse(errors.ResourceConflict):
    """A model or version that endpoints serve, or are about to. The message names none of them."""

    def __init__(self, what: str, endpoints: dict[str, str]) -> None:
        super().__init__(told(what, [], len(endpoints)))
        self.what = what
        self.endpoints = endpoints
        """Id -> name."""


def told(what: str, names: Collection[str], hidden: int) -> str:
    """`what` is the beginning of the message; `hidden`: endpoints that are not named."""
    listed = [f"endpoint {name}" for name in sorted(names)]
    if hidden:
        others = "another endpoint" if names else "an endpoint"
        listed.append(others if hidden == 1 else f"{hidden} {'other ' if names else ''}endpoints")
    whom = " and ".join([", ".join(listed[:-1]), listed[-1]]) if len(listed) > 1 else listed[0]
    return f"{what}: it is served by {whom}. Serve another version there, or delete the endpoint, first."


def hold_within(connection: sa.Connection, config: EndpointConfig) -> None:
    """Makes sure that the versions of a config are READY and stay until the transaction ends. Raises ResourceDoesNotExist."""
    own = (entity for entity in config.served_entities if entity.external_model is None)
    wanted = sorted({(e.entity_name, e.entity_version) for e in own})
    for name in sorted({ModelName.parse(name).full for name, _ in wanted}):
        connection.execute(sa.select(_M.c.id).where(_M.c.full_name == name).with_for_update())
    for name, version in wanted:
        parsed = ModelName.parse(name)
        query = sa.select(_V.c.status).join(_M, _M.c.id == _V.c.model_id)
        found = connection.execute(query.where(_M.c.full_name == parsed.full, _V.c.version == int(version))).scalar()
        if found != VersionStatus.READY.value:
            raise errors.ResourceDoesNotExist(f"Model version {parsed.full} version {version} does not exist any more.")


def check_unused_within(connection: sa.Connection, full_name: str, what: str, version: int | None = None) -> None:
    """Raises InUse when an endpoint serves the model, or is about to. The model's row is held. `version`: only that one counts."""
    current = sa.or_(
        _G.c.number == _E.c.serving_generation,
        sa.and_(_G.c.number == _E.c.wanted_generation, _G.c.outcome == Outcome.PENDING.value),
    )
    query = sa.select(_E.c.id, _E.c.name, _G.c.config).join(_G, _G.c.endpoint_id == _E.c.id)
    users = {
        row.id: row.name
        for row in connection.execute(query.where(_E.c.deleted_at.is_(None), current))
        if any(_is(entity, full_name, version) for entity in row.config["served_entities"])
    }
    if users:
        raise InUse(what, users)


def targets_within(connection: sa.Connection, wanted: Collection[Target]) -> Targets:
    """The versions that these aliases name; those that are READY."""
    names = sorted({name for name, _ in wanted})
    found: dict[Target, str] = {}
    for start in range(0, len(names), 200):
        query = sa.select(_M.c.full_name, _M.c.aliases, _V.c.version).join(_V, _V.c.model_id == _M.c.id)
        query = query.where(_M.c.full_name.in_(names[start : start + 200]), _V.c.status == VersionStatus.READY.value)
        for row in connection.execute(query):
            found.update(
                {(row.full_name, alias): str(row.version) for alias, one in row.aliases.items() if one == row.version}
            )
    return {target: found[target] for target in wanted if target in found}


def _is(entity: dict[str, Any], full_name: str, version: int | None) -> bool:
    if entity.get("external_model") is not None:
        return False
    if version is not None and entity["entity_version"] != str(version):
        return False
    try:
        return ModelName.parse(entity["entity_name"]).full == full_name
    except errors.InvalidParameterValue:
        return False
