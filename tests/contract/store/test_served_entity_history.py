"""What endpoints serve and served is told as rows of `system.serving.served_entities`, also once they are deleted."""

from __future__ import annotations

from typing import Any

from headgate.domain.endpoint import Endpoint, EndpointConfig, Generation, Outcome, Route, ServedEntity
from headgate.domain.external_model import ExternalModel
from headgate.store import served_entity_history
from headgate.store.database import Database
from headgate.store.endpoints import Endpoints


def entity(name: str, version: str = "1", **more: Any) -> ServedEntity:
    return ServedEntity(name, "main.default.churn", version, version, creator="ann@example.com", **more)


def vendor(name: str) -> ServedEntity:
    external = ExternalModel("gpt-4o-mini", "openai", "llm/v1/chat", {})
    return ServedEntity(name, "", "", "", creator="ann@example.com", task="llm/v1/chat", external_model=external)


def config(*entities: ServedEntity) -> EndpointConfig:
    return EndpointConfig(entities, tuple(Route(one.name, 100 // len(entities)) for one in entities))


def made(endpoints: Endpoints, name: str, number: int, *entities: ServedEntity) -> Endpoint:
    generation = Generation(1, config(*entities), Outcome.PENDING, 1000)
    endpoint = Endpoint(f"{number:032x}", name, "ann@example.com", 1000, 1000, wanted=generation)
    endpoints.create(endpoint)
    return endpoint


def test_every_version_of_every_endpoint_is_told(database: Database) -> None:
    endpoints = Endpoints(database)
    churn = made(endpoints, "churn", 1, entity("one", workload_size="Medium"))
    made(endpoints, "chat", 2, vendor("gpt"))
    assert endpoints.fail(churn.id, 1, "no", {})
    endpoints.add_generation("churn", config(entity("one"), entity("two", "2")), 2000)
    found = {
        (record.endpoint_name, record.endpoint_config_version, record.served_entity_name): record
        for record in served_entity_history.read(database)
    }
    assert set(found) == {("churn", 1, "one"), ("churn", 2, "one"), ("churn", 2, "two"), ("chat", 1, "gpt")}
    one, gpt = found["churn", 1, "one"], found["chat", 1, "gpt"]
    assert (one.entity_type, one.entity_name, one.entity_version) == ("CUSTOM_MODEL", "main.default.churn", "1")
    assert (one.min_concurrency, one.max_concurrency, one.compute_type) == (8, 16, "CPU")
    assert (one.change_time_ms, one.created_by, one.endpoint_delete_time_ms) == (1000, "ann@example.com", None)
    assert one.served_entity_id == found["churn", 2, "one"].served_entity_id == entity("one").id(churn.id)
    assert (gpt.entity_type, gpt.entity_name, gpt.entity_version) == ("EXTERNAL_MODEL", "gpt-4o-mini", None)
    assert (gpt.provider, gpt.task, gpt.max_concurrency) == ("openai", "llm/v1/chat", None)


def test_what_a_deleted_endpoint_served_stays_known_after_its_rows_are_gone(database: Database) -> None:
    endpoints = Endpoints(database)
    churn = made(endpoints, "churn", 1, entity("one"))
    (before,) = served_entity_history.read(database)
    endpoints.delete("churn", 5000)
    for gone in (False, True):
        if gone:
            endpoints.forget(churn.id)
        (after,) = served_entity_history.read(database)
        assert (after.served_entity_id, after.endpoint_delete_time_ms) == (before.served_entity_id, 5000)
        assert after.endpoint_name == "churn"
    made(endpoints, "later", 2, entity("one"))
    endpoints.delete("later", 5000 + served_entity_history.KEPT_MS + 1)
    assert [record.endpoint_name for record in served_entity_history.read(database)] == ["later"]


def test_whoever_asks_often_is_given_the_same_until_something_changes(database: Database) -> None:
    endpoints = Endpoints(database)
    made(endpoints, "churn", 1, entity("one"))
    newest = served_entity_history.reader(database)
    first = newest()
    assert newest() is first
    endpoints.delete("churn", 5000)
    assert [record.endpoint_delete_time_ms for record in newest()] == [5000]
