"""A real house with two server processes, a real OpenID Connect provider as a process, and a model served route optimized."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from tests.fakes import callers
from tests.scenario.house import TOKEN, House, entity, free_port, until
from tests.wire.access.tiny_model import FILES
from tests.wire.clients import client_environ

CLIENT_SECRET = "hush-hush-login-secret"
SECRETS = "/api/2.0/accounts/servicePrincipals/{}/credentials/secrets"


@dataclass(frozen=True)
class Robot:
    """A service principal with a secret."""

    id: str
    client_id: str
    secret: str

    def environ(self, house: House) -> dict[str, str]:
        """All that a client is told."""
        return {
            "DATABRICKS_HOST": house.url,
            "DATABRICKS_CLIENT_ID": self.client_id,
            "DATABRICKS_CLIENT_SECRET": self.secret,
        }


class Provider:
    """The process, and the accounts that people have there."""

    def __init__(self, url: str) -> None:
        self.url = url

    def account(self, subject: str, **claims: object) -> None:
        """Makes or changes one."""
        requests.put(f"{self.url}/users/{subject}", json=claims, timeout=30).raise_for_status()


@pytest.fixture(scope="session")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    url = f"http://127.0.0.1:{(port := free_port())}"
    log = tmp_path_factory.mktemp("provider") / "log"
    program = Path(sys.executable).with_name("oidc-provider-mock")
    with log.open("wb") as out:
        command = [str(program), "--port", str(port), "--require-nonce", "true"]
        process = subprocess.Popen(command, stdout=out, stderr=out, env=client_environ({}))

    def ready() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(f"{url}/.well-known/openid-configuration", timeout=5).close()
        except OSError:
            return False
        return True

    until(ready, "the provider answers")
    yield Provider(url)
    process.terminate()
    process.wait(30)


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> Iterator[House]:
    settings = {
        "HEADGATE_WORKERS": "2",
        "HEADGATE_ENVIRONMENTS_MODE": "local",
        "HEADGATE_OAUTH_KEY_LEAD_S": "1",
        "HEADGATE_LOGIN_ISSUER": provider.url,
        "HEADGATE_LOGIN_CLIENT_ID": "headgate",
        "HEADGATE_LOGIN_CLIENT_SECRET": CLIENT_SECRET,
        "HEADGATE_LOGIN_GROUPS_CLAIM": "groups",
        "HEADGATE_LOGIN_GROUP_MAPPING": "engineering=engineers",
        "HEADGATE_LOGIN_ADMIN_GROUPS": "bosses",
    }
    with House(tmp_path_factory.mktemp("oauth") / "data", **settings) as made:
        _register(made)
        callers.group(callers.over_http(made.url, TOKEN), "engineers")
        wish = {"name": "quick", "route_optimized": True, "config": {"served_entities": [entity("tiny")]}}
        made.api("POST", "", wish)
        made.settled("quick")
        yield made


def _register(house: House) -> None:
    """The model `main.default.tiny`, version 1."""
    ask, uc, name = callers.over_http(house.url, TOKEN), "/api/2.0/mlflow/unity-catalog", "main.default.tiny"
    ask("POST", f"{uc}/registered-models/create", {"name": name})
    ask("POST", f"{uc}/model-versions/create", {"name": name})
    for file, text in FILES.items():
        answer = house.request("PUT", f"/api/2.0/fs/files/Models/main/default/tiny/1/{file}", text.encode())
        assert answer.status < 300, answer
    ask("POST", f"{uc}/model-versions/finalize", {"name": name, "version": "1"})


def new_robot(house: House, name: str, level: str = "") -> Robot:
    """One that has `level` on the endpoint `quick`."""
    ask = callers.over_http(house.url, TOKEN)
    made = ask("POST", f"{callers.SCIM}/ServicePrincipals", {"displayName": name})
    secret = ask("POST", SECRETS.format(made["id"]), {})["secret"]
    if level:
        grant(house, {"service_principal_name": made["applicationId"], "permission_level": level})
    return Robot(made["id"], made["applicationId"], secret)


def grant(house: House, entry: dict[str, str]) -> None:
    ask = callers.over_http(house.url, TOKEN)
    path = f"/api/2.0/permissions/serving-endpoints/{house.api('GET', '/quick')['id']}"
    ask("PATCH", path, {"access_control_list": [entry]})
