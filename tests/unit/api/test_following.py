"""Endpoints that follow an alias, as the API shows them and takes them back; what is served is not deleted by any route."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
from tests.fakes.api_house import ENDPOINTS, SIGNATURE, Answer
from tests.fakes.callers import Caller
from tests.unit.api.registry_house import MLFLOW, UC, RegistryHouse

from headgate import followed
from headgate.domain.endpoint import Endpoint, EndpointConfig, Generation, Outcome, ServedEntity
from headgate.domain.environment import EnvironmentSpec, ModelDescription
from headgate.domain.grants import ENDPOINT, Securable
from headgate.errors import TemporarilyUnavailable
from headgate.store.grants import Grants

CHURN = "shop.buyers.churn"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryHouse]:
    made = RegistryHouse(tmp_path_factory.mktemp("following"))
    for _ in range(3):
        made.version(CHURN, made.ann)
    for alias, version in (("Champion", 1), ("Challenger", 2)):
        made.done("PUT", f"{UC}/models/{CHURN}/aliases/{alias}", {"version_num": version}, made.ann)
        made.models.aliases[CHURN, f"@{alias}"] = str(version)
    for version in ("1", "2", "3"):
        made.models.signatures[CHURN, version] = SIGNATURE
    made.grant("shop", made.rea, "USE_CATALOG", "USE_SCHEMA")
    made.grant(CHURN, made.rea, "MANAGE")
    yield made
    made.close()


def entity(version: str | None = None, **more: Any) -> dict[str, Any]:
    return {"entity_name": CHURN, **({"entity_version": version} if version else {}), **more}


def served(answer: Answer, config: str = "pending_config", legacy: bool = False) -> dict[str, Any]:
    assert answer.status == 200, answer
    found: dict[str, Any] = answer.body[config]["served_models" if legacy else "served_entities"][0]
    return found


def gone(house: RegistryHouse, *names: str) -> None:
    for name in names:
        assert house.request("DELETE", f"{ENDPOINTS}/{name}").status == 200


@pytest.mark.parametrize(
    "body", [entity("@Champion"), entity(followed_alias="Champion"), entity("1", followed_alias="@Champion")]
)
def test_an_alias_is_followed_however_it_is_named(house: RegistryHouse, body: dict[str, Any]) -> None:
    answer = house.create("named", body)
    for legacy, version in ((False, "entity_version"), (True, "model_version")):
        found = served(answer, legacy=legacy)
        assert (found["name"], found[version], found["followed_alias"]) == ("churn-Champion", "1", "Champion")
    house.activate("named")
    listed = next(e for e in house.request("GET", ENDPOINTS).body["endpoints"] if e["name"] == "named")
    assert listed["config"]["served_entities"][0]["followed_alias"] == "Champion"
    gone(house, "named")


def test_a_pinned_version_shows_no_alias(house: RegistryHouse) -> None:
    assert "followed_alias" not in served(house.create("pinned", entity("2")))
    gone(house, "pinned")


def test_a_route_can_name_an_entity_that_follows_an_alias_for_good(house: RegistryHouse) -> None:
    routes = {"routes": [{"served_model_name": "churn-Champion", "traffic_percentage": 70},
                         {"served_model_name": "churn-Challenger", "traffic_percentage": 30}]}  # fmt: skip
    answer = house.create("split", entity("@Champion"), entity("@Challenger"), traffic_config=routes)
    assert [r["traffic_percentage"] for r in answer.body["pending_config"]["traffic_config"]["routes"]] == [70, 30]
    gone(house, "split")


def test_an_answer_is_taken_back_as_it_is_also_when_the_alias_moved_meanwhile(house: RegistryHouse) -> None:
    house.create("echo", entity("@Champion"))
    house.activate("echo")
    shown = house.get("echo").body["config"]
    house.models.aliases[CHURN, "@Champion"] = "3"
    try:
        back = served(house.request("PUT", f"{ENDPOINTS}/echo/config", shown))
        assert (back["entity_version"], back["followed_alias"]) == ("3", "Champion")
        house.activate("echo")
        pinned = {"served_entities": [entity("2", followed_alias="Champion")]}
        status, code, message = house.request("PUT", f"{ENDPOINTS}/echo/config", pinned).error
        assert (status, code) == (400, "INVALID_PARAMETER_VALUE") and "Leave out followed_alias" in message
    finally:
        house.models.aliases[CHURN, "@Champion"] = "1"
        gone(house, "echo")


@pytest.mark.parametrize(
    "body", [entity("@Challenger", followed_alias="Champion"), entity("2", followed_alias="Champion")]
)
def test_a_version_and_an_alias_that_contradict_each_other_are_refused(
    house: RegistryHouse, body: dict[str, Any]
) -> None:
    status, code, message = house.create("contradiction", body).error
    assert (status, code) == (400, "INVALID_PARAMETER_VALUE") and "followed_alias" in message


def test_an_entity_whose_alias_is_gone_says_so_where_it_serves(house: RegistryHouse) -> None:
    house.models.aliases[CHURN, "@Short"] = "1"
    house.done("PUT", f"{UC}/models/{CHURN}/aliases/Short", {"version_num": 1}, house.ann)
    house.create("orphan", entity("@Short", scale_to_zero_enabled=True))
    house.activate("orphan")
    assert served(house.get("orphan"), "config")["state"]["deployment_state_message"] == "Scaled to zero"
    house.done("DELETE", f"{UC}/models/{CHURN}/aliases/Short", None, house.ann)
    for legacy in (False, True):
        state = served(house.get("orphan"), "config", legacy)["state"]
        assert state["deployment_state_message"].startswith("Scaled to zero. The alias Short of shop.buyers.churn")
        assert "version 1 goes on serving" in state["deployment_state_message"]
    gone(house, "orphan")


DELETIONS = [
    ("DELETE", f"{UC}/models/{CHURN}/versions/1", None),
    ("DELETE", f"{UC}/models/{CHURN}", None),
    ("DELETE", f"{MLFLOW}/model-versions/delete", {"name": CHURN, "version": "1"}),
    ("DELETE", f"{MLFLOW}/registered-models/delete", {"name": CHURN}),
    ("PATCH", f"{UC}/models/{CHURN}", {"new_name": "other"}),
    ("PATCH", f"{MLFLOW}/registered-models/update", {"name": CHURN, "new_name": "other"}),
    ("DELETE", f"{UC}/schemas/shop.buyers?force=true", None),
    ("DELETE", f"{UC}/catalogs/shop?force=true", None),
]  # fmt: skip


@pytest.fixture(scope="module")
def serving(house: RegistryHouse) -> Iterator[str]:
    """An endpoint that serves version 1; Ann sees it, Rea does not."""
    house.create("served", entity("1"))
    house.activate("served")
    found = house.endpoints.get("served").id
    held = Grants(house.database).of(Securable(ENDPOINT, found))
    Grants(house.database).replace(Securable(ENDPOINT, found), {**held, house.ann.id: ["CAN_VIEW"]})
    yield "served"
    gone(house, "served")


@pytest.mark.parametrize(("method", "path", "body"), DELETIONS)
def test_what_is_served_is_deleted_and_renamed_by_no_route(
    house: RegistryHouse, serving: str, method: str, path: str, body: Any
) -> None:
    status, code, message = house.ask(method, path, body).error
    assert (status, code) == (409, "RESOURCE_CONFLICT")
    assert f"it is served by endpoint {serving}. Serve another version there, or delete the endpoint, first." in message


@pytest.mark.parametrize(("method", "path", "body"), DELETIONS[:4])
def test_an_endpoint_is_named_only_to_those_who_may_see_it(
    house: RegistryHouse, serving: str, method: str, path: str, body: Any
) -> None:
    assert serving in house.ask(method, path, body, house.ann).error[2]
    status, code, message = house.ask(method, path, body, house.rea).error
    assert (status, code) == (409, "RESOURCE_CONFLICT")
    assert "served by an endpoint." in message and f"endpoint {serving}" not in message


# -- who answers for what follows ----------------------------------------------------------------------------------


def follower(creator: Caller, **more: Any) -> ServedEntity:
    return ServedEntity("churn", CHURN, "2", "@Champion", creator=creator.name, **more)


def description(signature: str = SIGNATURE) -> ModelDescription:
    return ModelDescription(CHURN, "2", "", EnvironmentSpec("3.11", ()), (), signature)


def test_a_new_version_is_served_as_long_as_its_entitys_or_its_endpoints_creator_may(house: RegistryHouse) -> None:
    refusal = followed.refusal(house.database, lambda name, version: description())
    house.grant(CHURN, house.stan, "EXECUTE")
    house.grant("shop", house.stan, "USE_CATALOG", "USE_SCHEMA")
    assert refusal(follower(house.stan), [house.stan.name]) == ""
    house.grant(CHURN, house.stan)
    said = refusal(follower(house.stan), [house.stan.name])
    assert "alias Champion now names version 2" in said and f"stan@x.com has no EXECUTE on {CHURN}" in said
    assert refusal(follower(house.stan), [house.stan.name, house.ann.name]) == ""
    assert "nobody@x.com" in refusal(follower(house.stan), ["nobody@x.com"])


def test_a_new_version_without_a_signature_is_refused_with_a_reason(house: RegistryHouse) -> None:
    refusal = followed.refusal(house.database, lambda name, version: description('{"inputs": null}'))
    assert "has no signature with inputs" in refusal(follower(house.ann), [house.ann.name])


def test_a_storage_that_is_away_refuses_nothing(house: RegistryHouse) -> None:
    def away(name: str, version: str) -> ModelDescription:
        raise TemporarilyUnavailable("The storage is away.")

    with pytest.raises(TemporarilyUnavailable):
        followed.refusal(house.database, away)(follower(house.ann), [house.ann.name])


def test_a_failed_follower_is_shown_as_a_failed_update_with_its_reason(house: RegistryHouse) -> None:
    house.create("refused", entity("@Champion"))
    house.activate("refused")
    found: Endpoint = house.endpoints.get("refused")
    assert found.wanted is not None
    config: EndpointConfig = found.wanted.config
    moved = dataclasses.replace(config.served_entities[0], entity_version="2")
    failed = Generation(
        2, dataclasses.replace(config, served_entities=(moved,)), Outcome.FAILED, 5, "why", {"churn-Champion": "why"}
    )
    assert house.endpoints.follow(found.id, failed)
    shown = house.get("refused")
    assert shown.body["state"] == {"ready": "READY", "config_update": "UPDATE_FAILED", "suspend": "NOT_SUSPENDED"}
    assert served(shown, "config")["entity_version"] == "1" and served(shown)["entity_version"] == "2"
    assert served(shown)["state"] == {"deployment": "DEPLOYMENT_FAILED", "deployment_state_message": "why"}
    gone(house, "refused")
