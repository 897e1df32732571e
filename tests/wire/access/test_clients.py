"""The five callers, and credentials that are none, through the official clients: which exceptions their users see."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.wire import clients
from tests.wire.access.table.rows import CALLERS, OK, TO_MANAGE, TO_QUERY, TO_VIEW, Rule
from tests.wire.access.world import World

pytestmark = [pytest.mark.wire, pytest.mark.scenario]
BAD = ("expired token", "revoked token", "token of another installation")


def walk(world: World, script: str, *requirements: str) -> Any:
    python = clients.client_python(*requirements) if requirements else Path(sys.executable)
    tokens = {who: str(world.tokens[who]).removeprefix("Bearer ") for who in (*CALLERS, *BAD)}
    environ = {
        "DATABRICKS_HOST": world.house.url,
        "CALLERS": json.dumps(tokens),
        "THINGS": json.dumps(world.known),
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    return clients.run_client(python, Path(__file__).with_name(script).read_text(), environ).json()


def met(seen: Any, call: str) -> dict[str, Any]:
    return {caller: seen[caller][call] for caller in CALLERS}


def by(rule: Rule, done: Any, **refusals: str) -> dict[str, Any]:
    return {caller: done if rule.of(caller) == OK else refusals[rule.of(caller)] for caller in CALLERS}


@pytest.mark.parametrize("requirement", ["databricks-sdk==0.59.0", "databricks-sdk"])
def test_the_sdk_raises_what_its_users_expect(world: World, requirement: str) -> None:
    seen = walk(world, "sdk_walk.py", requirement)
    refusals = {"forbidden": "PermissionDenied", "hidden": "ResourceDoesNotExist"}
    assert met(seen, "who am I") == {caller: world.user_names[caller] for caller in CALLERS}
    assert met(seen, "list endpoints") == by(TO_VIEW, True, hidden=False)
    assert met(seen, "get endpoint") == by(TO_VIEW, True, **refusals)
    assert met(seen, "query") == by(TO_QUERY, True, forbidden="PermissionDenied", hidden="NotFound")
    assert met(seen, "tag endpoint") == by(TO_MANAGE, True, **refusals)
    assert met(seen, "get model") == by(TO_QUERY, True, **refusals)
    assert met(seen, "list versions") == by(TO_QUERY, 1, **refusals)
    assert met(seen, "comment model") == by(TO_MANAGE, "c", **refusals)
    assert met(seen, "read secret") == by(TO_VIEW, True, **refusals)
    assert met(seen, "write secret") == by(TO_QUERY, None, **refusals)
    assert met(seen, "list scopes") == by(TO_VIEW, True, hidden=False)
    assert met(seen, "create a user") == {"admin": "somebody"} | dict.fromkeys(CALLERS[1:], "PermissionDenied")
    for credential in BAD:
        assert set(seen[credential].values()) == {"Unauthenticated"}, credential


@pytest.mark.parametrize("requirements", [clients.OLD_MLFLOW, ()], ids=["2.22", "current"])
def test_mlflow_raises_what_its_users_expect(world: World, requirements: tuple[str, ...]) -> None:
    seen = walk(world, "mlflow_walk.py", *requirements)
    refusals = {"forbidden": "PERMISSION_DENIED", "hidden": "RESOURCE_DOES_NOT_EXIST"}
    assert met(seen, "get endpoint") == by(TO_VIEW, True, **refusals)
    assert met(seen, "query") == by(TO_QUERY, [1.0], forbidden="PERMISSION_DENIED", hidden="ENDPOINT_NOT_FOUND")
    assert met(seen, "get model") == by(TO_QUERY, True, **refusals)
    assert met(seen, "get version") == by(TO_QUERY, "1", **refusals)
    assert met(seen, "set alias") == by(TO_MANAGE, None, **refusals)
    for call in ("get experiment", "log a run"):
        assert met(seen, call) == dict.fromkeys(CALLERS, True)
    for credential in BAD:
        assert set(seen[credential].values()) == {"UNAUTHENTICATED"}, credential
