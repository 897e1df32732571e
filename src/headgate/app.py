"""Composition root: builds each object once and hands it on. The only file that knows concrete classes of many rooms.

`serve` is called by the CLI and runs the supervisor, which starts this module again in the roles below
(`python -m headgate.app ROLE …`). Each role imports only the rooms it needs.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import gc
import json
import os
import signal
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headgate import settings as settings_module
from headgate.clock import SystemClock
from headgate.notices import Announcer
from headgate.settings import Settings
from headgate.telemetry import logs

if TYPE_CHECKING:
    from headgate.replicas.models import ModelFiles

_SECRET_KEY_BYTES = 65536


@dataclass(frozen=True, slots=True)
class Role:
    """What a process below the supervisor was started with."""

    settings: Settings
    lifeline_fd: int
    socket_fd: int
    number: int
    models_at: str = ""
    """Where models run, if not in this house."""


def serve(settings: Settings) -> int:
    """Runs the whole house until SIGTERM or SIGINT. Returns the exit code. Raises house.CannotServe."""
    from headgate import house

    return house.run(settings)


def main(arguments: list[str] | None = None) -> None:
    """Entry of the processes below the supervisor."""
    roles = {
        "server": run_server,
        "control": run_control,
        "agent": run_agent,
        "tracking": run_tracking,
        "warehouse": run_warehouse,
    }
    parser = argparse.ArgumentParser(prog="headgate.app")
    parser.add_argument("role", choices=sorted(roles))
    parser.add_argument("--settings", type=Path, required=True)
    parser.add_argument("--lifeline-fd", type=int, required=True)
    parser.add_argument("--socket-fd", type=int, default=-1)
    parser.add_argument("--number", type=int, default=0)
    parser.add_argument("--secret-key-fd", type=int, default=-1)
    parser.add_argument("--secrets-fd", type=int, default=-1)
    parser.add_argument("--models-at", default="")
    given = parser.parse_args(arguments)
    secrets = json.loads(os.pread(given.secrets_fd, _SECRET_KEY_BYTES, 0)) if given.secrets_fd >= 0 else None
    settings = settings_module.from_json(json.loads(given.settings.read_text()), secrets)
    if given.secret_key_fd >= 0:
        secret_key = os.pread(given.secret_key_fd, _SECRET_KEY_BYTES, 0).decode()
        settings = dataclasses.replace(settings, secret_key=secret_key)
    logs.configure(settings.log_level, settings.log_format, given.role)
    roles[given.role](Role(settings, given.lifeline_fd, given.socket_fd, given.number, given.models_at))


def run_server(role: Role) -> None:
    """REST API and data plane on the public port."""
    gc.disable()  # until it serves: what imports and routes leave behind stays, and looking through it takes a sixth of the start
    import uvloop

    uvloop.run(_serve_public(role))


async def _serve_public(role: Role) -> None:
    from headgate import web
    from headgate.access import bootstrap, sealing
    from headgate.access.attempts import Attempts
    from headgate.access.oauth import server as oauth
    from headgate.access.principals import Authenticator
    from headgate.access.tokens import LastUses
    from headgate.notices import Listener
    from headgate.store.database import Database
    from headgate.store.identities import Identities
    from headgate.telemetry.counting import Metrics

    settings, name = role.settings, f"server-{role.number}"
    database, sealer = Database(settings.database_url, Announcer(settings.sockets)), sealing.open_sealer(settings)
    counted, server_id = Metrics(settings.sockets / "metrics", name), bootstrap.server_id(settings, role.number)
    follower = web.follower(database, counted, server_id)
    key, workspace, clock = bootstrap.token_hash_key(database, sealer), bootstrap.workspace_id(database), SystemClock()
    place = oauth.Place(settings, database, sealer, clock, workspace, key)
    verified = oauth.verification(place)
    authenticator = Authenticator(key, follower.now, clock, verified.tokens.verify)
    attempts = Attempts(counted=counted, free=settings.limits.refusals_per_minute)
    audit = web.audit_log(settings, database, counted)
    shared = web.Shared(
        settings, database, authenticator, counted, workspace, server_id, sealer, follower, attempts,
        web.authorization_server(place, verified, authenticator, follower), audit, role.models_at, role.lifeline_fd,
    )  # fmt: skip
    gateway = web.gateway(shared)

    def hear(topic: str) -> None:
        gateway.hint(topic)
        follower.hint(topic)
        verified.trust.hint(topic)

    listener = Listener(settings.sockets, f"{name}.sock", hear)
    last_uses = LastUses(authenticator.last_uses, Identities(database).note_use)
    following = [asyncio.create_task(one.run()) for one in (follower, verified.trust, last_uses)]
    server = web.http_server(web.front(shared, gateway), gateway, settings)
    stop = _stop_signal(role)

    async def drain() -> None:
        await stop.wait()
        server.should_exit = True
        await gateway.drain(settings.limits.shutdown_s)

    draining = asyncio.create_task(drain())
    # What there is now lives as long as the process; the collector need not look at it again with every request.
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
    gc.enable()
    try:
        await server.serve(sockets=[socket.socket(fileno=role.socket_fd)])
    finally:
        draining.cancel()
        listener.close()
        for task in following:
            task.cancel()
        await last_uses.write()
        audit.stop()
        database.close()


def run_control(role: Role) -> None:
    """The control loop."""
    from headgate import followed, traced
    from headgate.access import bootstrap, sealing
    from headgate.access.secrets import Vault
    from headgate.control import loop
    from headgate.control.lookup import Lookup
    from headgate.registry import recovery, storages
    from headgate.registry.models import Registry
    from headgate.replicas.client import AgentClient
    from headgate.store import served_models
    from headgate.store.database import Database
    from headgate.store.secrets import Secrets
    from headgate.telemetry.counting import Metrics

    settings, clock = role.settings, SystemClock()

    async def live() -> None:
        database = Database(settings.database_url, Announcer(settings.sockets))
        runtime = AgentClient(settings.sockets / "agent.sock")
        storage = storages.open_storage(settings, storages.MODELS, clock, role.models_at)
        registry = Registry(database, storage, clock)
        describe = storages.describing(settings, registry)
        if settings.storage.url:  # which may be away: nobody waits for it
            describe = Lookup(describe, clock)
            recovery.begin(registry.recover)
        elif not role.models_at:
            registry.recover()
        sealer = sealing.open_sealer(settings)
        vault = Vault(Secrets(database), sealer, clock)
        ports = loop.Ports(
            database=database,
            runtime=runtime,
            describe=describe,
            settings=settings,
            clock=clock,
            run_dir=settings.sockets,
            house=bootstrap.own_house(settings).id,
            hold=served_models.hold_within,
            refusal=followed.refusal(database, describe),
            secret_vars=traced.secret_vars(settings, database, sealer, vault.resolve),
            counted=Metrics(settings.sockets / "metrics", "control"),
            usage=runtime.usage,
        )
        await loop.run(ports, _stop_signal(role))
        database.close()

    asyncio.run(live())


def run_agent(role: Role) -> None:
    """Environments, zygotes and replicas of this machine."""
    from headgate.replicas import agent
    from headgate.replicas.agent_config import AgentConfig

    async def live() -> None:
        # The one place besides settings that reads it: builds must reach package indexes as this user does.
        config = AgentConfig.from_settings(role.settings, lifeline_fd=role.lifeline_fd, environ=dict(os.environ))
        await agent.run(config, _stop_signal(role, watch_lifeline=False), _model_copies(role.settings))

    asyncio.run(live())


def run_tracking(role: Role) -> None:
    """MLflow's own server, a child of the first server process that needs it."""
    from headgate import tracked

    tracked.run_child(role.settings, role.lifeline_fd, role.models_at)


def run_warehouse(role: Role) -> None:
    """Finished requests of this machine into tables."""
    from headgate import loaded

    loaded.run(role.settings, role.lifeline_fd)


def _model_copies(settings: Settings) -> ModelFiles | None:
    """What brings models to this machine; None when they lie on it."""
    if not settings.storage.url:
        return None
    from headgate.registry import storages

    return storages.open_copies(settings, storages.MODELS)


def _stop_signal(role: Role, *, watch_lifeline: bool = True) -> asyncio.Event:
    """Set by SIGTERM. End-of-file on the lifeline ends the process at once: the house is gone."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, stop.set)
    if watch_lifeline:
        loop.add_reader(role.lifeline_fd, os._exit, 0)
    return stop


if __name__ == "__main__":
    main()
