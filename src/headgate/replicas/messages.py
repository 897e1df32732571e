"""The agent's control protocol: JSON lines `{"id", "method", "params"}` answered by `{"id", "result"}` or `{"id", "error"}`.

Pure: shapes of `replicas.runtime` to and from JSON. Spoken by `agent` and `client`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from headgate.domain.environment import EnvironmentSpec
from headgate.replicas.runtime import (
    EnvironmentState,
    Observation,
    ObservedEnvironment,
    ObservedReplica,
    ObservedState,
    ReplicaSpec,
)

LINE_LIMIT_BYTES = 32 * 1024 * 1024


def environment_spec(told: Mapping[str, Any]) -> EnvironmentSpec:
    """From `asdict(spec)` that went through JSON."""
    return EnvironmentSpec(**{**told, "requirements": tuple(told["requirements"])})


def replica_spec(told: Mapping[str, Any]) -> ReplicaSpec:
    """From `asdict(spec)` that went through JSON."""
    return ReplicaSpec(**told)


def observation_to_json(observation: Observation) -> dict[str, Any]:
    return {
        "environments": [asdict(item) for item in observation.environments.values()],
        "replicas": [asdict(item) for item in observation.replicas.values()],
    }


def observation(told: Mapping[str, Any]) -> Observation:
    """The inverse of `observation_to_json`."""
    environments = (
        ObservedEnvironment(**{**item, "state": EnvironmentState(item["state"])}) for item in told["environments"]
    )
    replicas = (ObservedReplica(**{**item, "state": ObservedState(item["state"])}) for item in told["replicas"])
    return Observation({item.key: item for item in environments}, {item.id: item for item in replicas})
