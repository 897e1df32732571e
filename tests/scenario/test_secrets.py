"""Secrets in a real house: a model uses one, everything that can go wrong does, and then everything that was written, said or shown is
searched for every secret there is — plain and encoded."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import secrets as chance
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.fakes import callers
from tests.scenario.conftest import FAST, register
from tests.scenario.house import TOKEN, House, alive, clean_environment, content, descendants, entity, files, until

from headgate import settings as settings_module
from headgate.access import sealing
from headgate.access.sealing import Keyring, Sealer
from headgate.store import leases, sealed_columns
from headgate.store.database import Database

pytestmark = pytest.mark.scenario
SECRETS = "/api/2.0/secrets"
KEY = chance.token_bytes(32)
VALUE = "canary-one-" + chance.token_hex(12)
ROTATED = "canary-two-" + chance.token_hex(12)
UNUSED = "canary-three-" + chance.token_hex(12)
VENDORS = "canary-five-" + chance.token_hex(12)
LINES = f'canary "four"\n{chance.token_hex(12)}\nünd so weiter {chance.token_hex(8)}'


class Watched(House):
    """A house that remembers whatever its API answered, but for what was asked to be shown."""

    said: list[bytes]

    def request(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        shown = options.pop("shown", False)
        answer = super().request(method, path, body, **options)
        if not shown:
            self.said.append(answer.body + repr(answer.headers).encode())
        return answer

    def post(self, path: str, body: Any, **options: Any) -> Any:
        answer = self.request("POST", path, body, **options)
        assert answer.status == 200, answer
        return answer.json


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    given = {"HEADGATE_SECRET_KEY": base64.b64encode(KEY).decode(), "HEADGATE_LOG_LEVEL": "debug"}
    given["HEADGATE_PROVIDERS_ALLOW_PRIVATE_ADDRESSES"] = "true"
    made = Watched(tmp_path_factory.mktemp("secrets") / "data", **FAST, **given)
    made.said = []
    with made:
        register(made, "behaving", "unloadable", "impossible")
        made.post(f"{SECRETS}/scopes/create", {"scope": "team"})
        for key, value in (("key", VALUE), ("unused", UNUSED), ("lines", LINES)):
            made.post(f"{SECRETS}/put", {"scope": "team", "key": key, "string_value": value})
        variables = {"KEY": "{{secrets/team/key}}", "URL": "db://me:{{secrets/team/key}}@h/{{ secrets/team/lines }}"}
        made.create("with", entity("behaving", environment_vars=variables))
        made.create("without", entity("behaving"))
        yield made


def do(what: str) -> dict[str, Any]:
    return {"dataframe_records": [{"do": what}]}


def digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


def seen(house: House, endpoint: str, variable: str) -> str:
    found: str = house.predict(endpoint, do(f"digest {variable}")).json["predictions"][0]
    return found


def test_a_model_uses_its_secrets_and_another_has_none(house: Watched) -> None:
    assert seen(house, "with", "KEY") == digest(VALUE)
    assert seen(house, "with", "URL") == digest(f"db://me:{VALUE}@h/{LINES}")
    for variable in ("KEY", "URL"):
        assert seen(house, "without", variable) == digest("")
    shown = house.api("GET", "/with")["config"]["served_entities"][0]["environment_vars"]
    assert shown["KEY"] == "{{secrets/team/key}}"


def test_a_deleted_secret_fails_what_starts_and_not_what_serves(house: Watched) -> None:
    house.post(f"{SECRETS}/put", {"scope": "team", "key": "passing", "string_value": UNUSED})
    house.create("fading", entity("behaving", environment_vars={"KEY": "{{secrets/team/passing}}"}))
    house.post(f"{SECRETS}/delete", {"scope": "team", "key": "passing"})
    assert seen(house, "fading", "KEY") == digest(UNUSED)
    refused = house.request(
        "PUT", "/api/2.0/serving-endpoints/fading/config",
        {"served_entities": [entity("behaving", environment_vars={"KEY": "{{secrets/team/passing}}", "MORE": "1"})]},
    )  # fmt: skip
    assert refused.status == 404 and "KEY" in refused.json["message"] and "passing" in refused.json["message"]
    house.kill(house.replica_pids_of("fading")[0])

    told = "scope: team and key: passing"
    until(lambda: told in json.dumps(house.api("GET", "/fading")), "the endpoint says which secret is missing")
    house.post(f"{SECRETS}/put", {"scope": "team", "key": "passing", "string_value": VALUE})
    assert seen(house, "fading", "KEY") == digest(VALUE)
    house.delete("fading")


def test_a_rewritten_secret_is_in_force_with_the_next_deployment(house: Watched) -> None:
    config = entity("behaving", environment_vars={"KEY": "{{secrets/team/turning}}"})
    house.post(f"{SECRETS}/put", {"scope": "team", "key": "turning", "string_value": VALUE})
    house.create("turning", config)
    house.post(f"{SECRETS}/put", {"scope": "team", "key": "turning", "string_value": ROTATED})
    assert seen(house, "turning", "KEY") == digest(VALUE)
    house.update("turning", config)
    assert seen(house, "turning", "KEY") == digest(ROTATED)
    house.delete("turning")


def test_the_house_outlives_its_agent_without_losing_or_writing_a_secret(house: Watched) -> None:
    [before] = house.replica_pids_of("with")
    house.kill(house.pids("agent")[0])
    until(lambda: house.pids("agent"), "there is another agent")
    for role in ("server", "control"):  # they are given the key anew
        [gone, *_] = house.pids(role)
        house.kill(gone)
        until(lambda role=role, gone=gone: set(house.pids(role)) - {gone}, f"there is another {role}")
    until(house.healthy, "it answers")
    assert seen(house, "with", "KEY") == digest(VALUE) and house.replica_pids_of("with") == [before]
    house.kill(before)
    until(lambda: house.replica_pids_of("with") not in ([], [before]), "there is another replica")
    until(
        lambda: house.request("POST", "/serving-endpoints/with/invocations", do("nothing")).status == 200, "it serves"
    )
    assert seen(house, "with", "KEY") == digest(VALUE)


def test_nothing_that_was_written_said_or_shown_holds_a_secret(house: Watched) -> None:
    canaries = {**provoke(house), "value": VALUE, "rotated": ROTATED, "unused": UNUSED, "lines": LINES}
    canaries["vendor's key"] = VENDORS
    canaries |= {"secret key": KEY, "administrator's token": TOKEN, **opened(house)}
    assert {"fact:token_hash_key", "fact:url_signing_key"} <= set(canaries)
    assert VENDORS in {secret for name, secret in canaries.items() if name.startswith("external-model:")}
    found = [
        f"{name} in {where}"
        for where, content in everything(house)
        for name, pattern in patterns(canaries).items()
        if pattern.search(content) and (name, where) not in allowed(house)
    ]
    assert found == []


def provoke(house: Watched) -> dict[str, str]:
    """Whatever makes a system talk. The tokens that were handed out meanwhile."""
    ask = callers.over_http(house.url, TOKEN)
    user = callers.user(ask, f"canary-{chance.token_hex(4)}@example.com")
    robot = callers.service_principal(ask, "canary")
    tokens = {"user's token": user.token, "robot's token": robot.token, **oauth(house, robot)}
    for token in (user.token, "wrong-" + user.token, robot.token):
        house.request("GET", f"{SECRETS}/get?scope=team&key=key", token=token)
        house.request("POST", "/serving-endpoints/with/invocations", do("nothing"), token=token)
    house.request("POST", f"{SECRETS}/put", {"scope": "team", "key": "no/key", "string_value": VALUE})
    house.request("POST", f"{SECRETS}/put", {"scope": "team", "key": "k", "string_value": [VALUE]})
    house.request("POST", f"{SECRETS}/put", b'{"scope": "team", "key": "k", "bytes_value": ' + VALUE.encode())
    shown = house.request("GET", f"{SECRETS}/get?scope=team&key=key", shown=True)
    assert base64.b64decode(shown.json["value"]).decode() == VALUE
    variables = {"KEY": "{{secrets/team/key}}", "URL": "{{secrets/team/lines}}"}
    for model in ("unloadable", "impossible"):
        name = f"bad-{model}"
        house.api(
            "POST", "", {"name": name, "config": {"served_entities": [entity(model, environment_vars=variables)]}}
        )
        house.settled(name, "UPDATE_FAILED")
        house.api("GET", f"/{name}/served-models/{model}-1/build-logs")
        house.api("GET", f"/{name}/served-models/{model}-1/logs")
    provoke_vendors(house)
    for verb in ("leak KEY", "leak URL", "raise boom", "abort", "exit"):
        house.request("POST", "/serving-endpoints/with/invocations", do(verb))
        answers = lambda: house.request("POST", "/serving-endpoints/with/invocations", do("nothing")).status == 200  # noqa: E731
        until(answers, "it serves again")
    until(lambda: _logged(house).count("it is [REDACTED]") >= 6, "what was leaked is in the log, redacted")
    for path in ("/metrics", "/api/2.0/serving-endpoints/with", "/api/2.0/audit/events", f"{SECRETS}/list?scope=team"):
        assert house.request("GET", path).status == 200, path
    for command in (
        ("doctor",),
        ("doctor", "--output", "json"),
        ("secrets", "list", "team"),
        ("secrets", "put", "--help"),
    ):
        house.said.append(command_line(house, *command))
    return tokens


def provoke_vendors(house: Watched) -> None:
    """The key of an external model, in everything that can be asked of one. Nobody listens where it is said to be."""
    config = {"openai_api_key_plaintext": VENDORS, "openai_api_base": "http://127.0.0.1:9/v1"}
    model = {"name": "gpt", "provider": "openai", "task": "llm/v1/chat", "openai_config": config}
    wished = {"served_entities": [{"external_model": model}]}
    house.create("vendors", {"external_model": model})
    for body in (
        {"name": "vendors", "config": wished},
        {"name": "no", "config": {"served_entities": [{"external_model": {**model, "task": "none"}}]}},
        {"name": "no", "config": {"served_entities": [{"external_model": {**model, "openai_config": VENDORS}}]}},
        {"name": "no", "config": {"served_entities": [{"external_model": {**model, "anthropic_config": config}}]}},
        {"name": "no", "config": {"served_entities": [{"external_model": model, "workload_size": [VENDORS]}]}},
    ):
        assert house.request("POST", "/api/2.0/serving-endpoints", body).status >= 400
    as_reference = {**model, "openai_config": {"openai_api_key": VENDORS}}
    path = "/api/2.0/serving-endpoints/vendors"
    changed = {"served_entities": [{"external_model": as_reference}]}
    assert house.request("PUT", f"{path}/config", changed).status == 400
    house.update("vendors", {"external_model": model})
    asked = house.request(
        "POST", "/serving-endpoints/vendors/invocations", {"messages": [{"role": "user", "content": "?"}]}
    )
    assert asked.status >= 500, asked
    for more in ("", "/openapi", "/metrics", "/served-models/gpt/logs", "/served-models/gpt/build-logs"):
        assert house.request("GET", path + more).status == 200, more


def _logged(house: Watched) -> str:
    logs: str = house.api("GET", "/with/served-models/behaving-1/logs")["logs"]
    return logs


def oauth(house: Watched, robot: callers.Caller) -> dict[str, str]:
    """A service principal's secret and the token it buys."""
    made = house.post(f"/api/2.0/accounts/servicePrincipals/{robot.id}/credentials/secrets", {}, shown=True)
    form = f"grant_type=client_credentials&scope=all-apis&client_id={robot.name}&client_secret={quote(made['secret'])}"
    bought = house.request(
        "POST",
        "/oidc/v1/token",
        form.encode(),
        token=None,
        shown=True,
        Content_Type="application/x-www-form-urlencoded",
    )
    assert bought.status == 200, bought
    token = bought.json["access_token"]
    house.request("GET", f"{SECRETS}/scopes/list", token=token)
    # The part of a JWT that makes it one; the rest is no secret.
    return {"robot's secret": made["secret"], "robot's OAuth token": token.rpartition(".")[2]}


