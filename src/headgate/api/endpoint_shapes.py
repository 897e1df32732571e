"""From the store's endpoints to answers: mirrors, legacy forms and derived states. Called by the endpoint routes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from headgate.access.oauth import authorization_details
from headgate.domain import ai_gateway, external_model, following, state
from headgate.domain.endpoint import Endpoint, EndpointConfig, Generation, Outcome, ServedEntity
from headgate.domain.following import Targets
from headgate.domain.replica import Replica
from headgate.wire import endpoint_output as shown


def detailed(
    endpoint: Endpoint, replicas: Iterable[Replica], level: str, targets: Targets | None = None
) -> shown.Endpoint:
    """An endpoint in full. `replicas` are its own, oldest first; `level` is the caller's; `targets`: of the aliases it follows."""
    rows = list(replicas)
    return shown.Endpoint(
        **_common(endpoint),
        config=_with_notes(_config(endpoint, rows), endpoint.serving, targets),
        pending_config=_pending(endpoint, rows),
        route_optimized=endpoint.route_optimized,
        permission_level=level,
        email_notifications=_plain(endpoint.email_notifications),
        telemetry_config=_plain(endpoint.telemetry_config),
    )


def with_data_plane(found: shown.Endpoint, workspace_url: str) -> shown.Endpoint:
    """The same with where an endpoint that is route optimized is queried. `workspace_url` ends in the workspace's id."""
    url = f"{workspace_url}/serving-endpoints/{found.name}/invocations"
    details = authorization_details.for_query(found.id)
    found.endpoint_url = url
    found.data_plane_info = shown.DataPlane(
        query_info=shown.DirectQuery(endpoint_url=url, authorization_details=details)
    )
    return found


def summary(endpoint: Endpoint) -> shown.EndpointSummary:
    """An endpoint in a list: no pending config, no sizes."""
    config = endpoint.serving.config if endpoint.serving else EndpointConfig()
    if config.is_external:
        vendors = [shown.EntitySummary(name=e.name, external_model=_external(e)) for e in config.served_entities]
        return shown.EndpointSummary(**_common(endpoint), config=shown.ConfigSummary(served_entities=vendors))
    entities = [
        shown.EntitySummary(
            name=e.name,
            entity_name=e.entity_name,
            entity_version=e.entity_version,
            followed_alias=e.followed_alias or None,
        )
        for e in config.served_entities
    ]
    models = [
        shown.ModelSummary(
            name=e.name,
            model_name=e.entity_name,
            model_version=e.entity_version,
            followed_alias=e.followed_alias or None,
        )
        for e in config.served_entities
    ]
    return shown.EndpointSummary(
        **_common(endpoint), config=shown.ConfigSummary(served_entities=entities, served_models=models)
    )


def tags(pairs: Mapping[str, str | None]) -> list[shown.Tag]:
    """Tags as a list, sorted by key."""
    return [shown.Tag(key=key, value=value) for key, value in sorted(pairs.items())]


def _common(endpoint: Endpoint) -> dict[str, Any]:
    derived = state.of_endpoint(endpoint)
    newest = endpoint.serving or endpoint.wanted
    config = newest.config if newest else EndpointConfig()
    return {
        "name": endpoint.name,
        "id": endpoint.id,
        "creator": endpoint.creator,
        "creator_display_name": endpoint.creator,
        "creation_timestamp": endpoint.created_at_ms,
        "last_updated_timestamp": endpoint.updated_at_ms,
        "state": shown.EndpointState(ready=derived.ready, config_update=derived.config_update, suspend=derived.suspend),
        "tags": tags(endpoint.tags),
        "description": endpoint.description,
        "effective_budget_policy_id": endpoint.budget_policy_id,
        "ai_gateway": _plain(endpoint.ai_gateway),
        "task": config.task or None,
        "endpoint_type": "EXTERNAL_MODEL" if config.is_external else None,
    }


def _config(endpoint: Endpoint, replicas: Sequence[Replica]) -> shown.Config:
    """What serves; present but empty before the first success (docs/decisions/0050)."""
    if endpoint.serving is None:
        return shown.Config(served_entities=[], served_models=[], traffic_config=shown.TrafficConfig(routes=[]))
    return shown.Config(**_of_generation(endpoint, endpoint.serving, replicas))


