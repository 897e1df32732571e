"""databricks-sdk, oldest supported and current, uses the registry's own API unmodified: as owner, reader and stranger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.fakes import callers
from tests.wire import clients
from tests.wire.registry.conftest import TOKEN

pytestmark = pytest.mark.wire
WALK = Path(__file__).with_name("sdk_walk.py")
HIDDEN = ["ResourceDoesNotExist", "Registered model shop.customers.churn does not exist."]


@pytest.mark.parametrize("requirement", ["databricks-sdk==0.59.0", "databricks-sdk"])
def test_the_sdk_does_everything_with_models_and_is_refused_what_it_may_not(server: Any, requirement: str) -> None:
    ask = callers.over_http(server.url, TOKEN)
    tokens = {name: callers.user(ask, f"{name}@example.com").token for name in ("ann", "rea", "stan")}
    environ = {"DATABRICKS_HOST": server.url, "TOKENS": json.dumps({"admin": TOKEN, **tokens})}
    seen = clients.run_client(clients.client_python(requirement), WALK.read_text(), environ).json()

    assert seen["metastore"] == [True, "main"]
    _check_namespaces(seen)
    assert seen["model"] == ["shop.customers.churn", "churn", "shop", "customers", "ann@example.com", "Who leaves"]
    assert seen["alias"] == ["Champion", 2]
    assert seen["by alias"] == [2, "READY", ["Champion"]]
    assert seen["version"] == [1, "churn", "r", "s", "ann@example.com", [], True]
    assert (seen["versions"], seen["commented"], seen["aliases"]) == ([2, 1], "First", [["Champion", 2]])
    _check_rights(seen)
    if "tags" in seen:
        assert (seen["tags"], seen["tag"], seen["tags left"]) == ([["team", "crm"]], "pii", 0)
    assert seen["renamed"] == ["shop.customers.leavers", "Leavers", "leavers"]
    assert seen["moved"] and seen["handed over"] == ["rea@example.com", "Mine"]
    assert (seen["left"], seen["grants are gone"], seen["catalogs left"]) == ([2], "ResourceDoesNotExist", ["main"])
    _check_refusals(seen["refusals"])


def _check_namespaces(seen: Any) -> None:
    assert seen["catalog"] == ["shop", "admin", "What we sell", {"a": "b"}, "admin", True]
    assert seen["schema"] == ["shop.customers", "shop", "customers", "ann@example.com", "Who buys"]
    assert seen["catalogs"] == {"ann": ["main", "shop"], "rea": ["main"]}
    assert seen["schemas"] == {
        "ann": ["shop.customers"],
        "rea": ["ResourceDoesNotExist", "Catalog shop does not exist."],
    }
    assert seen["catalog pages"] == ["main", "shop"]
    assert seen["changed schema"] == ["Buyers", {"c": "d"}, "ann@example.com"]


def _check_rights(seen: Any) -> None:
    assert seen["before"] == [HIDDEN, HIDDEN]
    assert seen["unknown"] == [HIDDEN[0], HIDDEN[1].replace("churn", "none")]
    assert seen["no catalog"][0] == "PermissionDenied" and "USE_CATALOG on Catalog 'shop'" in seen["no catalog"][1]
    assert seen["no schema"][0] == "PermissionDenied" and "USE_SCHEMA on Schema" in seen["no schema"][1]
    name = "shop.customers.churn"
    assert seen["reader"] == ["ann@example.com", 2, True, [name], [name]]
    assert seen["stranger lists"] == []


def _check_refusals(refusals: Any) -> None:
    kinds = {case: kind for case, (kind, _) in refusals.items()}
    denied = ("reader comments", "reader deletes", "reader sets alias", "reader uploads", "catalog of others")
    assert {kinds[case] for case in (*denied, "catalog without right", *({"reader tags"} & kinds.keys()))} == {
        "PermissionDenied"
    }
    missing = ("hidden catalog", "unknown catalog", "stranger downloads", "stranger finds nothing", "old name")
    assert {kinds[case] for case in (*missing, "schema without right", *({"no such tag"} & kinds.keys()))} == {
        "ResourceDoesNotExist"
    }
    assert kinds["catalog twice"] == "ResourceAlreadyExists" and kinds["unknown owner"] == "InvalidParameterValue"
    assert refusals["stranger downloads"][1] == refusals["stranger finds nothing"][1].replace("none", "churn")
    for case in ("catalog that is full", "schema that is full"):
        assert "not empty" in refusals[case][1]