def command_line(house: House, *arguments: str) -> bytes:
    environment = clean_environment(
        DATABRICKS_HOST=house.url, DATABRICKS_TOKEN=TOKEN, HEADGATE_DATA_DIR=str(house.data_dir),
        HEADGATE_SECRET_KEY=base64.b64encode(KEY).decode(), DATABRICKS_CONFIG_FILE=os.devnull,
    )  # fmt: skip
    command = [sys.executable, "-m", "headgate.cli.main", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False, cwd=house.data_dir)
    return done.stdout + done.stderr


def opened(house: House) -> dict[str, str]:
    """Everything that is sealed in the database, opened: secrets, signing keys, keys of hashes."""
    sealer, found = Sealer(Keyring([KEY])), {}
    database = Database(f"sqlite:///{house.data_dir / 'headgate.db'}")
    with database.read() as connection:
        for column in sealed_columns.columns():
            for row in connection.execute(column.table.select()).mappings():
                if row[column.name] and sealing.key_id_of(row[column.name]):
                    context = str(column.info["sealed"]).format_map({str(key): value for key, value in row.items()})
                    found[context] = sealer.open(row[column.name], context).decode()

        def note(sealed: str, context: str) -> str:
            found[context] = sealer.open(sealed, context).decode()
            return sealed

        for column in sealed_columns.documents():
            for row in connection.execute(column.table.select()).mappings():
                column.info["sealed_within"](row, row[column.name], note)
    database.close()
    del found["fact:secret_key_check"]  # its text is no secret
    return found


