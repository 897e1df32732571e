"""The REST application with a registry on real parts, and callers of every standing, for the tests of the registry's families."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.fakes import callers
from tests.fakes.api_house import Answer, ApiHouse
from tests.fakes.callers import Caller

from headgate.access.model_rights import ModelRights
from headgate.api import unity_catalog
from headgate.api.model_registry import files, mlflow_registry
from headgate.clock import SystemClock
from headgate.domain.grants import CATALOG, MODEL, SCHEMA, Securable
from headgate.registry.local_disk import LocalDisk
from headgate.registry.models import Registry
from headgate.registry.signing import UrlSigner
from headgate.store import schema
from headgate.store.database import Database
from headgate.store.grants import Grants

UC = unity_catalog.PREFIX
MLFLOW = mlflow_registry.PREFIX
MLMODEL = b"flavors: {python_function: {loader_module: x}}\nsignature: {inputs: '[]', outputs: '[]'}\n"
KINDS = {0: CATALOG, 1: SCHEMA, 2: MODEL}


class RegistryHouse(ApiHouse):
    """Ann may create schemas in `shop` and owns what she makes there; grants are written by `grant`."""

    def __init__(self, folder: Path) -> None:
        database = Database(f"sqlite:///{folder / 'headgate.db'}")
        schema.upgrade(database)
        self.registry = Registry(database, LocalDisk(folder / "models"), SystemClock())
        signer, rights = UrlSigner(bytes(32), SystemClock()), ModelRights(database)
        closed = [
            mlflow_registry.routes(self.registry),
            unity_catalog.routes(self.registry),
            files.routes(self.registry, rights, signer),
        ]
        opened = [files.signed_routes(self.registry, signer)]
        super().__init__(folder, families=closed, open_families=opened, may_serve=rights.require_to_serve)
        self.ann, self.rea, self.stan = (
            callers.user(self.as_admin, f"{name}@x.com") for name in ("ann", "rea", "stan")
        )
        self.done("POST", f"{UC}/catalogs", {"name": "shop"})
        self.grant("shop", self.ann, "USE_CATALOG", "CREATE_SCHEMA")
        self.done("POST", f"{UC}/schemas", {"name": "buyers", "catalog_name": "shop"}, self.ann)

    def ask(self, method: str, path: str, body: Any = None, caller: Caller | None = None) -> Answer:
        """As the administrator when no caller is named. The query is part of the path."""
        place, _, query = path.partition("?")
        options = {"token": caller.token} if caller else {}
        return self.request(method, place, body, query=query, **options)

    def done(self, method: str, path: str, body: Any = None, caller: Caller | None = None) -> Any:
        """The answer to what succeeds."""
        answer = self.ask(method, path, body, caller)
        assert answer.status in (200, 204), answer
        return answer.body if answer.raw else None

    def grant(self, name: str, caller: Caller, *privileges: str) -> None:
        securable = Securable(KINDS[name.count(".")], name)
        held: Mapping[str, Any] = Grants(self.database).of(securable)
        Grants(self.database).replace(securable, {**held, caller.id: privileges})

    def version(self, full_name: str, caller: Caller | None = None, *, finalized: bool = True) -> int:
        """A new version of a model, which is made if there is none."""
        catalog, place, model = full_name.split(".")
        parts = {"catalog_name": catalog, "schema_name": place}
        self.ask("POST", f"{UC}/models", {**parts, "name": model}, caller)
        made = self.done("POST", f"{UC}/models/versions", {**parts, "model_name": model, "source": "s"}, caller)
        path = f"/Models/{catalog}/{place}/{model}/{made['version']}/MLmodel"
        self.done("PUT", f"/api/2.0/fs/files{path}", MLMODEL, caller)
        if finalized:
            self.done("PATCH", f"{UC}/models/{full_name}/versions/{made['version']}/finalize", {}, caller)
        return int(made["version"])
