"""What of requests to the REST API is in the audit log, and who may read it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
from tests.fakes import callers
from tests.fakes.api_house import ENDPOINTS, ApiHouse

from headgate.api.auditing import Auditing, Outside, is_change
from headgate.clock import SystemClock

EVENTS = "/api/2.0/audit/events"


@pytest.fixture(scope="module")
def ben(api: ApiHouse) -> callers.Caller:
    return callers.user(api.as_admin, "ben")


@pytest.fixture(autouse=True)
def fresh(api: ApiHouse) -> Iterator[None]:
    """A log without what was before."""
    api.audit.write_waiting()
    api.audit._events.prune(2**62)
    yield


def events(api: ApiHouse, query: str = "") -> list[dict[str, Any]]:
    """Oldest first."""
    return list(reversed(api.request("GET", EVENTS, query=query).body["events"]))


def brief(api: ApiHouse, query: str = "") -> list[tuple[str, str, str, int, str]]:
    return [
        (
            one["user_identity"]["user_name"],
            one["action_name"],
            one["outcome"],
            one["response"]["status_code"],
            one["object"],
        )
        for one in events(api, query)
    ]


def test_every_change_is_there_with_who_what_where_and_outcome(api: ApiHouse) -> None:
    headers = {"user-agent": "my-script/1"}
    made = api.request("POST", ENDPOINTS, {"name": "audited"}, headers=headers)
    [event] = events(api)
    assert event == {
        "event_id": event["event_id"],
        "event_time": event["event_time"],
        "workspace_id": made.headers["x-databricks-org-id"],
        "service_name": "serving endpoints",
        "action_name": "create",
        "user_identity": {"id": "1", "user_name": "ada", "credential": "token"},
        "source_ip_address": "127.0.0.1",
        "user_agent": "my-script/1",
        "request_id": made.headers["x-databricks-request-id"],
        "method": "POST",
        "path": ENDPOINTS,
        "object": "audited",
        "outcome": "DONE",
        "response": {"status_code": 200, "error_code": ""},
        "count": 1,
    }


def test_changes_that_fail_are_there_and_looking_is_not(api: ApiHouse) -> None:
    api.request("PATCH", f"{ENDPOINTS}/missing/tags", {"add_tags": []})
    api.request("PUT", f"{ENDPOINTS}/x/config", b"{")
    api.request("GET", f"{ENDPOINTS}/missing")
    api.request("GET", ENDPOINTS)
    assert brief(api) == [
        ("ada", "patch_tags", "FAILED", 404, "missing"),
        ("ada", "update_config", "FAILED", 400, "x"),
    ]


def test_refused_accesses_are_there_hidden_ones_too(api: ApiHouse, ben: callers.Caller) -> None:
    api.create("secretive")
    api.request("GET", f"{ENDPOINTS}/secretive", token=ben.token)
    api.request("GET", f"{ENDPOINTS}/nothing", token=ben.token)
    api.request("DELETE", f"{ENDPOINTS}/secretive", token=ben.token)
    api.request("GET", EVENTS, token=ben.token)
    api.request("GET", ENDPOINTS, token="")
    api.request("DELETE", f"{ENDPOINTS}/secretive", token="wrong")
    assert sorted(brief(api, "outcome=REFUSED")) == [
        ("", "delete", "REFUSED", 401, "secretive"),
        ("", "list", "REFUSED", 401, ""),
        ("ben", "delete", "REFUSED", 404, "secretive"),
        ("ben", "get", "REFUSED", 404, "nothing"),
        ("ben", "get", "REFUSED", 404, "secretive"),
        ("ben", "list_events", "REFUSED", 403, ""),
    ]


def test_nothing_of_a_body_or_a_query_is_there(api: ApiHouse) -> None:
    api.request("POST", "/api/2.0/secrets/scopes/create", {"scope": "quiet"}, query="o=hush-1")
    api.request("POST", "/api/2.0/secrets/put", {"scope": "quiet", "key": "k", "string_value": "hush-2"})
    api.request("GET", "/api/2.0/secrets/get", query="scope=quiet&key=k")
    api.request("PATCH", f"{ENDPOINTS}/x/description", {"description": "hush-3"}, token="hush-4")
    seen = events(api)
    assert len(seen) == 4
    assert "hush" not in str(seen)


def test_a_change_that_cannot_be_written_down_is_not_made(api: ApiHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_events: object) -> None:
        raise OSError("the database is away")

    monkeypatch.setattr(api.audit._events, "add", away)
    answer = api.request("POST", ENDPOINTS, {"name": "unwritten"})
    assert answer.error[:2] == (503, "TEMPORARILY_UNAVAILABLE")
    assert answer.headers["retry-after"] == "1"
    assert api.get("unwritten").status == 404
    assert api.request("GET", ENDPOINTS).status == 200


def test_a_change_whose_process_dies_has_begun(api: ApiHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    class Dies(BaseException):
        """Nobody catches it, as nobody catches SIGKILL."""

    def die(*_: object, **__: object) -> None:
        raise Dies

    monkeypatch.setattr(type(api.endpoints), "create", die)
    with pytest.raises(Dies):
        api.request("POST", ENDPOINTS, {"name": "half"})
    [event] = events(api)
    assert (event["outcome"], event["method"], event["path"]) == ("BEGUN", "POST", ENDPOINTS)
    assert event["user_identity"]["user_name"] == "ada"


def test_the_log_is_filtered_and_read_in_pages(api: ApiHouse, ben: callers.Caller) -> None:
    for number in range(5):
        api.create(f"paged-{number}")
    api.request("DELETE", f"{ENDPOINTS}/paged-4", token=ben.token)
    assert brief(api, f"principal={ben.id}") == brief(api, "principal=ben&outcome=REFUSED&object=paged-4")
    names, query = [], "max_results=2&action_name=create"
    while query:
        body = api.request("GET", EVENTS, query=query).body
        names += [event["object"] for event in body["events"]]
        token = body.get("next_page_token")
        query = f"max_results=2&action_name=create&page_token={token}" if token else ""
    assert names == [f"paged-{number}" for number in (4, 3, 2, 1, 0)]


@pytest.mark.parametrize(
    "query", ["outcome=GOOD", "max_results=0", "max_results=1001", "page_token=x", "start_time=-1", "end_time=x"]
)
def test_a_question_that_makes_no_sense_is_refused(api: ApiHouse, query: str) -> None:
    assert api.request("GET", EVENTS, query=query).error[:2] == (400, "INVALID_PARAMETER_VALUE")


def test_unknown_names_and_hidden_ones_cost_the_log_the_same(api: ApiHouse, ben: callers.Caller) -> None:
    api.create("kept")
    for method, body in (("GET", None), ("DELETE", None), ("PUT", {})):
        for name in ("kept", "none"):
            path = f"{ENDPOINTS}/{name}" + ("/config" if method == "PUT" else "")
            assert api.request(method, path, body, token=ben.token).status == 404
    seen = [dataclasses.replace(one, event_id="", event_time_ms=0, request_id="", object="") for one in _all(api)]
    assert seen[0::2] == seen[1::2]
    assert len(seen) == 6


def _all(api: ApiHouse) -> list[Any]:
    from headgate.domain.audit import AuditFilter

    found = api.audit.search(AuditFilter(principal="ben"), 100)
    return sorted(found, key=lambda one: (one.method, one.object))


@pytest.mark.parametrize(
    ("method", "path", "change"),
    [
        ("GET", ENDPOINTS, False),
        ("POST", ENDPOINTS, True),
        ("POST", "/api/2.0/mlflow/unity-catalog/model-versions/create", True),
        ("POST", "/api/2.0/mlflow/unity-catalog/model-versions/generate-temporary-credentials", False),
        ("POST", "/api/2.0/fs/create-download-url", False),
        ("PUT", "/api/2.0/fs/files/Models/main/default/m/1/MLmodel", False),
        ("DELETE", "/api/2.0/fs/files/Models/main/default/m/1/MLmodel", True),
        ("POST", "/api/2.0/mlflow/experiments/create", True),
        ("POST", "/api/2.0/mlflow/experiments/search", False),
        ("POST", "/api/2.0/mlflow/experiments/delete", True),
        ("POST", "/api/2.0/mlflow/runs/log-metric", False),
        ("POST", "/api/2.0/mlflow/runs/log-batch", False),
        ("POST", "/api/2.0/mlflow/runs/delete", True),
        ("POST", "/api/2.0/mlflow/runs/restore", True),
        ("POST", "/api/3.0/mlflow/traces", False),
        ("POST", "/api/3.0/mlflow/traces/delete-traces", True),
        ("POST", "/ajax-api/2.0/mlflow/runs/delete", True),
        ("POST", "/ajax-api/2.0/mlflow/runs/search", False),
        ("POST", "/health", False),
    ],
)
def test_what_counts_as_a_change(method: str, path: str, change: bool) -> None:
    assert is_change(method, path) == change


def test_what_is_refused_in_front_of_the_door_is_there_and_the_doors_own_only_once(api: ApiHouse) -> None:
    inner = api.app

    async def traces(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != "/api/3.0/mlflow/traces":
            await inner(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 403, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    outside = Outside(traces, Auditing(api.audit, SystemClock(), inner.state.routes))
    api.app = outside  # type: ignore[assignment]
    try:
        api.request("POST", "/api/3.0/mlflow/traces", {})
        api.request("GET", ENDPOINTS, token="wrong")
    finally:
        api.app = inner
    found = [(one["path"], one["response"]["status_code"], one["count"]) for one in events(api)]
    assert sorted(found) == [(ENDPOINTS, 401, 1), ("/api/3.0/mlflow/traces", 403, 1)]
