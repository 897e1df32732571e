"""The agent's control protocol: JSON lines `{"id", "method", "params"}` answered by `{"id", "result"}` or `{"id", "error"}`.

Shapes of `replicas.runtime` to and from JSON, no I/O. Spoken by `agent` and `client`.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
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


@dataclass(slots=True)
class ObservationTeller:
    """The agent's side of `observe`. Environments change rarely and their locks are long: told again only to who has not heard."""

    _told: Mapping[str, ObservedEnvironment] = field(default_factory=dict)
    _mark: str = ""

    def to_json(self, observation: Observation, heard_mark: str) -> dict[str, Any]:
        """`heard_mark`: that of the environments the other side has, or empty."""
        if not self._mark or observation.environments != self._told:
            # By chance, so that no other agent's mark is taken for this one's.
            self._told, self._mark = observation.environments, secrets.token_hex(8)
        told: dict[str, Any] = {
            "environments_mark": self._mark,
            "replicas": [asdict(item) for item in observation.replicas.values()],
        }
        if heard_mark != self._mark:
            told["environments"] = [asdict(item) for item in self._told.values()]
        return told


@dataclass(slots=True)
class ObservationHearer:
    """The other side's: keeps the environments it has heard of."""

    mark: str = ""
    _environments: Mapping[str, ObservedEnvironment] = field(default_factory=dict)

    def from_json(self, told: Mapping[str, Any]) -> Observation:
        """What the teller meant; it was told `mark`."""
        if "environments" in told:
            environments = (
                ObservedEnvironment(**{**item, "state": EnvironmentState(item["state"])})
                for item in told["environments"]
            )
            self._environments = {item.key: item for item in environments}
            self.mark = told["environments_mark"]
        replicas = (ObservedReplica(**{**item, "state": ObservedState(item["state"])}) for item in told["replicas"])
        return Observation(self._environments, {item.id: item for item in replicas})
