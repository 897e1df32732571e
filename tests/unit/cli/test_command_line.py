from __future__ import annotations

import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
import typer
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_server import FakeServer, endpoint

import headgate
from headgate import house
from headgate.cli import session
from headgate.cli.main import main
from headgate.cli.waiting import duration_s

BASE = "/api/2.0/serving-endpoints"


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Stands where the house would be, and keeps the settings it was started with."""
    started: list[object] = []

    def serve(settings: object) -> int:
        started.append(settings)
        return 7

    monkeypatch.setitem(sys.modules, "headgate.app", types.SimpleNamespace(serve=serve))
    monkeypatch.setattr(headgate, "app", sys.modules["headgate.app"], raising=False)
    return started


def test_serve_hands_its_options_as_settings_and_exits_with_the_houses_code(
    served: list, run: Run, tmp_path: Path
) -> None:
    data = str(tmp_path / "d")
    words = ("--host", "0.0.0.0", "--port", "0", "--data-dir", data, "--workers", "2", "--env", "local")
    assert run("serve", *words, "--set", "scaling.idle_s=5").code == 7
    (made,) = served
    assert (made.host, made.port, str(made.data_dir), made.workers) == ("0.0.0.0", 0, data, 2)
    assert (made.environments.mode, made.scaling.idle_s) == ("local", 5.0)


def test_serve_reads_the_settings_file_it_is_given(served: list, run: Run, tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text("port = 9\n[limits]\nshutdown_s = 3\n")
    run("serve", "--config", "my.toml", "--port", "10")
    assert (served[0].port, served[0].limits.shutdown_s) == (10, 3.0)


def test_serve_refuses_settings_that_do_not_exist(served: list, run: Run) -> None:
    ran = run("serve", "--set", "prot=1")
    assert (ran.code, served) == (1, [])
    assert ran.err.startswith("Error: unknown setting prot")


def test_a_house_that_cannot_serve_says_why(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def serve(settings: object) -> int:
        raise house.CannotServe("another server uses this data directory")

    monkeypatch.setitem(sys.modules, "headgate.app", types.SimpleNamespace(serve=serve))
    monkeypatch.setattr(headgate, "app", sys.modules["headgate.app"], raising=False)
    ran = run("serve")
    assert (ran.code, ran.err) == (1, "Error: another server uses this data directory\n")


def test_serve_refuses_a_setting_without_value(served: list, run: Run) -> None:
    assert run("serve", "--set", "port").code == 2


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("20m", 1200), ("1h30m", 5400), ("0.5", 0.5)])
def test_durations(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "5x", "-1", "1m1h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        duration_s(text)


def test_endpoint_names_complete_in_the_shell(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answer(f"GET {BASE}", {"endpoints": [endpoint("churn"), endpoint("cheap"), endpoint("fraud")]})
    monkeypatch.setenv("_HEADGATE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "headgate serving-endpoints get ch")
    monkeypatch.setenv("COMP_CWORD", "3")
    with pytest.raises(SystemExit):
        main([])
    assert capsys.readouterr().out.split() == ["churn", "cheap"]


def test_completion_is_silent_without_a_server(run: Run) -> None:
    context = types.SimpleNamespace(params={"host": None, "token": None, "profile": None})
    assert session.complete_endpoint(context, "") == []  # type: ignore[arg-type]


def test_client_commands_import_no_server() -> None:
    heavy = ("requests", "fastapi", "sqlalchemy", "uvicorn", "pydantic", "mlflow", "asyncio")
    code = f"import sys, headgate.cli.main; print([name for name in {heavy!r} if name in sys.modules])"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
        env={**os.environ, "PYTHONPATH": str(Path(headgate.__file__).parents[1])},
    )
    assert ran.stdout.strip() == "[]"


def test_the_version_is_printed(run: Run) -> None:
    assert run("--version").out == f"headgate {headgate.__version__}\n"


@pytest.mark.parametrize(
    "words", [("fly",), ("serving-endpoints", "get", "--what"), ("serving-endpoints", "create", "x")]
)
def test_wrong_usage_exits_with_2(run: Run, words: tuple[str, ...]) -> None:
    assert run(*words).code == 2


def test_no_server_named_fails_with_what_to_set(run: Run) -> None:
    ran = run("serving-endpoints", "list")
    assert ran.code == 1
    assert ran.err.startswith("Error: no server given: set DATABRICKS_HOST")
