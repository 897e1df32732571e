"""A real house for scenario tests: `headgate serve` as a process, its parts by role, and ways to kill them."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.wire.clients import cache_folder

from headgate import settings as settings_module

ROOT = Path(__file__).parents[2]
TOKEN = "scenario-token"
_given: set[int] = set()
"""Ports that `free_port` found in this process."""


def until(condition: Callable[[], Any], what: str, timeout_s: float = 120.0, pause_s: float = 0.02) -> Any:
    """The first true value of `condition`; fails with `what` when there is none in time. `pause_s`: longer where looking costs much."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(pause_s)


def free_port() -> int:
    """A port that stays free until it is bound, also while its house is down: the kernel gives none of these to anybody who does not ask for it."""
    first_given_away = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(first_given_away // 2, first_given_away)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in _given:
            _given.add(port)
            return port


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without what would leak into a house or a client."""
    dropped = ("DATABRICKS_", "MLFLOW_", "HEADGATE_", "PYTHONDONTWRITEBYTECODE", "PYTEST_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return kept | {"PYTHONPATH": str(ROOT / "src")} | more


class House:
    """One data directory and the server on it, started and stopped as often as wanted."""

    def __init__(self, data_dir: Path, **settings: str) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.settings = settings
        self.process: subprocess.Popen[bytes] | None = None
        self.log = data_dir.with_name(data_dir.name + ".log")

    def start(self, timeout_s: float = 180.0) -> House:
        environment = clean_environment(
            HEADGATE_ADMIN_TOKEN=TOKEN,
            HEADGATE_DATA_DIR=str(self.data_dir),
            HEADGATE_PORT=str(self.port),
            HEADGATE_ENVIRONMENTS_PYTHON_DOWNLOADS="never",
            **self.settings,
        )
        share_bytecode(self.data_dir)
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "headgate.cli.main", "serve"]
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=self.data_dir.parent)
        until(self._started, f"the house is up; see {self.log}", timeout_s)
        return self

    def _started(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"serve ended:\n{self.log.read_text()[-4000:]}"
        return self.healthy()

    def healthy(self) -> bool:
        try:
            with urllib.request.urlopen(self.url + "/health", timeout=30) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def __enter__(self) -> House:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            assert self.stop() == 0

    def stop(self, timeout_s: float = 180.0) -> int:
        assert self.process is not None
        self.process.terminate()
        code = self.process.wait(timeout_s)
        self.process = None
        return code

    def kill_everything(self) -> None:
        """kill -9 of the supervisor and of everything it started, at once."""
        assert self.process is not None
        pids = [self.process.pid, *descendants(self.process.pid)]
        for pid in pids:
            _kill(pid)
        self.process.wait(60)
        self.process = None
        until(lambda: not any(alive(pid) for pid in pids), "everything is dead")

    def pids(self, role: str) -> list[int]:
        """Processes of a role: `server`, `control`, `agent` or `zygote`, oldest first."""
        assert self.process is not None
        mark = "headgate_worker.zygote" if role == "zygote" else f"headgate.app {role} "
        found = {pid for pid in descendants(self.process.pid) if mark in command_line(pid)}
        # A forked replica has its zygote's command line, and whatever a process is about to start has that process's own for a moment.
        replicas = set(self.replica_pids())
        return sorted(pid for pid in found if pid not in replicas and parent(pid) not in {None, *found})

    def replica_pids(self) -> list[int]:
        """Living processes that hold a model."""
        return self.replica_pids_of(None)

    def replica_pids_of(self, endpoint: str | None) -> list[int]:
        """Living processes that hold a model of an endpoint (None: of any), from what the agent wrote about them."""
        pids = []
        for status in settings_module.load({"data_dir": self.data_dir}, environ={}).sockets.glob(
            "replicas/*/status.json"
        ):
            try:
                spec = json.loads(status.with_name("spec.json").read_text())
                pid = json.loads(status.read_text())["pid"]
            except (OSError, ValueError, KeyError):
                continue
            if alive(pid) and endpoint in (None, spec["endpoint_name"]):
                pids.append(pid)
        return sorted(pids)

    def kill(self, pid: int) -> None:
        """kill -9 and wait until it is gone."""
        _kill(pid)
        until(lambda: not alive(pid), f"process {pid} is dead")

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = TOKEN,
        timeout_s: float = 120.0,
        **headers: str,
    ) -> Answer:
        """One HTTP request; never raises for an error status."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=sent)
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as answer:
                return Answer(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), error.read())

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """A call of the serving-endpoints API that must succeed; its JSON."""
        answer = self.request(method, "/api/2.0/serving-endpoints" + path, body)
        assert answer.status == 200, answer
        return answer.json

    def create(self, name: str, *entities: Mapping[str, Any], routes: Mapping[str, int] | None = None) -> Any:
        """Creates an endpoint and waits until it is ready."""
        self.api("POST", "", {"name": name, "config": config(*entities, routes=routes)})
        return self.settled(name)

    def update(self, name: str, *entities: Mapping[str, Any], routes: Mapping[str, int] | None = None) -> Any:
        """Updates the config and waits until the update is over, whichever way."""
        self.api("PUT", f"/{name}/config", config(*entities, routes=routes))
        return self.settled(name, "NOT_UPDATING", "UPDATE_FAILED")

    def settled(self, name: str, *states: str, timeout_s: float = 180.0) -> Any:
        """The endpoint once its config_update is one of `states` (default NOT_UPDATING)."""
        wanted = states or ("NOT_UPDATING",)

        def look() -> Any:
            found = self.api("GET", f"/{name}")
            state = found["state"]["config_update"]
            assert state in (*wanted, "IN_PROGRESS"), json.dumps(found, indent=1)
            return found if state in wanted else None

        return until(look, f"endpoint {name} is {wanted}", timeout_s)

    def delete(self, name: str) -> None:
        self.api("DELETE", f"/{name}")

    def predict(self, name: str, body: Any, timeout_s: float = 120.0) -> Any:
        """A prediction that must succeed; the whole answer."""
        answer = self.request("POST", f"/serving-endpoints/{name}/invocations", body, timeout_s=timeout_s)
        assert answer.status == 200, answer
        return answer


