"""The registry's routes in the API's own document, and generated requests to them: refused properly, never a server error."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, status_code_conformance
from tests.fakes.api_house import TOKEN
from tests.unit.api.registry_house import MLFLOW, UC, RegistryHouse

DOCUMENT = "/api/2.0/openapi.json"
CHURN = "shop.buyers.churn"
CHECKS = [not_a_server_error, content_type_conformance, status_code_conformance]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryHouse]:
    made = RegistryHouse(tmp_path_factory.mktemp("registry"))
    made.version(CHURN)
    yield made
    made.close()


def test_the_document_with_the_registry_is_valid(house: RegistryHouse) -> None:
    found = house.request("GET", DOCUMENT).body
    schemathesis.openapi.from_dict(found).validate()
    update = found["paths"][UC + "/models/{full_name}"]["patch"]
    assert [(one["name"], one["in"]) for one in update["parameters"]] == [("full_name", "path")]
    body = update["requestBody"]["content"]["application/json"]["schema"]
    assert set(body["properties"]) == {"new_name", "comment", "owner"}


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_generated_requests_are_answered_with_what_clients_know(house: RegistryHouse, mode: GenerationMode) -> None:
    document = schemathesis.openapi.from_dict(house.request("GET", DOCUMENT).body)
    with house.serving() as url:
        for found in document.get_all_operations():
            operation = found.ok()
            if operation.path.startswith((UC, MLFLOW)) and (mode is GenerationMode.POSITIVE or operation.body):
                _fuzz(operation, url, mode)


def _fuzz(operation: schemathesis.APIOperation, url: str, mode: GenerationMode) -> None:
    words = {"full_name": CHURN, "version": "1", "securable_full_name": CHURN, "securable_type": "function"}
    in_path = {name: value for name, value in words.items() if f"{{{name}}}" in operation.path}
    kept = in_path if "/models/" in operation.path or "-tags/" in operation.path else {}
    missing = operation.path.count("{") - len(kept)
    named = kept if kept and operation.method != "delete" and not missing else None

    @given(case=operation.as_strategy(mode, path_parameters=named))
    @settings(max_examples=8, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    def generated(case: schemathesis.Case) -> None:
        case.call_and_validate(base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}, checks=CHECKS)

    generated()
