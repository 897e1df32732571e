"""`headgate permissions`, `grants`, `audit` and `replace-creator` against the real application."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.api_house import TOKEN
from tests.unit.api.permissions.conftest import House

from headgate.cli.main import main


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    made = House(tmp_path)
    with made.serving() as url:
        monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "databrickscfg"))
        monkeypatch.delenv("DATABRICKS_CONFIG_PROFILE", raising=False)
        monkeypatch.setenv("DATABRICKS_HOST", url)
        monkeypatch.setenv("DATABRICKS_TOKEN", TOKEN)
        yield made
    made.close()


def test_the_commands_do_what_they_say(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str) -> Any:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        out, err = capsys.readouterr()
        assert not ended.value.code, err
        return json.loads(out) if out else err

    house.create("mine")
    run(
        "permissions", "update", "mine", "--user", "vera=CAN_VIEW", "--service-principal", f"{house.bot.name}=CAN_QUERY"
    )
    run("permissions", "set", "mine", "--group", "team=CAN_QUERY")
    shown = run("permissions", "get", "mine")["access_control_list"]
    assert [control["group_name"] for control in shown] == ["admins", "team"]
    assert run("serving-endpoints", "replace-creator", "mine", "--user", "sam").strip() == "endpoint mine is sam's"
    assert house.by("sam", "GET", "/api/2.0/serving-endpoints/mine").body["permission_level"] == "CAN_MANAGE"

    run("grants", "update", "schema", "main.default", "--principal", "vera", "--privilege", "+EXECUTE")
    assert {"principal": "vera", "privileges": ["EXECUTE"]} in run("grants", "get", "schema", "main.default")[
        "privilege_assignments"
    ]
    told = [(one["action_name"], one["object"], one["outcome"]) for one in run("audit", "list", "--limit", "5")]
    assert told == [
        ("update_grants", "schema main.default", "DONE"),
        ("replace_creator", "mine", "DONE"),
        ("set_permissions", "mine", "DONE"),
        ("update_permissions", "mine", "DONE"),
        ("create", "mine", "DONE"),
    ]
