"""The states the API shows, over all outcomes."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from headgate.domain import state
from headgate.domain.endpoint import Endpoint, EndpointConfig, Generation, Outcome, ServedEntity
from headgate.domain.replica import Replica, ReplicaState

ENTITY = ServedEntity("churn-1", "a.b.churn", "1", "1", scale_to_zero_enabled=True)
OLD = Generation(1, EndpointConfig((ENTITY,)), Outcome.ACTIVE, 0)
NO_DEPLOYMENT = Endpoint("id", "e", "c", 0, 0)


def endpoint(serving: Generation | None, wanted: Generation | None, *, stopped: bool = False) -> Endpoint:
    return dataclasses.replace(NO_DEPLOYMENT, serving=serving, wanted=wanted, stopped=stopped)


def newer(outcome: Outcome, **values: Any) -> Generation:
    return Generation(2, OLD.config, outcome, 0, **values)


def replica(replica_state: ReplicaState, message: str = "") -> Replica:
    return Replica("r", "id", ENTITY.deployment_key("id"), ENTITY.name, replica_state, 0, message=message)


@pytest.mark.parametrize(
    ("shown", "ready", "update", "suspend"),
    [
        (NO_DEPLOYMENT, "NOT_READY", "NOT_UPDATING", "NOT_SUSPENDED"),
        (endpoint(None, newer(Outcome.PENDING)), "NOT_READY", "IN_PROGRESS", "NOT_SUSPENDED"),
        (endpoint(None, newer(Outcome.FAILED)), "NOT_READY", "UPDATE_FAILED", "NOT_SUSPENDED"),
        (endpoint(OLD, OLD), "READY", "NOT_UPDATING", "NOT_SUSPENDED"),
        (endpoint(OLD, newer(Outcome.PENDING)), "READY", "IN_PROGRESS", "NOT_SUSPENDED"),
        (endpoint(OLD, newer(Outcome.FAILED)), "READY", "UPDATE_FAILED", "NOT_SUSPENDED"),
        (endpoint(OLD, newer(Outcome.CANCELED)), "READY", "UPDATE_CANCELED", "NOT_SUSPENDED"),
        (endpoint(OLD, OLD, stopped=True), "NOT_READY", "NOT_UPDATING", "STOPPED"),
    ],
)
def test_an_endpoint_shows_whether_it_serves_and_what_goes_on(
    shown: Endpoint, ready: str, update: str, suspend: str
) -> None:
    assert state.of_endpoint(shown) == state.EndpointState(ready, update, suspend)


SERVED = dataclasses.replace(OLD, number=2, revision=7)


@pytest.mark.parametrize(
    ("shown", "slowest_revision", "arriving"),
    [
        (endpoint(SERVED, SERVED), 6, True),
        (endpoint(SERVED, SERVED), 7, False),
        (endpoint(SERVED, SERVED), 8, False),
        (endpoint(SERVED, SERVED), None, False),
        (endpoint(SERVED, SERVED, stopped=True), 6, False),
        (endpoint(SERVED, newer(Outcome.PENDING, revision=0)), 0, False),
        (endpoint(SERVED, newer(Outcome.FAILED)), 6, False),
        (NO_DEPLOYMENT, 0, False),
    ],
)
def test_a_generation_arrives_while_a_server_has_an_older_table(
    shown: Endpoint, slowest_revision: int | None, arriving: bool
) -> None:
    assert state.is_arriving(shown, slowest_revision) is arriving


@pytest.mark.parametrize(("before", "ready"), [(OLD, "READY"), (None, "NOT_READY")])
def test_before_its_arrival_an_update_goes_on_and_what_was_before_serves(before: Generation | None, ready: str) -> None:
    shown = state.before_arrival(endpoint(SERVED, SERVED), before)
    assert state.of_endpoint(shown) == state.EndpointState(ready, "IN_PROGRESS", "NOT_SUSPENDED")
    assert shown.serving == before and shown.wanted is not None
    assert state.of_entity(shown, shown.wanted, ENTITY, [replica(ReplicaState.READY)]).deployment == "DEPLOYMENT_READY"


def entity_state(generation: Generation, *replicas: Replica, stopped: bool = False) -> tuple[str, str]:
    shown = state.of_entity(endpoint(OLD, generation, stopped=stopped), generation, ENTITY, replicas)
    return shown.deployment, shown.deployment_state_message


def test_an_entity_being_deployed_is_creating_until_a_replica_is_ready() -> None:
    pending = newer(Outcome.PENDING)
    assert entity_state(pending) == ("DEPLOYMENT_CREATING", "Creating resources for served entity.")
    assert entity_state(pending, replica(ReplicaState.STARTING))[0] == "DEPLOYMENT_CREATING"
    assert entity_state(pending, replica(ReplicaState.READY)) == ("DEPLOYMENT_READY", "")


def test_a_failed_update_shows_why_at_the_entity_that_failed_and_aborts_the_others() -> None:
    failed = newer(Outcome.FAILED, message="m", entity_messages={"churn-1": "does not load"})
    assert entity_state(failed) == ("DEPLOYMENT_FAILED", "does not load")
    assert entity_state(newer(Outcome.FAILED, message="m", entity_messages={"other": "x"}))[0] == "DEPLOYMENT_ABORTED"


def test_a_failure_of_the_whole_update_shows_at_every_entity() -> None:
    assert entity_state(newer(Outcome.FAILED, message="no model")) == ("DEPLOYMENT_FAILED", "no model")


def test_a_canceled_update_aborts_its_entities() -> None:
    assert entity_state(newer(Outcome.CANCELED))[0] == "DEPLOYMENT_ABORTED"


def test_a_serving_entity_without_processes_sleeps_if_it_may_and_recovers_otherwise() -> None:
    assert entity_state(OLD) == ("DEPLOYMENT_READY", "Scaled to zero")
    awake = dataclasses.replace(ENTITY, scale_to_zero_enabled=False)
    generation = dataclasses.replace(OLD, config=EndpointConfig((awake,)))
    shown = state.of_entity(endpoint(generation, generation), generation, awake, [])
    assert shown.deployment == "DEPLOYMENT_RECOVERING"


def test_a_serving_entity_that_crashed_recovers_and_says_why() -> None:
    crashed = replica(ReplicaState.FAILED, "killed by signal 9")
    assert entity_state(OLD, crashed) == ("DEPLOYMENT_RECOVERING", "killed by signal 9")
    assert entity_state(OLD, crashed, replica(ReplicaState.READY)) == ("DEPLOYMENT_READY", "")
    assert entity_state(OLD, crashed, replica(ReplicaState.STARTING))[0] == "DEPLOYMENT_RECOVERING"


def test_an_entity_of_a_stopped_endpoint_is_stopped() -> None:
    assert entity_state(OLD, stopped=True) == ("DEPLOYMENT_READY", "Stopped")
