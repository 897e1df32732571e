"""Who is asked, and in which order: over all small endpoints."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gateway.vendors.parts import endpoint, entity

from headgate.domain.routing import EntityRoute
from headgate.gateway.stages import choose
from headgate.gateway.vendors import order

NAMES = "abcde"
SHARES = st.lists(st.sampled_from([0, 0, 10, 50, 100]), min_size=1, max_size=5)


@given(SHARES, st.sets(st.sampled_from(NAMES)), st.integers(0, 4), st.booleans())
def test_with_fallback_everybody_is_asked_once_the_healthy_first(
    shares: list[int], ill: set[str], chosen_at: int, fallback: bool
) -> None:
    route = endpoint(*(entity(name, share) for name, share in zip(NAMES, shares, strict=False)), fallback=fallback)
    chosen = route.entities[chosen_at % len(route.entities)]

    def well(one: EntityRoute) -> bool:
        return one.name not in ill

    asked = order.candidates(route, chosen, False, well)
    if not fallback:
        assert list(asked) == [chosen]
        return
    assert sorted(one.name for one in asked) == sorted(one.name for one in route.entities)
    for healthy in (True, False):
        group = [one for one in asked if well(one) is healthy]
        if chosen in group:
            assert group[0] is chosen
        rest = [one for one in group if one is not chosen]
        assert rest == sorted(rest, key=lambda one: (one.traffic_percentage == 0, NAMES.index(one.name)))
    assert [well(one) for one in asked] == sorted((well(one) for one in asked), reverse=True)
    assert list(order.candidates(route, chosen, True, well)) == [chosen]


@given(SHARES, st.sets(st.sampled_from(NAMES)), st.integers(0, 1000))
def test_a_share_is_dealt_to_somebody_healthy_with_traffic_while_there_is_one(
    shares: list[int], ill: set[str], seed: int
) -> None:
    route = endpoint(*(entity(name, share) for name, share in zip(NAMES, shares, strict=False)))
    chosen = choose.by_share(route, random.Random(seed), lambda one: one.name not in ill)
    if not any(shares):
        assert chosen is None
        return
    assert chosen is not None and chosen.traffic_percentage > 0
    if any(one.traffic_percentage and one.name not in ill for one in route.entities):
        assert chosen.name not in ill


@pytest.mark.parametrize(("ill", "expected"), [("", {"a": 0.2, "b": 0.3, "c": 0.5}), ("c", {"a": 0.4, "b": 0.6})])
def test_the_healthy_keep_their_proportions(ill: str, expected: dict[str, float]) -> None:
    route = endpoint(entity("a", 20), entity("b", 30), entity("c", 50))
    rng = random.Random(3)
    dealt = Counter(choose.by_share(route, rng, lambda one: one.name not in ill).name for _ in range(20_000))  # type: ignore[union-attr]
    assert {name: pytest.approx(share, abs=0.015) for name, share in expected.items()} == {
        name: count / 20_000 for name, count in dealt.items()
    }
