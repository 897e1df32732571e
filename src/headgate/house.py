"""What `headgate serve` does before and around the other processes: folders, lock, schema, first token, socket, supervisor.

Stays in memory as long as the house stands, so it imports little: the store is prepared in a child.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import logging
import os
import resource
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from headgate import supervisor
from headgate.registry.object_storage import bucket
from headgate.settings import Settings, SettingsError
from headgate.telemetry import logs
from headgate.warehouse import presence

if TYPE_CHECKING:
    from headgate.store.database import Database

logger = logging.getLogger(__name__)

_BIND_DEADLINE_S = 5.0
_STOP_MARGIN_S = 10.0
_BACKLOG = 2048
_NOT_HANDED_ON = frozenset(
    {
        "HEADGATE_ADMIN_TOKEN",
        "HEADGATE_SECRET_KEY",
        "HEADGATE_LOGIN_CLIENT_SECRET",
        "HEADGATE_STORAGE_SECRET_ACCESS_KEY",
        "HEADGATE_PROVIDERS_PROXY_URL",
        "HEADGATE_RATE_LIMITS_REDIS_URL",
    }
)


class CannotServe(Exception):
    """The house cannot be started; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class _Public:
    """The listening socket and where clients find it."""

    socket: socket.socket
    url: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class _Prepared:
    """The administrator's token, whether it was made just now, and where models run if not here."""

    token: str
    made_now: bool
    models_at: str


def run(settings: Settings) -> int:
    """Runs everything until SIGTERM or SIGINT. Returns the exit code; raises CannotServe."""
    logs.configure(settings.log_level, settings.log_format, "supervisor")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    began = time.monotonic()
    _forbid_core_dumps()
    _check_storage(settings)
    _make_folders(settings)
    with contextlib.ExitStack() as held:
        try:
            # run_dir too: its sockets are those of whoever holds it, even when its data_dir was deleted.
            for folder in (settings.data_dir, settings.sockets):
                held.enter_context(supervisor.lock(folder / "lock"))
        except supervisor.Locked as error:
            raise CannotServe(str(error)) from error
        _sweep(settings.sockets)
        prepared = _prepare_store(settings)
        public = _listen(settings)
        lifeline = os.pipe()
        house_of = _House(
            # With the port there is, which 0 asked for: replicas are told where they write traces.
            _write_settings(dataclasses.replace(settings, port=public.port)),
            lifeline[0],
            public.socket.fileno(),
            _secret_key_fd(settings),
            _secrets_fd(settings),
            prepared.models_at,
        )
        programs = _programs(settings, house_of)
        house = supervisor.Supervisor(programs, lifeline, before_stop=public.socket.close)
        house.run(_Greeter(public, prepared, settings, began).tick)
    return 0


def _check_storage(settings: Settings) -> None:
    try:
        if settings.storage.url:
            bucket.check(settings.storage)
    except SettingsError as error:
        raise CannotServe(str(error)) from error


def _forbid_core_dumps() -> None:
    """Of any process of the house, models included: their memory holds secrets. Of 1 byte, since 0 still feeds a dump to a program that
    collects them, where the system has one."""
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    limit = 0 if most == 0 else 1
    resource.setrlimit(resource.RLIMIT_CORE, (limit, limit))


def _make_folders(settings: Settings) -> None:
    for folder in (settings.data_dir, settings.sockets):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise CannotServe(f"cannot create {folder}: {error.strerror}; choose another --data-dir") from error
        if folder.stat().st_uid != os.getuid():
            raise CannotServe(f"{folder} belongs to another user; choose another --data-dir or HEADGATE_RUN_DIR")
        folder.chmod(0o700)


def _sweep(run_dir: Path) -> None:
    """Removes what a house before left behind for its own processes only."""
    for name in ("metrics", "notices"):
        leftover = run_dir / name
        leftover.mkdir(exist_ok=True)
        for file in leftover.iterdir():
            file.unlink(missing_ok=True)


