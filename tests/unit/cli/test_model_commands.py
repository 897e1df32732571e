from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_server import FakeServer

BASE = "/api/2.0/mlflow/unity-catalog"
UC = "/api/2.1/unity-catalog"


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


def test_a_model_is_described_with_owner_aliases_tags_and_versions(server: FakeServer, run: Run) -> None:
    aliases, tags = [{"alias_name": "Champion", "version_num": 3}], [{"key": "team", "value": "crm"}]
    model = {"full_name": "main.default.a", "owner": "ann", "aliases": aliases, "tags": tags}
    server.answer(f"GET {UC}/models/main.default.a", model)
    server.answer(f"GET {UC}/models/main.default.a/versions", {"model_versions": [{"version": 3, "status": "READY"}]})
    out = run("models", "describe", "main.default.a", "-o", "text").out
    assert ["owner", "ann"] in [line.split() for line in out.splitlines()]
    assert "Champion=3" in out and "team=crm" in out and "READY" in out
    assert json.loads(run("models", "describe", "main.default.a").out)["versions"][0]["version"] == 3


def test_a_model_is_changed_by_what_was_given_only(server: FakeServer, run: Run) -> None:
    server.answer(f"PATCH {UC}/models/main.default.a", {"full_name": "main.default.a", "owner": "crm"})
    assert run("models", "update", "main.default.a", "--owner", "crm").code == 0
    assert server.asked[0].body == {"owner": "crm"}
    assert "nothing to change" in run("models", "update", "main.default.a").err


@pytest.mark.parametrize(
    ("command", "asked", "body", "said"),
    [
        (["models", "delete", "a.b.c"], f"DELETE {UC}/models/a.b.c", None, "a.b.c is deleted"),
        (
            ["models", "delete", "a.b.c", "2"],
            f"DELETE {UC}/models/a.b.c/versions/2",
            None,
            "a.b.c version 2 is deleted",
        ),
        (["models", "delete-alias", "a.b.c", "X"], f"DELETE {UC}/models/a.b.c/aliases/X", None, "a.b.c@X is deleted"),
        (
            ["models", "set-tag", "a.b.c", "k", "v"],
            f"PATCH {UC}/securable-tags/FUNCTION/a.b.c",
            {"changes": {"add_tags": [{"key": "k", "value": "v"}]}},
            "a.b.c has the tag k=v",
        ),
        (
            ["models", "delete-tag", "a.b.c", "k", "--version", "2"],
            f"PATCH {UC}/subentity-tags/FUNCTION/a.b.c/2",
            {"changes": {"remove": ["k"]}},
            "a.b.c version 2 has no tag k",
        ),
        (["catalogs", "delete", "a", "--force"], f"DELETE {UC}/catalogs/a", {"force": True}, "a is deleted"),
        (["schemas", "delete", "a.b"], f"DELETE {UC}/schemas/a.b", {"force": False}, "a.b is deleted"),
    ],
)
def test_commands_send_what_they_say(
    server: FakeServer, run: Run, command: Any, asked: str, body: Any, said: str
) -> None:
    server.answer(asked, {})
    ran = run(*command)
    assert (ran.code, ran.err) == (0, said + "\n")
    assert server.asked[0].body == body


def test_catalogs_and_schemas_are_listed_and_made(server: FakeServer, run: Run) -> None:
    server.answer(f"GET {UC}/catalogs", {"catalogs": [{"full_name": "main", "owner": "admin"}], "next_page_token": "2"})
    server.answer(f"GET {UC}/catalogs?page_token=2", {"catalogs": [{"full_name": "shop"}]})
    assert [line.split()[0] for line in run("catalogs", "list", "-o", "text").out.splitlines()] == [
        "NAME",
        "main",
        "shop",
    ]
    server.answer(f"GET {UC}/schemas", {"schemas": [{"full_name": "shop.buyers", "comment": "c"}]})
    assert "shop.buyers" in run("schemas", "list", "shop", "-o", "text").out
    server.answer(f"POST {UC}/catalogs", {"full_name": "new"})
    run("catalogs", "create", "new", "--comment", "c")
    server.answer(f"POST {UC}/schemas", {"full_name": "new.one"})
    run("schemas", "create", "new.one")
    assert [asked.body for asked in server.asked[-2:]] == [
        {"name": "new", "comment": "c"},
        {"catalog_name": "new", "name": "one", "comment": None},
    ]
    assert "give two levels" in run("schemas", "create", "one").err
