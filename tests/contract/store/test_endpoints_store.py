"""The endpoint aggregate: wishes, facts, and what two writers at once may do."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa

from headgate import errors
from headgate.domain.endpoint import Endpoint, EndpointConfig, Generation, Outcome, Route, ServedEntity
from headgate.domain.external_model import ExternalModel
from headgate.domain.replica import Replica, ReplicaState
from headgate.domain.request_record import InferenceTable
from headgate.domain.routing import PLAIN
from headgate.store import endpoints, leases, routing, tables
from headgate.store.activity import Activity, Load
from headgate.store.database import Database
from headgate.store.endpoints import Endpoints
from headgate.store.replicas import Replicas


def config(version: str = "1") -> EndpointConfig:
    entity = ServedEntity(f"churn-{version}", "main.default.churn", version, version, environment_vars={"A": "b"})
    return EndpointConfig((entity,), (Route(f"churn-{version}", 100),))


def endpoint(name: str = "churn", *, wanted: bool = True) -> Endpoint:
    generation = Generation(1, config(), Outcome.PENDING, 5) if wanted else None
    return Endpoint(
        f"{abs(hash(name)):032x}"[-32:], name, "admin", 1, 1, wanted=generation, tags={"team": "x", "bare": None}
    )


def test_an_endpoint_comes_back_as_it_was_created(database: Database) -> None:
    Endpoints(database).create(endpoint())
    assert Endpoints(database).get("churn") == endpoint()


def test_a_name_is_taken_once(database: Database) -> None:
    Endpoints(database).create(endpoint())
    with pytest.raises(errors.ResourceAlreadyExists, match="Serving endpoint with name churn already exists"):
        Endpoints(database).create(endpoint())


def test_an_unknown_name_says_so(database: Database) -> None:
    with pytest.raises(errors.ResourceDoesNotExist, match="Serving endpoint with name nope not found"):
        Endpoints(database).get("nope")


def test_an_update_during_an_update_conflicts_and_after_it_does_not(database: Database) -> None:
    store = Endpoints(database)
    store.create(endpoint())
    with pytest.raises(errors.ResourceConflict):
        store.add_generation("churn", config("2"), 6)
    assert store.activate(endpoint().id, 1, {"churn-1": "a==1"})
    updated = store.add_generation("churn", config("2"), 6)
    assert updated.wanted is not None and updated.serving is not None
    assert (updated.wanted.number, updated.serving.number) == (2, 1)
    assert updated.serving.locks == {"churn-1": "a==1"}


def test_a_generation_knows_the_first_routing_table_that_serves_it(database: Database) -> None:
    store = Endpoints(database)
    store.create(endpoint())
    older = routing.read(database).revision
    assert store.activate(endpoint().id, 1, {})
    active = store.get("churn").serving
    assert active is not None and older < active.revision == routing.read(database).revision
    pending = store.add_generation("churn", config("2"), 6)
    assert pending.wanted is not None and pending.wanted.revision == 0
    assert pending.serving == active


def test_what_served_before_is_the_last_one_that_served(database: Database) -> None:
    store = Endpoints(database)
    store.create(endpoint())
    assert store.served_before(endpoint().id, 1) is None
    store.activate(endpoint().id, 1, {})
    store.add_generation("churn", config("2"), 6)
    store.fail(endpoint().id, 2, "no", {})
    store.add_generation("churn", config("3"), 7)
    store.activate(endpoint().id, 3, {})
    before = store.served_before(endpoint().id, 3)
    assert before is not None and before.number == 1


def test_of_many_updates_at_once_one_wins(database: Database) -> None:
    store = Endpoints(database)
    store.create(endpoint())
    store.activate(endpoint().id, 1, {})

    def update(number: int) -> bool:
        try:
            store.add_generation("churn", config(str(number)), number)
        except errors.ResourceConflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(update, range(16))) == 1


def test_a_failed_update_leaves_what_serves(database: Database) -> None:
    store = Endpoints(database)
    store.create(endpoint())
    store.activate(endpoint().id, 1, {})
    store.add_generation("churn", config("2"), 6)
    assert store.fail(endpoint().id, 2, "no such module", {"churn-2": "no such module"})
    found = store.get("churn")
    assert found.wanted is not None and found.wanted.outcome is Outcome.FAILED
    assert found.serving is not None and found.serving.number == 1
    assert not store.fail(endpoint().id, 2, "again", {})


def test_an_outdated_generation_cannot_become_serving(database: Database) -> None:
    store = Endpoints(database)
    store.create(endpoint())
    store.activate(endpoint().id, 1, {})
    store.add_generation("churn", config("2"), 6)
    assert not store.activate(endpoint().id, 1, {})


def test_a_deleted_name_is_free_at_once_and_control_still_sees_the_old_one(database: Database) -> None:
    store = Endpoints(database)
    store.create(endpoint())
    store.delete("churn", 9)
    again = Endpoint("f" * 32, "churn", "admin", 10, 10)
    store.create(again)
    assert [item.id for item in store.all()] == [again.id]
    assert {item.id: item.deleted for item in store.everything()} == {endpoint().id: True, again.id: False}
    store.forget(endpoint().id)
    store.forget(again.id)
    assert [item.id for item in store.everything()] == [again.id], "only a deleted endpoint is forgotten"


def test_tags_are_added_and_deleted_together(database: Database) -> None:
    store = Endpoints(database)
    store.create(endpoint())
    assert store.change_tags("churn", {"a": "1"}, ["team"]) == {"a": "1", "bare": None}
    assert store.get("churn").tags == {"a": "1", "bare": None}


def test_stopping_takes_the_endpoint_out_of_routing_and_a_new_wish_starts_it(database: Database) -> None:
    store = Endpoints(database)
    store.create(endpoint())
    store.activate(endpoint().id, 1, {})
    store.stop("churn", 7)
    assert routing.read(database).endpoints["churn"].state == "STOPPED"
    store.add_generation("churn", config(), 8)
    assert not store.get("churn").stopped


def test_routing_lists_ready_replicas_and_its_revision_grows(database: Database) -> None:
    store, replicas = Endpoints(database), Replicas(database)
    store.create(endpoint())
    store.activate(endpoint().id, 1, {})
    key = config().served_entities[0].deployment_key(endpoint().id)
    replicas.add(Replica("r1", endpoint().id, key, "churn-1", ReplicaState.STARTING, 3, slots=2))
    before = routing.read(database)
    assert before.endpoints["churn"].entities[0].replicas == ()
    assert replicas.move("r1", ReplicaState.READY, address="unix:/x", ready_at=4)
    after = routing.read(database)
    assert after.revision > before.revision
    assert [r.address for r in after.endpoints["churn"].entities[0].replicas] == ["unix:/x"]
    assert after.endpoints["churn"].entities[0].traffic_percentage == 100
    assert replicas.move("r1", ReplicaState.FAILED, message="killed", ended_at=5)
    assert routing.read(database).endpoints["churn"].entities[0].problem == "killed"


def test_a_replica_makes_only_allowed_moves(database: Database) -> None:
    Endpoints(database).create(endpoint())
    replicas = Replicas(database)
    replicas.add(Replica("r1", endpoint().id, "k", "churn-1", ReplicaState.STARTING, 3))
    assert not replicas.move("r1", ReplicaState.DRAINING)
    assert replicas.move("r1", ReplicaState.STOPPED, ended_at=4)
    assert not replicas.move("r1", ReplicaState.READY)
    assert replicas.prune(4) == 0
    assert replicas.prune(5) == 1
    assert replicas.of_endpoint(endpoint().id) == []


def test_loads_are_summed_and_dead_servers_do_not_count(database: Database) -> None:
    activity = Activity(database)
    activity.report("a", [Load("k", 2, 1, 100)], 1000)
    activity.report("b", [Load("k", 3, 0, 200)], 2000)
    activity.report("b", [Load("k", 4, 0, 250)], 2100)
    assert activity.loads(1500) == {"k": Load("k", 4, 0, 250)}
    assert activity.loads(500) == {"k": Load("k", 6, 1, 250)}
    activity.demand("e", "k", 7)
    activity.demand("e", "k", 8)
    assert activity.demands() == {"k": 8}
    activity.prune(frozenset(), 0)
    assert activity.demands() == {} and activity.loads(0) == {}


def test_a_lease_has_one_holder_until_it_runs_out(database: Database) -> None:
    assert leases.acquire(database, leases.Claim("control", "a", 0, 100))
    assert not leases.acquire(database, leases.Claim("control", "b", 50, 100))
    assert leases.acquire(database, leases.Claim("control", "a", 90, 100))
    assert not leases.acquire(database, leases.Claim("control", "b", 150, 100))
    assert leases.acquire(database, leases.Claim("control", "b", 191, 100))
    leases.release(database, "control", "b")
    assert leases.acquire(database, leases.Claim("control", "a", 192, 100))


def test_a_fact_is_set_by_whoever_comes_first(database: Database) -> None:
    assert leases.fact_or_set(database, "x", "1") == "1"
    assert leases.fact_or_set(database, "x", "2") == "1"
    leases.set_fact(database, "x", "3")
    assert leases.fact(database, "x") == "3"


def test_a_routing_reader_sees_every_change_and_keeps_what_stays(database: Database) -> None:
    store, replicas, reader = Endpoints(database), Replicas(database), routing.RoutingReader(database)
    for name in ("churn", "fraud"):
        made = endpoint(name)
        store.create(made)
        assert reader.read().endpoints[name].state == "NOT_READY"
        store.activate(made.id, 1, {})
    first = reader.read()
    assert first == routing.read(database)
    key = config().served_entities[0].deployment_key(endpoint("churn").id)
    replicas.add(Replica("r1", endpoint("churn").id, key, "churn-1", ReplicaState.STARTING, 3))
    replicas.move("r1", ReplicaState.READY, address="unix:/x", ready_at=4)
    second = reader.read()
    assert second == routing.read(database) and second != first
    assert second.endpoints["fraud"] is first.endpoints["fraud"]
    store.add_generation("churn", config("2"), 9)
    store.activate(endpoint("churn").id, 2, {})
    assert reader.read().endpoints["churn"].entities[0].entity_version == "2"
    store.stop("churn", 10)
    store.delete("fraud", 11)
    assert reader.read() == routing.read(database)
    assert list(reader.read().endpoints) == ["churn"]


def test_a_routing_reader_reads_more_endpoints_than_fit_into_one_query(database: Database) -> None:
    store = Endpoints(database)
    for number in range(routing._AT_ONCE + 1):
        made = endpoint(f"churn-{number:03d}")
        store.create(made)
        store.activate(made.id, 1, {})
    assert {route.state for route in routing.read(database).endpoints.values()} == {"READY"}


def test_reading_all_endpoints_again_and_again_sees_every_change(database: Database) -> None:
    store, writer = Endpoints(database), Endpoints(database)

    def seen() -> list[Endpoint]:
        found = store.everything()
        assert found == Endpoints(database).everything()
        assert store.all() == [one for one in found if not one.deleted]
        return found

    writer.create(endpoint())
    writer.create(endpoint("bare", wanted=False))
    assert [one.name for one in seen()] == ["bare", "churn"]
    writer.activate(endpoint().id, 1, {"churn-1": "exact"})
    assert seen()[1].serving == writer.generation(endpoint().id, 1)
    writer.add_generation("churn", config("2"), 9)
    assert seen()[1].wanted == Generation(2, config("2"), Outcome.PENDING, 9)
    writer.fail(endpoint().id, 2, "no", {"churn-2": "no"})
    [_, churn] = seen()
    assert churn.serving is not None and churn.serving.number == 1
    assert churn.wanted is not None and churn.wanted.message == "no"
    writer.change_tags("churn", {"team": "y"}, [])
    assert seen()[1].tags["team"] == "y"
    writer.delete("churn", 12)
    seen()
    writer.forget(endpoint().id)
    writer.create(endpoint())
    [_, churn] = seen()
    assert churn.serving is None and churn.wanted == Generation(1, config(), Outcome.PENDING, 5)


def test_more_endpoints_are_read_than_fit_into_one_query(database: Database) -> None:
    store = Endpoints(database)
    for number in range(endpoints._AT_ONCE + 1):
        store.create(endpoint(f"churn-{number:03d}"))
    assert all(found.wanted is not None for found in store.all())


# -- external models and what the gateway is asked for -----------------------------------------------------------------

OPENAI = ExternalModel(
    "gpt-4.1", "openai", "llm/v1/chat", {"openai_organization": "us"}, {}, {"openai_api_key": "s1.00000000.x"}, 2.5
)


def external(name: str = "gpt-4-1", **changes: Any) -> EndpointConfig:
    model = dataclasses.replace(OPENAI, **changes)
    entity = ServedEntity(name, "", "", "", task=model.task, external_model=model, secret_versions={"7/k": "v"})
    return EndpointConfig((entity,), (Route(name, 100),))


def served(store: Endpoints, config: EndpointConfig, **more: Any) -> Endpoint:
    made = dataclasses.replace(endpoint(), wanted=Generation(1, config, Outcome.PENDING, 5), **more)
    store.create(made)
    assert store.activate(made.id, 1, {})
    return made


def test_an_external_model_comes_back_as_it_was_written(database: Database) -> None:
    store = Endpoints(database)
    made = served(store, external())
    assert store.get("churn").serving.config == made.wanted.config  # type: ignore[union-attr]


def test_routing_says_what_to_ask_of_a_vendor_and_nothing_of_replicas(database: Database) -> None:
    made = served(Endpoints(database), external())
    route = routing.read(database).endpoints["churn"]
    [entity] = route.entities
    assert (entity.name, entity.entity_name, entity.max_concurrency, entity.replicas) == ("gpt-4-1", "gpt-4.1", 0, ())
    assert entity.external == dataclasses.replace(OPENAI, place=f"external-model:{made.id}:gpt-4-1", checked=("7/k",))
    assert (route.gateway.kind, route.gateway.task) == ("EXTERNAL_MODEL", "llm/v1/chat")


def test_what_is_asked_of_the_gateway_is_one_object_until_it_changes(database: Database) -> None:
    store, reader = Endpoints(database), routing.RoutingReader(database)
    limits = {"rate_limits": [{"calls": 3, "key": "user", "renewal_period": "minute"}]}
    served(store, external(), ai_gateway=limits)
    first = reader.read().endpoints["churn"].gateway
    assert [limit.amount for limit in first.rate_limits] == [3]
    store.change("churn", 6, description="new")
    assert reader.read().endpoints["churn"].gateway is first
    store.change("churn", 7, ai_gateway={**limits, "fallback_config": {"enabled": True}})
    assert reader.read().endpoints["churn"].gateway.fallback
    store.change("churn", 8, ai_gateway=None)
    store.change_tags("churn", {}, ["team", "bare"])
    gateway = reader.read().endpoints["churn"].gateway
    assert (gateway.rate_limits, gateway.tags) == ((), {})


def test_the_gateway_is_told_of_tags_limits_and_tables_in_their_legacy_forms(database: Database) -> None:
    store = Endpoints(database)
    capture = {"catalog_name": "main", "schema_name": "logs"}
    config = dataclasses.replace(external(), auto_capture_config=capture)
    legacy = ({"calls": 5, "key": "endpoint", "renewal_period": "minute"},)
    served(store, config, rate_limits=legacy, budget_policy_id="b-1")
    gateway = routing.read(database).endpoints["churn"].gateway
    assert (gateway.tags, gateway.budget_policy_id) == ({"team": "x", "bare": ""}, "b-1")
    assert [limit.amount for limit in gateway.rate_limits] == [5]
    assert gateway.inference_table == InferenceTable("main", "logs", "churn", "legacy")


def test_endpoints_that_ask_for_nothing_share_one_object(database: Database) -> None:
    made = dataclasses.replace(endpoint(), tags={})
    Endpoints(database).create(made)
    assert Endpoints(database).activate(made.id, 1, {})
    assert routing.read(database).endpoints["churn"].gateway is PLAIN


def test_an_endpoint_whose_wishes_make_no_sense_serves_nothing_and_stops_no_other(database: Database) -> None:
    store = Endpoints(database)
    served(store, external(), ai_gateway={"rate_limits": [{"calls": 1, "renewal_period": "minute"}]})
    other = dataclasses.replace(endpoint("other"), wanted=Generation(1, config(), Outcome.PENDING, 5))
    store.create(other)
    assert store.activate(other.id, 1, {})
    broken = sa.update(tables.endpoints).where(tables.endpoints.c.name == "churn").values(ai_gateway={"rate_limits": 1})
    with database.write("routing") as connection:
        connection.execute(broken)
    found = routing.read(database).endpoints
    assert (found["churn"].state, found["churn"].entities) == ("NOT_READY", ())
    assert "ai_gateway.rate_limits must be a list" in found["churn"].message
    assert found["other"].state == "READY"
