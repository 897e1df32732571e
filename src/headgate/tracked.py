"""Builds what tracking is made of: the child's command, the server processes' way to it, the child itself.

Part of the composition root (`app.py`), in a file of its own because only two roles need it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable

from fastapi import FastAPI

from headgate.access.directory import Directory
from headgate.api.tracking.artifact_store import ArtifactStore
from headgate.api.tracking.proxy import Tracking
from headgate.api.tracking.trace_door import TraceDoor
from headgate.clock import SystemClock
from headgate.registry import storages
from headgate.registry.storage import Storage
from headgate.settings import Settings
from headgate.store.database import Database
from headgate.store.tracking_credentials import TrackingCredentials
from headgate.tracking import child
from headgate.tracking.child import Child, Program
from headgate.tracking.credentials import Holders
from headgate.tracking.store_uri import store_uri
from headgate.tracking.upstream import Upstream


def artifacts(settings: Settings, models_at: str = "") -> Storage:
    """Where artifacts of runs, logged models and traces lie. `models_at`: the house that has files, if it is another."""
    return storages.open_storage(settings, "artifacts", SystemClock(), models_at)


def tracking(settings: Settings, lifeline_fd: int, models_at: str = "") -> Tracking:
    """A server process's way to MLflow's server, which is started when it is first needed."""
    own = settings.tracking
    path = settings.sockets / "settings.json"
    uri = store_uri(own.database_url, settings.database_url, settings.data_dir)
    secrets_fd = _secrets_fd(settings)
    program = Program(
        command=(
            *(sys.executable, "-m", "headgate.app", "tracking", "--settings", str(path)),
            *("--lifeline-fd", str(lifeline_fd), "--secrets-fd", str(secrets_fd), f"--models-at={models_at}"),
        ),
        environ=child.environ(os.environ, uri),
        folder=settings.sockets,
        pass_fds=(lifeline_fd, secrets_fd),
        deadline_s=own.start_deadline_s,
    )
    upstream = Upstream(Child(program), own.answer_deadline_s)
    enabled, always = own.start != "off", own.start == "always"
    return Tracking(upstream, enabled, always, settings.limits.payload_bytes)


def run_child(settings: Settings, lifeline_fd: int, models_at: str = "") -> None:
    """The child: MLflow's server, until the house ends."""
    from headgate.tracking import server

    uri = store_uri(settings.tracking.database_url, settings.database_url, settings.data_dir)
    server.run(settings.sockets / "tracking.sock", uri, artifacts(settings, models_at), lifeline_fd)


def trace_door(app: FastAPI, way: Tracking, storage: Storage, holders: Holders) -> TraceDoor:
    """The application with the door for served models that write traces in front."""
    return TraceDoor(app, way, ArtifactStore(storage), holders)


def holders(database: Database, directory: Callable[[], Directory]) -> Holders:
    """Who holds the credentials of served models."""

    def may_track(creator: str) -> bool:
        found = directory().by_user_name(creator) or directory().by_application_id(creator)
        return found is not None and found.active

    return Holders(TrackingCredentials(database), may_track, SystemClock())


def _secrets_fd(settings: Settings) -> int:
    """Memory that holds the settings which are never written to a file, for the child."""
    fd = os.memfd_create("secrets")
    os.write(fd, json.dumps(settings.secrets()).encode())
    return fd