def everything(house: Watched) -> Iterator[tuple[str, bytes]]:
    """Where and what: every file but installed packages and registered models, every answer, and what /proc shows of every process."""
    run_dir = settings_module.load({"data_dir": house.data_dir}, environ={}).sockets
    for root in (house.data_dir, run_dir, house.log):
        for path in files(root):
            inside = path.relative_to(root).parts
            if "venv" not in inside and inside[:1] not in (("bytecode",), ("models",)):
                yield f"{path}", f"{path}".encode() + content(path)
    for number, answer in enumerate(house.said):
        yield f"answer {number}: {answer[:100]!r}", answer
    assert house.process is not None
    for pid in (house.process.pid, *descendants(house.process.pid)):
        who = "supervisor" if pid == house.process.pid else "below"
        for file in ("environ", "cmdline"):
            try:
                yield f"{who} {file}", Path(f"/proc/{pid}/{file}").read_bytes()
            except OSError:
                assert not alive(pid)


def allowed(house: House) -> set[tuple[str, str]]:
    """Where a secret may be, as docs/secrets.md says."""
    return {
        ("administrator's token", str(house.data_dir / "admin-token")),
        # It was started with them.
        ("administrator's token", "supervisor environ"),
        ("secret key", "supervisor environ"),
    }


def patterns(canaries: Mapping[str, str | bytes]) -> dict[str, re.Pattern[bytes]]:
    return {name: re.compile(b"|".join(map(re.escape, forms(value)))) for name, value in canaries.items()}


