"""Traffic splits."""

from __future__ import annotations

import pytest

from headgate.domain import traffic
from headgate.domain.endpoint import Route
from headgate.domain.endpoint_wish import RouteWish
from headgate.errors import InvalidParameterValue


def wishes(**shares: int) -> list[RouteWish]:
    return [RouteWish(name, share) for name, share in shares.items()]


def test_the_only_entity_gets_everything() -> None:
    assert traffic.split([], ["a"]) == (Route("a", 100),)


def test_a_split_is_kept_as_written() -> None:
    assert traffic.split(wishes(b=80, a=20), ["a", "b"]) == (Route("b", 80), Route("a", 20))


def test_an_entity_may_have_no_share() -> None:
    assert traffic.split(wishes(a=100), ["a", "b"]) == (Route("a", 100),)
    assert traffic.split(wishes(a=100, b=0), ["a", "b"]) == (Route("a", 100), Route("b", 0))


@pytest.mark.parametrize(
    ("routes", "message"),
    [
        ([], "traffic_config is required with more than one served entity: give a route for each of a, b"),
        (wishes(a=50, c=50), "routes to 'c', which is not a served entity of this config; there are: a, b"),
        (wishes(a=50, b=49), "must sum to 100, but sum to 99"),
        (wishes(a=100, b=100), "must sum to 100, but sum to 200"),
        (wishes(a=101, b=-1), "whole number from 0 to 100, not 101"),
        ([*wishes(a=50), *wishes(a=50)], "more than one route to a"),
    ],
)
def test_a_split_that_does_not_add_up_is_refused(routes: list[RouteWish], message: str) -> None:
    with pytest.raises(InvalidParameterValue, match=message):
        traffic.split(routes, ["a", "b"])
