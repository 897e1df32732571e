from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from tools import generate_docs
from tools.reference import command_line, error_codes, routes, sdk_coverage

from headgate import settings, web
from headgate.access.sealing import Keyring, Sealer
from headgate.api import app as api_app
from headgate.gateway import paths
from headgate.store import schema
from headgate.store.database import Database
from headgate.telemetry import metrics


def written(name: str) -> str:
    return (generate_docs.FOLDER / name).read_text()


def test_no_reference_page_is_stale() -> None:
    assert generate_docs.stale() == [], "run `make docs`"


def test_a_stale_page_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(generate_docs.PAGES, "errors.md", lambda: "something else")
    assert generate_docs.stale() == ["errors.md"]


@pytest.mark.parametrize("variable", [variable for _, _, variable in settings.variables()])
def test_every_setting_is_documented(variable: str) -> None:
    (row,) = [line for line in written("settings.md").splitlines() if f"`{variable}`" in line and line.startswith("|")]
    assert len(row.split("|")[4].split()) >= 2, "its meaning is missing"


@pytest.mark.parametrize("name", list(metrics.ALL))
def test_every_metric_is_documented(name: str) -> None:
    assert f"| `{name}` |" in written("metrics.md")


@pytest.mark.parametrize("name", list(command_line.commands()))
def test_every_command_is_documented_with_all_its_options(name: str) -> None:
    page = written("cli.md")
    section = page.split(f"## `{name}`")[1].split("\n## ")[0] + page.split("\n## ")[1]
    command = command_line.commands()[name]
    assert command.help
    assert [option for option in command_line.options(command) if f"`{option}`" not in section] == []


def test_the_seed_forms_are_documented_as_aliases() -> None:
    assert "`headgate serving-endpoints get` (also `get-status`)" in written("cli.md")
    assert "`headgate serving-endpoints export-metrics` (also `get-metrics`)" in written("cli.md")


def test_every_route_is_documented() -> None:
    page = written("routes.md").replace("}", "").replace("{", "")
    missing = [
        route
        for route in routes.all_routes()
        if f"| {route.method} | `{route.path.replace(':path}', '}').replace('{', '').replace('}', '')}` |" not in page
    ]
    assert missing == []


def test_the_documented_routes_are_those_of_the_server_as_it_is_composed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Any] = []

    def create_app(*arguments: Any) -> Any:
        built.append(api_app.create_app(*arguments))
        return built[0]

    monkeypatch.setattr(web, "create_app", create_app)
    loaded = settings.load({"data_dir": tmp_path}, environ={})
    database = Database(loaded.database_url)
    schema.upgrade(database)
    shared = web.Shared(loaded, database, *[MagicMock()] * 4, Sealer(Keyring([bytes(32)])), *[MagicMock()] * 4)
    web.front(shared, MagicMock())
    database.close()
    served = {(method, route.path) for route in built[0].state.routes for method in route.methods - {"HEAD"}}
    assert served == {(route.method, route.path) for route in routes.all_routes()[len(routes.DATA_PLANE) :]}


def test_every_documented_inference_route_leads_somewhere() -> None:
    documented = [(route.method, route.path) for route in routes.DATA_PLANE if route.family == "Inference"]
    assert documented == list(paths.ROUTES)
    for method, path in documented:
        asked = paths.within_workspace(path, "/{workspace_id}/serving-endpoints/")
        found = paths.target(method, asked)
        assert found.api == (paths.MODELS if method == "GET" else paths.BY_BODY.get(path, "invocations"))


@pytest.mark.parametrize("kind", list(error_codes.classes()))
def test_every_error_is_documented(kind: type) -> None:
    assert f"| {kind.http_status} | `{kind.error_code}` |" in written("errors.md")


@pytest.mark.parametrize("method", list(sdk_coverage.operations()))
def test_the_coverage_page_claims_what_the_routes_have(method: str) -> None:
    """A row claims `yes` exactly where the request that the SDK makes meets a route that works."""
    rows = [line for line in written("sdk-coverage.md").splitlines() if line.startswith(f"| `{method}` |")]
    assert len(rows) <= 1
    if rows:
        assert rows[0].endswith("| yes |") == sdk_coverage.is_implemented(sdk_coverage.operations()[method])


def test_a_route_that_answers_not_yet_is_not_implemented() -> None:
    assert not sdk_coverage.is_implemented(("POST", "/api/2.0/serving-endpoints/pt"))
    assert sdk_coverage.is_implemented(("PUT", "/api/2.0/serving-endpoints/{n}/config"))


def test_a_wrong_claim_makes_the_coverage_page_stale() -> None:
    true = sdk_coverage.page()
    assert sdk_coverage.agrees(true, true)
    assert not sdk_coverage.agrees(true.replace("| yes |", "| not yet |", 1), true)
    assert not sdk_coverage.agrees("", true)


def test_the_coverage_page_may_lack_what_only_a_newer_sdk_has() -> None:
    lines = sdk_coverage.page().splitlines(keepends=True)
    older = "".join(line for line in lines if not line.startswith("| `logs` |"))
    assert sdk_coverage.agrees(older, "".join(lines))
