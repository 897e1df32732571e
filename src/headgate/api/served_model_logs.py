"""Logs of one served entity: what its processes wrote, and how its environment was built.

Takes CAN_MANAGE: a model may print what other callers sent it (docs/decisions/0089).
"""

from __future__ import annotations

import dataclasses

from fastapi import APIRouter

from headgate.api.dependencies import ApiDependencies, Visiting
from headgate.api.serving_endpoints import PREFIX, find
from headgate.domain.endpoint import Endpoint, Generation, ServedEntity
from headgate.domain.grants import CAN_MANAGE
from headgate.errors import ResourceDoesNotExist
from headgate.wire.endpoint_output import Logs

_MOST_VERSION = 2**31


def routes() -> APIRouter:
    """The family."""
    router = APIRouter(prefix=PREFIX + "/{name}/served-models/{served_model_name}", tags=["serving endpoints"])
    router.get("/logs")(logs)
    router.get("/build-logs")(build_logs)
    return router


def logs(name: str, served_model_name: str, visit: Visiting, config_version: int | None = None) -> Logs:
    """What the processes of a served entity wrote, of all its versions that share its name."""
    dependencies = visit.dependencies
    endpoint = find(dependencies, visit.caller, name, CAN_MANAGE)
    _, entity = _deployed(dependencies, endpoint, served_model_name, config_version)
    return Logs(logs=dependencies.service_logs(endpoint.id, entity.name))


def build_logs(name: str, served_model_name: str, visit: Visiting, config_version: int | None = None) -> Logs:
    """How the environment of a served entity was built; empty for a model that a vendor runs."""
    dependencies = visit.dependencies
    endpoint = find(dependencies, visit.caller, name, CAN_MANAGE)
    generation, entity = _deployed(dependencies, endpoint, served_model_name, config_version)
    if entity.external_model is not None:
        return Logs(logs="")
    environment = dependencies.describe(entity.entity_name, entity.entity_version).environment
    keys = [environment.key]
    lock = generation.locks.get(entity.name)
    if lock:  # a rollback was given its exact former environment, perhaps by a build of its own
        keys.append(dataclasses.replace(environment, lock=lock).key)
    return Logs(logs="".join(dependencies.build_logs(key) for key in keys))


def _deployed(
    dependencies: ApiDependencies, endpoint: Endpoint, entity_name: str, version: int | None
) -> tuple[Generation, ServedEntity]:
    """The newest generation (or the one asked for) that has the entity. Raises ResourceDoesNotExist."""
    generations = _generations(dependencies, endpoint, version)
    for generation in generations:
        for entity in generation.config.served_entities:
            if entity.name == entity_name:
                return generation, entity
    names = sorted({entity.name for generation in generations for entity in generation.config.served_entities})
    there_are = f"there are: {', '.join(names)}" if names else "nothing has been deployed there"
    raise ResourceDoesNotExist(f"Endpoint {endpoint.name} has no served model {entity_name!r}; {there_are}.")


def _generations(dependencies: ApiDependencies, endpoint: Endpoint, version: int | None) -> list[Generation]:
    if version is None:
        return [generation for generation in (endpoint.wanted, endpoint.serving) if generation is not None]
    known = 0 < version < _MOST_VERSION
    generation = dependencies.endpoints.generation(endpoint.id, version) if known else None
    if generation is None:
        newest = endpoint.wanted.number if endpoint.wanted else 0
        raise ResourceDoesNotExist(f"Endpoint {endpoint.name} has no config version {version}; the newest is {newest}.")
    return [generation]
