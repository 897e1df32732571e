"""What holds for every request: authentication, error bodies, paths, limits, headers."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, Request
from tests.fakes.api_house import ENDPOINTS, TOKEN, WORKSPACE_ID, ApiHouse

from headgate.api.dependencies import Caller

LIMIT = 20_000


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiHouse]:
    closed, opened = APIRouter(), APIRouter()

    @closed.get("/api/2.0/test/breaks")
    def breaks() -> None:
        raise RuntimeError("the cat sat on it")

    @closed.get("/api/2.0/test/whoami")
    def whoami(caller: Caller) -> dict[str, str]:
        return {"user": caller.user_name}

    @closed.put("/api/2.0/fs/files/{path:path}")
    @opened.put("/api/2.0/test/signed/{path:path}")
    async def upload(path: str, request: Request) -> dict[str, int]:
        return {"bytes": len(await request.body())}

    folder: Path = tmp_path_factory.mktemp("door")
    house = ApiHouse(folder, families=[closed], open_families=[opened], payload_bytes=LIMIT)
    yield house
    house.close()


def test_every_answer_carries_the_workspace_and_a_request_id(api: ApiHouse) -> None:
    ids = set()
    for path, token in ((ENDPOINTS, TOKEN), (ENDPOINTS, ""), ("/nowhere", ""), ("/.well-known/databricks-config", "")):
        headers = api.request("GET", path, token=token).headers
        assert headers["x-databricks-org-id"] == WORKSPACE_ID
        ids.add(headers["x-databricks-request-id"])
    assert len(ids) == 4


@pytest.mark.parametrize(
    "headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": "Digest x"}, {"authorization": "Bearer"}]
)
def test_a_call_without_a_valid_token_is_unauthenticated(api: ApiHouse, headers: dict[str, str]) -> None:
    for method, path in (("GET", ENDPOINTS), ("POST", ENDPOINTS), ("GET", "/api/2.0/preview/scim/v2/Me")):
        status, code, message = api.request(method, path, b"{", token="", headers=headers).error
        assert (status, code) == (401, "UNAUTHENTICATED") and "Authorization: Bearer" in message


def test_basic_authentication_with_the_user_token_works(api: ApiHouse) -> None:
    import base64

    value = base64.b64encode(f"token:{TOKEN}".encode()).decode()
    assert api.request("GET", ENDPOINTS, token="", headers={"authorization": f"Basic {value}"}).status == 200


def test_a_given_family_knows_who_calls(api: ApiHouse) -> None:
    assert api.request("GET", "/api/2.0/test/whoami").body == {"user": "ada"}
    assert api.request("GET", "/api/2.0/test/whoami", token="").status == 401


def test_an_open_family_authenticates_by_itself(api: ApiHouse) -> None:
    assert api.request("PUT", "/api/2.0/test/signed/a/b", b"x" * 5, token="").body == {"bytes": 5}


@pytest.mark.parametrize(
    "path", ["/nowhere", "/api/2.0/nowhere", "/api/2.1/serving-endpoints", f"{ENDPOINTS}/a/b/c", "/"]
)
def test_an_unknown_route_is_endpoint_not_found(api: ApiHouse, path: str) -> None:
    assert api.request("GET", path).error == (404, "ENDPOINT_NOT_FOUND", f"No API found for 'GET {path}'.")


@pytest.mark.parametrize("path", ["/chat/completions", "/v1/chat/completions", "/v1/messages", "/v1/models"])
def test_who_gave_a_client_of_language_models_the_bare_host_is_told_the_address(api: ApiHouse, path: str) -> None:
    status, code, message = api.request("POST", path, {}).error
    assert (status, code) == (404, "ENDPOINT_NOT_FOUND")
    assert "/serving-endpoints: that is the base URL of OpenAI's SDK" in message


def test_a_wrong_method_says_which_ones_there_are(api: ApiHouse) -> None:
    answer = api.request("PATCH", ENDPOINTS, {})
    assert answer.error == (405, "BAD_REQUEST", f"No API found for 'PATCH {ENDPOINTS}'; this path allows GET, POST.")
    assert answer.headers["allow"] == "GET, POST"
    assert api.request("POST", "/api/2.0/openapi.json", {}).headers["allow"] == "GET"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "not valid JSON: Expecting property name enclosed in double quotes at character 1"),
        (b"", "needs a body with one JSON object"),
        (b"[]", "needs a body with one JSON object"),
        (b"null", "needs a body with one JSON object"),
        (b'"\xff"', "encoded as UTF-8"),
        (b"[" * 15_000, "one JSON object"),
    ],
)
def test_a_body_that_is_no_json_object_is_a_bad_request(api: ApiHouse, body: bytes, message: str) -> None:
    status, code, told = api.request("POST", ENDPOINTS, body).error
    assert (status, code) == (400, "BAD_REQUEST") and message in told


def test_json_needs_no_content_type_but_must_not_be_called_a_form(api: ApiHouse) -> None:
    sent = b'{"name": "typeless"}'
    assert api.request("POST", ENDPOINTS, sent, headers={"content-type": ""}).status == 200
    form = api.request("POST", ENDPOINTS, sent, headers={"content-type": "application/x-www-form-urlencoded"})
    assert form.error[0] == 400 and "Content-Type: application/json" in form.error[2]


def test_a_body_over_the_limit_is_400_announced_or_not(api: ApiHouse) -> None:
    body = {"name": "x" * LIMIT}
    announced = api.request("POST", ENDPOINTS, body, headers={"content-length": str(LIMIT + 1)})
    for answer in (announced, api.request("POST", ENDPOINTS, body)):
        assert answer.error == (
            400,
            "INVALID_PARAMETER_VALUE",
            "The request body is longer than the 20000 bytes allowed.",
        )


@pytest.mark.parametrize(
    ("path", "bounded"),
    [
        ("/api/2.0/mlflow/runs/log-batch", False),
        ("/api/3.0/mlflow/traces", False),
        ("/api/2.0/mlflow-artifacts/artifacts/0/a", False),
        ("/api/2.0/fs/files/a", False),
        ("/api/2.0/mlflow/unity-catalog/registered-models/create", True),
        ("/api/2.1/unity-catalog/models", True),
        ("/api/2.0/preview/scim/v2/Users", True),
        ("/api/2.0/mlflowers", True),
    ],
)
def test_only_what_has_a_limit_of_its_own_escapes_the_doors(api: ApiHouse, path: str, bounded: bool) -> None:
    answer = api.request("POST", path, b"x" * (LIMIT + 1), headers={"content-length": str(LIMIT + 1)})
    assert (answer.error[2] == "The request body is longer than the 20000 bytes allowed.") == bounded


def test_files_are_not_bound_by_the_body_limit(api: ApiHouse) -> None:
    for path in ("/api/2.0/fs/files/a", "/api/2.0/test/signed/a"):
        assert api.request("PUT", path, b"x" * (LIMIT + 1)).body == {"bytes": LIMIT + 1}


def test_trailing_slashes_and_accept_headers_do_not_matter(api: ApiHouse) -> None:
    assert api.request("POST", ENDPOINTS + "/", {"name": "slash"}).status == 200
    for path in (f"{ENDPOINTS}/slash/", f"{ENDPOINTS}/slash/metrics/", "/api/2.0/preview/scim/v2/Me/"):
        assert api.request("GET", path, headers={"accept": "text/plain"}).status == 200


def test_an_error_of_our_own_is_answered_with_an_id_that_the_log_knows(
    api: ApiHouse, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = api.request("GET", "/api/2.0/test/breaks")
    status, code, message = answer.error
    assert (status, code) == (500, "INTERNAL_ERROR")
    assert "the cat" not in message and "Unexpected error" not in message
    (record,) = caplog.records
    assert answer.headers["x-databricks-request-id"] in message
    assert answer.headers["x-databricks-request-id"] in record.getMessage()
    assert record.exc_info is not None and "the cat" in str(record.exc_info[1])


def test_more_problems_than_fit_are_counted(api: ApiHouse) -> None:
    tags: list[Any] = [1, 2, 3, 4, 5]
    message = api.request("POST", ENDPOINTS, {"name": "n", "tags": tags}).error[2]
    assert message.startswith("Invalid request: tags[0]: ") and message.endswith("; and 2 more problems.")


def test_a_bad_query_parameter_is_named(api: ApiHouse) -> None:
    api.request("POST", ENDPOINTS, {"name": "queried"})
    answer = api.request("GET", f"{ENDPOINTS}/queried/served-models/m/logs", query="config_version=x")
    assert answer.error[:2] == (400, "INVALID_PARAMETER_VALUE")
    assert "query parameter config_version: input should be a valid integer" in answer.error[2]
