"""Permissions on two server processes at once, and an audit log that outlives kill -9. No model is needed to be refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.fakes import callers
from tests.scenario.house import TOKEN, House, until

pytestmark = pytest.mark.scenario
PERMISSIONS = "/api/2.0/permissions/serving-endpoints"
EVERYWHERE = 24
"""Connections of their own: the chance that one of two processes gets none of them is below 1 in 8 million."""


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("two") / "data", HEADGATE_WORKERS="2") as house:
        yield house


def grant(house: House, *entries: dict[str, str]) -> Any:
    answer = house.request("PUT", f"{PERMISSIONS}/gated", {"access_control_list": list(entries)})
    assert answer.status == 200, answer
    return answer.json


def seen(house: House, who: callers.Caller) -> set[tuple[int, str]]:
    """What the caller is answered by both processes and through both doors: status and code."""
    asked = [("POST", "/serving-endpoints/gated/invocations", {}), ("GET", "/api/2.0/serving-endpoints/gated", None)]
    answers = [house.request(*one, token=who.token) for _ in range(EVERYWHERE) for one in asked]
    return {(answer.status, answer.json.get("error_code", "")) for answer in answers}


NOTHING = {(404, "ENDPOINT_NOT_FOUND"), (404, "RESOURCE_DOES_NOT_EXIST")}
VIEWING = {(403, "PERMISSION_DENIED"), (200, "")}
QUERYING = {(400, "INVALID_STATE"), (200, "")}  # it has nothing deployed, which only those who may query are told


def test_a_change_is_in_force_everywhere_when_it_is_answered(two: House) -> None:
    ask = callers.over_http(two.url, TOKEN)
    quinn = callers.user(ask, "quinn")
    team = callers.group(ask, "team", [callers.user(ask, "tess").id, quinn.id])
    assert team
    two.api("POST", "", {"name": "gated"})
    assert seen(two, quinn) == NOTHING
    for _ in range(4):
        grant(two, {"user_name": "quinn", "permission_level": "CAN_QUERY"})
        assert seen(two, quinn) == QUERYING
        grant(two, {"user_name": "quinn", "permission_level": "CAN_VIEW"})
        assert seen(two, quinn) == VIEWING
        grant(two, {"group_name": "team", "permission_level": "CAN_QUERY"})
        assert seen(two, quinn) == QUERYING
        grant(two)
        assert seen(two, quinn) == NOTHING


def test_what_was_acknowledged_is_in_the_audit_log_whatever_dies(two: House) -> None:
    for number in range(3):
        made = two.api("POST", "", {"name": f"logged-{number}"})
        answer = two.request("PATCH", f"{PERMISSIONS}/{made['id']}", {"access_control_list": []})
        two.kill_everything()
        two.start()
        assert answer.status == 200
        found = two.request("GET", f"/api/2.0/audit/events?object=logged-{number}").json["events"]
        assert [(one["action_name"], one["outcome"]) for one in found] == [
            ("update_permissions", "DONE"),
            ("create", "DONE"),
        ]


def test_refusals_of_both_doors_come_into_the_audit_log(two: House) -> None:
    ask = callers.over_http(two.url, TOKEN)
    stranger = callers.user(ask, "stranger")
    two.api("POST", "", {"name": "watched"})
    two.request("POST", "/serving-endpoints/watched/invocations", {}, token=stranger.token, User_Agent="curious/1")
    two.request("GET", "/api/2.0/serving-endpoints/watched", token=stranger.token)
    two.request("POST", "/serving-endpoints/watched/invocations", {}, token="guessed")

    def told() -> Any:
        found = two.request("GET", "/api/2.0/audit/events?outcome=REFUSED&object=watched").json["events"]
        shown = {
            (one["user_identity"]["user_name"], one["service_name"], one["response"]["status_code"]) for one in found
        }
        wanted = {("stranger", "inference", 404), ("stranger", "serving endpoints", 404), ("", "inference", 401)}
        return shown == wanted and found

    found = until(told, "all three are in the log")
    assert {one["source_ip_address"] for one in found} == {"127.0.0.1"}
    assert "curious/1" in {one["user_agent"] for one in found}