def forms(value: str | bytes) -> set[bytes]:
    """A secret as it may be written: as it is, in JSON, in a URL, hex, base64 at any place of a longer text."""
    raw = value if isinstance(value, bytes) else value.encode()
    found = {raw, raw.hex().encode(), raw.hex().upper().encode(), quote(raw, safe="").encode()}
    for line in (value, *value.splitlines()) if isinstance(value, str) else ():
        if len(line) >= 12:
            found |= {
                line.encode(),
                json.dumps(line)[1:-1].encode(),
                json.dumps(line, ensure_ascii=False)[1:-1].encode(),
            }
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw)
        sure = encoded[4 if shift else 0 : len(encoded) // 4 * 4 - 4]
        found |= {sure, sure.replace(b"+", b"-").replace(b"/", b"_")}
    return found


def test_the_search_finds_what_it_looks_for() -> None:
    patterns_of_it = patterns({"value": VALUE, "key": KEY, "lines": LINES})
    for prefix in ("", "t", "to", "token:"):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            assert patterns_of_it["value"].search(encode((prefix + VALUE + "tail").encode()))
            assert patterns_of_it["key"].search(encode(prefix.encode() + KEY + b"t"))
    for told in (json.dumps({"a": LINES}).encode(), quote(LINES).encode(), LINES.splitlines()[1].encode()):
        assert patterns_of_it["lines"].search(told)


def test_a_crash_leaves_no_core_file(house: Watched) -> None:
    for pid in descendants(house.process.pid if house.process else 0):
        try:
            limits = Path(f"/proc/{pid}/limits").read_text()
        except OSError:
            assert not alive(pid)
            continue
        [core] = [line.split() for line in limits.splitlines() if line.startswith("Max core file size")]
        assert set(core[4:6]) <= {"0", "1"}, core


@pytest.fixture
def bare(tmp_path: Path) -> Callable[..., House]:
    return lambda **settings: House(tmp_path / "data", HEADGATE_TRACKING_START="off", **settings)


def rotation(house: House) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "headgate.cli.main", "secrets", "rotate-key", "--data-dir", str(house.data_dir)]
    return subprocess.Popen(command, env=clean_environment(), stderr=subprocess.PIPE)


