"""OpenAI's own client reads what every vendor's adapter emits, and what the fake vendor sends."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import openai
import orjson
import pytest
from tests.contract.providers.cases import CASES
from tests.contract.providers.rows import Row, rows
from tests.fakes.vendor import dialects
from tests.fakes.vendor.scene import Scene, heard
from tests.fakes.vendor.server import FakeVendor

from headgate.providers.port import CHAT, RESPONSES, Request, Target

NOW_S = 1_760_000_000.0
READ = ("text", "unicode", "tools", "parallel tools", "reasoning", "n", "logprobs", "cached", "too long", "filtered", "completion", "embedding")  # fmt: skip
every_row = pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)


def client(row: Row, task: str, scene: Scene) -> openai.OpenAI:
    """A client at whose other end the adapter and the vendor's dialect are put together, without a network."""

    def answer(request: httpx.Request) -> httpx.Response:
        body = request.read()
        asked = orjson.loads(body)
        stream = bool(asked.get("stream"))
        target = row.target(task)
        out = row.provider.prepare(target, Request(body, stream), row.credential, NOW_S)
        reply = row.dialect.reply(heard(out), scene)
        assert reply.status == 200, reply.body
        if not stream:
            return httpx.Response(
                200,
                content=row.provider.answer(target, reply.body).body,
                headers={"content-type": "application/json"},
            )
        reader = row.provider.stream(target, bool((asked.get("stream_options") or {}).get("include_usage")))
        events = [event for piece in reply.pieces for event in reader.feed(piece)] + reader.end()
        return httpx.Response(200, content=b"".join(events), headers={"content-type": "text/event-stream"})

    http = httpx.Client(transport=httpx.MockTransport(answer))
    return openai.OpenAI(api_key="x", base_url="http://h/serving-endpoints", http_client=http, max_retries=0)


def able(row: Row, name: str) -> bool:
    case = CASES[name]
    flags = row.provider.capabilities
    return name not in row.unsayable and case.task in flags.tasks and all(getattr(flags, need) for need in case.needs)


@every_row
@pytest.mark.parametrize("name", READ)
def test_the_client_reads_whole_answers(row: Row, name: str):
    case = CASES[name]
    if not able(row, name):
        return
    speaker = client(row, case.task, case.scene)
    body: dict[str, Any] = {"model": "the-endpoint", **case.body}
    if case.task == CHAT:
        answer = speaker.chat.completions.create(**body)
        assert [choice.finish_reason for choice in answer.choices] == [said.finish for said in case.scene.choices]
        calls = [
            (call.function.name, orjson.loads(call.function.arguments))
            for choice in answer.choices
            for call in choice.message.tool_calls or ()
        ]
        assert calls == [
            (call.name, orjson.loads(call.arguments)) for said in case.scene.choices for call in said.tool_calls
        ]
    elif name == "completion":
        answer = speaker.completions.create(**body)
        assert answer.choices[0].text == case.scene.choices[0].text
    else:
        # The client asks for base64 unless told otherwise, and takes floats as well.
        answer = speaker.embeddings.create(**body)
        assert list(answer.data[0].embedding) == list(case.scene.embeddings[0])
    assert answer.usage.prompt_tokens == case.scene.usage.prompt_tokens


