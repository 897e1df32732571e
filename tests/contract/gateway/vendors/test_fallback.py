"""Which vendors are asked, in which order, and what the client gets: over real sockets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.contract.gateway.bench import Run, until
from tests.contract.gateway.vendors.outside import NOWHERE, SAID, events_of, is_done, outside, text_of

from headgate.gateway.vendors import attempts

FAILING = [
    ({"status": 429, "message": "slow down"}, 429),
    ({"status": 500}, 500),
    ({"status": 503}, 503),
    ({"status": 529}, 529),
    ({"hang_up_after_bytes": -1}, 0),
    ({"hang_up_after_bytes": 3}, 0),
    ({"body": b"<html>hello</html>"}, 502),
]
"""How a vendor fails, and the status its attempt is recorded with."""


@pytest.mark.parametrize(("act", "status"), FAILING)
@pytest.mark.parametrize("stream", [False, True])
def test_what_one_vendor_cannot_answer_the_next_one_does(
    run: Run, tmp_path: Path, act: dict[str, Any], status: int, stream: bool
) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            out.act("first", **act)
            await out.serve(out.entity("first", 100), out.entity("second", 0))
            response = await (out.stream() if stream else out.ask())
            assert (response.status, text_of(response)) == (200, SAID)
            assert response.headers["served-model-name"] == "second"
            assert is_done(response) or not stream
            # A stream that is no stream of events is no answer either.
            shown = 503 if stream and status == 502 else status
            assert out.attempts() == [("first", shown), ("second", 200)]
            assert out.call.usage is not None and out.call.entity.name == "second" and out.call.complete
            assert out.bench.metric('headgate_fallbacks_total{endpoint="churn",served_entity="first"}') == 1

    run(main())


def test_nobody_waits_for_all_the_words_of_a_refusal(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            out.act("first", status=500, piece_bytes=8, pause_s=3600)
            await out.serve(out.entity("first", 100), out.entity("second", 0))
            response = await out.ask()
            assert (response.status, text_of(response)) == (200, SAID)
            assert out.attempts() == [("first", 500), ("second", 200)]

    monkeypatch.setattr(attempts, "REFUSAL_S", 0.05)
    run(main())


def test_a_vendor_that_takes_no_connections_is_passed_over(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            await out.serve(out.entity("down", 100, base=NOWHERE), out.entity("up", 0))
            assert text_of(await out.ask()) == SAID
            assert out.attempts() == [("down", 0), ("up", 200)]
            assert "127.0.0.1" not in out.call.attempts[0].error

    run(main())


def test_without_fallback_one_is_asked(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            out.act("first", status=500, message="The model fell over.")
            await out.serve(out.entity("first", 100), out.entity("second", 0), fallback=False)
            response = await out.ask()
            assert (response.status, out.heard("second")) == (500, 0)
            assert response.json() == {
                "error_code": "INTERNAL_ERROR",
                "message": "OpenAI answered 500: The model fell over.",
            }
            assert response.headers["served-model-name"] == "first"

    run(main())


def test_one_that_the_path_names_has_nobody_to_stand_in_for_it(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            out.act("second", status=503)
            await out.serve(out.entity("first", 100), out.entity("second", 0))
            response = await out.ask(path="/serving-endpoints/churn/served-models/second/invocations")
            assert (response.status, out.heard("first"), out.heard("second")) == (503, 0, 1)

    run(main())


def test_the_others_come_in_order_and_those_without_traffic_last(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            for name in ("spare", "second", "chosen", "third"):
                out.act(name, status=503)
            entities = [
                out.entity("spare", 0),
                out.entity("second", 0),
                out.entity("chosen", 100),
                out.entity("third", 0),
            ]
            await out.serve(*entities)
            await out.ask()
            assert [name for name, _ in out.attempts()] == ["chosen", "spare", "second", "third"]

    run(main())


@pytest.mark.parametrize(("status", "shown"), [(400, 400), (401, 401), (403, 403), (404, 404), (413, 400), (422, 400)])
def test_a_refusal_is_the_clients_answer(run: Run, tmp_path: Path, status: int, shown: int) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            out.act("first", status=status, message="No. Your key sk-secret is a bad one.")
            await out.serve(out.entity("first", 100), out.entity("second", 0))
            response = await out.ask()
            assert (response.status, out.heard("second")) == (shown, 0)
            assert "sk-secret" not in response.body.decode() + out.last_attempt().error
            assert "www-authenticate" not in response.headers
            assert ("served entity" in response.json()["message"]) == (status == 401)
            assert not out.bench.noted, "nobody tried to log in"

    run(main())


def test_when_all_fail_the_last_answer_is_given_with_its_retry_after(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            out.act("first", status=503)
            out.act("second", status=429, message="Slow down.", headers={"retry-after": "7"})
            await out.serve(out.entity("first", 100), out.entity("second", 0))
            response = await out.ask()
            headers = {name.lower(): value for name, value in response.headers.items()}
            assert (response.status, headers["retry-after"]) == (429, "7")
            assert response.json() == {
                "error_code": "REQUEST_LIMIT_EXCEEDED",
                "message": "OpenAI answered 429: Slow down.",
            }
            assert out.attempts() == [("first", 503), ("second", 429)]
            assert out.call.error_code == "REQUEST_LIMIT_EXCEEDED"

    run(main())


def test_who_asked_for_a_rest_gets_it_while_others_can_answer(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            out.act("first", status=429, headers={"retry-after": "30"})
            await out.serve(out.entity("first", 100), out.entity("second", 0))
            for _ in range(3):
                assert text_of(await out.ask()) == SAID
            assert (out.heard("first"), out.heard("second")) == (1, 3)
            out.act("second", status=503)
            assert (await out.ask()).status == 429, "nobody else can: it is asked all the same"
            assert out.attempts() == [("second", 503), ("first", 429)]

    run(main())


def test_traffic_is_dealt_among_the_healthy(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path, providers={"breaker_failures": 2, "breaker_open_s": 600.0}) as out:
            broken = out.act("broken", status=500)
            await out.serve(out.entity("broken", 50), out.entity("well", 50), fallback=False)
            statuses = [(await out.ask()).status for _ in range(30)]
            assert statuses.count(500) == 2 == broken.count
            assert statuses[-10:] == [200] * 10
            assert out.bench.metric('headgate_breaker_state{endpoint="churn",served_entity="broken"}') == 1

    run(main())


def test_an_entity_that_cannot_do_what_is_asked_is_no_stand_in(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            out.act("first", status=503, message="overloaded")
            await out.serve(out.entity("first", 100), out.entity("claude", 0, "anthropic"))
            asked = {"messages": [{"role": "user", "content": "Hi"}], "logprobs": True}
            response = await out.ask(asked)
            assert (response.status, out.heard("claude")) == (503, 0)
            assert response.json()["message"] == "OpenAI answered 503: overloaded"
            assert out.attempts() == [("first", 503), ("claude", 400)]
            await out.serve(out.entity("claude", 100, "anthropic"), out.entity("first", 0))
            assert (await out.ask(asked)).status == 400, "chosen first, it is what the client must know"

    run(main())


def test_all_at_once_each_gets_its_own_answer(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            out.act("first", status=503)
            out.act("second", pause_s=0.01)
            await out.serve(out.entity("first", 100), out.entity("second", 0))
            clients = [
                out.send({"messages": [{"role": "user", "content": "Hi"}], "stream": n % 2 == 0}) for n in range(40)
            ]
            responses = [await client.done() for client in clients]
            assert [text_of(response) for response in responses] == [SAID] * 40
            assert all(is_done(response) for response in responses[::2])
            assert out.heard("second") == 40
            await until(lambda: out.bench.gateway.routes.active == 0)

    run(main())


def test_events_of_an_attempt_that_failed_are_never_seen(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            out.act("first", hang_up_after_pieces=1)  # the role is said, nothing else
            await out.serve(out.entity("first", 100), out.entity("second", 0))
            response = await out.stream()
            roles = [choice["delta"].get("role") for event in events_of(response) for choice in event["choices"]]
            assert roles.count("assistant") == 1
            assert out.attempts() == [("first", 0), ("second", 200)]

    run(main())


def test_an_address_that_may_not_be_reached_is_the_owners_mistake(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path, providers={"allow_private_addresses": False}) as out:
            await out.serve(out.entity("first", 100))
            response = await out.ask()
            assert (response.status, out.heard("first")) == (400, 0)
            assert "127.0.0.1" not in response.json()["message"]
            assert out.attempts() == [("first", 0)]

    run(main())
