"""Models and versions as MLflow's `RegisteredModel` and `ModelVersion` messages in JSON. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headgate.domain.registered_model import ModelVersion, RegisteredModel


def model_json(model: RegisteredModel) -> dict[str, Any]:
    """`RegisteredModel`."""
    return _present(
        {
            "name": model.name.full,
            "creation_timestamp": model.created_at_ms,
            "last_updated_timestamp": model.updated_at_ms,
            "user_id": model.creator,
            "description": model.description,
            "aliases": [{"alias": alias, "version": str(version)} for alias, version in model.aliases.items()],
            "tags": _tags(model.tags),
        }
    )


def version_json(version: ModelVersion) -> dict[str, Any]:
    """`ModelVersion`. `storage_location` is a URI that MLflow can download from."""
    number = str(version.version)
    return _present(
        {
            "name": version.name.full,
            "version": number,
            "creation_timestamp": version.created_at_ms,
            "last_updated_timestamp": version.updated_at_ms,
            "user_id": version.creator,
            "description": version.origin.description,
            "source": version.origin.source,
            "run_id": version.origin.run_id,
            "run_tracking_server_id": version.origin.run_tracking_server_id,
            "model_id": version.origin.logged_model_id,
            "status": version.status.value,
            "status_message": version.status_message,
            "storage_location": f"models:/{version.name.full}/{number}",
            "aliases": [{"alias": alias, "version": number} for alias in version.aliases],
            "tags": _tags(version.origin.tags),
        }
    )


def _tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]


def _present(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in ("", [])}
