"""`headgate users|groups|service-principals|tokens`, against the real REST application on a port of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.fakes.api_house import TOKEN, ApiHouse
from tests.unit.cli.conftest import Run


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiHouse]:
    made = ApiHouse(tmp_path_factory.mktemp("api"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def url(house: ApiHouse) -> Iterator[str]:
    with house.serving() as served:
        yield served


@pytest.fixture
def json_of(url: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command that must succeed; what it printed, parsed."""
    monkeypatch.setenv("DATABRICKS_HOST", url)
    monkeypatch.setenv("DATABRICKS_TOKEN", TOKEN)

    def answer(*arguments: str) -> Any:
        ran = run(*arguments)
        assert ran.code == 0, ran.err
        return json.loads(ran.out) if ran.out else None

    return answer


def test_a_user_comes_into_a_group_gets_a_token_is_deactivated_and_deleted(json_of: Any, run: Run, url: str) -> None:
    json_of("groups", "create", "devs")
    made = json_of("users", "create", "zoe@example.com", "--display-name", "Zoe", "--group", "devs")
    assert [group["display"] for group in made["groups"]] == ["devs", "users"]
    given = json_of("tokens", "create", "--for", "zoe@example.com", "--comment", "hers", "--lifetime-seconds", "60")
    with_hers = ("--token", given["token_value"])
    assert json_of("users", "get", "zoe@example.com", *with_hers)["displayName"] == "Zoe"
    assert run("users", "create", "max@example.com", *with_hers).err.startswith("Error: Only administrators may")
    assert json_of("users", "deactivate", "zoe@example.com")["active"] is False
    assert run("users", "list", *with_hers).code == 1
    assert json_of("users", "activate", made["id"])["active"] is True
    assert json_of("users", "list", "--filter", 'userName sw "ZOE"')[0]["id"] == made["id"]
    assert run("users", "delete", "zoe@example.com").err == "zoe@example.com is deleted\n"
    assert run("users", "get", "zoe@example.com").err == "Error: there is no user called zoe@example.com\n"


def test_members_of_a_group_are_users_service_principals_and_groups_named_as_people_know_them(
    json_of: Any, run: Run
) -> None:
    json_of("users", "create", "eve@example.com")
    nightly = json_of("service-principals", "create", "nightly")
    json_of("groups", "create", "inner", "--member", "eve@example.com")
    json_of("groups", "create", "outer")
    json_of("groups", "add-member", "outer", "inner")
    group = json_of("groups", "add-member", "outer", nightly["applicationId"])
    assert sorted(one["$ref"].split("/")[0] for one in group["members"]) == ["Groups", "ServicePrincipals"]
    group = json_of("groups", "remove-member", "outer", "nightly")
    assert [one["display"] for one in group["members"]] == ["inner"]
    refused = run("groups", "add-member", "inner", "outer")
    assert refused.code == 1 and "would be a member of itself" in refused.err
    assert run("groups", "add-member", "outer", "nobody").err == (
        "Error: there is no user or service principal or group called nobody\n"
    )
    lines = run("groups", "list", "--filter", 'displayName eq "inner"', "-o", "text").out.splitlines()
    assert lines[1].split()[1:] == ["inner", "eve@example.com"]
    assert run("groups", "delete", "outer").code == 0


def test_a_service_principal_is_found_by_any_of_its_names_unless_two_have_it(json_of: Any, run: Run) -> None:
    first, second = (json_of("service-principals", "create", "twin") for _ in range(2))
    assert json_of("service-principals", "get", first["id"]) == json_of(
        "service-principals", "get", first["applicationId"]
    )
    assert "name one by its id" in run("service-principals", "get", "twin").err
    assert json_of("service-principals", "deactivate", second["id"])["active"] is False
    assert json_of("service-principals", "activate", second["id"])["active"] is True
    assert run("service-principals", "delete", second["id"]).code == 0
    assert json_of("service-principals", "get", "twin")["id"] == first["id"]
    assert "nightshift" not in run("service-principals", "list", "-o", "text").out


def test_tokens_are_created_listed_and_revoked_and_the_value_is_shown_once(
    json_of: Any, run: Run, house: ApiHouse
) -> None:
    made = run("tokens", "create", "--comment", "laptop", "-o", "text")
    value, token_id = made.out.strip(), made.err.split("Its id is ")[1].split(";")[0]
    assert value.startswith("hgt_")
    listed = run("tokens", "list", "-o", "text").out
    assert token_id in listed and "laptop" in listed and value not in listed
    assert {one["token_id"] for one in json_of("tokens", "list", "--all")} >= {token_id, house.admin_token_id}
    assert "OWNER_ID" in run("tokens", "list", "--all", "-o", "text").out
    assert run("users", "list", "--token", value).code == 0
    assert run("tokens", "revoke", token_id).code == 0
    assert run("users", "list", "--token", value).code == 1
    assert "set at every start" in run("tokens", "revoke", house.admin_token_id).err
