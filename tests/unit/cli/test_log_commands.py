from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_server import Answer, FakeServer, endpoint

from headgate.cli.logs import new_lines

BASE = "/api/2.0/serving-endpoints"
GONE = Answer({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "gone"}, 404)
AWAY = Answer({"error_code": "TEMPORARILY_UNAVAILABLE", "message": "starting"}, 500)


def two_entities() -> dict[str, object]:
    shown = endpoint("churn")
    shown["config"]["served_entities"].append({"name": "churn-2"})
    return shown


def test_logs_of_one_served_model_are_printed_as_they_are(server: FakeServer, run: Run) -> None:
    server.answer(f"GET {BASE}/churn/served-models/churn-1/logs", {"logs": "one\ntwo"})
    assert run("serving-endpoints", "logs", "churn", "churn-1").out == "one\ntwo\n"


def test_with_the_name_as_an_option_the_positional_is_the_served_model(server: FakeServer, run: Run) -> None:
    server.answer(f"GET {BASE}/churn/served-models/churn-1/build-logs", {"logs": "built"})
    assert run("serving-endpoints", "build-logs", "--name", "churn", "churn-1").out == "built\n"


def test_without_a_served_model_all_are_printed_under_headings(server: FakeServer, run: Run) -> None:
    server.answer(f"GET {BASE}/churn", two_entities())
    server.answer(f"GET {BASE}/churn/served-models/churn-1/logs", {"logs": "a\n"})
    server.answer(f"GET {BASE}/churn/served-models/churn-2/logs", {"logs": "b\n"})
    assert run("serving-endpoints", "logs", "churn").out == "==> churn-1 <==\na\n\n==> churn-2 <==\nb\n"


def test_an_only_served_model_needs_no_heading(server: FakeServer, run: Run) -> None:
    server.answer(f"GET {BASE}/churn", endpoint("churn", update="IN_PROGRESS"))
    server.answer(f"GET {BASE}/churn/served-models/churn-1/logs", {"logs": "a\n"})
    assert run("serving-endpoints", "logs", "--name", "churn").out == "a\n"


def test_logs_as_json_are_keyed_by_served_model(server: FakeServer, run: Run) -> None:
    server.answer(f"GET {BASE}/churn/served-models/churn-1/logs", {"logs": "a\n"})
    ran = run("serving-endpoints", "logs", "churn", "churn-1", "-o", "json")
    assert json.loads(ran.out) == {"churn-1": {"logs": "a\n"}}


def test_following_prints_only_new_lines_and_survives_an_absent_server(server: FakeServer, run: Run) -> None:
    server.answer(
        f"GET {BASE}/churn/served-models/churn-1/logs",
        {"logs": "1\n2\n"},
        {"logs": "1\n2\n3\n"},
        AWAY,
        AWAY,
        {"logs": "2\n3\n4\n"},
        GONE,
    )
    ran = run("serving-endpoints", "logs", "churn", "churn-1", "--follow", "--interval", "0.01")
    assert ran.out == "1\n2\n3\n4\n"
    assert ran.code == 1
    assert ran.err == (
        "waiting for the server: starting (TEMPORARILY_UNAVAILABLE)\nError: gone (RESOURCE_DOES_NOT_EXIST)\n"
    )


def test_following_all_served_models_heads_their_lines(server: FakeServer, run: Run) -> None:
    server.answer(f"GET {BASE}/churn", two_entities(), two_entities(), GONE)
    server.answer(f"GET {BASE}/churn/served-models/churn-1/logs", {"logs": "a\n"})
    server.answer(f"GET {BASE}/churn/served-models/churn-2/logs", {"logs": ""}, {"logs": "b\n"})
    ran = run("serving-endpoints", "logs", "churn", "-f", "--interval", "0.01")
    assert ran.out == "==> churn-1 <==\na\n\n==> churn-2 <==\nb\n"


@given(st.lists(st.integers(), unique=True), st.data())
def test_no_new_line_is_lost_or_repeated_whatever_is_rotated_or_inserted(
    numbers: list[int], data: st.DataObject
) -> None:
    lines = [str(number) for number in numbers]
    old = data.draw(st.sets(st.sampled_from(lines)) if lines else st.just(set()))
    kept = data.draw(st.sets(st.sampled_from(sorted(old))) if old else st.just(set()))
    before = [line for line in lines if line in old]
    now = [line for line in lines if line not in old or line in kept]
    assert new_lines("\n".join(before), "\n".join(now)) == [line for line in lines if line not in old]
