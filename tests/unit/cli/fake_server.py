"""A real HTTP server on a real socket with scripted answers, for commands to talk to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Answer:
    body: Any = field(default_factory=dict)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    body: Any
    headers: dict[str, str]
    query: str = ""


class FakeServer:
    """`answers[(method, path)]` is a list: one after the other, the last one again and again."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], list[Answer]] = {}
        self.asked: list[Asked] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.port = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def answer(self, request: str, *bodies: Any) -> None:
        """`answer("GET /path", body, …)`; a body that is not an Answer is one with status 200."""
        method, _, path = request.partition(" ")
        self.answers[(method, path)] = [body if isinstance(body, Answer) else Answer(body) for body in bodies]

    def requests(self, request: str) -> list[Asked]:
        method, _, path = request.partition(" ")
        return [one for one in self.asked if (one.method, one.path) == (method, path)]

    @contextmanager
    def running(self) -> Iterator[FakeServer]:
        thread = threading.Thread(target=lambda: self._http.serve_forever(poll_interval=0.01))
        thread.start()
        try:
            yield self
        finally:
            self._http.shutdown()
            thread.join(10)
            self._http.server_close()

    def _next(self, asked: Asked) -> Answer:
        self.asked.append(asked)
        left = self.answers.get((asked.method, asked.path))
        if not left:
            return Answer({"error_code": "ENDPOINT_NOT_FOUND", "message": f"No API found for {asked.path}"}, 404)
        return left.pop(0) if len(left) > 1 else left[0]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                path = self.path.partition("?")[0] if "page_token" not in self.path else self.path
                self._reply(
                    fake._next(Asked(self.command, path, body, dict(self.headers), self.path.partition("?")[2]))
                )

            def _reply(self, answer: Answer) -> None:
                raw = answer.body.encode() if isinstance(answer.body, str) else json.dumps(answer.body).encode()
                self.send_response(answer.status)
                for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler


def endpoint(
    name: str = "churn", *, ready: str = "READY", update: str = "NOT_UPDATING", message: str = ""
) -> dict[str, Any]:
    """An endpoint as the server shows it."""
    entity = {
        "name": f"{name}-1",
        "entity_name": f"main.default.{name}",
        "entity_version": "1",
        "workload_size": "Small",
        "state": {"deployment": "DEPLOYMENT_READY", "deployment_state_message": message},
    }
    config = {
        "config_version": 1,
        "served_entities": [entity],
        "traffic_config": {"routes": [{"served_entity_name": f"{name}-1", "traffic_percentage": 100}]},
    }
    return {
        "name": name,
        "id": "0" * 32,
        "creator": "admin",
        "state": {"ready": ready, "config_update": update},
        "pending_config" if update == "IN_PROGRESS" else "config": config,
    }
