"""`config:stop` and DELETE answer once every server process routes by them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.fakes.api_house import ENDPOINTS, ApiHouse

from headgate.api import in_force


class Servers:
    """Two server processes; the second one swaps its table when the handler has looked three times."""

    def __init__(self, house: Callable[[], ApiHouse]) -> None:
        self.looks = 0
        self._house = house

    def pause(self, seconds: float) -> None:
        assert 0 < seconds < 0.1
        self.looks += 1
        if self.looks == 3:
            self.report("server-1")

    def report(self, server: str) -> None:
        house = self._house()
        house.servers.report(server, house.database.revision("routing"), int(time.time() * 1000))


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[tuple[ApiHouse, Servers]]:
    servers = Servers(lambda: api)
    api = ApiHouse(tmp_path, pause=servers.pause)
    assert api.create("slow").status == 200
    api.activate("slow")
    servers.report("server-1")
    yield api, servers
    api.close()


@pytest.mark.parametrize(("method", "path"), [("POST", "/slow/config:stop"), ("DELETE", "/slow")])
def test_the_answer_waits_for_the_slowest_server(slow: tuple[ApiHouse, Servers], method: str, path: str) -> None:
    api, servers = slow
    assert api.request(method, ENDPOINTS + path).status == 200
    assert servers.looks == 3


def test_a_server_that_hangs_delays_the_answer_for_a_bounded_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_force, "LONGEST_WAIT_S", 0.02)
    api = ApiHouse(tmp_path)
    api.create("hung")
    api.servers.report("server-1", 0, int(time.time() * 1000))
    assert api.request("DELETE", f"{ENDPOINTS}/hung").status == 200
    assert api.get("hung").status == 404
    api.close()
