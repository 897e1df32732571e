"""What an endpoint needs processes for: one `Deployment` per deployment key of its serving and its pending generation. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from headgate.control.world import LIVE, Unavailable, World, pending
from headgate.domain import sizing
from headgate.domain.endpoint import Endpoint, Generation, ServedEntity
from headgate.domain.environment import EnvironmentSpec, ModelDescription
from headgate.domain.replica import Replica, ReplicaState
from headgate.replicas.runtime import EnvironmentState, Observation, ReplicaSpec


@dataclass(frozen=True, slots=True)
class Deployment:
    """One served entity to have processes for. Two generations that agree on it share it."""

    key: str
    entity: ServedEntity
    serving: bool
    pending: Generation | None
    """The generation being deployed, if it has this entity."""
    share: int
    """Per cent of the traffic the newest of its generations gives it."""
    model: ModelDescription | Unavailable
    lock: str
    """Exact environment it was given before; empty when it has none yet."""
    rows: tuple[Replica, ...]
    """Its replicas, oldest first."""

    def live(self) -> list[Replica]:
        """Its processes: STARTING or READY, oldest first."""
        return [row for row in self.rows if row.state in LIVE]

    def ready(self) -> list[Replica]:
        return [row for row in self.rows if row.state is ReplicaState.READY]


def of(world: World, endpoint: Endpoint, rows: Iterable[Replica]) -> list[Deployment]:
    """The deployments of an endpoint; none when it is stopped or deleted, and none of vendors' models."""
    if endpoint.stopped or endpoint.deleted:
        return []
    by_key: dict[str, list[Replica]] = {}
    for row in rows:
        by_key.setdefault(row.deployment_key, []).append(row)
    made: dict[str, Deployment] = {}
    for generation in (endpoint.serving, pending(endpoint)):
        if generation is None or generation.config.is_external:
            continue
        for key, deployment in _of_generation(world, endpoint, generation, by_key):
            shared = made.get(key)
            made[key] = deployment if shared is None else _merge(shared, deployment)
    return list(made.values())


def _of_generation(
    world: World, endpoint: Endpoint, generation: Generation, rows: Mapping[str, list[Replica]]
) -> Iterable[tuple[str, Deployment]]:
    shares = {route.served_entity_name: route.traffic_percentage for route in generation.config.routes}
    serving = endpoint.serving is not None and endpoint.serving.number == generation.number
    for entity in generation.config.served_entities:
        key = entity.deployment_key(endpoint.id)
        yield (
            key,
            Deployment(
                key=key,
                entity=entity,
                serving=serving,
                pending=None if serving else generation,
                share=shares.get(entity.name, 0),
                model=world.described.get((endpoint.id, generation.number, entity.name), _UNKNOWN),
                lock=generation.locks.get(entity.name) or world.locks.get(key, ""),
                rows=tuple(rows.get(key, ())),
            ),
        )


_UNKNOWN = Unavailable("The model version has not been looked up.")


def _merge(serving: Deployment, wanted: Deployment) -> Deployment:
    """The serving generation's rules hold until the wanted one is pointed to."""
    return dataclasses.replace(serving, pending=wanted.pending, share=wanted.share, model=wanted.model)


def sizing_of(world: World, deployment: Deployment) -> sizing.Sizing:
    """How many processes it may have and how wide each is. Without its model it stays as it is."""
    if isinstance(deployment.model, Unavailable):
        live = deployment.live()
        return sizing.Sizing(max(1, len(live)), live[-1].slots if live else 1)
    return sizing.size(
        deployment.entity,
        io_bound=deployment.model.io_bound,
        cores=world.rules.cores,
        processes_per_entity=world.rules.processes_per_entity,
    )


def environment(model: ModelDescription, lock: str, observation: Observation) -> EnvironmentSpec:
    """The environment to start in: the one the model asks for while it is still what was locked, else the lock."""
    free = model.environment
    if not lock:
        return free
    seen = observation.environments.get(free.key)
    if seen is not None and seen.state is EnvironmentState.READY and seen.lock == lock:
        return free
    return dataclasses.replace(free, lock=lock)


def replica_spec(world: World, endpoint: Endpoint, deployment: Deployment, environment_key: str) -> ReplicaSpec:
    """A replica of a deployment, not yet named. Of an unavailable model it only carries where the row belongs."""
    entity, model = deployment.entity, deployment.model
    slots = sizing_of(world, deployment).slots_per_process
    return ReplicaSpec(
        id="",
        endpoint_id=endpoint.id,
        endpoint_name=endpoint.name,
        entity_name=entity.name,
        deployment_key=deployment.key,
        environment_key=environment_key,
        model_path="" if isinstance(model, Unavailable) else model.path,
        model_name=entity.entity_name,
        model_version=entity.entity_version,
        slots=slots,
        environment_vars=entity.environment_vars,
        secret_versions=entity.secret_versions,
        memory_bytes=sizing.memory_bytes(entity.workload_type, slots, world.rules.memory_per_concurrency_bytes),
    )
