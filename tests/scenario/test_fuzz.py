"""Whatever is sent to a documented route, the server answers with something its document allows, and never falls over."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from tests.scenario.house import TOKEN, House

pytestmark = pytest.mark.scenario
OAUTH = "/oidc/v1/token"
"""Speaks OAuth, errors too."""
NOT_YET = 501
"""What a route answers whose feature is not there yet; only those routes may."""


def test_no_documented_route_can_be_made_to_fail(house: House) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its imports use deprecated names of theirs
        import schemathesis
    headers = {"Authorization": f"Bearer {TOKEN}"}
    schema = schemathesis.openapi.from_url(f"{house.url}/api/2.0/openapi.json", headers=headers)
    tried = []
    for found in schema.get_all_operations():
        operation = found.ok()
        statuses = fuzz(operation, headers)
        assert NOT_YET not in statuses or statuses <= {NOT_YET, 400, 404}, f"{operation.label} answered {statuses}"
        tried.append(operation.label)
    assert len(tried) > 30, tried
    assert house.healthy()


def fuzz(operation: Any, headers: dict[str, str]) -> set[int]:
    """Sends generated requests; the statuses they were answered with."""
    statuses: set[int] = set()

    @settings(
        max_examples=12,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(case=operation.as_strategy())
    def check(case: Any) -> None:
        answer = case.call(headers=headers, timeout=120)
        statuses.add(answer.status_code)
        assert answer.status_code < 500 or answer.status_code == NOT_YET, (case.as_curl_command(), answer.text)
        assert answer.status_code not in (413, 422), (case.as_curl_command(), answer.text)
        if answer.status_code >= 400 and case.method.upper() != "HEAD":
            body = answer.json()
            if operation.path == OAUTH:
                assert body["error"] and body["error_description"], body
            else:
                assert body["error_code"] and body["message"] and not {"detail", "error"} & set(body), body

    check()
    return statuses
