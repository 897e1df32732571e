"""What clients ask before and beside everything else."""

from __future__ import annotations

import uuid
from pathlib import Path

from tests.fakes.api_house import WORKSPACE_ID, ApiHouse


def test_host_metadata_needs_no_token_and_has_only_texts(api: ApiHouse) -> None:
    body = api.request("GET", "/.well-known/databricks-config", token="").body
    assert body["oidc_endpoint"] == "http://headgate.test/oidc"
    assert body["workspace_id"] == WORKSPACE_ID
    assert body["cloud"] == "AWS"
    assert all(isinstance(value, str) for value in body.values())
    assert uuid.UUID(body["account_id"])


def test_host_metadata_prefers_the_external_url(tmp_path: Path) -> None:
    house = ApiHouse(tmp_path, external_url="https://models.example.com/")
    body = house.request("GET", "/.well-known/databricks-config", token="").body
    assert body["oidc_endpoint"] == "https://models.example.com/oidc"
    house.close()


def test_me_is_the_caller(api: ApiHouse) -> None:
    body = api.request("GET", "/api/2.0/preview/scim/v2/Me").body
    assert (body["id"], body["userName"], body["displayName"], body["active"]) == ("1", "ada", "ada", True)
    assert [group["display"] for group in body["groups"]] == ["admins", "users"]
