"""The agent's control protocol: an observation arrives as it was, and environments are told only to who has not heard of them."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from headgate.replicas.messages import ObservationHearer, ObservationTeller
from headgate.replicas.runtime import (
    EnvironmentState,
    Observation,
    ObservedEnvironment,
    ObservedReplica,
    ObservedState,
)

READY = ObservedEnvironment("k1", EnvironmentState.READY, lock="mlflow==3.0\n")
REPLICA = ObservedReplica("r1", ObservedState.READY, "unix:/x", 2, "fork", phases_ms={"load": 3.5})
SEEN = Observation({"k1": READY}, {"r1": REPLICA})


def carried(teller: ObservationTeller, hearer: ObservationHearer, seen: Observation) -> tuple[Observation, Any]:
    """What is heard, and what went over the socket."""
    told = json.loads(json.dumps(teller.to_json(seen, hearer.mark)))
    return hearer.from_json(told), told


def test_an_observation_arrives_as_it_was() -> None:
    heard, _ = carried(ObservationTeller(), ObservationHearer(), SEEN)
    assert heard == SEEN


def test_environments_that_stay_are_told_once() -> None:
    teller, hearer = ObservationTeller(), ObservationHearer()
    carried(teller, hearer, SEEN)
    heard, told = carried(teller, hearer, Observation(dict(SEEN.environments), {}))
    assert "environments" not in told
    assert heard == Observation(SEEN.environments, {})


def test_a_changed_environment_is_told_and_so_is_one_that_went() -> None:
    teller, hearer = ObservationTeller(), ObservationHearer()
    carried(teller, hearer, SEEN)
    failed = Observation({"k1": dataclasses.replace(READY, state=EnvironmentState.FAILED, message="no disk")}, {})
    assert carried(teller, hearer, failed)[0] == failed
    assert carried(teller, hearer, Observation({}, {}))[0] == Observation({}, {})


def test_a_new_agent_and_a_new_control_are_told_everything() -> None:
    teller, hearer = ObservationTeller(), ObservationHearer()
    carried(teller, hearer, SEEN)
    assert carried(teller, ObservationHearer(), SEEN)[0] == SEEN
    other = Observation({"k2": dataclasses.replace(READY, key="k2")}, {})
    assert carried(ObservationTeller(), hearer, other)[0] == other
    empty = Observation({}, {})
    assert carried(ObservationTeller(), hearer, empty)[0] == empty
