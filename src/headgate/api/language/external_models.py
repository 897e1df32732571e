"""Judges external models before they are written: what the vendor can do, where its address leads, which secrets the caller may use.

Called by the endpoint routes. Secrets in plain text only pass through: they are sealed in the transaction that writes the config.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from headgate.access import external_models
from headgate.access.external_models import Plaintext
from headgate.access.principals import Principal
from headgate.api.dependencies import ApiDependencies
from headgate.domain import external_model, outbound
from headgate.domain.endpoint import EndpointConfig, ServedEntity
from headgate.domain.endpoint_wish import ConfigWish
from headgate.domain.external_model import ExternalModel
from headgate.errors import InvalidParameterValue
from headgate.providers import catalogue

Seal = Callable[[EndpointConfig], EndpointConfig]


def check(dependencies: ApiDependencies, config: EndpointConfig) -> None:
    """Everything that can be said without asking a vendor. Raises InvalidParameterValue."""
    for number, entity in enumerate(config.served_entities):
        if entity.external_model is not None:
            try:
                _check(dependencies, entity.external_model)
            except InvalidParameterValue as error:
                raise InvalidParameterValue(f"served_entities[{number}]: {error.message}") from error


def with_secrets(dependencies: ApiDependencies, caller: Principal, entity: ServedEntity) -> ServedEntity:
    """The same, with the versions that the secrets its model refers to have now.

    Raises ResourceDoesNotExist, PermissionDenied and InvalidParameterValue, naming field, scope and key.
    """
    model = entity.external_model
    assert model is not None
    vault = dependencies.vault
    found = vault.check_references(caller, model.references, f"served entity {entity.name}: external_model")
    opened = dataclasses.replace(model, sealed={})
    external_model.plain(opened, lambda one: vault.value(one, found), lambda _field, _sealed: "")
    return dataclasses.replace(entity, secret_versions=found)


def plaintext(wish: ConfigWish, config: EndpointConfig) -> Plaintext:
    """The secrets that came in plain text, by the names that the entities got."""
    pairs = zip(wish.entities, config.served_entities, strict=True)
    return {entity.name: one.external.plaintext for one, entity in pairs if one.external and one.external.plaintext}


def sealing(dependencies: ApiDependencies, endpoint_id: str, config: EndpointConfig, given: Plaintext) -> Seal | None:
    """What seals them as the config is written; None when there is nothing to seal."""
    models = [entity.external_model for entity in config.served_entities]
    if not given and not any(model is not None and model.sealed for model in models):
        return None
    return external_models.sealing(dependencies.vault.sealer, endpoint_id, given)


def _check(dependencies: ApiDependencies, model: ExternalModel) -> None:
    vendor = catalogue.provider(model.provider, model.fields)
    if model.task not in vendor.capabilities.tasks:
        able = ", ".join(task for task in external_model.TASKS if task in vendor.capabilities.tasks)
        raise InvalidParameterValue(
            f"external_model.task {model.task} is not supported by the provider {vendor.name}, which has: {able}."
        )
    for field, url in external_model.urls(model).items():
        # What has no address here and now may have one where a proxy asks: it is judged again on every connection.
        addresses = dependencies.addresses(url)
        if addresses:
            try:
                outbound.check_addresses(url, addresses, allow_private=dependencies.allow_private_addresses)
            except InvalidParameterValue as error:
                raise InvalidParameterValue(f"external_model.{field}: {error.message}") from error
