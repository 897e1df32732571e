"""Fills a stopped house with endpoints that sleep: copies of one that was deployed, asked and put to sleep in the usual way. Called by `bench.scale`.

Written through the store's own repositories, so that every row is as the usual way leaves it: the endpoint, its generation with the
environment's lock, the replica that ended, the load a server reported last. A thousand real deployments would take minutes and leave the same.
"""

from __future__ import annotations

import dataclasses
import time
import uuid
from collections.abc import Iterable
from pathlib import Path

from headgate.domain.endpoint import Endpoint
from headgate.domain.replica import Replica, ReplicaState
from headgate.store.activity import Activity, Load
from headgate.store.database import Database
from headgate.store.endpoints import Endpoints
from headgate.store.replicas import Replicas


def write(data_dir: Path, pattern: str, names: Iterable[str]) -> None:
    """Endpoints called `names`, each like `pattern` is. The house must not run."""
    database = Database(f"sqlite:///{data_dir / 'headgate.db'}")
    try:
        original = Endpoints(database).get(pattern)
        ended = Replicas(database).of_endpoint(original.id)[-1]
        if ended.state is not ReplicaState.STOPPED:
            raise RuntimeError(f"{pattern} does not sleep: {ended}")
        for name in names:
            _copy(database, original, ended, name)
    finally:
        database.close()


def _copy(database: Database, original: Endpoint, ended: Replica, name: str) -> None:
    assert original.wanted is not None
    endpoints, replicas = Endpoints(database), Replicas(database)
    copy = dataclasses.replace(original, id=uuid.uuid4().hex, name=name, serving=None)
    endpoints.create(copy)
    endpoints.activate(copy.id, original.wanted.number, original.wanted.locks)
    key = original.wanted.config.served_entities[0].deployment_key(copy.id)
    now_ms = int(time.time() * 1000)
    row = dataclasses.replace(ended, id=f"{copy.id[:8]}-{ended.id}", endpoint_id=copy.id, deployment_key=key)
    replicas.add(row)
    moved = {"address": row.address, "ready_at": row.ready_at_ms, "how": row.how, "log_path": row.log_path}
    replicas.move(row.id, ReplicaState.READY, **moved)
    replicas.move(row.id, ReplicaState.STOPPED, ended_at=now_ms)
    Activity(database).report("server-of-before", [Load(key, 0, 0, now_ms)], now_ms)