def share_bytecode(data_dir: Path) -> None:
    """Lets all houses of the tests have one store of compiled packages. To fill one takes longer than most of what is tested."""
    own, shared = data_dir / "bytecode", cache_folder() / "bytecode"
    if not own.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        shared.mkdir(parents=True, exist_ok=True)
        own.symlink_to(shared, target_is_directory=True)


class Answer:
    """Status, headers (lower case) and body of an HTTP answer."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def __repr__(self) -> str:
        return f"<{self.status} {self.body[:2000].decode(errors='replace')}>"


def config(*entities: Mapping[str, Any], routes: Mapping[str, int] | None = None) -> dict[str, Any]:
    made: dict[str, Any] = {"served_entities": list(entities)}
    if routes is not None:
        made["traffic_config"] = {
            "routes": [{"served_entity_name": name, "traffic_percentage": share} for name, share in routes.items()]
        }
    return made


def entity(model: str, version: str = "1", **more: Any) -> dict[str, Any]:
    """A served entity of `main.default.<model>`, Small, awake."""
    sized = {} if "max_provisioned_concurrency" in more else {"workload_size": "Small"}
    return {
        "entity_name": f"main.default.{model}",
        "entity_version": version,
        "scale_to_zero_enabled": False,
        **sized,
        **more,
    }


def files(*roots: Path) -> Iterator[Path]:
    """These files, and all below these folders, while others come and go."""
    for root in roots:
        below = (Path(folder, name) for folder, _, names in os.walk(root) for name in names)
        yield from (path for path in ([root] if root.is_file() else below) if path.is_file())


def content(path: Path) -> bytes:
    """Empty when it is gone: what a house writes is renamed when it is whole, or deleted."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def descendants(pid: int) -> list[int]:
    """All processes below one, also those of dead parents that fell to it."""
    found = []
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []
    for task in tasks:
        try:
            children = [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            continue
        for child in children:
            found += [child, *descendants(child)]
    return found


def parent(pid: int) -> int | None:
    """None when there is no such process any more."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def alive(pid: int) -> bool:
    return _state(pid) not in "ZX"


def _state(pid: int) -> str:
    """One letter, as /proc has it; X when there is no such process any more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


@contextmanager
def standstill(*pids: int) -> Iterator[None]:
    """These processes do nothing meanwhile."""
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
            until(lambda pid=pid: _state(pid) == "T", f"process {pid} stands still")  # type: ignore[misc]
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
