"""What an endpoint may be called and made of."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from headgate.domain import endpoint_rules
from headgate.domain.endpoint import Endpoint, EndpointConfig, Generation, Outcome, Route
from headgate.domain.endpoint_rules import Author, Resolved
from headgate.domain.endpoint_wish import ConfigWish, EntityWish, RouteWish
from headgate.errors import InvalidParameterValue, InvalidState, ResourceConflict

ADA = Author("ada", 1000)


def entity(version: str = "1", **values: Any) -> EntityWish:
    return EntityWish(**{"entity_name": "main.default.churn", "entity_version": version, **values})


def filled(*entities: EntityWish, routes: tuple[RouteWish, ...] = ()) -> EndpointConfig:
    wish = ConfigWish(entities, routes)
    endpoint_rules.check_config(wish, gpu_available=False)
    return endpoint_rules.config(wish, [Resolved(e.entity_version or "") for e in entities], ADA)


def endpoint(outcome: Outcome | None = None, **values: Any) -> Endpoint:
    wanted = None if outcome is None else Generation(1, filled(entity()), outcome, 0)
    return Endpoint(
        **{"id": "i", "name": "e", "creator": "c", "created_at_ms": 0, "updated_at_ms": 0, "wanted": wanted, **values}
    )


@pytest.mark.parametrize("name", ["a", "churn-prod_2", "A" * 63])
def test_ordinary_endpoint_names_are_accepted(name: str) -> None:
    endpoint_rules.check_name(name)


@pytest.mark.parametrize("name", ["", "A" * 64, "a b", "a.b", "ä", "a/b", "a\n"])
def test_a_name_with_other_characters_or_lengths_is_refused(name: str) -> None:
    with pytest.raises(InvalidParameterValue, match="1 to 63 letters"):
        endpoint_rules.check_name(name)


def test_the_prefix_of_databricks_own_endpoints_is_reserved() -> None:
    with pytest.raises(InvalidParameterValue, match="reserved prefix 'databricks-'"):
        endpoint_rules.check_name("databricks-mine")


def test_a_bare_entity_gets_every_default() -> None:
    config = filled(entity("7"))
    (served,) = config.served_entities
    assert (served.name, served.workload_type, served.workload_size) == ("churn-7", "CPU", "Small")
    assert (served.scale_to_zero_enabled, served.creator, served.creation_timestamp) == (False, "ada", 1000)
    assert config.routes == (Route("churn-7", 100),)


def test_concurrency_replaces_the_default_size() -> None:
    (served,) = filled(entity(min_provisioned_concurrency=4, max_provisioned_concurrency=12)).served_entities
    assert (served.workload_size, served.concurrency()) == (None, (4, 12))


def test_the_version_asked_for_is_kept_beside_the_one_it_meant() -> None:
    config = endpoint_rules.config(ConfigWish((entity("@Champion"),)), [Resolved("3", "llm/v1/chat")], ADA)
    (served,) = config.served_entities
    assert (served.name, served.entity_version, served.requested_version) == ("churn-Champion", "3", "@Champion")
    assert (served.followed_alias, config.task, config.is_external) == ("Champion", "llm/v1/chat", False)


def test_a_long_model_name_still_makes_a_valid_entity_name() -> None:
    (served,) = filled(entity("12", entity_name="main.default." + "m" * 200)).served_entities
    assert served.name == "m" * 60 + "-12"


CONFIGS: list[tuple[str, ConfigWish, str]] = [
    ("no entities", ConfigWish(), "no served_entities"),
    ("sixteen entities", ConfigWish(tuple(entity(str(n)) for n in range(1, 17))), "^served_models cannot contain more than 15 elements$"),
    ("an error in the second", ConfigWish((entity(), entity("x"))), r"^served_entities\[1\]: entity_version 'x' is neither"),
]  # fmt: skip


@pytest.mark.parametrize(("wish", "message"), [case[1:] for case in CONFIGS], ids=[case[0] for case in CONFIGS])
def test_a_config_that_cannot_be_is_refused(wish: ConfigWish, message: str) -> None:
    with pytest.raises(InvalidParameterValue, match=message):
        endpoint_rules.check_config(wish, gpu_available=True)


def test_fifteen_entities_are_allowed() -> None:
    routes = (RouteWish("churn-1", 100),)
    assert len(filled(*(entity(str(n)) for n in range(1, 16)), routes=routes).served_entities) == 15


def test_two_entities_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidParameterValue, match="Cannot create 2\\+ served entities with the same name 'churn-1'"):
        filled(entity(), entity())


def test_two_entities_of_one_model_are_fine_under_two_names() -> None:
    config = filled(entity(name="a"), entity(name="b"), routes=(RouteWish("a", 30), RouteWish("b", 70)))
    assert [route.traffic_percentage for route in config.routes] == [30, 70]


def test_what_never_served_cannot_be_stopped() -> None:
    for never in (endpoint(), endpoint(Outcome.FAILED)):
        with pytest.raises(InvalidState, match="nothing of it was ever deployed"):
            endpoint_rules.check_stop(never)
    serving = endpoint(Outcome.ACTIVE)
    endpoint_rules.check_stop(dataclasses.replace(serving, serving=serving.wanted))


def test_only_a_stopped_endpoint_can_be_started_and_gets_its_last_served_config() -> None:
    serving = endpoint(Outcome.ACTIVE)
    serving = dataclasses.replace(serving, serving=serving.wanted)
    with pytest.raises(InvalidState, match="it is not stopped"):
        endpoint_rules.config_to_start(serving)
    failed_later = Generation(2, EndpointConfig(), Outcome.FAILED, 0)
    stopped = dataclasses.replace(serving, wanted=failed_later, stopped=True)
    assert serving.serving is not None
    assert endpoint_rules.config_to_start(stopped) == serving.serving.config


def test_telemetry_needs_a_config_and_no_update_in_progress() -> None:
    with pytest.raises(InvalidParameterValue) as refused:
        endpoint_rules.check_telemetry_change(endpoint())
    assert refused.value.message == (
        "Telemetry configuration is not supported for endpoint type 'NO_CONFIG'. "
        "This API only supports endpoints with custom served models."
    )
    with pytest.raises(ResourceConflict) as refused_too:
        endpoint_rules.check_telemetry_change(endpoint(Outcome.PENDING))
    assert refused_too.value.message == (
        "Endpoint e is currently updating. Wait for the update to complete before updating its telemetry configuration."
    )
    endpoint_rules.check_telemetry_change(endpoint(Outcome.FAILED))


PAYLOADS = "TELEMETRY_FEATURE_INFERENCE_TABLE"


@pytest.mark.parametrize(
    ("wish", "kept"),
    [
        (None, None),
        ({}, {}),
        ({"telemetry_profile_id": "p"}, {"telemetry_profile_id": "p"}),
        ({"table_names": {"logs_table": "c.s.l"}}, {"inference_table_config": {"name": "c.s.l_payload"}}),
        (
            {"table_names": {"logs_table": "c.s.l"}, "inference_table_config": {"sampling_fraction": 0.5}},
            {"inference_table_config": {"name": "c.s.l_payload", "sampling_fraction": 0.5}},
        ),
        (
            {"table_names": {"logs_table": "c.s.l"}, "enabled_telemetry_features": ["TELEMETRY_FEATURE_LOGS"]},
            {"enabled_telemetry_features": ["TELEMETRY_FEATURE_LOGS"]},
        ),
        (
            {"table_names": {"logs_table": "c.s.l"}, "enabled_telemetry_features": [PAYLOADS]},
            {"enabled_telemetry_features": [PAYLOADS], "inference_table_config": {"name": "c.s.l_payload"}},
        ),
    ],
)
def test_table_names_of_telemetry_are_write_only_and_name_the_payload_table(wish: Any, kept: Any) -> None:
    assert endpoint_rules.telemetry(wish) == kept
