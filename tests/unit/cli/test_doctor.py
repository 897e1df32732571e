from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from tests.unit.cli.conftest import Ran, Run
from tests.unit.cli.fake_server import Answer, FakeServer

from headgate import settings
from headgate.cli import checks, doctor, surroundings
from headgate.cli.checks import Verdict
from headgate.store import schema
from headgate.store.database import Database


@pytest.fixture(autouse=True)
def a_free_port(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HEADGATE_PORT", "0")
    monkeypatch.setenv("HEADGATE_DATA_DIR", str(tmp_path / "data"))


@pytest.fixture
def only_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out what another test looks at and takes a second."""
    monkeypatch.setattr(checks, "MACHINE", {})
    monkeypatch.setattr(doctor, "SURROUNDINGS", {})


def verdicts(ran: Ran) -> dict[str, str]:
    return {row["check"]: row["verdict"] for row in json.loads(ran.out)}


def test_a_machine_without_a_server_named_passes(run: Run) -> None:
    ran = run("doctor", "-o", "json")
    assert ran.code == 0
    assert verdicts(ran)["server"] == "skipped"
    assert {name: verdict for name, verdict in verdicts(ran).items() if verdict == "broken"} == {}


@pytest.mark.usefixtures("only_the_server")
def test_a_healthy_server_and_a_good_token_are_found(server: FakeServer, run: Run) -> None:
    server.answer("GET /health", {"status": "ok"})
    server.answer("GET /api/2.0/preview/scim/v2/Me", {"userName": "admin"})
    ran = run("doctor", "-o", "json")
    assert (ran.code, verdicts(ran)["server"], verdicts(ran)["token"]) == (0, "ok", "ok")


@pytest.mark.usefixtures("only_the_server")
def test_a_wrong_token_is_broken_and_never_printed(server: FakeServer, run: Run) -> None:
    server.answer("GET /health", {"status": "ok"})
    server.answer("GET /api/2.0/preview/scim/v2/Me", Answer({"error_code": "UNAUTHENTICATED", "message": "no"}, 401))
    ran = run("doctor", "-o", "text")
    assert ran.code == 1
    assert "set DATABRICKS_TOKEN" in ran.out
    assert "tell-nobody" not in ran.out + ran.err


@pytest.mark.usefixtures("only_the_server")
def test_an_unreachable_server_is_broken(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        ran = run("doctor", "-o", "json", "--host", f"127.0.0.1:{taken.getsockname()[1]}", "--token", "t")
    assert (ran.code, verdicts(ran)["server"]) == (1, "broken")


@pytest.mark.usefixtures("only_the_server")
def test_a_settings_file_that_cannot_be_read_is_broken(run: Run, tmp_path: Path) -> None:
    (tmp_path / "headgate.toml").write_text("prot = 1\n")
    ran = run("doctor", "-o", "json")
    assert (ran.code, verdicts(ran)["settings"]) == (1, "broken")


@pytest.mark.parametrize("name", ["admin-token", "secret-key"])
def test_a_token_or_key_file_others_may_read_is_broken(run: Run, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    (folder / name).write_text("x")
    (folder / name).chmod(0o644)
    found = checks.data_dir(settings.load())
    assert (found.verdict, found.advice) == (Verdict.broken, f"chmod go= {folder / name}")


def test_a_taken_port_is_a_warning() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        found = checks.port(settings.load({"port": taken.getsockname()[1]}))
    assert found.verdict is Verdict.warning


def test_a_run_dir_too_long_for_sockets_is_broken(tmp_path: Path) -> None:
    assert checks.run_dir(settings.load({"run_dir": tmp_path / ("x" * 80)})).verdict is Verdict.broken


@pytest.mark.usefixtures("only_the_server")
def test_endpoints_that_guardrails_need_must_be_there_and_ready(
    server: FakeServer, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADGATE_GUARDRAILS_JUDGE_ENDPOINT", "judge")
    monkeypatch.setenv("HEADGATE_GUARDRAILS_EMBEDDINGS_ENDPOINT", "embed")
    server.answer("GET /health", {"status": "ok"})
    server.answer("GET /api/2.0/preview/scim/v2/Me", {"userName": "admin"})
    state = {"ready": "READY", "config_update": "NOT_UPDATING"}
    server.answer("GET /api/2.0/serving-endpoints/embed", {"state": state})
    missing = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Endpoint judge does not exist."}
    server.answer("GET /api/2.0/serving-endpoints/judge", Answer(missing, 404))
    ran = run("doctor", "-o", "json")
    assert (ran.code, verdicts(ran)["judge_endpoint"], verdicts(ran)["embeddings_endpoint"]) == (1, "broken", "ok")
    server.answer("GET /api/2.0/serving-endpoints/judge", {"state": {**state, "ready": "NOT_READY"}})
    assert "judge is NOT_READY" in run("doctor", "-o", "text").out
    server.answer("GET /api/2.0/serving-endpoints/judge", {"state": state})
    assert run("doctor").code == 0


def test_a_database_that_is_there_of_another_version_or_another_time_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    loaded = settings.load()
    assert "will be created" in surroundings.database(loaded).found and not (tmp_path / "data" / "headgate.db").exists()
    made = Database(loaded.database_url)
    schema.upgrade(made)
    assert surroundings.database(loaded).verdict is Verdict.ok
    look = schema.look(loaded.database_url)
    with made.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    made.close()
    assert "newer Headgate" in surroundings.database(loaded).found
    monkeypatch.setattr(schema, "look", lambda _: schema.Look(look.revision, look.known, -2500))
    assert "differs from its by 2.5 s" in surroundings.database(loaded).found


@pytest.mark.parametrize(
    "url", ["postgresql+psycopg://me:hush@127.0.0.1:1/x", "me:hush", "postgresql+nothing://me:hush@h/x"]
)
def test_a_database_that_cannot_be_used_is_broken_and_its_password_never_shown(url: str) -> None:
    found = surroundings.database(settings.load({"database_url": url}))
    assert found.verdict is Verdict.broken and found.advice and "hush" not in found.found + found.advice


@pytest.mark.parametrize("url", ["redis://:hush@127.0.0.1:1/0", "rredis://:hush@h/0"])
def test_a_redis_that_cannot_be_used_is_broken_and_its_password_never_shown(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADGATE_RATE_LIMITS_REDIS_URL", url)
    found = surroundings.redis(settings.load())
    assert found.verdict is Verdict.broken and found.advice and "hush" not in found.found + found.advice


def test_missing_parts_of_tables_are_named_and_a_setting_that_cannot_be_is_broken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert surroundings.tables(settings.load()).verdict is Verdict.ok
    monkeypatch.setenv("HEADGATE_WAREHOUSE_DURABILITY", "hopefully")
    assert surroundings.tables(settings.load()).verdict is Verdict.broken
    monkeypatch.setattr("headgate.warehouse.presence.missing", lambda: "they need duckdb")
    assert surroundings.tables(settings.load()).verdict is Verdict.skipped
