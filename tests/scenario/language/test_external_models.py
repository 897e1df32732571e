"""Keys of external models in a running house: rotated at the vendor, rotated at rest; and wishes that no agent is there for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from tests.scenario.house import House, clean_environment, standstill, until
from tests.scenario.language_house import LanguageHouse, language_house

pytestmark = pytest.mark.scenario
SECRETS = "/api/2.0/secrets"
BY_REFERENCE = {"openai_api_key": "{{secrets/vendors/key}}", "openai_api_key_plaintext": None}


@pytest.fixture(scope="module")
def vendors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LanguageHouse]:
    with language_house(tmp_path_factory.mktemp("external") / "data", HEADGATE_TRACKING_START="off") as house:
        assert house.house.request("POST", f"{SECRETS}/scopes/create", {"scope": "vendors"}).status == 200
        yield house


def put(house: House, value: str) -> None:
    body = {"scope": "vendors", "key": "key", "string_value": value}
    assert house.request("POST", f"{SECRETS}/put", body).status == 200


def key_seen(vendors: LanguageHouse, name: str) -> str:
    """The key with which the vendor was asked last."""
    heard: dict[str, Any] = vendors.vendor.did(name)["heard"][-1]
    headers = {name.lower(): value for name, value in dict(heard["headers"]).items()}
    return str(headers["authorization"]).removeprefix("Bearer ")


def all_use(vendors: LanguageHouse, name: str, key: str) -> bool:
    """Whether several requests on connections of their own all go to the vendor with that key."""
    return [(vendors.ask(name).status, key_seen(vendors, name)) for _ in range(6)] == [(200, key)] * 6


def test_a_secret_that_is_rotated_reaches_the_vendor_without_an_update(vendors: LanguageHouse) -> None:
    put(vendors.house, "sk-one")
    made = vendors.external_endpoint("rotated", **BY_REFERENCE)
    assert made["config"]["served_entities"][0]["external_model"]["openai_config"]["openai_api_key"] == (
        "{{secrets/vendors/key}}"
    )
    assert vendors.ask("rotated").status == 200 and key_seen(vendors, "rotated") == "sk-one"
    put(vendors.house, "sk-two")

    until(lambda: all_use(vendors, "rotated", "sk-two"), "every server asks with the new key")
    assert vendors.house.api("GET", "/rotated")["config"]["config_version"] == 1


def test_a_secret_that_is_gone_is_named_until_it_is_back(vendors: LanguageHouse) -> None:
    put(vendors.house, "sk-three")
    vendors.external_endpoint("forgotten", **BY_REFERENCE)
    until(lambda: vendors.ask("forgotten").status == 200, "it answers")
    assert vendors.house.request("POST", f"{SECRETS}/delete", {"scope": "vendors", "key": "key"}).status == 200
    told = until(lambda: [a for _ in range(4) if (a := vendors.ask("forgotten")).status != 200], "it is refused")[0]
    assert "scope: vendors and key: key" in told.json["message"] and "sk-three" not in str(told)
    put(vendors.house, "sk-four")
    until(lambda: all_use(vendors, "forgotten", "sk-four"), "it answers again")


def test_keys_survive_a_rotation_of_the_sealing_key_and_a_restart(vendors: LanguageHouse) -> None:
    house = vendors.house
    vendors.external_endpoint("sealed", openai_api_key_plaintext="sk-sealed")
    assert vendors.ask("sealed").status == 200
    command = [sys.executable, "-m", "headgate.cli.main", "secrets", "rotate-key", "--data-dir", str(house.data_dir)]
    subprocess.run(command, env=clean_environment(), check=True, capture_output=True, timeout=120)
    assert vendors.ask("sealed").status == 200
    for pid in house.pids("server"):
        house.kill(pid)
    until(lambda: len(house.pids("server")) == 2 and house.healthy(), "there are other servers")
    until(lambda: vendors.ask("sealed").status == 200, "they ask the vendor")
    assert key_seen(vendors, "sealed") == "sk-sealed"


def test_an_endpoint_comes_up_and_goes_while_the_agent_hangs(vendors: LanguageHouse) -> None:
    [agent] = vendors.house.pids("agent")
    with standstill(agent):
        vendors.external_endpoint("agentless")
        assert vendors.ask("agentless").status == 200
        vendors.house.delete("agentless")
        assert vendors.ask("agentless").status == 404
