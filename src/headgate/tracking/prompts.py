"""Prompts, which MLflow keeps as registered models with a tag. They are the only thing its own registry holds here. Pure.

Models are in our registry; what asks MLflow's for one is told so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from headgate import errors

PATHS = ("/api/2.0/mlflow/registered-models/", "/api/2.0/mlflow/model-versions/")
_MARK = "mlflow.prompt.is_prompt"
_REFUSAL = (
    "Models are registered in Unity Catalog here: set MLFLOW_REGISTRY_URI=databricks-uc, DATABRICKS_HOST and DATABRICKS_TOKEN, and use "
    "names of three parts, such as main.default.churn. Only prompts are kept in MLflow's own registry."
)


def check(path: str, query: Mapping[str, str], body: bytes) -> None:
    """Raises InvalidParameterValue for what is not about a prompt, BadRequest."""
    sent = {**query, **_decoded(body)}
    name = str(sent.get("name", ""))
    if path.endswith("/search"):
        about_prompts = _MARK in str(sent.get("filter", ""))
    elif path.endswith("registered-models/create"):
        about_prompts = name.count(".") != 2 and _is_marked(sent.get("tags"))
    else:
        about_prompts = name.count(".") != 2
    if not about_prompts:
        raise errors.InvalidParameterValue(_REFUSAL)


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        sent = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise errors.BadRequest(f"The request body is not valid JSON: {error}.") from error
    if not isinstance(sent, dict):
        raise errors.BadRequest("The request needs a body with one JSON object.")
    return sent


def _is_marked(tags: Any) -> bool:
    found = tags if isinstance(tags, list) else []
    return any(isinstance(tag, dict) and tag.get("key") == _MARK and tag.get("value") == "true" for tag in found)
