from __future__ import annotations

import pytest

from headgate import errors
from headgate.api.tracking import mlflow_api
from headgate.tracking import rules


def test_what_tracks_is_open() -> None:
    assert rules.is_open("POST", "/api/2.0/mlflow/runs/log-batch", rules.API)
    assert rules.is_open("GET", "/api/3.0/mlflow/traces/tr-1", rules.API)
    assert rules.is_open("PATCH", "/api/3.0/mlflow/traces/tr-1/assessments/a-1", rules.API)
    assert rules.is_open("POST", "/mlflow/ajax-api/2.0/mlflow/runs/search", rules.PAGES)
    assert rules.is_open("GET", "/mlflow", rules.PAGES)
    assert rules.is_open("GET", "/mlflow/static-files/static/js/main.js", rules.PAGES)


@pytest.mark.parametrize(
    "path",
    [
        "/api/3.0/mlflow/gateway/secrets/list",
        "/api/2.0/mlflow/webhooks",
        "/api/3.0/mlflow/workspaces",
        "/api/2.0/mlflow/runs/create/",
        "/api/2.0/mlflow/runs",
        "/api/2.0/mlflow/logged-models/a/b",
        "/api/4.0/mlflow/traces/tr-1",
        "/mlflow/api/2.0/mlflow/runs/create",
    ],
)
def test_everything_else_is_closed(path: str) -> None:
    assert rules.methods(path, rules.API) == frozenset()


def test_a_closed_path_is_unknown_and_a_wrong_method_names_the_right_ones() -> None:
    with pytest.raises(errors.EndpointNotFound):
        mlflow_api.check_open("GET", "/api/3.0/mlflow/jobs/1", rules.API)
    with pytest.raises(errors.MethodNotAllowed, match="this path allows POST") as refused:
        mlflow_api.check_open("GET", "/api/2.0/mlflow/runs/create", rules.API)
    assert refused.value.headers == {"Allow": "POST"}
    with pytest.raises(errors.EndpointNotFound):
        mlflow_api.check_open("GET", "/mlflow/static-files/../graphql", rules.PAGES)
