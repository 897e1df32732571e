from __future__ import annotations

import json
from typing import Any

import pytest

from headgate import errors
from headgate.tracking import prompts

API = "/api/2.0/mlflow/"
MARKED = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]


def check(path: str, body: Any = None, **query: str) -> None:
    prompts.check(API + path, query, b"" if body is None else json.dumps(body).encode())


def test_what_is_about_a_prompt_passes() -> None:
    check("registered-models/create", {"name": "greeting", "tags": MARKED})
    check("model-versions/create", {"name": "greeting", "source": "prompt-template"})
    check("registered-models/get", name="greeting")
    check("registered-models/search", filter="tags.`mlflow.prompt.is_prompt` = 'true'")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("registered-models/create", {"name": "churn"}),
        ("registered-models/create", {"name": "churn", "tags": [{"key": "mlflow.prompt.is_prompt", "value": "false"}]}),
        ("registered-models/create", {"name": "main.default.churn", "tags": MARKED}),
        ("model-versions/create", {"name": "main.default.churn", "source": "runs:/1/model"}),
        ("registered-models/search", {}),
    ],
)
def test_a_model_is_refused_with_what_to_set(path: str, body: Any) -> None:
    with pytest.raises(errors.InvalidParameterValue, match="MLFLOW_REGISTRY_URI=databricks-uc"):
        check(path, body)
