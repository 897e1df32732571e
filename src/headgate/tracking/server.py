"""The child process: MLflow's own server on a Unix socket, as the house wants it. Composed by `app.py`, started by `child`.

Everything it needs stands in its environment, put there by `child.environ`: MLflow reads it while it is imported.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import sqlite3
import threading
import warnings
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from headgate.tracking.artifact_repository import ArtifactFiles
from headgate.tracking.store_uri import SCHEMA, needs_schema

logger = logging.getLogger(__name__)

_SQLITE = "sqlite:///"


def run(socket_path: Path, store_uri: str, files: ArtifactFiles, lifeline_fd: int) -> None:
    """Serves until SIGTERM or the end of the house."""
    # What MLflow's and its libraries' authors tell each other.
    warnings.simplefilter("ignore")
    threading.Thread(target=_end_with_the_house, args=(lifeline_fd,), daemon=True).start()
    listening = _listen(socket_path)
    app = _application(store_uri, files)

    import uvicorn

    # No deadline on keep-alive: those who connect are our own processes, and a race with a closing connection costs a retry.
    config = uvicorn.Config(app, log_config=None, access_log=False, ws="none", timeout_keep_alive=3600, lifespan="on")
    listening.listen(256)
    uvicorn.Server(config).run(sockets=[listening])


def _end_with_the_house(lifeline_fd: int) -> None:
    # Readable means end-of-file: nobody ever writes. It does not block in a read, because event loops share it.
    select.select([lifeline_fd], [], [])
    os._exit(0)


def _listen(path: Path) -> socket.socket:
    """Bound but not listening yet: whoever connects before the server is ready is refused and asks again."""
    path.unlink(missing_ok=True)
    bound = socket.socket(socket.AF_UNIX)
    bound.bind(str(path))
    path.chmod(0o600)
    return bound


def _application(store_uri: str, files: ArtifactFiles) -> Any:
    from headgate.tracking import artifact_repository

    artifact_repository.install(files)
    _prepare_store(store_uri)

    from mlflow.server import fastapi_app, handlers

    handlers.initialize_backend_stores(store_uri, store_uri, os.environ["_MLFLOW_SERVER_ARTIFACT_ROOT"])
    return fastapi_app.app


def _prepare_store(store_uri: str) -> None:
    """Creates the tables or brings older ones up to date; places artifacts where `databricks` clients look for them."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    # As on Databricks: <experiment>/logged_models/<model>/artifacts and <experiment>/<trace>/artifacts. Clients parse them.
    SqlAlchemyStore.MODELS_FOLDER_NAME = "logged_models"
    SqlAlchemyStore.TRACE_FOLDER_NAME = ""
    if _is_current(store_uri):
        return
    logger.info("tracking: preparing the tables")
    if not store_uri.startswith(_SQLITE):
        _upgrade(store_uri)
        return
    # MLflow's migrations commit step by step: on SQLite a copy is brought up to date, which then takes the old file's place.
    file = Path(store_uri.removeprefix(_SQLITE))
    draft = file.with_name(file.name + ".new")
    draft.unlink(missing_ok=True)
    if file.exists():
        with contextlib.closing(sqlite3.connect(file)) as old, contextlib.closing(sqlite3.connect(draft)) as new:
            old.backup(new)
    _upgrade(f"{_SQLITE}{draft}")
    draft.chmod(0o600)
    draft.replace(file)


def _make_schema(store_uri: str) -> None:
    engine = sa.create_engine(store_uri)
    try:
        with engine.begin() as connection:
            connection.execute(sa.text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
    finally:
        engine.dispose()


def _is_current(store_uri: str) -> bool:
    from mlflow.store.db import utils

    if store_uri.startswith(_SQLITE) and not Path(store_uri.removeprefix(_SQLITE)).exists():
        return False
    engine = utils.create_sqlalchemy_engine_with_retry(store_uri)
    try:
        latest: bool = utils._get_schema_version(engine) == utils._get_latest_schema_revision()
        return latest
    finally:
        engine.dispose()


def _upgrade(store_uri: str) -> None:
    from mlflow.store.db import utils

    if needs_schema(store_uri):
        _make_schema(store_uri)
    engine = utils.create_sqlalchemy_engine_with_retry(store_uri)
    try:
        if utils._all_tables_exist(engine):
            utils._upgrade_db(engine)
        else:
            utils._initialize_tables(engine)
    finally:
        engine.dispose()
