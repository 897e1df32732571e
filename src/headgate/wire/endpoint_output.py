"""Answers of the serving-endpoints API. Fields that are None are left out of the answer."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class _Answer(BaseModel):
    model_config = ConfigDict(protected_namespaces=())


class EndpointState(_Answer):
    ready: str
    config_update: str
    suspend: str


class EntityState(_Answer):
    deployment: str
    deployment_state_message: str


class ServedEntity(_Answer):
    """A model of our own, or a vendor's: then with `external_model`, and nothing of versions and sizes."""

    name: str
    entity_name: str | None = None
    entity_version: str | None = None
    external_model: dict[str, Any] | None = None
    followed_alias: str | None = None
    workload_type: str | None = None
    scale_to_zero_enabled: bool | None = None
    workload_size: str | None = None
    min_provisioned_concurrency: int | None = None
    max_provisioned_concurrency: int | None = None
    environment_vars: dict[str, str] | None = None
    instance_profile_arn: str | None = None
    creator: str
    creation_timestamp: int
    state: EntityState
    type: str = "UC_MODEL"


class ServedModel(_Answer):
    """The legacy mirror of a served entity."""

    name: str
    model_name: str
    model_version: str
    followed_alias: str | None = None
    workload_type: str
    scale_to_zero_enabled: bool
    workload_size: str | None = None
    min_provisioned_concurrency: int | None = None
    max_provisioned_concurrency: int | None = None
    environment_vars: dict[str, str] | None = None
    instance_profile_arn: str | None = None
    creator: str
    creation_timestamp: int
    state: EntityState


class Route(_Answer):
    served_model_name: str
    served_entity_name: str
    traffic_percentage: int


class TrafficConfig(_Answer):
    routes: list[Route]


class Config(_Answer):
    """What serves. Without `config_version` and entities: nothing has been deployed yet."""

    served_entities: list[ServedEntity]
    served_models: list[ServedModel] | None = None
    traffic_config: TrafficConfig
    config_version: int | None = None
    auto_capture_config: dict[str, Any] | None = None


class PendingConfig(Config):
    """What is being deployed, or could not be."""

    start_time: int


class Tag(_Answer):
    key: str
    value: str | None = None


class Tags(_Answer):
    tags: list[Tag]


class DirectQuery(_Answer):
    """Where requests go directly, and what to ask a token for."""

    endpoint_url: str
    authorization_details: str


class DataPlane(_Answer):
    query_info: DirectQuery


class Endpoint(_Answer):
    """An endpoint in full."""

    name: str
    id: str
    creator: str
    creator_display_name: str
    creator_kind: str = "User"
    creation_timestamp: int
    last_updated_timestamp: int
    state: EndpointState
    config: Config
    pending_config: PendingConfig | None = None
    tags: list[Tag]
    description: str
    route_optimized: bool
    endpoint_url: str | None = None
    data_plane_info: DataPlane | None = None
    permission_level: str
    email_notifications: dict[str, Any] | None = None
    telemetry_config: dict[str, Any] | None = None
    effective_budget_policy_id: str | None = None
    ai_gateway: dict[str, Any] | None = None
    task: str | None = None
    endpoint_type: str | None = None


class EntitySummary(_Answer):
    name: str
    entity_name: str | None = None
    entity_version: str | None = None
    external_model: dict[str, Any] | None = None
    followed_alias: str | None = None


class ModelSummary(_Answer):
    name: str
    model_name: str
    model_version: str
    followed_alias: str | None = None


class ConfigSummary(_Answer):
    served_entities: list[EntitySummary]
    served_models: list[ModelSummary] | None = None


class EndpointSummary(_Answer):
    """An endpoint in a list."""

    name: str
    id: str
    creator: str
    creator_display_name: str
    creator_kind: str = "User"
    creation_timestamp: int
    last_updated_timestamp: int
    state: EndpointState
    config: ConfigSummary
    tags: list[Tag]
    description: str
    effective_budget_policy_id: str | None = None
    ai_gateway: dict[str, Any] | None = None
    task: str | None = None
    endpoint_type: str | None = None


class EndpointList(_Answer):
    endpoints: list[EndpointSummary]


class Notifications(_Answer):
    name: str
    email_notifications: dict[str, Any]


class Logs(_Answer):
    logs: str


class Nothing(_Answer):
    """An empty object: clients parse the body of every answer."""
