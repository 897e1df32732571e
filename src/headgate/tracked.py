"""Builds what tracking is made of: the child's command, the server processes' way to it, the child itself.

Part of the composition root (`app.py`), in a file of its own because only two roles need it.
"""

from __future__ import annotations

import os
import sys

from headgate.api.tracking.proxy import Tracking
from headgate.registry.local_disk import LocalDisk
from headgate.registry.storage import Storage
from headgate.settings import Settings
from headgate.tracking import child
from headgate.tracking.child import Child, Program
from headgate.tracking.store_uri import store_uri
from headgate.tracking.upstream import Upstream


def artifacts(settings: Settings) -> Storage:
    """Where artifacts of runs, logged models and traces lie."""
    return LocalDisk(settings.data_dir / "artifacts")


def tracking(settings: Settings, lifeline_fd: int) -> Tracking:
    """A server process's way to MLflow's server, which is started when it is first needed."""
    own = settings.tracking
    path = settings.sockets / "settings.json"
    uri = store_uri(own.database_url, settings.database_url, settings.data_dir)
    program = Program(
        command=(
            *(sys.executable, "-m", "headgate.app", "tracking"),
            *("--settings", str(path), "--lifeline-fd", str(lifeline_fd)),
        ),
        environ=child.environ(os.environ, uri),
        folder=settings.sockets,
        pass_fds=(lifeline_fd,),
        deadline_s=own.start_deadline_s,
    )
    upstream = Upstream(Child(program), own.answer_deadline_s)
    return Tracking(upstream, enabled=own.start != "off", body_bytes=settings.limits.payload_bytes)


def run_child(settings: Settings, lifeline_fd: int) -> None:
    """The child: MLflow's server, until the house ends."""
    from headgate.tracking import server

    uri = store_uri(settings.tracking.database_url, settings.database_url, settings.data_dir)
    server.run(settings.sockets / "tracking.sock", uri, artifacts(settings), lifeline_fd)