def _with_notes(config: shown.Config, serving: Generation | None, targets: Targets | None) -> shown.Config:
    """The same; entities whose alias is gone say so, after whatever else they have to say."""
    if serving is None or targets is None:
        return config
    for place, entity in enumerate(serving.config.served_entities):
        note = following.orphaned(entity, targets)
        entity_state = config.served_entities[place].state  # the mirror's as well
        if note:
            said = entity_state.deployment_state_message
            entity_state.deployment_state_message = f"{said.removesuffix('.')}. {note}" if said else note
    return config


def _pending(endpoint: Endpoint, replicas: Sequence[Replica]) -> shown.PendingConfig | None:
    wanted = endpoint.wanted
    if wanted is None or wanted.outcome is Outcome.ACTIVE:
        return None
    return shown.PendingConfig(**_of_generation(endpoint, wanted, replicas), start_time=wanted.created_at_ms)


def _of_generation(endpoint: Endpoint, generation: Generation, replicas: Sequence[Replica]) -> dict[str, Any]:
    entities: list[shown.ServedEntity] = []
    models: list[shown.ServedModel] = []
    for entity in generation.config.served_entities:
        derived = state.of_entity(endpoint, generation, entity, replicas)
        said = shown.EntityState(
            deployment=derived.deployment, deployment_state_message=derived.deployment_state_message
        )
        if entity.external_model is not None:
            entities.append(_vendors(entity, said))
            continue
        same = {**_sizes(entity), "state": said}
        entities.append(
            shown.ServedEntity(entity_name=entity.entity_name, entity_version=entity.entity_version, **same)
        )
        models.append(shown.ServedModel(model_name=entity.entity_name, model_version=entity.entity_version, **same))
    return {
        "served_entities": entities,
        "served_models": None if generation.config.is_external else models,
        "traffic_config": shown.TrafficConfig(routes=_routes(generation.config)),
        "config_version": generation.number,
        "auto_capture_config": _capture(endpoint, generation.config),
    }


def _sizes(entity: ServedEntity) -> dict[str, Any]:
    return {
        "name": entity.name,
        "followed_alias": entity.followed_alias or None,
        "workload_type": entity.workload_type,
        "workload_size": entity.workload_size,
        "scale_to_zero_enabled": entity.scale_to_zero_enabled,
        "min_provisioned_concurrency": entity.min_provisioned_concurrency,
        "max_provisioned_concurrency": entity.max_provisioned_concurrency,
        "environment_vars": dict(entity.environment_vars) or None,
        "instance_profile_arn": entity.instance_profile_arn,
        "creator": entity.creator,
        "creation_timestamp": entity.creation_timestamp,
    }


def _vendors(entity: ServedEntity, said: shown.EntityState) -> shown.ServedEntity:
    return shown.ServedEntity(
        name=entity.name,
        external_model=_external(entity),
        creator=entity.creator,
        creation_timestamp=entity.creation_timestamp,
        state=said,
        type="EXTERNAL_MODEL",
    )


def _external(entity: ServedEntity) -> dict[str, Any] | None:
    return None if entity.external_model is None else external_model.shown(entity.external_model)


def _capture(endpoint: Endpoint, config: EndpointConfig) -> dict[str, Any] | None:
    """As it was written, with the table that there is (or will be, with the first request)."""
    captured = ai_gateway.captured(config.auto_capture_config)
    if captured is None:
        return None
    table = captured.table(endpoint.name)
    kept: dict[str, Any] = {**(config.auto_capture_config or {})}
    if table is not None:
        kept["state"] = {"payload_table": {"name": f"{table.prefix}_payload", "status": "READY", "status_message": ""}}
    return kept


def _routes(config: EndpointConfig) -> list[shown.Route]:
    return [
        shown.Route(
            served_model_name=route.served_entity_name,
            served_entity_name=route.served_entity_name,
            traffic_percentage=route.traffic_percentage,
        )
        for route in config.routes
    ]


def _plain(mapping: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if mapping is None else dict(mapping)
