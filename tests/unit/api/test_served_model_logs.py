"""Logs and build logs of served entities."""

from __future__ import annotations

import dataclasses

from tests.fakes.api_house import ENDPOINTS, ApiHouse


def update(api: ApiHouse, name: str, version: str) -> None:
    entity = {"entity_name": "main.default.churn", "entity_version": version}
    assert api.request("PUT", f"{ENDPOINTS}/{name}/config", {"served_entities": [entity]}).status == 200


def environment_key(api: ApiHouse, version: str, lock: str = "") -> str:
    environment = api.models.describe("main.default.churn", version).environment
    return dataclasses.replace(environment, lock=lock).key


def test_logs_are_those_of_the_entity_and_empty_before_it_wrote_any(api: ApiHouse) -> None:
    endpoint_id = api.create("logged").body["id"]
    assert api.get("logged", "served-models/churn-1/logs").body == {"logs": ""}
    api.service_logs[(endpoint_id, "churn-1")] = "loaded\n"
    assert api.get("logged", "served-models/churn-1/logs").body == {"logs": "loaded\n"}


def test_build_logs_are_those_of_the_model_environment(api: ApiHouse) -> None:
    api.create("built")
    api.build_logs[environment_key(api, "1")] = "resolved\n"
    assert api.get("built", "served-models/churn-1/build-logs").body == {"logs": "resolved\n"}


def test_a_rollback_also_shows_the_build_of_its_locked_environment(api: ApiHouse) -> None:
    api.create("locked")
    api.activate("locked", {"churn-1": "scikit-learn==1.5.0"})
    api.build_logs[environment_key(api, "1")] = "first\n"
    api.build_logs[environment_key(api, "1", "scikit-learn==1.5.0")] = "second\n"
    assert api.get("locked", "served-models/churn-1/build-logs").body == {"logs": "first\nsecond\n"}


def test_during_an_update_the_logs_of_both_configs_are_there(api: ApiHouse) -> None:
    api.create("between")
    api.activate("between")
    update(api, "between", "2")
    for entity in ("churn-1", "churn-2"):
        assert api.get("between", f"served-models/{entity}/logs").status == 200


def test_an_unknown_served_model_is_told_which_there_are(api: ApiHouse) -> None:
    api.create("known")
    assert api.get("known", "served-models/churn/build-logs").error == (
        404,
        "RESOURCE_DOES_NOT_EXIST",
        "Endpoint known has no served model 'churn'; there are: churn-1.",
    )
    api.request("POST", ENDPOINTS, {"name": "hollow"})
    assert api.get("hollow", "served-models/x/logs").error[2].endswith("nothing has been deployed there.")


def test_a_past_config_version_can_be_asked_for(api: ApiHouse) -> None:
    api.create("past")
    api.activate("past")
    update(api, "past", "2")
    api.activate("past")
    path = f"{ENDPOINTS}/past/served-models/churn-1/build-logs"
    api.build_logs[environment_key(api, "1")] = "old\n"
    assert api.request("GET", path).status == 404
    assert api.request("GET", path, query="config_version=1").body == {"logs": "old\n"}
    for version in ("3", "0", "99999999999999999999"):
        message = api.request("GET", path, query=f"config_version={version}").error[2]
        assert message == f"Endpoint past has no config version {version}; the newest is 2."
