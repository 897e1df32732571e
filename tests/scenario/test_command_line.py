"""The command line as a person uses it, against a real house."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.scenario.house import TOKEN, House, clean_environment, until

pytestmark = pytest.mark.scenario


def environment(house: House) -> dict[str, str]:
    return clean_environment(DATABRICKS_HOST=house.url, DATABRICKS_TOKEN=TOKEN, DATABRICKS_CONFIG_FILE=os.devnull)


def headgate(house: House, *words: str, code: int = 0) -> str:
    """What a command that must end with `code` printed: its result, or its error."""
    command = [sys.executable, "-m", "headgate.cli.main", *words]
    ran = subprocess.run(
        command, env=environment(house), capture_output=True, text=True, timeout=240, check=False, cwd="/"
    )
    assert ran.returncode == code, ran.stdout + ran.stderr
    return ran.stdout if code == 0 else ran.stderr


@contextmanager
def following(house: House, name: str) -> Iterator[list[str]]:
    """The lines `logs --follow` has printed so far."""
    command = [
        sys.executable,
        "-m",
        "headgate.cli.main",
        "serving-endpoints",
        "logs",
        name,
        "--follow",
        "--interval",
        "0.1",
    ]
    lines: list[str] = []
    with subprocess.Popen(command, env=environment(house), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        reader = threading.Thread(target=lambda: lines.extend(process.stdout or ()))
        reader.start()
        try:
            yield lines
        finally:
            process.terminate()
            reader.join(10)


def entities(model: str, version: str = "1") -> str:
    return json.dumps({"served_entities": [{"entity_name": f"main.default.{model}", "entity_version": version}]})


def test_an_endpoints_life_on_the_command_line(house: House, tmp_path: Path) -> None:
    (tmp_path / "endpoint.json").write_text(json.dumps({"name": "typed", "config": json.loads(entities("versioned"))}))
    query = ("serving-endpoints", "query", "typed", "--json", '{"dataframe_records": [{"a": 1.0, "b": 0.0, "c": 0.0}]}')

    made = json.loads(headgate(house, "serving-endpoints", "create", "--json", f"@{tmp_path}/endpoint.json"))
    assert (made["state"]["ready"], made["state"]["config_update"]) == ("READY", "NOT_UPDATING")
    assert json.loads(headgate(house, *query)) == {"predictions": ["one"]}

    headgate(house, "models", "set-alias", "main.default.versioned", "Typed", "2")
    headgate(house, "serving-endpoints", "update-config", "--name", "typed", "--json", entities("versioned", "@Typed"))
    assert json.loads(headgate(house, *query)) == {"predictions": ["two"]}

    said = headgate(house, "serving-endpoints", "update-config", "typed", "--json", entities("versioned", "4"), code=1)
    assert said.splitlines()[-1].startswith("Error: the update of typed failed, the previous config keeps serving")
    assert "from another planet" in said.splitlines()[-1]
    assert json.loads(headgate(house, *query)) == {"predictions": ["two"]}

    assert "ready" in headgate(house, "serving-endpoints", "build-logs", "typed", "versioned-Typed")
    assert "request_count_total" in headgate(house, "serving-endpoints", "get-metrics", "--name", "typed")
    assert json.loads(headgate(house, "serving-endpoints", "get-open-api", "typed"))["openapi"] == "3.1.0"

    headgate(house, "serving-endpoints", "stop", "typed")
    assert "INVALID_STATE" in headgate(house, *query, code=1)
    headgate(house, "serving-endpoints", "start", "typed")
    assert json.loads(headgate(house, *query)) == {"predictions": ["two"]}

    assert "typed" in [item["name"] for item in json.loads(headgate(house, "serving-endpoints", "list"))]
    headgate(house, "serving-endpoints", "delete", "typed")
    gone = headgate(house, "serving-endpoints", "get", "typed", code=1)
    assert gone == "Error: Serving endpoint with name typed not found (RESOURCE_DOES_NOT_EXIST)\n"


def test_logs_are_followed(house: House) -> None:
    headgate(house, "serving-endpoints", "create", "followed", "--json", entities("behaving"))
    with following(house, "followed") as lines:
        for number in (1, 2):
            house.predict("followed", {"dataframe_records": [{"do": f"print {number}"}]})
            until(lambda: any(f"printed {number}" in line for line in lines), f"line {number} is shown")  # noqa: B023
    assert sum("printed 1" in line for line in lines) == 1
    headgate(house, "serving-endpoints", "delete", "followed")


def test_a_stream_is_printed_event_by_event(house: House) -> None:
    headgate(house, "serving-endpoints", "create", "streamed", "--json", entities("streaming"))
    body = '{"dataframe_records": [{"prompt": "to be"}]}'
    printed = headgate(house, "serving-endpoints", "query", "streamed", "--stream", "--json", body)
    assert [json.loads(line) for line in printed.splitlines()] == [{"word": "to"}, {"word": "be"}]
    headgate(house, "serving-endpoints", "delete", "streamed")


def test_the_doctor_finds_a_running_house_healthy(house: House) -> None:
    found = json.loads(headgate(house, "doctor", "-o", "json", "--data-dir", str(house.data_dir)))
    verdicts = {row["check"]: row["verdict"] for row in found}
    assert (verdicts["server"], verdicts["token"], verdicts["data_dir"]) == ("ok", "ok", "ok")
    assert TOKEN not in json.dumps(found)


def test_catalogs_schemas_and_models_on_the_command_line(house: House) -> None:
    headgate(house, "catalogs", "create", "shop", "--comment", "What we sell")
    assert json.loads(headgate(house, "schemas", "create", "shop.buyers"))["owner"] == "admin"
    assert "shop.buyers" in headgate(house, "schemas", "list", "shop", "-o", "text")
    headgate(house, "models", "register", str(house.data_dir / "models/main/default/versioned/1"), "shop.buyers.churn")
    headgate(house, "models", "set-alias", "shop.buyers.churn", "Champion", "1")
    headgate(house, "models", "set-tag", "shop.buyers.churn", "team", "crm")
    headgate(house, "models", "update", "shop.buyers.churn", "--comment", "Who leaves", "--new-name", "leavers")
    described = headgate(house, "models", "describe", "shop.buyers.leavers", "-o", "text")
    assert all(word in described for word in ("Who leaves", "Champion=1", "team=crm", "READY", "admin"))
    assert "not empty" in headgate(house, "catalogs", "delete", "shop", code=1)
    headgate(house, "models", "delete", "shop.buyers.leavers")
    headgate(house, "catalogs", "delete", "shop", "--force")
    assert "shop" not in headgate(house, "catalogs", "list", "-o", "text")
