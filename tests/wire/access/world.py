"""What the access table is about, in one running house: five callers, the things they have rights on, and words for them.

Everything is made by *manager* through the public API, who then grants *querier* and *viewer* their part.
"""

from __future__ import annotations

import http.client
import itertools
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from tests.scenario.house import Answer, House
from tests.wire.access.table.rows import FORM
from tests.wire.access.tiny_model import FILES

Words = dict[str, str]
_WORD = re.compile(r"\{(\w+)\}")
_JSON = {"Content-Type": "application/json"}


@dataclass
class World:
    """`tokens` maps a caller, or the name of a bad credential, to an Authorization header (None: none is sent)."""

    house: House
    tokens: dict[str, str | None]
    user_names: Words = field(default_factory=dict)
    """Caller -> user name."""
    known: Words = field(default_factory=dict)
    """Word -> a thing that is there, on which the callers hold what the table says."""
    unknown: Words = field(default_factory=dict)
    """Word -> something as long that is not there."""
    _numbers: Any = field(default_factory=lambda: itertools.count(1))
    _connection: http.client.HTTPConnection | None = None

    # -- requests ------------------------------------------------------------------------------------------------

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        authorization: str | None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request, over a connection that is kept."""
        headers = dict(headers or {}) | ({} if authorization is None else {"Authorization": authorization})
        if isinstance(body, dict) and FORM in body:
            data, headers["Content-Type"] = urlencode(body[FORM]).encode(), "application/x-www-form-urlencoded"
        elif isinstance(body, bytes):
            data, headers["Content-Type"] = body, "application/octet-stream"
        else:
            data = b"" if body is None else json.dumps(body).encode()
            headers |= {} if body is None else _JSON
        for attempt in (1, 2):  # a connection that was kept may have been closed meanwhile
            connection = self._connection = self._connection or http.client.HTTPConnection(
                "127.0.0.1", self.house.port, timeout=60
            )
            try:
                connection.request(method, path, data, headers)
                found = connection.getresponse()
                return Answer(found.status, dict(found.getheaders()), found.read())
            except (http.client.HTTPException, ConnectionError):
                self.close()
                if attempt == 2:
                    raise
        raise AssertionError

    def does(self, caller: str, method: str, path: str, body: Any = None) -> Any:
        """A request of a caller that must succeed; its JSON, if it has any."""
        answer = self.send(method, path, body, authorization=self.tokens[caller])
        assert 200 <= answer.status < 300, (caller, method, path, answer)
        return answer.json if answer.body.startswith((b"{", b"[")) else None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # -- words ---------------------------------------------------------------------------------------------------

    def fill(self, value: Any, words: Mapping[str, str]) -> Any:
        """Text, or JSON with text in it, with its words replaced."""
        if isinstance(value, str):
            return _WORD.sub(lambda found: words[found[1]] if found[1] in words else found[0], value)
        if isinstance(value, dict):
            return {key: self.fill(inner, words) for key, inner in value.items()}
        return [self.fill(inner, words) for inner in value] if isinstance(value, list) else value

    def fresh(self, *values: Any) -> Words:
        """`known` with a new thing made for every `{new_word}` in the values."""
        made: Words = {}
        for word in sorted(set(re.findall(r"\{new_(\w+)\}", json.dumps(values, default=repr)))):
            if word not in (*made, "name"):
                made |= self.make(word)
        return {**self.settled(), **{f"new_{word}": text for word, text in made.items()}}

    def settled(self) -> Words:
        """`known`, with `{new_word}` standing for the same things: for those who may not harm them."""
        return {**self.known, **{f"new_{word}": text for word, text in self.known.items()}, "new_name": self.name()}

    def make(self, word: str) -> Words:
        return next(maker for words, maker in MAKERS if word in words)(self)

    def name(self) -> str:
        return f"made-{next(self._numbers):06}"


def make_endpoint(world: World, config: Mapping[str, Any] | None = None) -> Words:
    """Without a config nothing is deployed."""
    name = world.name()
    wish = {"name": name} | ({"config": config} if config else {})
    made = world.does("manager", "POST", "/api/2.0/serving-endpoints", wish)
    grants = [
        {"user_name": world.user_names[caller], "permission_level": level}
        for caller, level in (("querier", "CAN_QUERY"), ("viewer", "CAN_VIEW"))
    ]
    path = f"/api/2.0/permissions/serving-endpoints/{made['id']}"
    world.does("manager", "PATCH", path, {"access_control_list": grants})
    return {"endpoint": name, "endpoint_id": made["id"]}


def make_model(world: World, finalized: bool = True) -> Words:
    uc = "/api/2.0/mlflow/unity-catalog"
    leaf = world.name()
    name, path = f"main.default.{leaf}", f"main/default/{leaf}"
    tags = [{"key": "team", "value": "a"}]
    world.does("manager", "POST", f"{uc}/registered-models/create", {"name": name, "tags": tags})
    world.does("manager", "POST", f"{uc}/model-versions/create", {"name": name})
    for file, text in FILES.items():
        world.does("manager", "PUT", f"/api/2.0/fs/files/Models/{path}/1/{file}", text.encode())
    changes = [
        {"principal": world.user_names[caller], "add": [privilege]}
        for caller, privilege in (("querier", "EXECUTE"), ("viewer", "BROWSE"))
    ]
    world.does("manager", "PATCH", f"/api/2.1/unity-catalog/permissions/function/{name}", {"changes": changes})
    if not finalized:
        return {"pending": name, "pending_path": path}
    world.does("manager", "POST", f"{uc}/model-versions/finalize", {"name": name, "version": "1"})
    world.does("manager", "POST", f"{uc}/registered-models/alias", {"name": name, "alias": "Champion", "version": "1"})
    return {"model": name, "model_path": path, "model_leaf": leaf}


def make_catalog(world: World) -> Words:
    uc, name = "/api/2.1/unity-catalog", world.name()
    world.does("manager", "POST", f"{uc}/catalogs", {"name": name})
    world.does("manager", "POST", f"{uc}/schemas", {"name": "made-schema", "catalog_name": name})
    changes = [
        {"principal": world.user_names["querier"], "add": ["USE_CATALOG", "USE_SCHEMA"]},
        {"principal": world.user_names["viewer"], "add": ["BROWSE"]},
    ]
    world.does("manager", "PATCH", f"{uc}/permissions/catalog/{name}", {"changes": changes})
    return {"catalog": name, "schema": f"{name}.made-schema"}


def make_scope(world: World) -> Words:
    name = world.name()
    world.does("manager", "POST", "/api/2.0/secrets/scopes/create", {"scope": name})
    world.does("manager", "POST", "/api/2.0/secrets/put", {"scope": name, "key": "a-key", "string_value": "hush"})
    for caller, permission in (("querier", "WRITE"), ("viewer", "READ")):
        grant = {"scope": name, "principal": world.user_names[caller], "permission": permission}
        world.does("manager", "POST", "/api/2.0/secrets/acls/put", grant)
    return {"scope": name, "key": "a-key"}


def make_deployed(world: World) -> Words:
    entity = {
        "name": "tiny", "entity_name": world.known["model"], "entity_version": "1",
        "workload_size": "Small", "scale_to_zero_enabled": True,
    }  # fmt: skip
    made = make_endpoint(world, {"served_entities": [entity]})
    world.house.settled(made["endpoint"])
    return {"deployed": made["endpoint"], "deployed_id": made["endpoint_id"], "entity": "tiny"}


def make_stopped(world: World) -> Words:
    made = make_deployed(world)
    world.does("manager", "POST", f"/api/2.0/serving-endpoints/{made['deployed']}/config:stop")
    return {"stopped": made["deployed"], "stopped_id": made["deployed_id"]}


def make_people(world: World) -> Words:
    """A user, a group and a service principal with a secret."""
    made: Words = {}
    for word, kind, body in (
        ("user", "Users", {"userName": world.name()}),
        ("group", "Groups", {"displayName": world.name()}),
        ("principal", "ServicePrincipals", {"displayName": world.name()}),
    ):
        one = world.does("admin", "POST", f"/api/2.0/preview/scim/v2/{kind}", body)
        made[f"{word}_id"] = one["id"]
    path = f"/api/2.0/accounts/servicePrincipals/{made['principal_id']}/credentials/secrets"
    secret = world.does("admin", "POST", path, {})
    return made | {"secret_id": secret["id"], "client_id": one["applicationId"], "client_secret": secret["secret"]}


def make_token(world: World) -> Words:
    return {"token_id": world.does("manager", "POST", "/api/2.0/token/create", {})["token_info"]["token_id"]}


def make_run(world: World) -> Words:
    """With an artifact `a.txt`, in an experiment of its own."""
    mlflow, files = "/api/2.0/mlflow", "/api/2.0/fs/files/WorkspaceInternal/Mlflow/Artifacts"
    experiment = world.does("manager", "POST", f"{mlflow}/experiments/create", {"name": world.name()})["experiment_id"]
    run = world.does("manager", "POST", f"{mlflow}/runs/create", {"experiment_id": experiment})["run"]["info"]["run_id"]
    world.does("manager", "PUT", f"{files}/{experiment}/Runs/{run}/artifacts/a.txt", b"a")
    return {"experiment_id": experiment, "run_id": run}


def make_statement(world: World) -> Words:
    sent = {"statement": "SELECT 1", "wait_timeout": "50s"}
    made = world.does("manager", "POST", "/api/2.0/sql/statements", sent)
    assert made["status"]["state"] == "SUCCEEDED", made
    (warehouse,) = world.does("manager", "GET", "/api/2.0/sql/warehouses")["warehouses"]
    return {"statement_id": made["statement_id"], "warehouse_id": warehouse["id"]}


def make_signed_urls(world: World) -> Words:
    internal = "/WorkspaceInternal/Mlflow/Artifacts/{experiment_id}/Runs/{run_id}/artifacts"
    made = {}
    for word, kind, path in (
        ("signed_upload", "upload", "/Models/{pending_path}/1/signed"),
        ("signed_download", "download", "/Models/{model_path}/1/MLmodel"),
        ("signed_artifact_upload", "upload", internal + "/c.txt"),
        ("signed_artifact_download", "download", internal + "/a.txt"),
    ):
        asked = f"/api/2.0/fs/create-{kind}-url?path={world.fill(path, world.known)}"
        made[word] = world.does("manager", "POST", asked)["url"].removeprefix(world.house.url)
    return made


MAKERS: tuple[tuple[tuple[str, ...], Callable[[World], Words]], ...] = (
    (("endpoint", "endpoint_id"), make_endpoint),
    (("model", "model_path", "model_leaf"), make_model),
    (("pending", "pending_path"), lambda world: make_model(world, finalized=False)),
    (("deployed", "deployed_id", "entity"), make_deployed),
    (("stopped", "stopped_id"), make_stopped),
    (("scope", "key"), make_scope),
    (("user_id", "group_id", "principal_id", "secret_id"), make_people),
    (("catalog", "schema"), make_catalog),
    (("token_id",), make_token),
    (("statement_id", "warehouse_id"), make_statement),
    (("experiment_id", "run_id"), make_run),
    (("signed_upload", "signed_download"), make_signed_urls),
)


def furnish(world: World) -> None:
    """Makes one of everything, and names of nothing as long."""
    grant = {"changes": [{"principal": world.user_names["manager"], "add": ["CREATE_CATALOG"]}]}
    world.does("admin", "PATCH", "/api/2.1/unity-catalog/permissions/metastore/any", grant)
    config = world.does("admin", "GET", "/.well-known/databricks-config")
    world.known |= {"workspace_id": config["workspace_id"], "account_id": config["account_id"]}
    for words, _ in MAKERS:
        if words[0] != "endpoint":
            world.known |= world.make(words[0])
    world.known |= {
        "viewer_name": world.user_names["viewer"],
        "endpoint": world.known["deployed"],
        "endpoint_id": world.known["deployed_id"],
    }
    # An administrator, for tokens that are narrowed or forged.
    member = {"Operations": [{"op": "add", "path": "members", "value": [{"value": world.known["principal_id"]}]}]}
    world.does("admin", "PATCH", "/api/2.0/preview/scim/v2/Groups/2", member)
    world.unknown = {word: unlike(text) for word, text in world.known.items() if word not in NOT_HIDDEN}


NOT_HIDDEN = ("workspace_id", "account_id", "viewer_name", "key", "entity")
"""Words for what nobody asks about with a name that does not exist."""


def unlike(text: str) -> str:
    """As long and of the same kind, and nobody's."""
    return text.replace("made-", "none-") if "made-" in text else text[::-1]
