"""Streams from vendors to clients: what comes when, what a break looks like, what is left of it in the record."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.contract.gateway.bench import AnyClient, Run, until
from tests.contract.gateway.vendors.outside import HELLO, SAID, Outside, events_of, is_done, outside, text_of
from tests.fakes.vendor.scene import Said, Scene
from tests.fakes.vendor.script import Act

from headgate.domain.usage import Usage

STREAMED = {**HELLO, "stream": True}


async def _until_said(client: AnyClient, text: bytes) -> None:
    await until(lambda: text in client.response.body)


def test_events_come_as_the_vendor_says_them(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            script = out.act("first", delay_s=0.0, pause_s=600.0, pause_from=2)
            await out.serve(out.entity("first"))
            client = out.send(STREAMED)
            await _until_said(client, b"Hello")
            assert client.response.status == 200 and not client.response.complete
            assert client.response.headers["content-type"] == "text/event-stream; charset=utf-8"
            assert client.response.headers["cache-control"] == "no-cache"
            assert client.response.headers["served-model-name"] == "first"
            assert script.busy == 1
            client.leave()
            await until(lambda: script.left == 1)

    run(main())


def test_usage_is_asked_of_the_vendor_and_kept_from_who_did_not_ask(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            await out.serve(out.entity("first"))
            response = await out.stream()
            assert is_done(response) and text_of(response) == SAID
            assert not any(event.get("usage") for event in events_of(response))
            assert out.call.usage == Usage(11, 9) and out.call.complete and out.call.first_byte_s
            with_usage = await out.stream({**HELLO, "stream_options": {"include_usage": True}})
            assert events_of(with_usage)[-1]["usage"]["total_tokens"] == 20
            tokens = 'headgate_tokens_total{endpoint="churn",kind="completion",served_entity="first"}'
            await until(lambda: out.bench.metric(tokens) == 18)

    run(main())


@pytest.mark.parametrize("act", [{"hang_up_after_pieces": 3}, {"hang_up_after_bytes": 700}])
def test_a_stream_that_breaks_after_content_ends_with_an_error_and_never_done(
    run: Run, tmp_path: Path, act: dict[str, Any]
) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            out.act("first", **act)
            await out.serve(out.entity("first", 100), out.entity("second", 0))
            response = await out.stream()
            *told, error = events_of(response)
            assert response.status == 200 and response.complete and b"[DONE]" not in response.body
            assert told and error["error_code"] == "TEMPORARILY_UNAVAILABLE" and error["error"]["message"]
            assert out.heard("second") == 0
            await until(lambda: out.call.status == 503)
            assert not out.call.complete and out.call.error_code == "TEMPORARILY_UNAVAILABLE"
            assert out.attempts() == [("first", 0)] and out.last_attempt().error

    run(main())


def test_what_the_vendor_says_went_wrong_is_said_without_secrets(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            said = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"Hel"}}]}\n\n'
            wrong = b'data: {"error":{"message":"the key sk-secret is spent","code":500}}\n\n'
            headers = {"content-type": "text/event-stream"}
            out.act("first", body=said + wrong, piece_bytes=len(said), pause_s=0.05, headers=headers)
            await out.serve(out.entity("first", 100))
            response = await out.stream()
            assert events_of(response)[-1]["error"]["message"] == "OpenAI answered 500: the key *** is spent"
            assert text_of(response) == "Hel" and b"[DONE]" not in response.body
            await until(lambda: out.call.status == 500)

    run(main())


def test_a_client_that_leaves_ends_the_vendors_work_and_is_accounted(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            script = out.act("first", pause_s=600.0, pause_from=4)
            await out.serve(out.entity("first", 100, "anthropic"))
            client = out.send(STREAMED)
            await _until_said(client, b"Hello")
            client.leave()
            await until(lambda: script.left == 1 and out.call.status == 499)
            # Anthropic says at once what the prompt took.
            assert out.call.usage is not None and out.call.usage.prompt_tokens == 11
            assert not out.call.complete and out.attempts() == [("first", 200)]
            await until(lambda: out.bench.gateway.routes.active == 0)

    run(main())


def test_a_client_that_leaves_before_the_answer_ends_the_vendors_work(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            script = out.script("first")
            await out.serve(out.entity("first", 100), out.entity("second", 0))
            silent, only_a_role = {"delay_s": 600.0}, {"pause_s": 600.0, "pause_from": 1}
            for body, act in ((HELLO, silent), (STREAMED, silent), (STREAMED, only_a_role)):
                script.act = Act(**act)
                client = out.send(body)
                await until(lambda: script.busy == 1)
                client.leave()
                await until(lambda: script.busy == 0 and out.call.status == 499)
                assert out.attempts() == [("first", 499)]
            assert (script.left, out.heard("second")) == (3, 0)

    run(main())


def test_silence_is_an_error_after_its_time(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path, providers={"idle_s": 0.2}) as out:
            script = out.act("first", pause_s=600.0, pause_from=3)
            await out.serve(out.entity("first", 100), out.entity("second", 0))
            response = await out.stream()
            assert text_of(response).startswith("Hello") and b"[DONE]" not in response.body
            assert events_of(response)[-1]["error_code"] == "DEADLINE_EXCEEDED"
            await until(lambda: out.call.status == 504 and script.left == 1)
            assert out.heard("second") == 0

    run(main())


@pytest.mark.parametrize("stream", [False, True])
def test_a_slow_first_byte_is_somebody_elses_turn(run: Run, tmp_path: Path, stream: bool) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            script = out.act("slow", delay_s=600.0)
            await out.serve(out.entity("slow", 100, first_byte_s=0.2), out.entity("quick", 0))
            response = await (out.stream() if stream else out.ask())
            assert text_of(response) == SAID
            assert out.attempts() == [("slow", 0), ("quick", 200)]
            await until(lambda: script.left == 1)

    run(main())


def test_a_role_alone_is_no_first_content(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            out.act("slow", pause_s=600.0, pause_from=1)
            await out.serve(out.entity("slow", 100, first_byte_s=0.3), out.entity("quick", 0))
            assert text_of(await out.stream()) == SAID
            assert out.attempts() == [("slow", 0), ("quick", 200)]

    run(main())


def test_an_answer_may_not_take_longer_than_all_of_it_may(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            out.act("drip", pause_s=0.05, piece_bytes=20)
            await out.serve(out.entity("drip", 100, total_s=0.5), out.entity("quick", 0))
            response = await out.ask()
            assert text_of(response) == SAID and out.attempts() == [("drip", 0), ("quick", 200)]
            response = await out.stream()
            assert out.call.entity.name == "quick" or events_of(response)[-1]["error_code"] == "DEADLINE_EXCEEDED"

    run(main())


def test_all_attempts_together_have_the_requests_time(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path, limits={"execution_s": 1.5}) as out:
            for name in ("first", "second", "third"):
                out.act(name, delay_s=600.0)
            await out.serve(
                out.entity("first", 100, first_byte_s=0.2),
                out.entity("second", 0, first_byte_s=60.0),
                out.entity("third", 0, first_byte_s=60.0),
            )
            response = await out.ask()
            assert (response.status, response.json()["error_code"]) == (504, "DEADLINE_EXCEEDED")
            assert [name for name, _ in out.attempts()] == ["first", "second"]

    run(main())


def test_a_slow_drip_arrives_whole(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            out.act("first", piece_bytes=7, pause_s=0.0005, scene=Scene(choices=(Said("ein schöner Tag €"),)))
            await out.serve(out.entity("first"))
            response = await out.stream()
            assert is_done(response) and text_of(response) == "ein schöner Tag €"

    run(main())


def test_a_connection_is_used_again_after_a_stream(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            await out.serve(out.entity("first"))
            for _ in range(5):
                assert is_done(await out.stream())
                assert (await out.ask()).status == 200
            assert out.vendor.connections == 1

    run(main())


def test_a_stream_that_is_cut_off_by_the_end_of_the_server_says_so(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            out.act("first", pause_s=600.0, pause_from=3)
            await out.serve(out.entity("first"))
            client = out.send(STREAMED)
            await _until_said(client, b"Hello")
            await asyncio.gather(out.bench.gateway.stop())
            response = await client.done()
            assert events_of(response)[-1]["error"]["message"] and b"[DONE]" not in response.body

    run(main())


async def _many(out: Outside, count: int) -> list[AnyClient]:
    return [out.send(STREAMED) for _ in range(count)]


def test_many_streams_at_once_stay_apart(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with outside(tmp_path) as out:
            words = " ".join(str(number) for number in range(60))
            out.act("first", pause_s=0.001, scene=Scene(choices=(Said(words),)))
            await out.serve(out.entity("first"))
            responses = [await client.done() for client in await _many(out, 30)]
            assert all(is_done(response) and text_of(response) == words for response in responses)

    run(main())
