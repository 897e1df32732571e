"""Small worlds for the plan: what every test needs, with what it is about filled in by keyword."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from headgate.control.world import Past, Rules, Unavailable, World
from headgate.domain.endpoint import Endpoint, EndpointConfig, Generation, Outcome, Route, ServedEntity
from headgate.domain.environment import EnvironmentSpec, ModelDescription
from headgate.domain.replica import Replica, ReplicaState
from headgate.replicas.runtime import (
    EnvironmentState,
    Observation,
    ObservedEnvironment,
    ObservedReplica,
    ObservedState,
)
from headgate.store.activity import Load

ID = "e" * 32
NOW = 1_000_000_000
S = 1000
RULES = Rules(cores=2, restart_backoff_s=1, restart_backoff_max_s=60, idle_s=1800, memory_per_concurrency_bytes=10)


def entity(version: str = "1", **more: Any) -> ServedEntity:
    return ServedEntity(f"m-{version}", "main.default.m", version, version, **more)


def generation(number: int, *entities: ServedEntity, outcome: Outcome = Outcome.PENDING, **more: Any) -> Generation:
    shares = more.pop("shares", {e.name: 100 // len(entities) for e in entities})
    config = EndpointConfig(entities, tuple(Route(name, share) for name, share in shares.items()))
    return Generation(number, config, outcome, more.pop("created_at_ms", NOW - 100 * S), **more)


def active(number: int, *entities: ServedEntity, **more: Any) -> Generation:
    return generation(number, *entities, outcome=Outcome.ACTIVE, **more)


def endpoint(serving: Generation | None = None, wanted: Generation | None = None, **more: Any) -> Endpoint:
    return Endpoint(ID, "churn", "admin", 0, 0, wanted=wanted or serving, serving=serving, **more)


def model(version: str = "1", **more: Any) -> ModelDescription:
    environment = EnvironmentSpec("3.11.7", (f"scikit-learn=={version}",))
    return ModelDescription(
        "main.default.m", version, f"/models/{version}", environment, ("sklearn",), json.dumps({}), **more
    )


def replica(id: str, state: ReplicaState, of: ServedEntity | None = None, **more: Any) -> Replica:
    of = of or entity()
    ready = state in (ReplicaState.READY, ReplicaState.DRAINING)
    given: dict[str, Any] = {
        "created_at_ms": NOW - 50 * S,
        "ready_at_ms": NOW - 40 * S if ready else 0,
        "ended_at_ms": 0,
        "slots": 2,
    }
    if state in (ReplicaState.FAILED, ReplicaState.STOPPED):
        given["ended_at_ms"] = NOW - 10 * S
    return Replica(id, ID, of.deployment_key(ID), of.name, state, **(given | more))


def built(*versions: str, state: EnvironmentState = EnvironmentState.READY, **more: Any) -> list[ObservedEnvironment]:
    return [ObservedEnvironment(model(v).environment.key, state, **({"lock": f"lock {v}"} | more)) for v in versions]


def seen(id: str, state: ObservedState, **more: Any) -> ObservedReplica:
    return ObservedReplica(id, state, **more)


def machine(*things: ObservedEnvironment | ObservedReplica) -> Observation:
    return Observation(
        {thing.key: thing for thing in things if isinstance(thing, ObservedEnvironment)},
        {thing.id: thing for thing in things if isinstance(thing, ObservedReplica)},
    )


def agreeing(rows: tuple[Replica, ...], *more: ObservedEnvironment | ObservedReplica) -> Observation:
    """A machine that shows exactly what the rows say."""
    living = [ObservedState(row.state.value) for row in rows if row.ended_at_ms == 0]
    ids = [row.id for row in rows if row.ended_at_ms == 0]
    return machine(*more, *(seen(id, state) for id, state in zip(ids, living, strict=True)))


def world(of: Endpoint, *rows: Replica, **more: Any) -> World:
    """Environments of versions 1 to 3 are built and the machine agrees with the rows, unless said otherwise."""
    described: dict[tuple[str, int, str], ModelDescription | Unavailable] = {}
    models: Mapping[str, ModelDescription | Unavailable] = more.pop("models", {})
    for one in (of.serving, of.wanted):
        for served in one.config.served_entities if one is not None else ():
            found = models.get(served.entity_version) or model(served.entity_version)
            described[of.id, one.number, served.name] = found  # type: ignore[union-attr]
    given: dict[str, Any] = {
        "observation": agreeing(rows, *built("1", "2", "3")),
        "rules": RULES,
        "past": Past(),
    }
    return World(
        now_ms=NOW,
        endpoints=(of,),
        rows={of.id: rows},
        replicas={row.id: row for row in rows},
        described=described,
        **(given | more),
    )


def load(of: ServedEntity, in_flight: int, queued: int = 0, idle_s: float = 0) -> dict[str, Load]:
    key = of.deployment_key(ID)
    return {key: Load(key, in_flight, queued, NOW - int(idle_s * S))}


def rules(**more: Any) -> Rules:
    return dataclasses.replace(RULES, **more)


def short(actions: list[Any]) -> list[str]:
    """Actions as words: what is done, and to what."""
    words = []
    for action in actions:
        spec = getattr(action, "spec", None)
        subject = getattr(action, "replica_id", "") or getattr(spec, "id", "") or getattr(spec, "entity_name", "")
        subject = subject or getattr(action, "generation", "") or getattr(spec, "requirements", ("",))[0]
        words.append(f"{type(action).__name__} {subject}".rstrip())
    return words
