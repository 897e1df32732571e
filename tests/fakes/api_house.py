"""The REST application on a real SQLite store with a registry of made-up models, for the tests of the API.

The test plays control: `activate` and `fail` write what became of an endpoint's newest generation.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn

from headgate import errors
from headgate.access import bootstrap
from headgate.access.audit import AuditLog
from headgate.access.directory import DirectorySource, Follower
from headgate.access.model_rights import ModelRights
from headgate.access.oauth import server as oauth_server
from headgate.access.principals import Authenticator
from headgate.access.rights import Rights
from headgate.access.sealing import Keyring, Sealer
from headgate.access.secrets import Vault
from headgate.api.app import create_app
from headgate.api.dependencies import ApiDependencies
from headgate.api.oauth import families as oauth_families
from headgate.clock import SystemClock
from headgate.domain.environment import EnvironmentSpec, ModelDescription
from headgate.settings import Settings
from headgate.store import schema
from headgate.store.audit import AuditEvents
from headgate.store.database import Database
from headgate.store.endpoints import Endpoints
from headgate.store.grants import Grants
from headgate.store.identities import Identities
from headgate.store.replicas import Replicas
from headgate.store.secrets import Secrets
from headgate.store.servers import Servers
from headgate.telemetry.counting import Metrics

TOKEN = "token-of-ada"
SEALER = Sealer(Keyring([bytes(32)]))
WORKSPACE_ID = "1234567890123456"
ENDPOINTS = "/api/2.0/serving-endpoints"
SIGNATURE = json.dumps(
    {
        "inputs": json.dumps([{"type": "double", "name": "age", "required": True}]),
        "outputs": json.dumps([{"type": "long", "required": True}]),
        "params": None,
    }
)


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)

    @property
    def error(self) -> tuple[int, str, str]:
        """Status, code and message; asserts that the body has nothing else."""
        assert set(self.body) == {"error_code", "message"}
        return self.status, self.body["error_code"], self.body["message"]


@dataclass
class Models:
    """A registry: (name, version) -> signature, and aliases."""

    signatures: dict[tuple[str, str], str] = field(default_factory=dict)
    aliases: dict[tuple[str, str], str] = field(default_factory=dict)

    def resolve(self, name: str, version: str) -> str:
        found = self.aliases.get((name, version)) if version.startswith("@") else version
        if found is None or (name, found) not in self.signatures:
            raise errors.ResourceDoesNotExist(f"Model version {name} {version} does not exist; register it first.")
        return found

    def describe(self, name: str, version: str) -> ModelDescription:
        spec = EnvironmentSpec("3.11", (f"{name}=={version}",))
        return ModelDescription(
            name, version, "/nowhere", spec, ("python_function",), self.signatures[(name, self.resolve(name, version))]
        )


class ApiHouse:
    """The app and everything behind it."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.database = Database(f"sqlite:///{folder / 'headgate.db'}")
        schema.metadata.create_all(self.database.engine)
        self.endpoints = Endpoints(self.database)
        self.replicas = Replicas(self.database)
        self.servers = Servers(self.database)
        self.identities = Identities(self.database)
        self.audit = AuditLog(
            AuditEvents(self.database), SystemClock(), 3600.0, Metrics(folder / "metrics", "server-0")
        )
        settings = Settings(data_dir=folder, admin_user="ada", admin_token=TOKEN)
        bootstrap.ensure_administrator(self.database, settings, SEALER, SystemClock())
        self.admin_token_id = bootstrap.admin_token_id(bootstrap.own_house(settings).id)
        self.models = Models()
        for name in ("main.default.churn", "main.default.fraud"):
            for version in ("1", "2", "3"):
                self.models.signatures[(name, version)] = SIGNATURE
        self.models.aliases[("main.default.churn", "@Champion")] = "2"
        self.service_logs: dict[tuple[str, str], str] = {}
        self.build_logs: dict[str, str] = {}
        families = {key: changes.pop(key, ()) for key in ("families", "open_families")}
        dependencies = self._dependencies(changes.pop("settings", settings), **changes)
        closed = [*families["families"], *oauth_families.closed(self.oauth)]
        opened = [*families["open_families"], *oauth_families.opened(self.oauth)]
        self.app = create_app(dependencies, closed, opened)

    def _dependencies(self, settings: Settings, **changes: Any) -> ApiDependencies:
        follower = Follower(DirectorySource(self.identities.revision, self.identities.read))
        clock = changes.get("clock") or SystemClock()
        key = bootstrap.token_hash_key(self.database, SEALER)
        place = oauth_server.Place(settings, self.database, SEALER, clock, WORKSPACE_ID, key)
        verified = oauth_server.verification(place)
        authenticator = Authenticator(key, follower.refresh, clock, verified.tokens.verify)
        level = Rights(Grants(self.database)).endpoint_level
        others = oauth_server.Others(authenticator, follower.refresh, follower.refresh, level)
        self.oauth = oauth_server.build(place, verified, others)
        known = {
            "authenticator": authenticator,
            "directory": follower.refresh,
            "identities": self.identities,
            "endpoints": self.endpoints,
            "grants": Grants(self.database),
            "audit": self.audit,
            "model_rights": ModelRights(self.database),
            "replicas": self.replicas,
            "servers": self.servers,
            "vault": Vault(Secrets(self.database), SEALER, SystemClock()),
            "resolve": self.models.resolve,
            "describe": self.models.describe,
            "service_logs": lambda *of: self.service_logs.get(of, ""),
            "build_logs": lambda environment: self.build_logs.get(environment, ""),
            "metrics": lambda name: f'request_count_total{{endpoint="{name}"}} 0\n',
            "clock": SystemClock(),
            "workspace_id": WORKSPACE_ID,
            "admin_token_id": self.admin_token_id,
        }
        return ApiDependencies(**{**known, **changes})

    def close(self) -> None:
        self.database.close()

    # -- the client ----------------------------------------------------------------------------------------------

    def request(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        """One request. `body` is sent as JSON unless it is bytes; options: `headers`, `token`, `query`."""
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        headers = {"host": "headgate.test", **({"content-type": "application/json"} if body is not None else {})}
        token = options.get("token", TOKEN)
        if token:
            headers["authorization"] = f"Bearer {token}"
        headers.update(options.get("headers", {}))
        return asyncio.run(self._call(method, path, options.get("query", ""), headers, raw))

    def as_admin(self, method: str, path: str, body: Any = None) -> Any:
        """The parsed answer to a call that must succeed; what `tests.fakes.callers` is given."""
        answer = self.request(method, path, body)
        assert answer.status < 300, answer.raw
        return answer.body if answer.raw else {}

    async def _call(self, method: str, path: str, query: str, headers: dict[str, str], raw: bytes) -> Answer:
        sent: list[Any] = []
        pieces = [{"type": "http.request", "body": raw, "more_body": False}]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("headgate.test", 80),
        }

        async def receive() -> Any:
            return pieces.pop(0) if pieces else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        found = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], found, b"".join(message.get("body", b"") for message in sent[1:]))

    def create(self, name: str, *entities: dict[str, Any], **more: Any) -> Answer:
        """Creates an endpoint; without entities, one of main.default.churn version 1."""
        entities = entities or ({"entity_name": "main.default.churn", "entity_version": "1"},)
        config: dict[str, Any] = {"served_entities": list(entities)}
        if "traffic_config" in more:
            config["traffic_config"] = more.pop("traffic_config")
        return self.request("POST", ENDPOINTS, {"name": name, "config": config, **more})

    def get(self, name: str, *more: str) -> Answer:
        return self.request("GET", "/".join((ENDPOINTS, name, *more)))

    # -- the test plays control ----------------------------------------------------------------------------------

    def activate(self, name: str, locks: dict[str, str] | None = None) -> None:
        """The newest generation serves."""
        endpoint = self.endpoints.get(name)
        assert endpoint.wanted is not None
        assert self.endpoints.activate(endpoint.id, endpoint.wanted.number, locks or {})

    def fail(self, name: str, message: str, **entity_messages: str) -> None:
        """The newest generation could not be deployed."""
        endpoint = self.endpoints.get(name)
        assert endpoint.wanted is not None
        told = {entity.replace("_", "-"): text for entity, text in entity_messages.items()}
        assert self.endpoints.fail(endpoint.id, endpoint.wanted.number, message, told)

    # -- a real port ---------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def serving(self) -> Iterator[str]:
        """The base URL of the app on a port of its own, for clients that need one."""
        listening = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(self.app, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + 20
        while not server.started:
            assert time.monotonic() < deadline and thread.is_alive(), "the server did not start"
            time.sleep(0.005)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)
            listening.close()
            assert not thread.is_alive(), "the server did not stop"
