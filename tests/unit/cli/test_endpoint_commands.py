from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_server import Answer, FakeServer, endpoint

BASE = "/api/2.0/serving-endpoints"
ENTITIES = [{"entity_name": "main.default.churn", "entity_version": "1"}]
TRAFFIC = {"routes": [{"served_entity_name": "churn-1", "traffic_percentage": 100}]}


def test_list_prints_the_endpoints_as_json_when_piped(server: FakeServer, run: Run) -> None:
    server.answer(f"GET {BASE}", {"endpoints": [endpoint("churn"), endpoint("fraud")]})
    ran = run("serving-endpoints", "list")
    assert (ran.code, [item["name"] for item in json.loads(ran.out)]) == (0, ["churn", "fraud"])


def test_list_of_no_endpoints_is_an_empty_list(server: FakeServer, run: Run) -> None:
    server.answer(f"GET {BASE}", {})
    assert json.loads(run("serving-endpoints", "list", "-o", "json").out) == []


def test_list_as_text_is_a_table(server: FakeServer, run: Run) -> None:
    server.answer(f"GET {BASE}", {"endpoints": [endpoint("churn")]})
    header, row = run("serving-endpoints", "list", "--output", "text").out.splitlines()
    assert header.split() == ["NAME", "READY", "UPDATE", "SERVES", "CREATOR"]
    assert row.split() == ["churn", "READY", "NOT_UPDATING", "main.default.churn/1", "admin"]


@pytest.mark.parametrize(
    "words",
    [("get", "churn"), ("get", "--name", "churn"), ("get-status", "churn"), ("get-status", "--name=churn")],
)
def test_get_takes_the_name_positionally_or_as_an_option(server: FakeServer, run: Run, words: tuple[str, ...]) -> None:
    server.answer(f"GET {BASE}/churn", endpoint("churn"))
    assert json.loads(run("serving-endpoints", *words).out)["state"]["ready"] == "READY"


def test_get_as_text_shows_state_entities_and_traffic(server: FakeServer, run: Run) -> None:
    server.answer(
        f"GET {BASE}/churn", {**endpoint("churn", message="Scaled to zero"), "tags": [{"key": "team", "value": "a"}]}
    )
    out = run("serving-endpoints", "get", "churn", "-o", "text").out
    for expected in ("READY, NOT_UPDATING", "team=a", "main.default.churn", "Small", "100 %", "Scaled to zero"):
        assert expected in out


def test_a_followed_alias_is_shown_beside_its_version(server: FakeServer, run: Run) -> None:
    found = endpoint("churn")
    found["config"]["served_entities"][0]["followed_alias"] = "Champion"
    server.answer(f"GET {BASE}/churn", found)
    server.answer(f"GET {BASE}", {"endpoints": [found]})
    assert "1 (@Champion)" in run("serving-endpoints", "get", "churn", "-o", "text").out
    assert "main.default.churn/1 (@Champion)" in run("serving-endpoints", "list", "-o", "text").out


def test_a_vendors_model_is_shown_with_its_provider(server: FakeServer, run: Run) -> None:
    found = endpoint("llm")
    model = {"name": "gpt-4.1", "provider": "openai", "task": "llm/v1/chat", "openai_config": {}}
    found["config"]["served_entities"] = [{"name": "gpt-4-1", "external_model": model}]
    server.answer(f"GET {BASE}/llm", found)
    server.answer(f"GET {BASE}", {"endpoints": [found]})
    assert "openai/gpt-4.1" in run("serving-endpoints", "get", "llm", "-o", "text").out
    assert "openai/gpt-4.1" in run("serving-endpoints", "list", "-o", "text").out


@pytest.mark.parametrize(("command", "path"), [("put-ai-gateway", "ai-gateway"), ("put", "rate-limits")])
def test_what_is_asked_of_the_gateway_is_put_as_it_is(server: FakeServer, run: Run, command: str, path: str) -> None:
    wish = {"rate_limits": [{"calls": 3, "renewal_period": "minute"}]}
    server.answer(f"PUT {BASE}/llm/{path}", wish)
    ran = run("serving-endpoints", command, "llm", "--json", json.dumps(wish))
    [asked] = server.requests(f"PUT {BASE}/llm/{path}")
    assert json.loads(ran.out) == wish == asked.body