def _prepare_store(settings: Settings) -> _Prepared:
    """The newest schema, and what is made at the first start. Raises CannotServe."""
    answer, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(answer)
        _prepare_and_exit(settings, told)
    os.close(told)
    with os.fdopen(answer, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    if not said:
        raise CannotServe("the database could not be prepared; the reason is above")
    told = json.loads(said)
    if "refusal" in told:
        raise CannotServe(told["refusal"])
    return _Prepared(**told)


def _prepare_and_exit(settings: Settings, told: int) -> NoReturn:
    code = 1
    try:
        os.write(told, json.dumps(_prepare(settings)).encode())
        code = 0
    except Exception:
        logger.exception("the database could not be prepared")
    finally:
        os._exit(code)


def _prepare(settings: Settings) -> dict[str, object]:
    """The fields of a `_Prepared`, or `refusal`: why this database is not served."""
    # A third of a second and 30 MB that the supervisor would never use again.
    from headgate.access import bootstrap, sealing, secret_key
    from headgate.access.oauth import server as oauth
    from headgate.clock import SystemClock
    from headgate.guardrails import configured
    from headgate.limits import sharing
    from headgate.notices import Announcer
    from headgate.store import houses, schema
    from headgate.store.database import Database
    from headgate.upstream import configured as upstream
    from headgate.warehouse import configured as warehouse

    refusal = configured.refusal(settings.guardrails) or sharing.refusal(settings)
    refusal = refusal or warehouse.refusal(settings.warehouse) or upstream.refusal(settings.providers)
    if refusal is not None:
        return {"refusal": refusal}
    database = Database(settings.database_url, Announcer(settings.sockets))
    with database.alone():
        try:
            schema.upgrade(database)
            _compare_clocks(database)
            sealer = secret_key.ensure(database, settings)
        except (schema.TooNew, sealing.UnusableKey) as problem:
            return {"refusal": str(problem)}
        workspace_id, clock = bootstrap.workspace_id(database), SystemClock()
        token = bootstrap.ensure_administrator(database, settings, sealer, clock)
        oauth.prepare(oauth.Place(settings, database, sealer, clock, workspace_id))
        own = bootstrap.own_house(settings)
        home = houses.settle_models(database, own)
    database.close()
    if home.id != own.id:
        logger.info(
            "models run in the house %s (%s), which was the first on this database; this one serves external models",
            home.id,
            home.where,
        )
    models_at = "" if home.id == own.id else home.where
    return {"token": token.value, "made_now": token.made_now, "models_at": models_at}


def _compare_clocks(database: Database) -> None:
    from headgate.store.database import CLOCKS_AGREE_MS, ahead_ms_within

    with database.read() as connection:
        ahead_ms = ahead_ms_within(connection)
    if abs(ahead_ms) > CLOCKS_AGREE_MS:
        message = "this machine's clock differs from the database's by %.1f s: servers that share it take each other for dead; use NTP"
        logger.warning(message, abs(ahead_ms) / 1000)


def _listen(settings: Settings) -> _Public:
    """Binds the public port; waits a moment for the servers of a house that just died to let go of it."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    deadline = time.monotonic() + _BIND_DEADLINE_S
    while True:
        # IPPROTO_TCP is named because asyncio sets TCP_NODELAY only on sockets that say so.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host, settings.port))
            break
        except OSError as error:
            listener.close()
            if time.monotonic() > deadline:
                raise CannotServe(
                    f"cannot listen on {settings.host}:{settings.port}: {error.strerror}; choose another --port"
                ) from error
            time.sleep(0.1)
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    port = listener.getsockname()[1]
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)
    return _Public(listener, settings.external_url or f"http://{host}:{port}", host.strip("[]"), port)


def _write_settings(settings: Settings) -> Path:
    path = settings.sockets / "settings.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps(settings.to_json()))
    return path


@dataclass(frozen=True, slots=True)
class _House:
    """What the processes below are started with."""

    settings_file: Path
    lifeline_fd: int
    listener_fd: int
    secret_key_fd: int | None
    secrets_fd: int
    models_at: str
    """Machine and data directory of the house that runs models; empty: here."""


def _secret_key_fd(settings: Settings) -> int | None:
    """Memory that holds a key that was given, for those who need it: what lies in `environ` lies in /proc, and is inherited by builds."""
    if not settings.secret_key:
        return None
    fd = os.memfd_create("secret-key")
    os.write(fd, settings.secret_key.encode())
    return fd


def _secrets_fd(settings: Settings) -> int:
    """Memory that holds the settings that are never written to a file."""
    fd = os.memfd_create("secrets")
    os.write(fd, json.dumps(settings.secrets()).encode())
    return fd


def _programs(settings: Settings, house: _House) -> list[list[supervisor.Program]]:
    environ = {name: value for name, value in os.environ.items() if name not in _NOT_HANDED_ON}

    def program(role: str, number: int = 0) -> supervisor.Program:
        command = [sys.executable, "-m", "headgate.app", role, "--settings", str(house.settings_file)]
        command += ["--lifeline-fd", str(house.lifeline_fd), "--number", str(number), f"--models-at={house.models_at}"]
        fds = {"socket": house.listener_fd if role == "server" else None}
        fds["secret-key"] = house.secret_key_fd if role not in ("agent", "warehouse") else None
        fds["secrets"] = house.secrets_fd
        passed = {name: fd for name, fd in fds.items() if fd is not None}
        command += [f"--{name}-fd={fd}" for name, fd in passed.items()]
        name = f"server {number}" if role == "server" else role
        deadline_s = settings.limits.shutdown_s + _STOP_MARGIN_S
        return supervisor.Program(name, tuple(command), tuple(passed.values()), deadline_s, environ)

    servers = [program("server", number) for number in range(settings.workers)]
    # After the servers, since it loads what they leave.
    loader = [program("warehouse")] if presence.missing() is None else []
    return [servers, [program("control"), *loader], [program("agent")]]


class _Greeter:
    """Says once that the house serves, and how to reach it."""

    def __init__(self, public: _Public, prepared: _Prepared, settings: Settings, began: float) -> None:
        self._public = public
        self._prepared = prepared
        self._settings = settings
        self._began = began
        self._done = False

    def tick(self) -> None:
        if self._done or not self._healthy():
            return
        self._done = True
        url = self._public.url
        file = self._settings.data_dir / "admin-token"
        token = self._prepared.token if self._prepared.made_now else f"$(cat {file})"
        seconds = time.monotonic() - self._began
        print(f"Headgate serves at {url} (ready after {seconds:.1f} s, data in {self._settings.data_dir})")
        if self._prepared.made_now:
            print(f"The administrator's token is shown once; it is kept in {file}.")
        print(f"\n  export DATABRICKS_HOST={url}\n  export DATABRICKS_TOKEN={token}\n", flush=True)

    def _healthy(self) -> bool:
        connection = http.client.HTTPConnection(self._public.host, self._public.port, timeout=0.5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
