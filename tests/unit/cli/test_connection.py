from __future__ import annotations

from pathlib import Path

import pytest

from headgate.cli import connection
from headgate.cli.connection import Wanted
from headgate.cli.problems import CliError

FILE = "[DEFAULT]\nhost = https://default\ntoken = t0\n\n[prod]\nhost = https://prod/\ntoken = 100%\n\n[half]\nhost=h.example\n"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "profiles"
    path.write_text(FILE)
    return {"DATABRICKS_CONFIG_FILE": str(path)}


def found(wanted: Wanted, environ: dict[str, str]) -> tuple[str, str]:
    made = connection.resolve(wanted, environ)
    return made.host, made.token


def test_without_anything_else_the_default_profile_is_used(environ: dict[str, str]) -> None:
    assert found(Wanted(), environ) == ("https://default", "t0")


def test_the_environment_wins_over_the_default_profile(environ: dict[str, str]) -> None:
    environ |= {"DATABRICKS_HOST": "http://127.0.0.1:1", "DATABRICKS_TOKEN": "t1"}
    assert found(Wanted(), environ) == ("http://127.0.0.1:1", "t1")


def test_a_named_profile_wins_over_the_environment(environ: dict[str, str]) -> None:
    environ |= {"DATABRICKS_HOST": "http://127.0.0.1:1", "DATABRICKS_TOKEN": "t1"}
    assert found(Wanted(profile="prod"), environ) == ("https://prod", "100%")


def test_options_win_over_everything(environ: dict[str, str]) -> None:
    environ |= {"DATABRICKS_HOST": "http://127.0.0.1:1", "DATABRICKS_TOKEN": "t1"}
    assert found(Wanted(host="https://other", token="t2", profile="prod"), environ) == ("https://other", "t2")


def test_the_environment_may_name_the_profile(environ: dict[str, str]) -> None:
    environ["DATABRICKS_CONFIG_PROFILE"] = "prod"
    assert found(Wanted(), environ) == ("https://prod", "100%")


def test_the_default_profiles_token_never_goes_to_another_host(environ: dict[str, str]) -> None:
    with pytest.raises(CliError, match="no token given"):
        connection.resolve(Wanted(host="https://other"), environ)


def test_a_profile_does_not_inherit_from_default(environ: dict[str, str]) -> None:
    with pytest.raises(CliError, match="no token given"):
        connection.resolve(Wanted(profile="half"), environ)


def test_an_unknown_profile_is_told_with_those_there_are(environ: dict[str, str]) -> None:
    with pytest.raises(CliError, match=r"no profile \[dev\]; it has: DEFAULT, prod, half"):
        connection.resolve(Wanted(profile="dev"), environ)


def test_nothing_at_all_names_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="set DATABRICKS_HOST"):
        connection.resolve(Wanted(), {"DATABRICKS_CONFIG_FILE": str(tmp_path / "absent")})


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("localhost:8080", "http://localhost:8080"),
        ("127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("models.example.com", "https://models.example.com"),
        ("http://models.example.com//", "http://models.example.com"),
    ],
)
def test_a_host_without_scheme_is_http_only_on_this_machine(given: str, url: str) -> None:
    assert connection.resolve(Wanted(host=given, token="t"), {}).host == url


def test_the_token_is_not_in_the_representation() -> None:
    assert "hidden" not in repr(connection.resolve(Wanted(host="h", token="hidden"), {}))