def test_a_stopped_endpoint_is_shown_as_stopped(server: FakeServer, run: Run) -> None:
    stopped = endpoint("churn")
    stopped["state"]["suspend"] = "STOPPED"
    server.answer(f"GET {BASE}/churn", stopped)
    assert "STOPPED, NOT_UPDATING" in run("serving-endpoints", "get", "churn", "-o", "text").out


def test_two_different_names_are_wrong_usage(server: FakeServer, run: Run) -> None:
    ran = run("serving-endpoints", "get", "churn", "--name", "fraud")
    assert ran.code == 2
    assert "two different names" in ran.err


def test_a_missing_name_is_wrong_usage_and_asks_nothing(server: FakeServer, run: Run) -> None:
    assert run("serving-endpoints", "get").code == 2
    assert server.asked == []


@pytest.mark.parametrize(
    "body",
    [
        {"name": "churn", "config": {"served_entities": ENTITIES, "traffic_config": TRAFFIC}},
        {"name": "churn", "served_entities": ENTITIES, "traffic_config": TRAFFIC},
        {"config": {"served_entities": ENTITIES, "traffic_config": TRAFFIC}},
        {"served_entities": ENTITIES, "traffic_config": TRAFFIC},
    ],
)
def test_create_accepts_wrapped_and_flat_bodies(server: FakeServer, run: Run, body: object) -> None:
    server.answer(f"POST {BASE}", endpoint("churn", ready="NOT_READY", update="IN_PROGRESS"))
    ran = run("serving-endpoints", "create", "churn", "--json", json.dumps(body), "--no-wait")
    assert ran.code == 0
    assert server.asked[0].body == {
        "name": "churn",
        "config": {"served_entities": ENTITIES, "traffic_config": TRAFFIC},
    }


def test_create_takes_the_name_from_the_body_and_the_body_from_a_file(
    server: FakeServer, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "endpoint.json").write_text('{"name": "churn", "config": {"served_entities": []}, "tags": []}')
    server.answer(f"POST {BASE}", endpoint("churn"))
    assert run("serving-endpoints", "create", "--json", "@endpoint.json", "--no-wait").code == 0
    assert server.asked[0].body == {"name": "churn", "config": {"served_entities": []}, "tags": []}


def test_the_body_may_come_from_standard_input(server: FakeServer, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO('{"served_entities": []}'))
    server.answer(f"POST {BASE}", endpoint("churn"))
    assert run("serving-endpoints", "create", "--name", "churn", "--json", "@-", "--no-wait").code == 0
    assert server.asked[0].body["config"] == {"served_entities": []}


def test_a_name_on_the_command_line_wins_over_the_body(server: FakeServer, run: Run) -> None:
    server.answer(f"POST {BASE}", endpoint("fraud"))
    run("serving-endpoints", "create", "--name", "fraud", "--json", '{"name": "churn"}', "--no-wait")
    assert server.asked[0].body == {"name": "fraud"}


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("{not json", "not valid JSON"),
        ("[1]", "must be a JSON object"),
        ("@absent.json", "cannot read absent.json"),
        ('{"served_entities": []}', "name is missing"),
        ('{"name": "a", "served_entities": [], "config": {}}', "both inside and outside of config"),
    ],
)
def test_a_body_that_cannot_be_used_is_wrong_usage(server: FakeServer, run: Run, body: str, complaint: str) -> None:
    ran = run("serving-endpoints", "create", "--json", body)
    assert ran.code == 2
    assert complaint in " ".join(ran.err.replace("│", " ").split())
    assert server.asked == []


def test_create_waits_and_prints_progress_apart_from_the_result(server: FakeServer, run: Run) -> None:
    server.answer(f"POST {BASE}", endpoint("churn", ready="NOT_READY", update="IN_PROGRESS"))
    server.answer(
        f"GET {BASE}/churn",
        endpoint("churn", ready="NOT_READY", update="IN_PROGRESS", message="Building the environment"),
        endpoint("churn", ready="NOT_READY", update="IN_PROGRESS", message="Building the environment"),
        endpoint("churn"),
    )
    ran = run("serving-endpoints", "create", "churn", "--json", '{"served_entities": []}')
    assert ran.code == 0
    assert json.loads(ran.out)["state"]["config_update"] == "NOT_UPDATING"
    assert ran.err == "churn: churn-1: Building the environment\n"


