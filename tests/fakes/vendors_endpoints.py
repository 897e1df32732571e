"""Endpoints of external models straight in the store, for tests of what happens to their secrets."""

from __future__ import annotations

import hashlib

from headgate.access import external_models
from headgate.access.sealing import Sealer
from headgate.access.secrets import Vault
from headgate.clock import SystemClock
from headgate.domain.endpoint import Endpoint, EndpointConfig, Generation, Outcome, Route, ServedEntity
from headgate.domain.external_model import ExternalModel
from headgate.store.database import Database
from headgate.store.endpoints import Endpoints
from headgate.store.secrets import Secrets

CONFIG = EndpointConfig(
    (
        ServedEntity(
            "gpt",
            "",
            "",
            "",
            external_model=ExternalModel("gpt", "openai", "llm/v1/chat", {"openai_api_type": "openai"}),
        ),
    ),
    (Route("gpt", 100),),
)


def endpoint_id(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def create(database: Database, sealer: Sealer, name: str, key: str) -> None:
    """An endpoint whose key came in plain text."""
    seal = external_models.sealing(sealer, endpoint_id(name), {"gpt": {"openai_api_key": key}})
    wanted = Generation(1, CONFIG, Outcome.PENDING, 1)
    made = Endpoint(endpoint_id(name), name, "ada", 1, 1, wanted=wanted)
    Endpoints(database).create(made, seal=seal)


def update(database: Database, sealer: Sealer, name: str) -> None:
    """Another config that keeps the key, as when a GET answer is sent back."""
    store = Endpoints(database)
    found = store.get(name)
    assert found.wanted is not None
    if found.wanted.outcome is Outcome.PENDING:
        store.activate(found.id, found.wanted.number, {})
    store.add_generation(name, found.wanted.config, 2, external_models.sealing(sealer, found.id, {}))


def key_of(database: Database, sealer: Sealer, name: str) -> str:
    """As the gateway would open it."""
    found = Endpoints(database).get(name)
    assert found.wanted is not None
    [entity] = found.wanted.config.served_entities
    model = entity.external(found.id)
    assert model is not None
    vault = Vault(Secrets(database), sealer, SystemClock())
    return external_models.opened(vault, sealer)(model)["openai_api_key"]
