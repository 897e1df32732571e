"""Every route where a body names the endpoint, through both doors, to replicas: who gets where, and what is said to those who do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.contract.gateway.bench import Bench, Run, entity
from tests.contract.gateway.test_one_request import UNKNOWN
from tests.fakes.worker import Received

from headgate.domain.routing import GatewayRoute
from headgate.gateway.paths import BY_BODY, MODELS_PATHS

ASKED = {"model": "churn", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5}
CHAT = "/serving-endpoints/chat/completions"
MESSAGES = "/serving-endpoints/anthropic/v1/messages"
SAID = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "usage": {"prompt_tokens": 3, "completion_tokens": 2},
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}]}  # fmt: skip
CHUNKS = [{"id": "1", "model": "m", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hel"}}]},
          {"id": "1", "model": "m", "choices": [{"index": 0, "delta": {"content": "lo."}, "finish_reason": "stop"}]}]  # fmt: skip


def body(**more: Any) -> bytes:
    return json.dumps({**ASKED, **more}).encode()


async def talk(request: Received) -> None:
    """A chat model."""
    if not json.loads(request.body).get("stream"):
        request.reply(json.dumps(SAID).encode())
        return
    request.stream()
    for chunk in CHUNKS:
        request.chunk(b"data: " + json.dumps(chunk).encode() + b"\n\n")
    request.chunk(b"data: [DONE]\n\n")
    request.end()


def test_every_route_leads_to_the_endpoint_that_the_body_names(run: Run, tmp_path: Path) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            worker = await bench.worker(talk)
            await bench.serve(entity(worker))
            for path, api in BY_BODY.items():
                for asked in (path, path + "/"):
                    response = await bench.ask(asked, body())
                    assert (response.status, response.headers["served-model-name"]) == (200, "churn-1"), asked
                    told = "chat/completions" if api == "anthropic/v1/messages" else api
                    assert worker.received[-1].meta["api"] == told
            await bench.ask(f"/1234567890123456{CHAT}", body())
            assert worker.received[-1].meta["api"] == "chat/completions"
            await bench.ask(body=body())
            assert "api" not in worker.received[-1].meta

    run(live())


@pytest.mark.parametrize(
    ("request_", "status", "code", "says"),
    [
        ({"body": body(model="nobody")}, 404, "ENDPOINT_NOT_FOUND", UNKNOWN),
        ({"body": body(), "headers": {"authorization": "Bearer stranger"}}, 404, "ENDPOINT_NOT_FOUND", UNKNOWN),
        ({"body": body(), "headers": {"authorization": "Bearer guest"}}, 403, "PERMISSION_DENIED", "CAN QUERY"),
        ({"body": body(model="nobody"), "headers": {"authorization": "Bearer narrow"}}, 403, "PERMISSION_DENIED", ""),
        ({"body": b"{}", "headers": {"authorization": "Bearer wrong"}}, 401, "UNAUTHENTICATED", "Invalid access"),
        ({"body": b"{}"}, 400, "INVALID_PARAMETER_VALUE", "give its name as 'model'"),
        ({"body": b"not JSON"}, 400, "MALFORMED_REQUEST", "not valid JSON"),
        ({"body": b'{"model":5}'}, 400, "INVALID_PARAMETER_VALUE", "$.model"),
        ({"body": body(x="x" * 3000)}, 400, "BAD_REQUEST", "larger than the limit of 2000 bytes"),
        ({"pieces": [body(x="x" * 1000), b"x" * 2000]}, 400, "BAD_REQUEST", "larger than the limit of 2000 bytes"),
        ({"method": "GET"}, 405, "BAD_REQUEST", "GET is not allowed here"),
        ({"method": "OPTIONS"}, 405, "BAD_REQUEST", "OPTIONS is not allowed here"),
        ({"path": "/serving-endpoints/models"}, 405, "BAD_REQUEST", "Use GET."),
        ({"path": "/ai-gateway/openai/v1/moderations"}, 404, "ENDPOINT_NOT_FOUND", "/serving-endpoints/chat/completions"),
        ({"path": "/ai-gateway/"}, 404, "ENDPOINT_NOT_FOUND", "There is nothing at POST /ai-gateway/"),
        ({"path": MESSAGES + "/count_tokens"}, 404, "ENDPOINT_NOT_FOUND", "Tokens are not counted"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_the_same_words_as_everywhere(
    request_: dict[str, Any], status: int, code: str, says: str, run: Run, tmp_path: Path
) -> None:
    async def live() -> None:
        async with Bench(tmp_path, limits={"payload_bytes": 2000}) as bench:
            await bench.serve(entity(await bench.worker(talk)))
            response = await bench.ask(**{"path": CHAT, **request_})
            told = response.json()
            assert (response.status, told["error_code"]) == (status, code)
            assert says in told["message"] and set(told) == {"error_code", "message"}
            if status == 405:
                assert response.headers["allow"] in ("POST", "GET, HEAD")

    run(live())


def test_a_large_body_is_found_its_endpoint_too(run: Run, tmp_path: Path) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            worker = await bench.worker(talk)
            await bench.serve(entity(worker))
            large = body(filler="x" * 300_000)
            assert (await bench.ask(CHAT, large)).status == 200
            assert worker.received[-1].body == large

    run(live())


def test_anthropics_clients_may_send_their_key_in_a_header_of_its_own(run: Run, tmp_path: Path) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            await bench.serve(entity(await bench.worker(talk)))
            cases = [
                (MESSAGES, {"authorization": "", "x-api-key": "secret"}, 200),
                ("/ai-gateway/anthropic/v1/messages", {"authorization": "", "x-api-key": "secret"}, 200),
                (MESSAGES, {"authorization": "", "x-api-key": "wrong"}, 401),
                (MESSAGES, {"authorization": "Bearer secret", "x-api-key": "wrong"}, 200),
                (MESSAGES, {"authorization": "Bearer wrong", "x-api-key": "secret"}, 401),
                (CHAT, {"authorization": "", "x-api-key": "secret"}, 401),
            ]
            for path, headers, status in cases:
                assert (await bench.ask(path, body(), headers=headers)).status == status, (path, headers)

    run(live())


def test_a_chat_model_of_our_own_speaks_anthropics_dialect(run: Run, tmp_path: Path) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            worker = await bench.worker(talk)
            await bench.serve(entity(worker))
            asked = {"model": "churn", "max_tokens": 5, "system": "Be brief.", "messages": ASKED["messages"]}
            response = await bench.ask(MESSAGES, json.dumps(asked).encode())
            told = response.json()
            assert (told["type"], told["content"], told["stop_reason"]) == (
                "message",
                [{"type": "text", "text": "Hello."}],
                "end_turn",
            )
            assert response.headers["content-length"] == str(len(response.body))
            heard = json.loads(worker.received[-1].body)
            assert heard["messages"] == [{"role": "system", "content": "Be brief."}, *ASKED["messages"]]
            streamed = await bench.ask(MESSAGES, json.dumps({**asked, "stream": True}).encode())
            assert streamed.complete and streamed.headers["content-type"] == "text/event-stream"
            lines = streamed.body.decode().split("\n\n")
            names = [line.partition("\n")[0].removeprefix("event: ") for line in lines if line]
            assert (names[0], names[-1]) == ("message_start", "message_stop")
            refused = await bench.ask(MESSAGES, json.dumps({**asked, "container": "c"}).encode())
            assert (refused.status, refused.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")

    run(live())


def test_a_chat_model_of_our_own_speaks_the_responses_api(run: Run, tmp_path: Path) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            worker = await bench.worker(talk)
            await bench.serve(entity(worker), gateway=GatewayRoute(task="agent/v1/chat"))
            asked = {"model": "churn", "input": "Hi", "max_output_tokens": 5}
            told = (await bench.ask("/ai-gateway/openai/v1/responses", json.dumps(asked).encode())).json()
            assert (told["object"], told["status"], told["output"][0]["content"][0]["text"]) == (
                "response",
                "completed",
                "Hello.",
            )
            assert told["max_output_tokens"] == 5 and told["usage"]["input_tokens"] == 3
            assert worker.received[-1].meta["api"] == "chat/completions"
            streamed = await bench.ask("/serving-endpoints/responses", json.dumps({**asked, "stream": True}).encode())
            events = [json.loads(line[6:]) for line in streamed.body.decode().split("\n\n") if line]
            assert [event["sequence_number"] for event in events] == list(range(len(events)))
            assert (events[0]["type"], events[-1]["type"]) == ("response.created", "response.completed")

    run(live())


@pytest.mark.parametrize(
    "said", [b'{"predictions":[1]}', b"[]", b'{"choices":[]}', b'{"choices":[{}]}', b'{"choices":7}']
)
def test_a_model_that_answers_something_else_is_no_fault_of_the_servers(said: bytes, run: Run, tmp_path: Path) -> None:
    async def live() -> None:
        async def other(request: Received) -> None:
            if json.loads(request.body).get("stream"):
                request.stream()
                request.chunk(b"data: " + said + b"\n\n")
                request.end()
            else:
                request.reply(said)

        async with Bench(tmp_path) as bench:
            await bench.serve(entity(await bench.worker(other)))
            whole = await bench.ask(MESSAGES, body())
            assert (whole.status, whole.json()["error_code"]) == (400, "BAD_REQUEST")
            assert "no chat completion" in whole.json()["message"]
            streamed = await bench.ask(MESSAGES, body(stream=True))
            assert streamed.status == 200 and streamed.complete

    run(live())


def test_what_breaks_in_the_middle_is_told_in_the_clients_dialect(run: Run, tmp_path: Path) -> None:
    async def live() -> None:
        async def breaks(request: Received) -> None:
            request.stream()
            request.chunk(b"data: " + json.dumps(CHUNKS[0]).encode() + b"\n\n")
            request.chunk(b'data: {"error": {"message": "ValueError: later"}}\n\n')
            request.end()

        async with Bench(tmp_path) as bench:
            await bench.serve(entity(await bench.worker(breaks)))
            streamed = await bench.ask(MESSAGES, body(stream=True))
            last = streamed.body.decode().strip().split("\n\n")[-1]
            assert last.startswith("event: error\n") and "ValueError: later" in last

    run(live())


def test_lists_of_models_have_what_the_caller_may_query(run: Run, tmp_path: Path) -> None:
    async def live() -> None:
        async with Bench(tmp_path) as bench:
            worker = await bench.worker()
            await bench.serve(entity(worker))
            await bench.serve(entity(worker), name="hidden", queriers=frozenset(), viewers=frozenset())
            await bench.serve(name="asleep", state="NOT_READY")

            async def listed(path: str, token: str) -> list[str]:
                response = await bench.ask(path, b"", method="GET", headers={"authorization": f"Bearer {token}"})
                assert response.status == 200
                return [model["id"] for model in response.json()["data"]]

            for path in (*MODELS_PATHS, f"/1234567890123456{MODELS_PATHS[0]}"):
                assert await listed(path, "secret") == ["churn", "hidden"]
                assert await listed(path + "/", "querier") == ["churn"]
                assert await listed(path, "guest") == []
                one = await bench.ask(path + "/churn", b"", method="GET")
                assert (one.status, one.json()["id"]) == (200, "churn")
                for name, token, status in (
                    ("churn", "guest", 403), ("churn", "stranger", 404), ("hidden", "querier", 404), ("nobody", "secret", 404),
                    ("asleep", "secret", 400), ("churn", "wrong", 401), ("hidden", "narrow", 403),
                ):  # fmt: skip
                    told = await bench.ask(
                        f"{path}/{name}", b"", method="GET", headers={"authorization": f"Bearer {token}"}
                    )
                    assert told.status == status and set(told.json()) == {"error_code", "message"}
            openai = (await bench.ask(MODELS_PATHS[0], b"", method="GET")).json()
            assert openai["object"] == "list" and openai["data"][0]["object"] == "model"
            keys = {"authorization": "", "x-api-key": "secret"}
            anthropic = (await bench.ask(MODELS_PATHS[-1], b"", method="GET", headers=keys)).json()
            assert (anthropic["has_more"], anthropic["first_id"], anthropic["last_id"]) == (False, "churn", "hidden")

    run(live())
