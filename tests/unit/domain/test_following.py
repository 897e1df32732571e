from __future__ import annotations

import dataclasses

import pytest

from headgate.domain import following
from headgate.domain.endpoint import Endpoint, EndpointConfig, Generation, Outcome, ServedEntity

CHAMPION = ("main.default.m", "Champion")


def entity(version: str, requested: str = "@Champion", model: str = "Main.default.m") -> ServedEntity:
    return ServedEntity("m", model, version, requested, creation_timestamp=1)


def endpoint(outcome: Outcome = Outcome.ACTIVE, version: str = "1", **more: bool) -> Endpoint:
    wanted = Generation(1, EndpointConfig((entity(version),)), outcome, 0)
    return Endpoint("e" * 32, "churn", "ada", 0, 0, wanted=wanted, **more)


def test_only_entities_created_with_an_alias_follow_it() -> None:
    config = EndpointConfig((entity("1"), entity("1", "1"), entity("1", "1", "not a model's name")))
    assert following.followed([config]) == {CHAMPION}


def test_a_follower_gets_its_aliass_version_and_keeps_everything_else() -> None:
    config = following.caught_up(EndpointConfig((entity("1"), entity("1", "1"))), {CHAMPION: "2"}, now_ms=7)
    assert config is not None
    moved, pinned = config.served_entities
    assert moved == dataclasses.replace(entity("1"), entity_version="2", creation_timestamp=7)
    assert pinned == entity("1", "1")


@pytest.mark.parametrize("targets", [{CHAMPION: "1"}, {}, {("main.default.m", "champion"): "2"}])
def test_nothing_is_to_do_while_the_alias_names_what_serves_or_nothing(targets: following.Targets) -> None:
    assert following.lagging(endpoint(), targets) is None


@pytest.mark.parametrize(
    ("found", "lags"),
    [
        (endpoint(), True),
        (endpoint(Outcome.FAILED), True),
        (endpoint(Outcome.FAILED, version="2"), False),
        (endpoint(Outcome.PENDING), False),
        (endpoint(stopped=True), False),
        (endpoint(deleted=True), False),
        (dataclasses.replace(endpoint(), wanted=None), False),
    ],
)
def test_an_endpoint_lags_behind_its_alias_unless_it_is_busy_stopped_or_has_failed_with_that_version(
    found: Endpoint, lags: bool
) -> None:
    assert (following.lagging(found, {CHAMPION: "2"}) is not None) == lags


def test_an_entity_whose_alias_is_gone_says_so() -> None:
    said = following.orphaned(entity("3"), {})
    assert "alias Champion of main.default.m" in said and "version 3 goes on serving" in said
    assert following.orphaned(entity("3"), {CHAMPION: "3"}) == ""
    assert following.orphaned(entity("3", "3"), {}) == ""
