"""From request bodies to wishes, and from wishes to configs that can be deployed. Called by the endpoint routes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from headgate.access.external_models import Plaintext
from headgate.access.principals import Principal
from headgate.api.dependencies import ApiDependencies
from headgate.api.language import external_models
from headgate.domain import ai_gateway, endpoint_rules, external_model, signature
from headgate.domain.endpoint import Endpoint, EndpointConfig
from headgate.domain.endpoint_rules import Author, Resolved
from headgate.domain.endpoint_wish import ConfigWish, EntityWish, RouteWish
from headgate.domain.external_model import ExternalModel
from headgate.errors import InvalidParameterValue
from headgate.wire import endpoint_input as given

_SAME = (
    "name", "workload_size", "workload_type", "scale_to_zero_enabled", "min_provisioned_concurrency",
    "max_provisioned_concurrency", "instance_profile_arn",
)  # fmt: skip
_THROUGHPUT = ("min_provisioned_throughput", "max_provisioned_throughput", "provisioned_model_units")


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Numbered(Generic[T]):
    where: str
    """`served_entities[0]`, for messages."""
    body: T


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes a config, and when (milliseconds since the epoch)."""

    caller: Principal
    now_ms: int


@dataclass(frozen=True, slots=True)
class Deployable:
    """A config that can be deployed, and the secrets that came with it in plain text."""

    config: EndpointConfig
    plaintext: Plaintext = field(repr=False)


def deployable(
    dependencies: ApiDependencies, body: given.ConfigInput, writer: Writer, before: Endpoint | None
) -> Deployable:
    """The config to deploy, aliases resolved. Raises what is wrong with it, as far as can be said without trying. `before`: what is updated."""
    wish = config_wish(body, before)
    endpoint_rules.check_config(wish, gpu_available=dependencies.gpu_available)
    found = [_resolved(dependencies, writer.caller, entity) for entity in wish.entities]
    config = endpoint_rules.config(wish, found, Author(writer.caller.user_name, writer.now_ms))
    if before is not None:
        endpoint_rules.check_kind(config, before)
        endpoint_rules.check_capture(config, before)
    external_models.check(dependencies, config)
    _check_shown_versions(wish, config, before)
    return Deployable(with_secrets(dependencies, writer.caller, config), external_models.plaintext(wish, config))


def _check_shown_versions(wished: ConfigWish, config: EndpointConfig, before: Endpoint | None) -> None:
    """An answer that is sent back names an alias and the version it had. Raises InvalidParameterValue for one it never had here."""
    generations = (before.serving, before.wanted) if before else ()
    served = {
        (entity.entity_name, entity.entity_version)
        for generation in generations
        if generation is not None
        for entity in generation.config.served_entities
    }
    for wish, entity in zip(wished.entities, config.served_entities, strict=True):
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
        if entity.external_model is None
        else external_models.with_secrets(dependencies, caller, entity)
        for entity in config.served_entities
    )
    return dataclasses.replace(config, served_entities=tuple(entities))


def _resolved(dependencies: ApiDependencies, caller: Principal, wish: EntityWish) -> Resolved:
    if wish.external is not None:
        return Resolved()
    model = wish.entity_name or ""
    dependencies.may_serve(caller, model)
    version = dependencies.resolve(model, wish.entity_version or "")
    described = dependencies.describe(model, version)
    signature.check_servable(model, version, described.signature)
    return Resolved(version, described.task)


def config_wish(body: given.ConfigInput, before: Endpoint | None = None) -> ConfigWish:
    """What a config asks for. Raises InvalidParameterValue for what this server cannot do or the form does not allow.

    `before`: the endpoint that is updated; answers show no secrets, so those of one that is sent back are found there.
    """
    entities = tuple(_entity(entity, before) for entity in _numbered("served_entities", body.served_entities))
    models = tuple(_legacy(model, before) for model in _numbered("served_models", body.served_models))
    # Answers mirror one in the other; a client may send an answer back.
    if entities and models and entities != models:
        raise InvalidParameterValue("Give either served_entities or served_models (the legacy form), not both.")
    routes = (body.traffic_config and body.traffic_config.routes) or ()
    capture = written(body.auto_capture_config)
    ai_gateway.captured(capture)
    return ConfigWish(entities or models, tuple(_route(route) for route in routes), capture)


def written(body: BaseModel | None) -> dict[str, Any] | None:
    """The fields that the client gave, for what is kept as it was written."""
    return None if body is None else body.model_dump(exclude_none=True)


def _numbered(where: str, bodies: Sequence[T] | None) -> Iterator[_Numbered[T]]:
    return (_Numbered(f"{where}[{number}]", body) for number, body in enumerate(bodies or ()))


def _entity(one: _Numbered[given.ServedEntityInput], before: Endpoint | None) -> EntityWish:
    body = one.body
    if body.external_model is not None:
        return _external(one, before)
    if body.foundation_model is not None:
        raise InvalidParameterValue(
            "foundation_model is not supported yet: this server serves custom models and external models. "
            "Give entity_name and entity_version, or external_model."
        )
    return _wish(body, body.entity_name, body.entity_version)


def _legacy(one: _Numbered[given.ServedModelInput], before: Endpoint | None) -> EntityWish:
    body = one.body
    if body.external_model is not None:
        return _external(one, before)
    if body.scale_to_zero_enabled is None:
        raise InvalidParameterValue("scaleToZeroEnabled is undefined. Please set it to either true or false.")
    return _wish(body, body.model_name, body.model_version)


def _external(
    one: _Numbered[given.ServedEntityInput] | _Numbered[given.ServedModelInput], before: Endpoint | None
) -> EntityWish:
    said = one.body.external_model or {}
    try:
        entity = one.body.model_dump()
        external_model.check_alone({**entity, "entity_name": entity.get("entity_name") or entity.get("model_name")})
        vendors_name = said.get("name")
        name = one.body.name or external_model.default_name(vendors_name if isinstance(vendors_name, str) else "")
        return EntityWish(name=one.body.name, external=external_model.read(said, _written_before(before, name)))
    except InvalidParameterValue as error:
        raise InvalidParameterValue(f"{one.where}: {error.message}") from error


def _written_before(before: Endpoint | None, name: str) -> ExternalModel | None:
    """The external model of that served entity, in the newest config that has it."""
    for generation in (before.wanted, before.serving) if before else ():
        for entity in generation.config.served_entities if generation else ():
            if entity.name == name and entity.external_model is not None:
                return entity.external_model
    return None


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
