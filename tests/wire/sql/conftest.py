"""Tables with requests of two endpoints, and two server processes' applications on real ports that answer SQL about them."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.fakes import callers
from tests.fakes.api_house import TOKEN, ApiHouse
from tests.fakes.callers import Caller
from tests.fakes.records import AT_MS, House, record

from headgate.access.model_rights import ModelRights
from headgate.access.rights import Rights
from headgate.access.table_rights import TableRights
from headgate.api import sql
from headgate.clock import SystemClock
from headgate.domain.endpoint import Endpoint
from headgate.domain.request_record import InferenceTable
from headgate.settings import WarehouseSettings
from headgate.store.database import Database
from headgate.store.endpoints import Endpoints
from headgate.store.grants import Grants
from headgate.store.inference_tables import InferenceTables
from headgate.warehouse.sql import shelf
from headgate.warehouse.sql.running import Queries
from headgate.warehouse.sql.statements import Statements
from headgate.warehouse.tables.places import Places

STATEMENTS = "/api/2.0/sql/statements"
CHURN, EMPTY = "c" * 32, "e" * 32
SETTINGS = WarehouseSettings(query_processes=2, query_s=600.0, commit_s=0.05)


@dataclass
class Server:
    """One of the server processes."""

    url: str
    kept: shelf.Shelf

    def ask(self, method: str, path: str, body: Any = None, token: str = TOKEN) -> tuple[int, Any]:
        """Status and parsed body."""
        raw = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data=raw, headers=headers, method=method)
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=100) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def execute(self, statement: str, token: str = TOKEN, **more: Any) -> Any:
        """The answer to a statement that is let in."""
        status, body = self.ask("POST", STATEMENTS, {"statement": statement, "wait_timeout": "50s", **more}, token)
        assert status == 200, body
        while "wait_timeout" not in more and body["status"]["state"] in ("PENDING", "RUNNING"):
            body = self.state(body["statement_id"], token)
        return body

    def rows(self, statement: str, token: str = TOKEN, **more: Any) -> list[list[str | None]]:
        """Of one that succeeds."""
        body = self.execute(statement, token, **more)
        assert body["status"] == {"state": "SUCCEEDED"}, body
        found: list[list[str | None]] = body["result"]["data_array"]
        return found

    def state(self, statement_id: str, token: str = TOKEN) -> Any:
        """The answer about a statement that there is."""
        status, body = self.ask("GET", f"{STATEMENTS}/{statement_id}", token=token)
        assert status == 200, body
        return body


@dataclass
class SqlHouse:
    """What the tests ask."""

    first: Server
    second: Server
    ann: Caller
    """Manages the endpoint `churn`, whose requests are in `main.default.churn_payload`."""
    bob: Caller
    """Has nothing."""
    folder: Path
    database: Database


def gateway(prefix: str) -> dict[str, Any]:
    table = {"catalog_name": "main", "schema_name": "default", "table_name_prefix": prefix, "enabled": True}
    return {"inference_table_config": table}


def furnish(folder: Path) -> None:
    """Ten requests to `churn`, and one of which nobody but an administrator knows."""
    house = House(folder)
    records = [record(f"r{number}", at_ms=AT_MS + number, status=(200, 429)[number % 2]) for number in range(10)]
    hidden = replace(record("hidden", endpoint_name="hidden"), inference_table=InferenceTable("main", "default", "old"))
    house.put(*records, hidden)
    house.load()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlHouse]:
    folder = tmp_path_factory.mktemp("sql-house")
    furnish(folder)
    with ExitStack() as held:
        servers, databases = [], []
        for _ in range(2):
            made, kept, database = _application(folder)
            held.callback(made.close)
            servers.append(Server(held.enter_context(made.serving()), kept))
            databases.append(database)
        ann, bob = (callers.user(made.as_admin, name) for name in ("ann@example.com", "bob@example.com"))
        for endpoint_id, name in ((CHURN, "churn"), (EMPTY, "empty")):
            endpoint = Endpoint(endpoint_id, name, ann.name, AT_MS, AT_MS, ai_gateway=gateway(name))
            Endpoints(databases[0]).create(endpoint, manager=ann.id)
        yield SqlHouse(servers[0], servers[1], ann, bob, folder, databases[0])


def _application(folder: Path) -> tuple[ApiHouse, shelf.Shelf, Database]:
    database, clock = Database(f"sqlite:///{folder / 'headgate.db'}"), SystemClock()
    kept = shelf.Shelf(folder / "statements", shelf.Limits(3600, 2**30), clock)
    running = Statements(Queries(Places(str(folder / "tables")), SETTINGS), kept, SETTINGS)
    rights = TableRights(InferenceTables(database), Rights(Grants(database)), ModelRights(database))
    return ApiHouse(folder, families=sql.routes(running, rights)), kept, database
