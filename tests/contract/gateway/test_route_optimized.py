"""Endpoints that are route optimized take OAuth tokens only, also at their own address; a token for one opens that one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.contract.gateway.bench import Bench, Run, entity

ORDINARY = "/serving-endpoints/churn/invocations"
OWN = "/1234567890123456/serving-endpoints/churn/invocations"
NOBODY: frozenset[str] = frozenset()


def by(who: str, path: str = OWN) -> dict[str, Any]:
    return {"path": path, "headers": {"authorization": f"Bearer {who}"}}


@pytest.mark.parametrize("path", [ORDINARY, OWN, OWN + "/"])
def test_oauth_tokens_are_let_in_at_both_addresses(tmp_path: Path, path: str, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            await bench.serve(entity(await bench.worker()), route_optimized=True)
            for who, status in (("oauth", 200), ("narrow", 200), ("oauth-stranger", 404), ("nobody", 401)):
                assert (await bench.ask(**by(who, path))).status == status, who

    run(live())


@pytest.mark.parametrize("path", [ORDINARY, OWN])
def test_a_personal_token_is_told_what_to_use_instead(tmp_path: Path, path: str, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            await bench.serve(entity(await bench.worker()), route_optimized=True)
            for who in ("secret", "querier", "guest"):
                answer = await bench.ask(**by(who, path))
                told = answer.json()
                assert (answer.status, told["error_code"]) == (403, "PERMISSION_DENIED")
                assert "OAuth tokens only" in told["message"] and "serving_endpoints_data_plane" in told["message"]
            assert (await bench.ask(**by("stranger", path))).status == 404

    run(live())


def test_a_token_for_one_endpoint_ends_with_its_holders_permission(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            served = entity(await bench.worker())
            await bench.serve(served, route_optimized=True, queriers=NOBODY, viewers=NOBODY)
            assert (await bench.ask(**by("narrow"))).status == 403
            assert (await bench.ask(**by("oauth"))).status == 404

    run(live())


def test_the_address_names_our_workspace_and_a_served_entity_if_one_likes(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            await bench.serve(entity(await bench.worker()), route_optimized=True)
            entity_path = "/1234567890123456/serving-endpoints/churn/served-models/churn-1/invocations"
            assert (await bench.ask(**by("oauth", entity_path))).status == 200
            for path in (
                "/9999999999999999/serving-endpoints/churn/invocations",
                "/1234567890123456/serving-endpoints/churn",
            ):
                assert (await bench.ask(**by("oauth", path))).status == 404, path

    run(live())


def test_an_ordinary_endpoint_answers_at_such_an_address_too(tmp_path: Path, run: Run) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            await bench.serve(entity(await bench.worker()))
            assert (await bench.ask(**by("querier"))).status == 200

    run(live())
