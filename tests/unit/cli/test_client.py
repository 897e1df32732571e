from __future__ import annotations

import socket

import pytest
from tests.unit.cli.fake_server import Answer, FakeServer

from headgate.cli.client import Client
from headgate.cli.connection import Connection
from headgate.cli.problems import ApiError, CliError, Unreachable

BUSY = {"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "Too many requests."}


def client(server: FakeServer, pauses: list[float]) -> Client:
    return Client(Connection(server.url, "secret"), sleep=pauses.append)


def test_the_token_is_sent_even_where_a_netrc_knows_the_host(
    server: FakeServer, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    (netrc := __import__("pathlib").Path(str(tmp_path)) / "netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(netrc))
    server.answer("GET /x", {"ok": True})
    assert client(server, []).get("/x") == {"ok": True}
    assert server.asked[0].headers["Authorization"] == "Bearer secret"


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again_after_the_time_it_names(server: FakeServer, status: int) -> None:
    server.answer("POST /x", Answer(BUSY, status, {"Retry-After": "3"}), Answer(BUSY, status), Answer({"ok": 1}))
    pauses: list[float] = []
    assert client(server, pauses).send("POST", "/x", {"a": 1}) == {"ok": 1}
    assert pauses == [3.0, 1.0]
    assert [one.body for one in server.asked] == [{"a": 1}] * 3


def test_a_server_that_stays_busy_is_given_up_after_30_seconds(server: FakeServer) -> None:
    server.answer("GET /x", Answer(BUSY, 429, {"Retry-After": "12"}))
    pauses: list[float] = []
    with pytest.raises(ApiError, match="Too many requests"):
        client(server, pauses).get("/x")
    assert pauses == [12.0, 12.0]


def test_other_errors_are_not_tried_again(server: FakeServer) -> None:
    server.answer("GET /x", Answer({"error_code": "INTERNAL_ERROR", "message": "m"}, 500))
    with pytest.raises(ApiError) as raised:
        client(server, []).get("/x")
    assert (raised.value.error_code, raised.value.status, len(server.asked)) == ("INTERNAL_ERROR", 500, 1)


def test_an_error_that_is_not_json_is_shown_with_its_status(server: FakeServer) -> None:
    server.answer("GET /x", Answer("<h1>Bad\nGateway</h1>", 502, {"Content-Type": "text/html"}))
    with pytest.raises(ApiError) as raised:
        client(server, []).get("/x")
    assert raised.value.line() == f"{server.url}/x answered: <h1>Bad Gateway</h1> (HTTP 502)"


def test_an_answer_that_is_not_json_says_so(server: FakeServer) -> None:
    server.answer("GET /x", Answer("<html>", headers={"Content-Type": "text/html"}))
    with pytest.raises(CliError, match="is this the address of a Headgate server"):
        client(server, []).get("/x")


def test_an_unreachable_server_is_named_with_what_to_check() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: refused
        host = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Unreachable) as raised:
            Client(Connection(host, "secret")).get("/x")
    assert raised.value.line().startswith(f"cannot reach {host}: connection refused; check that `headgate serve` runs")


def test_a_server_that_does_not_answer_is_given_up() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        host = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Unreachable, match="did not answer in time"):
            Client(Connection(host, "secret"), answer_timeout_s=0.05).get("/x")


def test_a_host_that_is_no_address_is_told(server: FakeServer) -> None:
    with pytest.raises(CliError, match="not a valid server address"):
        Client(Connection("http://", "secret")).get("/x")
