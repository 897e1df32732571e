"""databricks-sdk, oldest supported and current, manages users, groups, service principals and tokens."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.api_house import TOKEN, ApiHouse
from tests.wire import clients

pytestmark = pytest.mark.wire
WALK = Path(__file__).with_name("sdk_walk.py")


@pytest.fixture(scope="module", params=["current", "databricks-sdk==0.59.0"])
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    version = str(request.param)
    python = Path(sys.executable) if version == "current" else clients.client_python(version)
    house = ApiHouse(tmp_path_factory.mktemp("house"))
    with house.serving() as url:
        environ = {"DATABRICKS_HOST": url, "DATABRICKS_TOKEN": TOKEN}
        yield clients.run_client(python, WALK.read_text(), environ).json()
    house.close()


def test_the_sdk_manages_users(seen: Any) -> None:
    assert seen["me"] == ["ada", ["admins", "users"], 1234567890123456]
    assert seen["created"] == ["cleo@example.com", "Cleo", "K.", True, "workspace-access"]
    assert seen["same"] and seen["filtered"]
    assert seen["contains"] == ["cleo@example.com", "max@example.com"]
    assert seen["paged"] == ["ada", "cleo@example.com", "max@example.com"]
    assert seen["updated"] == ["Cleo", []]
    assert seen["left"] == [["ada", "max@example.com"], ["admins", "users"], 0]


def test_the_sdk_manages_service_principals(seen: Any) -> None:
    assert seen["robot"] == ["nightly", True, 36]
    assert (seen["robot roles"], seen["robot updated"]) == (["r"], "daily")


def test_the_sdk_manages_groups_and_who_is_in_them(seen: Any) -> None:
    assert seen["members"] == ["Cleo", "daily"] and seen["fewer members"] == ["Cleo"]
    assert seen["groups of cleo"] == ["outer", "team", "users"]
    assert seen["replaced"] == ["outermost", ["daily", "team"]]
    assert seen["listed groups"] == ["admins", "outermost", "team", "users"]


def test_the_sdk_manages_tokens(seen: Any) -> None:
    assert seen["robot is"] == ["daily", "nightly's"]
    assert seen["own tokens"] == ["nightly's", "own"] and seen["lifetime"] == 60_000
    assert seen["managed"][0].startswith("admin-token of ") and seen["managed"][1:] == ["nightly's", "own"]
    assert seen["creators"] == ["ada", "daily"] and seen["got"] == "own"
    for case in ("revoked", "revoked too", "deactivated"):
        assert seen[case][0] == "Unauthenticated" and seen[case][1].startswith("Invalid access token")


def test_the_sdk_raises_its_own_errors_with_our_messages(seen: Any) -> None:
    refusals = seen["refusals"]
    assert {case: kind for case, (kind, _) in refusals.items()} == {
        "taken": "ResourceAlreadyExists",
        "unknown": "ResourceDoesNotExist",
        "circle": "InvalidParameterValue",
        "filter": "InvalidParameterValue",
        "not an administrator": "PermissionDenied",
        "others tokens": "PermissionDenied",
        "the administrator": "InvalidParameterValue",
    }
    assert refusals["taken"][1] == "User with username CLEO@example.com already exists."
    assert "would be a member of itself, through: outermost" in refusals["circle"][1]
    assert seen["may read"]
