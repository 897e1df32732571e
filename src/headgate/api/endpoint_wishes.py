"""From request bodies to wishes, and from wishes to configs that can be deployed. Called by the endpoint routes."""

from __future__ import annotations

import dataclasses
from typing import Any

from pydantic import BaseModel

from headgate.access.principals import Principal
from headgate.api.dependencies import ApiDependencies
from headgate.domain import endpoint_rules, signature
from headgate.domain.endpoint import Endpoint, EndpointConfig
from headgate.domain.endpoint_rules import Author
from headgate.domain.endpoint_wish import ConfigWish, EntityWish, RouteWish
from headgate.errors import InvalidParameterValue
from headgate.wire import endpoint_input as given

_SAME = (
    "name", "workload_size", "workload_type", "scale_to_zero_enabled", "min_provisioned_concurrency",
    "max_provisioned_concurrency", "instance_profile_arn",
)  # fmt: skip
_THROUGHPUT = ("min_provisioned_throughput", "max_provisioned_throughput", "provisioned_model_units")


def deployable(
    dependencies: ApiDependencies, body: given.ConfigInput, caller: Principal, author: Author
) -> EndpointConfig:
    """The config to deploy, aliases resolved. Raises what is wrong with it, as far as can be said without trying."""
    wish = config_wish(body)
    endpoint_rules.check_config(wish, gpu_available=dependencies.gpu_available)
    versions = [_resolved(dependencies, caller, entity) for entity in wish.entities]
    return with_secrets(dependencies, caller, endpoint_rules.config(wish, versions, author))


def check_shown_versions(body: given.ConfigInput, config: EndpointConfig, before: Endpoint | None) -> None:
    """An answer that is sent back names an alias and the version it had. Raises InvalidParameterValue for one it never had here."""
    generations = (before.serving, before.wanted) if before else ()
    served = {
        (entity.entity_name, entity.entity_version)
        for generation in generations
        if generation is not None
        for entity in generation.config.served_entities
    }
    for wish, entity in zip(config_wish(body).entities, config.served_entities, strict=True):
        shown = wish.shown_version
        if shown not in (None, entity.entity_version) and (wish.entity_name, shown) not in served:
            raise InvalidParameterValue(
                f"Served entity {entity.name} follows the alias {entity.followed_alias}, which names version {entity.entity_version}, "
                f"but entity_version is {shown}. Leave out followed_alias to serve version {shown} for good, or entity_version to follow."
            )


def with_secrets(dependencies: ApiDependencies, caller: Principal, config: EndpointConfig) -> EndpointConfig:
    """The same, with the versions that the secrets it refers to have now.

    Raises ResourceDoesNotExist, PermissionDenied and InvalidParameterValue, naming variable, scope and key.
    """
    check = dependencies.vault.check_references
    entities = (
        dataclasses.replace(entity, secret_versions=check(caller, entity.environment_vars))
        for entity in config.served_entities
    )
    return dataclasses.replace(config, served_entities=tuple(entities))


def _resolved(dependencies: ApiDependencies, caller: Principal, wish: EntityWish) -> str:
    model = wish.entity_name or ""
    dependencies.may_serve(caller, model)
    version = dependencies.resolve(model, wish.entity_version or "")
    signature.check_servable(model, version, dependencies.describe(model, version).signature)
    return version


def config_wish(body: given.ConfigInput) -> ConfigWish:
    """What a config asks for. Raises InvalidParameterValue for what this server cannot do or the form does not allow."""
    entities = tuple(_entity(entity) for entity in body.served_entities or ())
    models = tuple(_legacy(model) for model in body.served_models or ())
    # Answers mirror one in the other; a client may send an answer back.
    if entities and models and entities != models:
        raise InvalidParameterValue("Give either served_entities or served_models (the legacy form), not both.")
    routes = (body.traffic_config and body.traffic_config.routes) or ()
    return ConfigWish(entities or models, tuple(_route(route) for route in routes), _auto_capture(body))


def check_create(body: given.CreateEndpoint) -> None:
    """Raises InvalidParameterValue for wishes beside the config that this server cannot fulfil."""
    if asks_for_something(body.ai_gateway):
        raise InvalidParameterValue("ai_gateway is not supported yet: its limits would not be enforced. Leave it out.")
    if asks_for_something(body.rate_limits):
        raise InvalidParameterValue("rate_limits are not supported yet: they would not be enforced. Leave them out.")


def written(body: BaseModel | None) -> dict[str, Any] | None:
    """The fields that the client gave, for what is kept as it was written."""
    return None if body is None else body.model_dump(exclude_none=True)


def asks_for_something(wish: Any) -> bool:
    """Whether anything is switched on in a nested config; `{"enabled": false, …}` asks for nothing."""
    if isinstance(wish, dict):
        return wish.get("enabled") is not False and any(asks_for_something(value) for value in wish.values())
    if isinstance(wish, list):
        return any(asks_for_something(value) for value in wish)
    return bool(wish) and wish != "NONE"


def _entity(body: given.ServedEntityInput) -> EntityWish:
    if body.external_model is not None:
        raise InvalidParameterValue(
            "external_model is not supported yet: this server serves custom models. Give entity_name and entity_version."
        )
    if body.foundation_model is not None:
        raise InvalidParameterValue(
            "foundation_model is not supported yet: this server serves custom models. Give entity_name and entity_version."
        )
    return _wish(body, body.entity_name, body.entity_version)


def _legacy(body: given.ServedModelInput) -> EntityWish:
    if body.scale_to_zero_enabled is None:
        raise InvalidParameterValue("scaleToZeroEnabled is undefined. Please set it to either true or false.")
    return _wish(body, body.model_name, body.model_version)


def _wish(body: given.ServedEntityInput | given.ServedModelInput, model: str | None, version: str | None) -> EntityWish:
    asked = [name for name in _THROUGHPUT if getattr(body, name) is not None]
    if asked:
        raise InvalidParameterValue(
            f"{asked[0]} is not supported yet: provisioned throughput is for foundation models. "
            "Give workload_size, or min_provisioned_concurrency and max_provisioned_concurrency."
        )
    same = {name: getattr(body, name) for name in _SAME}
    written, shown = _version(body.followed_alias, version)
    return EntityWish(model, written, shown_version=shown, environment_vars=body.environment_vars or {}, **same)


def _version(alias: str | None, version: str | None) -> tuple[str | None, str | None]:
    """What is asked for, and the number beside the alias when an answer is sent back."""
    if not alias:
        return version, None
    asked = f"@{alias.removeprefix('@')}"
    if version is None or version.isdecimal():
        return asked, version
    if version != asked:
        raise InvalidParameterValue(
            f"entity_version {version} and followed_alias {alias} contradict each other: give one of them."
        )
    return asked, None


def _route(body: given.RouteInput) -> RouteWish:
    names = {name for name in (body.served_entity_name, body.served_model_name) if name}
    if len(names) != 1:
        raise InvalidParameterValue(
            "Each route of traffic_config needs one served_entity_name (or served_model_name, its legacy form)."
        )
    return RouteWish(names.pop(), body.traffic_percentage)


def _auto_capture(body: given.ConfigInput) -> dict[str, Any] | None:
    if body.auto_capture_config is None:
        return None
    if body.auto_capture_config.enabled is not False:
        raise InvalidParameterValue(
            "auto_capture_config is not supported yet: nothing would be captured. Leave it out, or set enabled to false."
        )
    return written(body.auto_capture_config)
