"""One limit, several server processes: real ones under load, sharing through the database or Redis, some of them killed."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.scenario.house import TOKEN, House, content, files, until
from tests.scenario.language_house import LanguageHouse, language_house

from headgate import settings as settings_module

pytestmark = pytest.mark.scenario
CLIENTS = 16
HELLO = json.dumps({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}).encode()
PATIENT = {"HEADGATE_RATE_LIMITS_PATIENCE_S": "60"}
"""However slow the machine: nobody goes on alone, so that the bound is the limit itself."""


@dataclass(frozen=True)
class Let:
    """A request that was let in, between two moments."""

    sent_s: float
    answered_s: float


class Load:
    """Clients that ask as quickly as they are answered, each on a connection of its own, so that all servers are asked."""

    def __init__(self, house: House, endpoint: str) -> None:
        self._house, self._endpoint = house, endpoint
        self.let_in: list[Let] = []
        self.statuses: dict[int, int] = {}
        self._lock = threading.Lock()

    def run(self, requests: int) -> Load:
        """So many of each client."""
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(self._client, [requests] * CLIENTS))
        return self

    def _client(self, requests: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._house.port, timeout=120)
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        for _ in range(requests):
            sent_s = time.monotonic()
            try:
                connection.request("POST", f"/serving-endpoints/{self._endpoint}/invocations", HELLO, headers)
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException):
                connection.close()  # its server was killed
                continue
            assert answer.status in (200, 429), body
            with self._lock:
                self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
                if answer.status == 200:
                    self.let_in.append(Let(sent_s, time.monotonic()))
        connection.close()

    def most_in_a_minute(self) -> int:
        """Let in within some 60 seconds, of those certainly in them."""
        return max(
            (
                sum(one.sent_s >= first.sent_s and one.answered_s <= first.sent_s + 60 for one in self.let_in)
                for first in self.let_in
            ),
            default=0,
        )


def limited(house: LanguageHouse, name: str, **limit: int) -> None:
    """A limit of the endpoint `name`, made when it is not there."""
    house.put_ai_gateway(name, rate_limits=[{**limit, "key": "endpoint", "renewal_period": "minute"}])


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LanguageHouse]:
    with language_house(tmp_path_factory.mktemp("four") / "data", HEADGATE_WORKERS="4", **PATIENT) as made:
        yield made


def test_four_servers_under_load_let_in_the_limit_and_no_more(four: LanguageHouse) -> None:
    four.external_endpoint("calls")
    limited(four, "calls", calls=200)
    began_s = time.monotonic()
    load = Load(four.house, "calls").run(40)
    minutes = 1 + int((time.monotonic() - began_s) / 60)
    assert load.most_in_a_minute() <= 200
    assert len(load.let_in) >= 180
    assert load.statuses[429] >= CLIENTS * 40 - 200 * (minutes + 1)


def test_four_servers_under_load_let_in_no_more_tokens_than_the_limit(four: LanguageHouse) -> None:
    """The vendor says 20 a request; about as many are held until it has."""
    four.external_endpoint("tokens")
    limited(four, "tokens", tokens=2000)
    load = Load(four.house, "tokens").run(15)
    assert load.most_in_a_minute() * 20 <= 2000
    assert len(load.let_in) >= 60


def test_a_limit_is_in_force_everywhere_once_it_is_set(four: LanguageHouse) -> None:
    four.external_endpoint("now")
    for _ in range(3):
        limited(four, "now", calls=0)
        blocked = Load(four.house, "now").run(2)
        assert set(blocked.statuses) == {429}
        four.put_ai_gateway("now")
        opened = Load(four.house, "now").run(2)
        assert set(opened.statuses) == {200}


def test_servers_that_are_killed_and_started_again_give_nothing_away(four: LanguageHouse) -> None:
    four.external_endpoint("killed")
    limited(four, "killed", calls=300)
    load = Load(four.house, "killed")
    running = threading.Thread(target=load.run, args=(60,))
    running.start()
    until(lambda: len(load.let_in) > 40, "requests are let in")
    for pid in four.house.pids("server")[:2]:
        four.house.kill(pid)
    running.join()
    assert load.most_in_a_minute() <= 300
    until(lambda: len(four.house.pids("server")) == 4 and four.house.healthy(), "servers are back")
    assert load.run(2).most_in_a_minute() <= 300


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    assert program is not None, "redis-server is not installed"
    folder = Path(tempfile.mkdtemp(prefix="headgate-redis."))
    socket, secret = folder / "redis.sock", "hush-hush"
    options = ["--port", "0", "--unixsocket", str(socket), "--requirepass", secret, "--save", "", "--dir", str(folder)]
    server = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(socket.exists, "redis-server is up")
        yield f"unix://:{secret}@{socket}"
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(folder)


def test_servers_share_through_redis_whose_password_is_in_no_file_and_no_environment(
    tmp_path: Path, redis_url: str
) -> None:
    settings = {"HEADGATE_RATE_LIMITS_REDIS_URL": redis_url, **PATIENT}
    with language_house(tmp_path / "data", **settings) as made:
        made.external_endpoint("calls")
        limited(made, "calls", calls=100)
        load = Load(made.house, "calls").run(20)
        assert load.most_in_a_minute() <= 100
        assert len(load.let_in) >= 85
        answered = 'headgate_rate_limit_exchanges_total{outcome="answered"}'
        # What the other server counted is a second old where `/metrics` is answered.
        until(lambda: _metric(made.house, answered) > 0, "exchanges are told")
        for pid in [pid for role in ("server", "control", "agent") for pid in made.house.pids(role)]:
            assert b"hush-hush" not in Path(f"/proc/{pid}/environ").read_bytes()
        run_dir = settings_module.load({"data_dir": made.house.data_dir}, environ={}).sockets
        written = list(files(made.house.data_dir, run_dir))
        assert run_dir / "settings.json" in written
        assert not any(b"hush-hush" in content(file) for file in written)


def _metric(house: House, line: str) -> float:
    told: Any = house.request("GET", "/metrics").body.decode()
    return sum(float(one.rsplit(" ", 1)[1]) for one in told.splitlines() if one.startswith(line + " "))
