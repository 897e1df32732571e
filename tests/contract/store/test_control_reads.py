"""What control reads and tidies, on every database."""

from __future__ import annotations

from headgate.domain.endpoint import Endpoint, EndpointConfig, Generation, Outcome, Route, ServedEntity
from headgate.store.activity import Activity, Load
from headgate.store.database import Database
from headgate.store.endpoints import Endpoints

ID = "a" * 32


def config(version: str) -> EndpointConfig:
    entity = ServedEntity(f"m-{version}", "main.default.m", version, version)
    return EndpointConfig((entity,), (Route(entity.name, 100),))


def key(version: str) -> str:
    return config(version).served_entities[0].deployment_key(ID)


def test_environments_of_generations_that_served_are_found_by_deployment(database: Database) -> None:
    endpoints = Endpoints(database)
    first = Generation(1, config("1"), Outcome.PENDING, 0)
    endpoints.create(Endpoint(ID, "churn", "admin", 0, 0, wanted=first))
    endpoints.activate(ID, 1, {"m-1": "numpy==1"})
    endpoints.add_generation("churn", config("2"), 1)
    endpoints.fail(ID, 2, "no", {})
    endpoints.add_generation("churn", config("2"), 2)
    endpoints.activate(ID, 3, {"m-2": "numpy==2"})
    endpoints.add_generation("churn", config("1"), 3)
    endpoints.activate(ID, 4, {"m-1": "numpy==4"})
    endpoints.add_generation("churn", config("2"), 5)
    assert endpoints.locks(ID) == {key("1"): "numpy==4", key("2"): "numpy==2"}
    assert endpoints.locks("b" * 32) == {}


def test_tidying_keeps_what_lives_and_what_was_reported_lately(database: Database) -> None:
    activity = Activity(database)
    activity.report("old", [Load("live", 1, 0, 5)], now_ms=10)
    activity.report("new", [Load("live", 1, 0, 7), Load("gone", 1, 0, 7)], now_ms=100)
    activity.demand(ID, "live", 100)
    activity.demand(ID, "gone", 100)
    activity.prune(frozenset({"live"}), reported_before_ms=50)
    assert activity.demands() == {"live": 100}
    assert activity.loads(0) == {"live": Load("live", 1, 0, 7)}


def test_tidying_with_nothing_alive_forgets_everything(database: Database) -> None:
    activity = Activity(database)
    activity.report("one", [Load("gone", 1, 0, 7)], now_ms=100)
    activity.demand(ID, "gone", 100)
    activity.prune(frozenset(), reported_before_ms=0)
    assert activity.demands() == {} and activity.loads(0) == {}
