from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from tests.unit.cli.conftest import Ran, Run
from tests.unit.cli.fake_server import Answer, FakeServer

from headgate import settings
from headgate.cli import checks
from headgate.cli.checks import Verdict


@pytest.fixture(autouse=True)
def a_free_port(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HEADGATE_PORT", "0")
    monkeypatch.setenv("HEADGATE_DATA_DIR", str(tmp_path / "data"))


@pytest.fixture
def only_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out what another test looks at and takes a second."""
    monkeypatch.setattr(checks, "MACHINE", {})


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