@every_row
@pytest.mark.parametrize("name", [name for name in READ if name not in ("completion", "embedding")])
def test_the_client_reads_streams(row: Row, name: str):
    case = CASES[name]
    if not able(row, name) or not row.streams(case.body):
        return
    speaker = client(row, CHAT, case.scene)
    body = {"model": "the-endpoint", **case.body}
    chunks = list(speaker.chat.completions.create(**body, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].usage.prompt_tokens == case.scene.usage.prompt_tokens
    texts = [choice.delta.content for chunk in chunks for choice in chunk.choices if choice.index == 0]
    assert (
        "".join(text for text in texts if isinstance(text, str)).endswith(case.scene.choices[0].text)
        or name == "reasoning"
    )


@every_row
def test_the_client_raises_when_a_stream_breaks(row: Row):
    if not row.provider.capabilities.streaming:
        return
    target = row.target(CHAT)
    body = orjson.dumps({"model": "e", **CASES["text"].body, "stream": True})
    reply = row.dialect.reply(heard(row.provider.prepare(target, Request(body, True), row.credential, NOW_S)), Scene())
    reader = row.provider.stream(target, False)
    events = b"".join([*reader.feed(reply.body[: len(reply.body) // 3]), *reader.end()])
    http = httpx.Client(
        transport=httpx.MockTransport(
            lambda _: httpx.Response(200, content=events, headers={"content-type": "text/event-stream"})
        )
    )
    speaker = openai.OpenAI(api_key="x", base_url="http://h", http_client=http, max_retries=0)
    with pytest.raises(openai.APIError, match=r"\w+"):
        list(speaker.chat.completions.create(model="e", messages=[], stream=True))


def test_the_client_speaks_to_the_fake_vendor_over_http():
    async def play() -> tuple[str, str, str, list[float]]:
        async with FakeVendor(dialects.all_of_them()) as vendor:
            speaker = openai.AsyncOpenAI(api_key="x", base_url=f"{vendor.url}/v1", max_retries=0)
            messages: list[Any] = [{"role": "user", "content": "Hi"}]
            whole = await speaker.chat.completions.create(model="m", messages=messages)
            stream = await speaker.chat.completions.create(model="m", messages=messages, stream=True)
            pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
            response = await speaker.responses.create(model="m", input="Hi")
            vectors = await speaker.embeddings.create(model="m", input="Hi")
            await speaker.close()
            return (
                whole.choices[0].message.content or "",
                "".join(pieces),
                response.output_text,
                vectors.data[0].embedding,
            )

    assert asyncio.run(play()) == ("Hello, wide world.",) * 3 + ([0.5, -0.25, 0.125],)


@pytest.mark.parametrize(
    "row", [row for row in rows() if RESPONSES in row.provider.capabilities.tasks], ids=lambda row: row.name
)
def test_responses_pass_through_whole_and_streamed(row: Row):
    speaker = client(row, RESPONSES, Scene())
    assert speaker.responses.create(model="e", input="Hi").output_text == "Hello, wide world."
    events = list(speaker.responses.create(model="e", input="Hi", stream=True))
    assert events[-1].type == "response.completed" and events[-1].response.usage.input_tokens == 11
    assert (
        "".join(event.delta for event in events if event.type == "response.output_text.delta") == "Hello, wide world."
    )


RECORDED = {
    "Azure, with filter results": [
        b'{"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0,"content_filter_results":{}}]}',
        b'{"choices":[{"content_filter_results":{},"delta":{"content":"","refusal":null,"role":"assistant"},"finish_reason":null,"index":0,"logprobs":null}],"created":1,"id":"c","model":"m","object":"chat.completion.chunk","usage":null}',
        b'{"choices":[{"content_filter_results":{"hate":{"filtered":false,"severity":"safe"}},"delta":{"content":"Hi"},"finish_reason":"stop","index":0,"logprobs":null}],"created":1,"id":"c","model":"m","object":"chat.completion.chunk","usage":null}',
        b'{"choices":[],"created":1,"id":"c","model":"m","object":"chat.completion.chunk","usage":{"completion_tokens":1,"prompt_tokens":3,"total_tokens":4}}',
    ],
    "a server that thinks aloud": [
        b'{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":null,"reasoning_content":"Hm"},"finish_reason":null}]}',
        b'{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"Hi","reasoning_content":null},"finish_reason":null}]}',
        b'{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":""},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4,"prompt_cache_hit_tokens":0}}',
    ],
    "Databricks, usage everywhere": [
        b'{"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"H"},"finish_reason":null}],"usage":{"prompt_tokens":3,"completion_tokens":0,"total_tokens":3},"object":"chat.completion.chunk","id":"c","created":1}',
        b'{"model":"m","choices":[{"index":0,"delta":{"role":null,"content":"i"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4},"object":"chat.completion.chunk","id":"c","created":1}',
    ],
}  # fmt: skip


@pytest.mark.parametrize("framing", [b"data: %b\n\n", b": keep-alive\n\ndata: %b\r\n\r\n", b"data:%b\n\n"])
@pytest.mark.parametrize("recorded", RECORDED)
def test_the_client_reads_what_servers_of_this_dialect_really_send(recorded: str, framing: bytes):
    reader = next(row for row in rows() if row.name == "openai").provider.stream(Target("openai", "m", CHAT, {}), False)
    came = b"".join(framing % payload for payload in [*RECORDED[recorded], b"[DONE]"])
    events = b"".join([*reader.feed(came[:100]), *reader.feed(came[100:]), *reader.end()])
    assert reader.complete and reader.usage is not None and reader.usage.total_tokens == 4
    assert b": keep" not in events and b"\r" not in events
    http = httpx.Client(
        transport=httpx.MockTransport(
            lambda _: httpx.Response(200, content=events, headers={"content-type": "text/event-stream"})
        )
    )
    speaker = openai.OpenAI(api_key="x", base_url="http://h", http_client=http, max_retries=0)
    chunks = list(speaker.chat.completions.create(model="e", messages=[], stream=True))
    assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices) == "Hi"
