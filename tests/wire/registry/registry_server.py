"""A server process with the registry's routes, for tests that need one they can kill. `python registry_server.py DATA_DIR`

Prints one line of JSON, {"port"}, when it listens.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import uvicorn

from headgate.access import bootstrap
from headgate.access.directory import DirectorySource, Follower
from headgate.access.model_rights import ModelRights
from headgate.access.principals import Authenticator
from headgate.access.sealing import Keyring, Sealer
from headgate.access.secrets import Vault
from headgate.api import unity_catalog
from headgate.api.app import create_app
from headgate.api.dependencies import ApiDependencies
from headgate.api.model_registry import files, mlflow_registry
from headgate.clock import SystemClock
from headgate.registry import signing
from headgate.registry.local_disk import LocalDisk
from headgate.registry.models import Registry
from headgate.settings import Settings
from headgate.store import schema
from headgate.store.database import Database
from headgate.store.endpoints import Endpoints
from headgate.store.grants import Grants
from headgate.store.identities import Identities
from headgate.store.replicas import Replicas
from headgate.store.secrets import Secrets
from headgate.store.servers import Servers

TOKEN = "registry-test-token"


def main(data_dir: Path) -> None:
    database = Database(f"sqlite:///{data_dir / 'headgate.db'}")
    schema.upgrade(database)
    sealer = Sealer(Keyring([bytes(32)]))
    clock = SystemClock()
    bootstrap.ensure_administrator(database, Settings(data_dir=data_dir, admin_token=TOKEN), sealer, clock)
    identities = Identities(database)
    follower = Follower(DirectorySource(identities.revision, identities.read))
    registry = Registry(database, LocalDisk(data_dir / "models"), clock)
    registry.recover()
    model_rights = ModelRights(database)
    signer = signing.UrlSigner(bytes(32), clock)
    dependencies = ApiDependencies(
        authenticator=Authenticator(bootstrap.token_hash_key(database, sealer), follower.refresh, clock),
        directory=follower.refresh,
        identities=identities,
        endpoints=Endpoints(database),
        grants=Grants(database),
        model_rights=model_rights,
        may_serve=model_rights.require_to_serve,
        replicas=Replicas(database),
        servers=Servers(database),
        vault=Vault(Secrets(database), sealer, clock),
        resolve=registry.resolve,
        describe=registry.describe,
        service_logs=lambda _endpoint, _entity: "",
        build_logs=lambda _key: "",
        metrics=lambda _name: "",
        clock=clock,
        workspace_id=bootstrap.workspace_id(database),
    )
    app = create_app(
        dependencies,
        families=[
            mlflow_registry.routes(registry),
            unity_catalog.routes(registry),
            files.routes(registry, model_rights, signer),
        ],
        open_families=[files.signed_routes(registry, signer)],
    )
    listening = socket.create_server(("127.0.0.1", 0))
    print(json.dumps({"port": listening.getsockname()[1]}), flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning", loop="uvloop", http="httptools")).run(sockets=[listening])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
