"""What `system.serving.served_entities` tells of one served entity. Pure. Made from the store's rows, kept by the warehouse."""

from __future__ import annotations

from dataclasses import dataclass

ENTITY_TYPES = ("FEATURE_SPEC", "EXTERNAL_MODEL", "FOUNDATION_MODEL", "CUSTOM_MODEL")


@dataclass(frozen=True, slots=True)
class ServedEntityRecord:
    """One served entity in one configuration of its endpoint. `served_entity_id` and `endpoint_config_version` name the row."""

    served_entity_id: str
    endpoint_config_version: int
    endpoint_name: str
    endpoint_id: str
    served_entity_name: str
    entity_type: str
    """One of ENTITY_TYPES."""
    entity_name: str
    change_time_ms: int
    created_by: str | None = None
    entity_version: str | None = None
    task: str | None = None
    provider: str | None = None
    """Of an external model."""
    min_provisioned_throughput: int | None = None
    max_provisioned_throughput: int | None = None
    min_concurrency: int | None = None
    max_concurrency: int | None = None
    compute_type: str | None = None
    endpoint_delete_time_ms: int | None = None
