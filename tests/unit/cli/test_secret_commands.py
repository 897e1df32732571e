from __future__ import annotations

import base64
import io
import json
import sys
from pathlib import Path

import pytest
from tests.unit.cli.conftest import Run
from tests.unit.cli.fake_server import FakeServer

from headgate import settings
from headgate.access import secret_key
from headgate.store import schema
from headgate.store.database import Database

BASE = "/api/2.0/secrets"


class Piped(io.TextIOWrapper):
    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content))


@pytest.mark.parametrize(
    ("piped", "sent"),
    [(b"va lue\n", b"va lue"), (b"value\r\n", b"value"), (b"two\nlines\n\n", b"two\nlines\n"), (b"", b"")],
)
def test_a_value_comes_from_standard_input(
    server: FakeServer, run: Run, monkeypatch: pytest.MonkeyPatch, piped: bytes, sent: bytes
) -> None:
    server.answer(f"POST {BASE}/put", {})
    monkeypatch.setattr(sys, "stdin", Piped(piped))
    ran = run("secrets", "put", "team", "key")
    assert (ran.code, ran.out) == (0, "") and "{{secrets/team/key}}" in ran.err
    [asked] = server.asked
    assert {**asked.body, "bytes_value": base64.b64decode(asked.body["bytes_value"])} == {
        "scope": "team", "key": "key", "bytes_value": sent,
    }  # fmt: skip


def test_a_value_comes_from_a_file_byte_for_byte(server: FakeServer, run: Run, tmp_path: Path) -> None:
    server.answer(f"POST {BASE}/put", {})
    (tmp_path / "key.der").write_bytes(b"\x00\xff\n")
    assert run("secrets", "put-secret", "team", "key", "--file", "key.der").code == 0
    assert base64.b64decode(server.asked[0].body["bytes_value"]) == b"\x00\xff\n"
    assert run("secrets", "put", "team", "key", "--file", "nosuch").code == 2


def test_a_value_is_never_an_argument(server: FakeServer, run: Run) -> None:
    ran = run("secrets", "put", "team", "key", "the-value")
    assert ran.code == 2 and server.asked == []


def test_a_secret_is_shown(server: FakeServer, run: Run) -> None:
    server.answer(f"GET {BASE}/get", {"key": "k", "value": base64.b64encode("wört".encode()).decode()})
    assert run("secrets", "get", "team", "k", "-o", "text").out == "wört"
    assert json.loads(run("secrets", "get", "team", "k").out)["value"] == "d8O2cnQ="


def test_scopes_and_keys_are_listed(server: FakeServer, run: Run) -> None:
    server.answer(f"GET {BASE}/scopes/list", {"scopes": [{"name": "team", "backend_type": "DATABRICKS"}]})
    server.answer(f"GET {BASE}/list", {"secrets": [{"key": "k", "last_updated_timestamp": 1520467595000}]})
    assert run("secrets", "list-scopes", "-o", "text").out.split() == ["SCOPE", "team"]
    assert run("secrets", "list", "team", "-o", "text").out.split() == ["KEY", "UPDATED", "k", "2018-03-08", "00:06:35"]


def test_scopes_and_secrets_are_made_and_deleted(server: FakeServer, run: Run) -> None:
    for path in ("scopes/create", "scopes/delete", "delete"):
        server.answer(f"POST {BASE}/{path}", {})
    run("secrets", "create-scope", "team")
    run("secrets", "create-scope", "ours", "--initial-manage-principal", "users")
    run("secrets", "delete", "team", "k")
    run("secrets", "delete-scope", "team")
    assert [asked.body for asked in server.asked] == [
        {"scope": "team"},
        {"scope": "ours", "initial_manage_principal": "users"},
        {"scope": "team", "key": "k"},
        {"scope": "team"},
    ]


def test_permissions_are_given_shown_and_taken(server: FakeServer, run: Run) -> None:
    acl = {"principal": "ada", "permission": "READ"}
    server.answer(f"POST {BASE}/acls/put", {})
    server.answer(f"POST {BASE}/acls/delete", {})
    server.answer(f"GET {BASE}/acls/list", {"items": [acl], "acls": [acl]})
    server.answer(f"GET {BASE}/acls/get", acl)
    assert run("secrets", "acls", "put", "team", "ada", "read").code == 0
    assert server.asked[0].body == {"scope": "team", **acl}
    for command in (("list", "team"), ("get", "team", "ada")):
        assert run("secrets", "acls", *command, "-o", "text").out.split() == ["PRINCIPAL", "PERMISSION", "ada", "READ"]
    assert "no permission of its own" in run("secrets", "acls", "delete", "team", "ada").err


def test_the_key_is_replaced_on_the_servers_machine(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEADGATE_SECRET_KEY", raising=False)
    loaded = settings.load({"data_dir": tmp_path / "data"}, environ={})
    loaded.data_dir.mkdir()
    assert "no key to replace" in run("secrets", "rotate-key", "--data-dir", str(loaded.data_dir)).err
    secret_key.write_keys(loaded.data_dir / "secret-key", [b"k" * 32])
    assert "start `headgate serve` once" in run("secrets", "rotate-key", "--data-dir", str(loaded.data_dir)).err
    database = Database(loaded.database_url)
    schema.upgrade(database)
    secret_key.ensure(database, loaded)
    database.close()
    ran = run("secrets", "rotate-key", "--data-dir", str(loaded.data_dir))
    kept = (loaded.data_dir / "secret-key").read_text()
    assert ran.code == 0 and "1 values were sealed anew" in ran.err
    assert kept.strip() not in ran.err and base64.b64decode(kept) != b"k" * 32
