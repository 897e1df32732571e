"""`PATCH /api/2.0/serving-endpoints/{name}/creator` (extension): an endpoint outlives its creator, and can be given another.

Whoever can manage it may take it over; only an administrator names somebody else (docs/decisions/0089).
"""

from __future__ import annotations

from fastapi import APIRouter

from headgate import errors
from headgate.access.principals import Principal
from headgate.api.dependencies import ApiDependencies, Caller, Given
from headgate.api.language import external_models
from headgate.api.serving_endpoints import PREFIX, answer, find, may_create
from headgate.domain.endpoint import Endpoint
from headgate.domain.grants import CAN_MANAGE
from headgate.wire import endpoint_output as shown
from headgate.wire.permissions import NewCreator


def routes() -> APIRouter:
    """The family."""
    router = APIRouter(prefix=PREFIX + "/{name}", tags=["serving endpoints"])
    router.patch("/creator", response_model_exclude_none=True)(replace_creator)
    return router


def replace_creator(name: str, body: NewCreator, dependencies: Given, caller: Caller) -> shown.Endpoint:
    """Name a new creator, who gets CAN_MANAGE; without a name, take it over. Takes CAN_MANAGE."""
    endpoint = find(dependencies, caller, name, CAN_MANAGE)
    creator = _wanted(dependencies, caller, body)
    may_create(creator)
    _check_still_allowed(dependencies, creator, endpoint)
    now_ms = dependencies.clock.now_ms()
    return answer(dependencies, dependencies.endpoints.hand_over(name, creator.user_name, creator.id, now_ms))


def _wanted(dependencies: ApiDependencies, caller: Principal, body: NewCreator) -> Principal:
    """Raises InvalidParameterValue, PermissionDenied, ResourceDoesNotExist."""
    if body.user_name and body.service_principal_name:
        raise errors.InvalidParameterValue("Give user_name or service_principal_name, not both.")
    name = body.user_name or body.service_principal_name
    if not name or name == caller.user_name:
        return caller
    if not caller.admin:
        raise errors.PermissionDenied(
            "Only an administrator can name somebody else as creator. Leave the name out to take the endpoint over yourself."
        )
    directory = dependencies.directory()
    found = directory.by_user_name(name) if body.user_name else directory.by_application_id(name)
    named = None if found is None else directory.principal(found.id)
    if named is None:
        raise errors.ResourceDoesNotExist(f"There is no active user or service principal called {name}.")
    return named


def _check_still_allowed(dependencies: ApiDependencies, creator: Principal, endpoint: Endpoint) -> None:
    """Whether they could have created it as it is: EXECUTE on its models, READ on its secrets. Raises what they lack."""
    for generation in (endpoint.serving, endpoint.wanted):
        for entity in generation.config.served_entities if generation else ():
            if entity.external_model is not None:
                external_models.with_secrets(dependencies, creator, entity)
                continue
            dependencies.may_serve(creator, entity.entity_name)
            dependencies.vault.check_references(creator, entity.environment_vars)