def test_a_key_rotation_killed_again_and_again_loses_nothing_while_servers_run(bare: Callable[..., House]) -> None:
    with bare(HEADGATE_WORKERS="2") as house:
        values = {f"k{number}": chance.token_hex(2000) for number in range(60)}
        house.request("POST", f"{SECRETS}/scopes/create", {"scope": "s"})

        def put(key: str) -> None:
            body = {"scope": "s", "key": key, "string_value": values[key]}
            assert house.request("POST", f"{SECRETS}/put", body).status == 200

        def check() -> None:
            for key, value in values.items():
                answer = house.request("GET", f"{SECRETS}/get?scope=s&key={key}")
                assert base64.b64decode(answer.json["value"]).decode() == value, (key, answer)

        for key in values:
            put(key)
        file = house.data_dir / "secret-key"
        for _ in range(3):
            running = rotation(house)
            before = file.read_text()
            until(lambda before=before: file.read_text() != before, "it has begun")
            put(chance.choice(list(values)))
            running.send_signal(signal.SIGKILL)
            running.communicate()
            check()
        house.kill_everything()
        house.start()
        check()
        running = rotation(house)
        _, said = running.communicate(timeout=60)
        assert running.returncode == 0, said
        assert len(file.read_text().split()) == 1
        check()
        put("k0")
        house.kill(house.pids("server")[0])
        until(house.healthy, "a server answers")
        check()
    with bare():
        pass


def test_what_an_older_version_left_open_is_sealed_at_the_next_start(bare: Callable[..., House]) -> None:
    names = ("token_hash_key", "url_signing_key")
    with bare() as house:
        pass
    sealer = Sealer(Keyring([], house.data_dir / "secret-key"))
    database = Database(f"sqlite:///{house.data_dir / 'headgate.db'}")
    left = {name: sealer.open(str(leases.fact(database, name)), f"fact:{name}").decode() for name in names}
    for name, value in left.items():
        leases.set_fact(database, name, value)
    with bare() as house:
        assert house.request("GET", f"{SECRETS}/scopes/list").status == 200
    for name, value in left.items():
        found = str(leases.fact(database, name))
        assert value not in found and sealer.open(found, f"fact:{name}").decode() == value
    database.close()


def test_a_house_without_its_key_refuses_to_start_and_says_what_to_do(bare: Callable[..., House]) -> None:
    with bare() as house:
        file = house.data_dir / "secret-key"
    kept = file.read_text()
    file.unlink()
    for settings, advice in (
        ({}, "Put the key back into"),
        ({"HEADGATE_SECRET_KEY": "11" * 32}, "not the one this database was sealed with"),
        ({"HEADGATE_SECRET_KEY": "short"}, "openssl rand -base64 32"),
    ):
        told = refusal(house, settings)
        assert advice in told and "Traceback" not in told and not file.exists(), told
    file.write_text(kept)
    with bare():
        pass


def refusal(house: House, settings: Mapping[str, str]) -> str:
    environment = clean_environment(HEADGATE_DATA_DIR=str(house.data_dir), HEADGATE_PORT="0", **settings)
    command = [sys.executable, "-m", "headgate.cli.main", "serve"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "11" * 32 not in done.stdout + done.stderr
    return done.stderr
