"""A blocking client of the worker's protocol, and workers started as the agent starts them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import headgate_worker
from headgate_worker import protocol

GUEST = str(Path(headgate_worker.__file__).parent.parent)
HERE = Path(__file__).parent
DEADLINE_S = 180.0


def until(condition: Callable[[], Any], what: str, deadline_s: float = DEADLINE_S) -> Any:
    """The condition's first true value."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.005)
    raise AssertionError(f"not within {deadline_s:g} s: {what}")


@dataclass
class Answered:
    """A whole answer."""

    status: int
    content_type: str
    body: bytes
    meta: dict[str, Any]

    @property
    def json(self) -> Any:
        return json.loads(self.body, parse_constant=_not_json)


def _not_json(constant: str) -> Any:
    raise AssertionError(f"{constant} is not JSON")


class Client:
    """One connection; every wait has a deadline."""

    def __init__(self, path: str, role: str = "server") -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(DEADLINE_S)
        try:
            self.socket.connect(path)
        except OSError:
            self.socket.close()
            raise
        self._decoder = protocol.Decoder()
        self._frames: list[protocol.Frame] = []
        self._last = 0
        self.send(protocol.encode_json(protocol.HELLO, 0, {"version": protocol.VERSION, "role": role}))
        self.hello = json.loads(self.next(lambda frame: frame.kind == protocol.HELLO).payload)

    def send(self, frame: bytes) -> None:
        self.socket.sendall(frame)

    def next(self, wanted: Callable[[protocol.Frame], bool]) -> protocol.Frame:
        """The next such frame; others stay for later."""
        while True:
            for frame in self._frames:
                if wanted(frame):
                    self._frames.remove(frame)
                    return frame
            data = self.socket.recv(65536)
            if not data:
                raise EOFError("the worker closed the connection")
            self._frames += self._decoder.feed(data)

    def ask(self, body: Any, content_type: str = "application/json", deadline_ms: int = 60_000, **more: Any) -> int:
        """Sends a request; its id. More: of its meta."""
        self._last += 1
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        meta = {"content_type": content_type, **more, "request_id": f"r{self._last}", "deadline_ms": deadline_ms}
        self.send(protocol.encode_with_meta(protocol.REQUEST, self._last, json.dumps(meta).encode(), raw))
        return self._last

    def reply(self, number: int) -> Answered:
        frame = self.next(lambda frame: frame.kind == protocol.REPLY and frame.request_id == number)
        meta, body = protocol.split_meta(frame.payload)
        return Answered(meta["status"], meta["content_type"], body, meta)

    def call(self, body: Any, content_type: str = "application/json", deadline_ms: int = 60_000) -> Answered:
        return self.reply(self.ask(body, content_type, deadline_ms))

    def stream(self, number: int) -> list[bytes]:
        """All chunks of a streamed answer."""
        of_it = self.next(lambda frame: frame.request_id == number)
        assert of_it.kind == protocol.STREAM, of_it
        chunks = []
        while True:
            frame = self.next(lambda frame: frame.request_id == number)
            if frame.kind == protocol.END:
                return chunks
            assert frame.kind == protocol.CHUNK
            chunks.append(frame.payload)

    def cancel(self, number: int) -> None:
        self.send(protocol.encode(protocol.CANCEL, number))

    def health(self) -> dict[str, Any]:
        self.send(protocol.encode(protocol.PING, 0))
        return json.loads(self.next(lambda frame: frame.kind == protocol.PONG).payload)

    def close(self) -> None:
        self.socket.close()


