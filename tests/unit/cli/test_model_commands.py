from __future__ import annotations

import json
from pathlib import Path

from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_server import FakeServer

BASE = "/api/2.0/mlflow/unity-catalog"


def test_models_are_listed_over_all_pages(server: FakeServer, run: Run) -> None:
    search = f"{BASE}/registered-models/search"
    server.answer(f"GET {search}", {"registered_models": [{"name": "main.default.a"}], "next_page_token": "2"})
    server.answer(f"GET {search}?page_token=2", {"registered_models": [{"name": "main.default.b"}]})
    ran = run("models", "list")
    assert [model["name"] for model in json.loads(ran.out)] == ["main.default.a", "main.default.b"]


def test_models_as_text_show_their_aliases(server: FakeServer, run: Run) -> None:
    model = {"name": "main.default.a", "aliases": [{"alias": "Champion", "version": "3"}]}
    server.answer(f"GET {BASE}/registered-models/search", {"registered_models": [model]})
    assert "main.default.a   Champion=3" in run("models", "list", "-o", "text").out


def test_a_models_versions_are_listed_by_its_name(server: FakeServer, run: Run) -> None:
    server.answer(f"GET {BASE}/model-versions/search", {"model_versions": [{"version": "1", "status": "READY"}]})
    ran = run("models", "list", "main.default.a", "-o", "text")
    assert [line.split() for line in ran.out.splitlines()] == [["VERSION", "STATUS", "DESCRIPTION"], ["1", "READY"]]


def test_set_alias_sends_model_alias_and_version(server: FakeServer, run: Run) -> None:
    server.answer(f"POST {BASE}/registered-models/alias", {})
    ran = run("models", "set-alias", "main.default.a", "Champion", "3")
    assert (ran.code, ran.err) == (0, "main.default.a@Champion is version 3\n")
    assert server.asked[0].body == {"name": "main.default.a", "alias": "Champion", "version": "3"}


def test_registering_a_folder_without_a_model_is_refused_before_anything_is_sent(
    server: FakeServer, run: Run, tmp_path: Path
) -> None:
    ran = run("models", "register", str(tmp_path), "main.default.a")
    assert ran.code == 1
    assert "has no file MLmodel" in ran.err
    assert server.asked == []
