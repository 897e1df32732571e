"""`headgate service-principals secrets` and `headgate oauth`, against the real REST application on a port of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from tests.fakes.api_house import TOKEN, ApiHouse
from tests.unit.cli.conftest import Run


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    house = ApiHouse(tmp_path_factory.mktemp("api"))
    with house.serving() as served:
        yield served
    house.close()


@pytest.fixture
def command(url: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("DATABRICKS_HOST", url)
    monkeypatch.setenv("DATABRICKS_TOKEN", TOKEN)
    return run


def parsed(command: Run, *arguments: str) -> Any:
    ran = command(*arguments)
    assert ran.code == 0, ran.err
    return json.loads(ran.out)


def test_a_service_principal_gets_a_secret_that_works_until_it_is_deleted(command: Run, url: str) -> None:
    made = parsed(command, "service-principals", "create", "nightly")
    told = command("service-principals", "secrets", "create", "nightly", "--lifetime-seconds", "3600", "-o", "text")
    secret = told.out.strip()
    assert made["applicationId"] in told.err and secret not in told.err
    grant = {"grant_type": "client_credentials"}
    basic = (made["applicationId"], secret)
    assert requests.post(f"{url}/oidc/v1/token", grant, auth=basic, timeout=30).status_code == 200
    [listed] = parsed(command, "service-principals", "secrets", "list", made["applicationId"])
    assert listed["status"] == "ACTIVE" and secret not in json.dumps(listed)
    assert listed["id"] in command("service-principals", "secrets", "list", "nightly", "-o", "text").out
    assert command("service-principals", "secrets", "delete", "nightly", listed["id"]).code == 0
    assert requests.post(f"{url}/oidc/v1/token", grant, auth=basic, timeout=30).status_code == 401
    refused = command("service-principals", "secrets", "delete", "nightly", listed["id"])
    assert refused.code == 1 and "has no secret with id" in refused.err


def test_keys_are_listed_and_replaced(command: Run) -> None:
    [old] = parsed(command, "oauth", "keys")
    assert old["state"] == "SIGNING"
    assert [key["state"] for key in parsed(command, "oauth", "rotate-keys")] == ["SIGNING", "WAITING"]
    assert "waiting" in command("oauth", "keys", "-o", "text").out
    [new] = parsed(command, "oauth", "rotate-keys", "--forget-old")
    assert new["state"] == "SIGNING" and new["id"] != old["id"]
