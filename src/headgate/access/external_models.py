"""Secrets of external models: sealed when the API writes them, opened when the gateway is about to call a vendor. Never logs a value."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from headgate.access.sealing import SealBroken, Sealer
from headgate.access.secrets import SecretUnavailable, Vault
from headgate.domain import external_model
from headgate.domain.endpoint import EndpointConfig, ServedEntity, sealed_for
from headgate.domain.external_model import ExternalModel
from headgate.errors import InvalidParameterValue

Plaintext = Mapping[str, Mapping[str, str]]
"""Served entity name -> field -> a secret as the client wrote it."""


def opened(vault: Vault, sealer: Sealer) -> Callable[[ExternalModel], Mapping[str, str]]:
    """(model of a routing table) -> the flat config that its provider's adapter gets. Blocks: it reads the store.

    Raises SecretUnavailable, which names secrets and shows none; what the store raises when it is away is passed on.
    """

    def open_target(model: ExternalModel) -> Mapping[str, str]:
        def unseal(field: str, sealed: str) -> str:
            return sealer.open(sealed, f"{model.place}:{field}").decode()

        try:
            return external_model.plain(model, lambda one: vault.value(one, model.checked), unseal)
        except SealBroken as error:
            raise SecretUnavailable(f"a secret of the external model {model.name} cannot be opened: {error}") from error
        except InvalidParameterValue as error:
            raise SecretUnavailable(f"external model {model.name}: {error.message}") from error

    return open_target


def sealing(sealer: Sealer, endpoint_id: str, plaintext: Plaintext) -> Callable[[EndpointConfig], EndpointConfig]:
    """What puts the secrets of a config under seal. To be called within the transaction that stores it, see `sealing.TOPIC`.

    Secrets kept from an earlier config are sealed anew: the key they are under may be on its way out.
    """

    def seal(config: EndpointConfig) -> EndpointConfig:
        entities = tuple(_sealed(sealer, endpoint_id, one, plaintext) for one in config.served_entities)
        return dataclasses.replace(config, served_entities=entities)

    return seal


def _sealed(sealer: Sealer, endpoint_id: str, entity: ServedEntity, plaintext: Plaintext) -> ServedEntity:
    model = entity.external_model
    if model is None:
        return entity
    sealed = {}
    for field, before in model.sealed.items():
        context = f"{sealed_for(endpoint_id, entity.name)}:{field}"
        sealed[field] = sealer.seal(sealer.open(before, context), context)
    for field, value in plaintext.get(entity.name, {}).items():
        sealed[field] = sealer.seal(value.encode(), f"{sealed_for(endpoint_id, entity.name)}:{field}")
    return dataclasses.replace(entity, external_model=dataclasses.replace(model, sealed=sealed))
