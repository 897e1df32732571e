"""The API's own OpenAPI document, and what it promises, under generated requests."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.fakes.api_house import ENDPOINTS, TOKEN, ApiHouse

DOCUMENT = "/api/2.0/openapi.json"
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance]


@pytest.fixture(scope="module")
def base_url(api: ApiHouse) -> Iterator[str]:
    with api.serving() as url:
        yield url


def test_the_document_lists_what_works_and_knows_no_422(api: ApiHouse) -> None:
    found = api.request("GET", DOCUMENT).body
    assert "422" not in json.dumps(found) and "HTTPValidationError" not in json.dumps(found)
    assert f"{ENDPOINTS}/{{name}}/config:start" in found["paths"]
    assert not any("/pt" in path for path in found["paths"])
    schemathesis.openapi.from_dict(found).validate()


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_generated_requests_are_answered_as_documented(api: ApiHouse, base_url: str, mode: GenerationMode) -> None:
    """A short run over every operation; names of living endpoints are mixed in so that it gets past 404."""
    for name in ("fuzzed", "fuzzed-too"):
        if api.create(name).status == 200:
            api.activate(name)
    document = schemathesis.openapi.from_dict(api.request("GET", DOCUMENT).body)
    operations = [found.ok() for found in document.get_all_operations()]
    for operation in operations:
        if mode is GenerationMode.POSITIVE or operation.body:
            _fuzz(operation, base_url, mode)


def _fuzz(operation: schemathesis.APIOperation, base_url: str, mode: GenerationMode) -> None:
    named = {"name": "fuzzed"} if "{name}" in operation.path and operation.method != "delete" else None

    @given(case=operation.as_strategy(mode, path_parameters=named))
    @settings(max_examples=12, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    def generated(case: schemathesis.Case) -> None:
        case.call_and_validate(base_url=base_url, headers={"Authorization": f"Bearer {TOKEN}"}, checks=CHECKS)

    generated()