def test_a_failed_update_exits_with_the_entitys_message(server: FakeServer, run: Run) -> None:
    server.answer(f"PUT {BASE}/churn/config", endpoint("churn", update="IN_PROGRESS"))
    failed = {
        **endpoint("churn", update="UPDATE_FAILED"),
        "pending_config": endpoint(message="no module named spam")["config"],
    }
    server.answer(f"GET {BASE}/churn", failed)
    ran = run("serving-endpoints", "update-config", "churn", "--json", '{"served_entities": []}')
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        "Error: the update of churn failed, the previous config keeps serving: churn-1: no module named spam\n"
    )


def test_waiting_ends_at_the_timeout(server: FakeServer, run: Run) -> None:
    updating = endpoint("churn", ready="NOT_READY", update="IN_PROGRESS")
    server.answer(f"POST {BASE}/churn/config:start", updating)
    server.answer(f"GET {BASE}/churn", updating)
    ran = run("serving-endpoints", "start", "churn", "--timeout", "0.1s")
    assert ran.code == 1
    assert "still being updated after 0.1 s" in ran.err


def test_an_unreadable_timeout_is_wrong_usage(server: FakeServer, run: Run) -> None:
    ran = run("serving-endpoints", "start", "churn", "--timeout", "soon")
    assert ran.code == 2
    assert server.asked == []


@pytest.mark.parametrize(
    "body",
    [
        {"served_entities": ENTITIES},
        {"config": {"served_entities": ENTITIES}},
        {"name": "churn", "served_entities": ENTITIES},
    ],
)
def test_update_config_sends_a_flat_config(server: FakeServer, run: Run, body: object) -> None:
    server.answer(f"PUT {BASE}/churn/config", endpoint("churn", update="IN_PROGRESS"))
    assert run("serving-endpoints", "update-config", "churn", "--no-wait", "--json", json.dumps(body)).code == 0
    assert server.asked[0].body == {"served_entities": ENTITIES}


def test_stop_and_start_reach_their_routes(server: FakeServer, run: Run) -> None:
    server.answer(f"POST {BASE}/churn/config:stop", endpoint("churn"))
    server.answer(f"POST {BASE}/churn/config:start", endpoint("churn", update="IN_PROGRESS"))
    server.answer(f"GET {BASE}/churn", endpoint("churn"))
    assert run("serving-endpoints", "stop", "churn").code == 0
    assert run("serving-endpoints", "start", "--name", "churn").code == 0


def test_delete_says_what_it_deleted(server: FakeServer, run: Run) -> None:
    server.answer(f"DELETE {BASE}/churn", {})
    ran = run("serving-endpoints", "delete", "--name", "churn")
    assert (ran.code, ran.out, ran.err) == (0, "", "deleted churn\n")


def test_deleting_an_unknown_endpoint_fails_with_the_servers_message(server: FakeServer, run: Run) -> None:
    body = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Serving endpoint with name x not found\nReally."}
    server.answer(f"DELETE {BASE}/x", Answer(body, 404))
    ran = run("serving-endpoints", "delete", "x")
    assert ran.code == 1
    assert ran.err == "Error: Serving endpoint with name x not found Really. (RESOURCE_DOES_NOT_EXIST)\n"


def test_patch_sends_tags(server: FakeServer, run: Run) -> None:
    server.answer(f"PATCH {BASE}/churn/tags", {"tags": [{"key": "a", "value": "b"}]})
    ran = run("serving-endpoints", "patch", "churn", "--json", '{"add_tags": [{"key": "a", "value": "b"}]}')
    assert json.loads(ran.out)["tags"] == [{"key": "a", "value": "b"}]
    assert server.asked[0].body == {"add_tags": [{"key": "a", "value": "b"}]}


@pytest.mark.parametrize("command", ["export-metrics", "get-metrics"])
def test_metrics_are_printed_as_they_are(server: FakeServer, run: Run, command: str) -> None:
    server.answer(f"GET {BASE}/churn/metrics", Answer("requests_total 3\n", headers={"Content-Type": "text/plain"}))
    assert run("serving-endpoints", command, "churn").out == "requests_total 3\n"


def test_get_open_api_prints_the_document(server: FakeServer, run: Run) -> None:
    server.answer(f"GET {BASE}/churn/openapi", {"openapi": "3.1.0"})
    assert json.loads(run("serving-endpoints", "get-open-api", "churn").out) == {"openapi": "3.1.0"}


def test_a_name_is_quoted_in_the_path(server: FakeServer, run: Run) -> None:
    server.answer(f"GET {BASE}/a%2Fb", endpoint("a/b"))
    assert run("serving-endpoints", "get", "a/b").code == 0