class ZygoteClient:
    """A zygote, started as the agent starts it."""

    def __init__(self, folder: Path, python: str = sys.executable, prelude: str = "pass", **more: Any) -> None:
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(DEADLINE_S)
        told = {
            "socket_fd": theirs.fileno(),
            "modules": [],
            "base_modules": [],
            "environment_vars": {},
            "lifeline_fd": None,
            **more,
        }
        path = folder / "zygote.json"
        path.write_text(json.dumps(told))
        passed = (theirs.fileno(),) if told["lifeline_fd"] is None else (theirs.fileno(), told["lifeline_fd"])
        self.log = folder / "zygote.log"
        with self.log.open("wb") as log:
            command = [python, "-I", "-c", program("zygote", prelude), str(path)]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=passed)
        theirs.close()
        self._received = b""
        self._messages: list[dict[str, Any]] = []
        self.ready = self.next(lambda told: told["op"] == "ready")

    def next(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next such message; others stay for later."""
        while True:
            for message in self._messages:
                if wanted(message):
                    self._messages.remove(message)
                    return message
            data = self.socket.recv(65536)
            if not data:
                raise EOFError(f"the zygote is gone: {self.log.read_text()}")
            *lines, self._received = (self._received + data).split(b"\n")
            self._messages += [json.loads(line) for line in lines]

    def fork(self, spec: dict[str, Any]) -> dict[str, Any]:
        """What it answers."""
        self.socket.sendall(json.dumps({"op": "fork", "spec": spec}).encode() + b"\n")
        return self.next(lambda told: told.get("replica") == spec["replica"])

    def exit_status(self, pid: int) -> int:
        return int(self.next(lambda told: told["op"] == "exited" and told["pid"] == pid)["status"])

    def close(self) -> None:
        self.socket.close()
        self.process.wait(DEADLINE_S)


@dataclass
class Worker:
    """A worker process of a test."""

    folder: Path
    spec: dict[str, Any]
    pid: int
    wait: Callable[[], int]
    """Its exit code, or minus the signal that killed it, once it has ended."""
    clients: list[Client] = field(default_factory=list)

    def status(self) -> dict[str, Any]:
        try:
            return json.loads((self.folder / "status.json").read_text())
        except FileNotFoundError:
            return {}

    def in_state(self, state: str) -> dict[str, Any]:
        """The status once it is in that state."""

        def look() -> dict[str, Any] | None:
            status = self.status()
            if status.get("state") == state:
                return status
            if status.get("state") == "FAILED" or not is_running(self.pid):
                raise AssertionError(f"{status}\n{self.log()}")
            return None

        return until(look, f"state {state}")

    def log(self) -> str:
        path = Path(self.spec["log_path"])
        return path.read_text(errors="replace") if path.exists() else ""

    def client(self, role: str = "server") -> Client:
        client = Client(self.spec["socket_path"], role)
        self.clients.append(client)
        return client

    def end(self) -> None:
        for client in self.clients:
            client.close()
        if is_running(self.pid):
            os.kill(self.pid, signal.SIGKILL)
            self.wait()


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def worker_spec(folder: Path, model: Path, **more: Any) -> dict[str, Any]:
    return {
        "replica": "r-1",
        "socket_path": str(folder / "worker.sock"),
        "status_path": str(folder / "status.json"),
        "log_path": str(folder / "logs" / "r-1.log"),
        "model_path": str(model),
        "model_name": "main.default.m",
        "model_version": "1",
        "endpoint_name": "e",
        "entity_name": "m-1",
        "slots": 2,
        "environment_vars": {},
        "memory_bytes": 0,
        "log_bytes": 1_000_000,
        "lifeline_fd": None,
        "notify_socket": None,
        "execution_limit_s": 60.0,
        **more,
    }


def program(module: str, prelude: str = "pass") -> str:
    return f"{prelude}; import sys; sys.path.insert(0, {GUEST!r}); from headgate_worker.{module} import main; main()"


def train(python: str, out: Path) -> Path:
    """The models of `train_guest_models.py`, saved by that interpreter."""
    environ = {**os.environ, "MLFLOW_TRACKING_URI": str(out.parent / "mlruns"), "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [python, "-W", "ignore", str(HERE / "train_guest_models.py"), str(out)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(sys.executable, tmp_path_factory.mktemp("guest") / "models")


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's name."""
    with tempfile.TemporaryDirectory(prefix="hgw") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZygoteClient]:
    """One zygote for all tests: what it forks starts fast."""
    zygote = ZygoteClient(
        tmp_path_factory.mktemp("zygote"), base_modules=["mlflow.pyfunc", "mlflow.sklearn", "sklearn.linear_model"]
    )
    yield zygote
    zygote.close()


@pytest.fixture
def start(short_folder: Path, models: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., Worker]]:
    """Starts a worker of a model: forked, or with `exec=True` in a fresh process."""
    started: list[Worker] = []

    def begin(model: str, *, exec: bool = False, pass_fds: tuple[int, ...] = (), **more: Any) -> Worker:
        spec = worker_spec(short_folder, models / model, **more)
        if exec:
            worker = run_worker(short_folder, spec, sys.executable, pass_fds)
        else:
            zygote: ZygoteClient = request.getfixturevalue("zygote")
            pid = zygote.fork(spec)["pid"]
            worker = Worker(short_folder, spec, pid, lambda: zygote.exit_status(pid))
        started.append(worker)
        return worker

    yield begin
    for worker in started:
        worker.end()


def run_worker(folder: Path, spec: dict[str, Any], python: str, pass_fds: tuple[int, ...] = ()) -> Worker:
    """A worker in a fresh process."""
    path = folder / "spec.json"
    path.write_text(json.dumps(spec))
    command = [python, "-I", "-c", program("worker"), str(path)]
    with (folder / "start.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=pass_fds)
    return Worker(folder, spec, process.pid, lambda: process.wait(DEADLINE_S))
