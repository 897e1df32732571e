"""Anthropic's SDK at our door, whatever vendor is behind it: what it asks arrives, what the model says comes back, streamed in its order."""

from __future__ import annotations

import re
from typing import Any

import anthropic
import httpx2
import orjson
import pytest
from anthropic.types import Message, TextBlock, ThinkingBlock, ToolUseBlock
from tests.contract.providers.cases import CASES, PIXEL
from tests.contract.providers.rows import Row, rows
from tests.fakes.vendor.scene import Heard, Reply, Said, Scene, ToolCall, heard

from headgate.domain.usage import Usage
from headgate.errors import HeadgateError, InvalidParameterValue
from headgate.providers import failures
from headgate.providers.anthropic import asking as anthropics
from headgate.providers.anthropic import passing
from headgate.providers.port import CHAT, Outgoing, Request
from headgate.wire.messages import answering, asking, streaming

NOW_S = 1_760_000_000.0
ROWS = [row for row in rows() if CHAT in row.provider.capabilities.tasks]
every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
rows_with_tools = pytest.mark.parametrize(
    "row", [row for row in ROWS if row.provider.capabilities.tools], ids=lambda row: row.name
)
TOOL: Any = {"name": "get_weather", "description": "Weather.", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}  # fmt: skip
HELLO: Any = {"role": "user", "content": "Hello?"}


class Door:
    """What the gateway does on this route, without its stages and without a network."""

    def __init__(self, row: Row, scene: Scene | None = None, reply: Reply | None = None, piece_bytes: int = 11) -> None:
        self.heard: list[Heard] = []
        self._row, self._scene, self._reply, self._piece_bytes = row, scene or Scene(), reply, piece_bytes

    def client(self) -> anthropic.Anthropic:
        transport = httpx2.MockTransport(self._answer)
        return anthropic.Anthropic(
            api_key="sk-x", base_url="http://door", max_retries=0, http_client=httpx2.Client(transport=transport)
        )

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        try:
            return self._answered(request)
        except HeadgateError as error:
            return httpx2.Response(error.http_status, json=error.body())

    def _answered(self, request: httpx2.Request) -> httpx2.Response:
        stream = bool(orjson.loads(request.content).get("stream"))
        outgoing = self._outgoing(request, stream)
        self.heard.append(heard(outgoing))
        reply = self._reply or self._row.dialect.reply(self.heard[-1], self._scene)
        if reply.status != 200:
            names = {name.encode(): value.encode() for name, value in reply.headers.items()}
            raise failures.error(self._row.provider.failure(reply.status, names, reply.body))
        if stream:
            return httpx2.Response(
                200, headers={"content-type": "text/event-stream"}, content=b"".join(self._streamed(reply.body))
            )
        target = self._row.target(CHAT)
        if self._row.name == "anthropic":
            return httpx2.Response(200, content=passing.answer(reply.body).body)
        return httpx2.Response(200, content=answering.message(self._row.provider.answer(target, reply.body).body))

    def _outgoing(self, request: httpx2.Request, stream: bool) -> Outgoing:
        target = self._row.target(CHAT)
        if self._row.name == "anthropic":
            headers = {name.lower().encode(): value.encode() for name, value in request.headers.items()}
            return passing.prepare(target, Request(request.content, stream), headers)
        able = self._row.provider.capabilities
        chat = asking.chat_request(request.content, keep_cache_marks=able.cache_control, keep_thinking=able.thinking)
        return self._row.provider.prepare(target, Request(chat, stream), self._row.credential, NOW_S)

    def _streamed(self, body: bytes) -> list[bytes]:
        pieces = [body[at : at + self._piece_bytes] for at in range(0, len(body), self._piece_bytes)]
        if self._row.name == "anthropic":
            passed = passing.Reader()
            return [event for piece in pieces for event in passed.feed(piece)] + passed.end()
        reader, writer = self._row.provider.stream(self._row.target(CHAT), True), streaming.Writer()
        out = [event for piece in pieces for event in writer.feed(reader.feed(piece))]
        return out + writer.feed(reader.end())


def say(client: anthropic.Anthropic, stream: bool, **more: Any) -> Message:
    asked: dict[str, Any] = {"model": "the-endpoint", "max_tokens": 100, "messages": [HELLO], **more}
    if not stream:
        return client.messages.create(**asked)
    with client.messages.stream(**asked) as said:
        return said.get_final_message()


both_ways = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@both_ways
@every_row
def test_text_comes_back_with_what_was_used(row: Row, stream: bool):
    message = say(Door(row, Scene((Said("Süß, 🦜 so\n"),), Usage(11, 9))).client(), stream)
    assert [block.text for block in message.content if isinstance(block, TextBlock)] == ["Süß, 🦜 so\n"]
    assert (message.role, message.type, message.stop_reason) == ("assistant", "message", "end_turn")
    assert message.id.startswith("msg_") and message.model
    assert (message.usage.input_tokens, message.usage.output_tokens) == (11, 9)


@both_ways
@rows_with_tools
def test_calls_of_tools_come_back_one_block_each(row: Row, stream: bool):
    calls = (ToolCall("call_1", "get_weather", '{"city":"Köln"}'), ToolCall("call_2", "get_weather", "{}"))
    scene = Scene((Said("Let me look.", calls, finish="tool_calls"),))
    message = say(Door(row, scene).client(), stream, tools=[TOOL])
    uses = [block for block in message.content if isinstance(block, ToolUseBlock)]
    assert [(use.name, use.input) for use in uses] == [("get_weather", {"city": "Köln"}), ("get_weather", {})]
    assert len({use.id for use in uses}) == 2 and message.stop_reason == "tool_use"
    if row.keeps_call_ids:
        assert [use.id for use in uses] == ["call_1", "call_2"]


@both_ways
@every_row
def test_thought_comes_back_signed_where_the_vendor_signs(row: Row, stream: bool):
    if not (row.shows_reasoning and row.provider.capabilities.reasoning):
        return
    scene = Scene((Said("42.", reasoning="Six by nine."),))
    message = say(Door(row, scene).client(), stream, output_config={"effort": "low"})
    thought = "".join(block.thinking for block in message.content if isinstance(block, ThinkingBlock))
    assert thought == "Six by nine."
    assert [block.text for block in message.content if isinstance(block, TextBlock)] == ["42."]


@both_ways
@every_row
def test_why_it_stopped_comes_back(row: Row, stream: bool):
    for case, expected in (("too long", "max_tokens"), ("filtered", "refusal")):
        if case not in row.unsayable:
            assert say(Door(row, CASES[case].scene).client(), stream).stop_reason == expected


@every_row
def test_tokens_of_the_cache_stand_beside_the_input(row: Row):
    if "cached_tokens" not in row.tells:
        return
    for stream in (False, True):
        used = say(Door(row, Scene(usage=Usage(1100, 9, cached_tokens=1000))).client(), stream).usage
        assert (used.input_tokens, used.cache_read_input_tokens) == (100, 1000)


@rows_with_tools
def test_events_come_in_anthropics_order(row: Row):
    calls = (ToolCall("call_1", "get_weather", '{"city":"Köln"}'), ToolCall("call_2", "get_weather", "{}"))
    client = Door(row, Scene((Said("Let me look.", calls, finish="tool_calls"),))).client()
    events = client.messages.create(model="m", max_tokens=9, messages=[HELLO], tools=[TOOL], stream=True)
    kinds = [(event.type, getattr(event, "index", None)) for event in events]
    order = "".join(f"{kind}({'' if index is None else index})" for kind, index in kinds)
    block = r"content_block_start\({0}\)(content_block_delta\({0}\))*content_block_stop\({0}\)"
    blocks = "".join(block.format(number) for number in range(3))
    assert re.fullmatch(rf"message_start\(\)(ping\(\))?{blocks}message_delta\(\)message_stop\(\)", order), order


@rows_with_tools
def test_a_conversation_with_tools_arrives(row: Row):
    messages: Any = [
        HELLO,
        {"role": "assistant", "content": [{"type": "text", "text": "Looking."}, {"type": "tool_use", "id": "t1", "name": "get_weather", "input": {"city": "K"}},
                                          {"type": "tool_use", "id": "t2", "name": "get_weather", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "rain"},
                                     {"type": "tool_result", "tool_use_id": "t2", "content": [{"type": "text", "text": "no city"}], "is_error": True},
                                     {"type": "text", "text": "And now?"}]},
    ]  # fmt: skip
    door = Door(row)
    system: Any = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    say(door.client(), False, system=system, messages=messages, tools=[TOOL])
    sent = door.heard[0].body.decode()
    for word in ("Be brief.", "Hello?", "Looking.", "rain", "no city", "And now?", "get_weather"):
        assert word in sent
    if not row.provider.capabilities.cache_control:
        assert "cache_control" not in sent


@both_ways
@every_row
@pytest.mark.parametrize(
    ("status", "raised"),
    [
        (400, anthropic.BadRequestError),
        (401, anthropic.AuthenticationError),
        (403, anthropic.PermissionDeniedError),
        (404, anthropic.NotFoundError),
        (429, anthropic.RateLimitError),
        (500, anthropic.InternalServerError),
        (529, anthropic.ServiceUnavailableError),
    ],
)
def test_errors_are_ours_and_the_sdk_raises_the_right_ones(
    row: Row, status: int, raised: type[anthropic.APIStatusError], stream: bool
):
    with pytest.raises(raised) as error:
        say(Door(row, reply=row.dialect.refusal(status, "the reason")).client(), stream)
    assert isinstance(error.value.body, dict) and set(error.value.body) == {"error_code", "message"}
    # The SDK looks for an `error` object and shows the whole body where there is none.
    assert error.value.type is None and error.value.body["message"] in str(error.value.message).replace("\\'", "'")


@every_row
def test_a_stream_that_breaks_raises_in_the_sdk(row: Row):
    asked = Request({"messages": [HELLO], "max_tokens": 9, "stream": True}, True)
    sent = heard(row.provider.prepare(row.target(CHAT), asked, row.credential, NOW_S))
    whole = row.dialect.reply(sent, Scene()).body
    broken = Reply((whole[: len(whole) // 2],))
    with pytest.raises(anthropic.APIStatusError, match="ended"):
        say(Door(row, reply=broken).client(), True)


@pytest.mark.parametrize("marks", [True, False])
def test_a_request_through_the_middle_language_is_itself_again(marks: bool):
    cached = {"cache_control": {"type": "ephemeral", "ttl": "1h"}} if marks else {}
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL.partition(",")[2]}}
    asked = {
        "model": "m", "max_tokens": 500, "stop_sequences": ["END"], "temperature": 0.5, "top_p": 0.9, "top_k": 7,
        "thinking": {"type": "enabled", "budget_tokens": 1024}, "metadata": {"user_id": "u"},
        "system": [{"type": "text", "text": "Be brief.", **cached}, {"type": "text", "text": "Be kind."}],
        "tools": [{"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {}}, "strict": True, **cached}],
        "tool_choice": {"type": "tool", "name": "look", "disable_parallel_tool_use": True},
        "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}, "effort": "high"},
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "See"}, image, {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
                                         {"type": "document", "source": {"type": "url", "url": "https://x/y.pdf"}, "title": "Y", "citations": {"enabled": True}, **cached}]},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm.", "signature": "sig"}, {"type": "redacted_thinking", "data": "enc"},
                                              {"type": "text", "text": "Let me."}, {"type": "tool_use", "id": "t1", "name": "look", "input": {"a": [1, None]}},
                                              {"type": "tool_use", "id": "t2", "name": "look", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "seen"}, image]},
                                         {"type": "tool_result", "tool_use_id": "t2", "content": [{"type": "text", "text": "x"}]},
                                         {"type": "text", "text": "So?", **cached}]},
        ],
    }  # fmt: skip
    chat = asking.chat_request(orjson.dumps(asked), keep_cache_marks=marks, keep_thinking=True)
    assert anthropics.messages_request("m", chat) == asked


@pytest.mark.parametrize(
    ("thinking", "told"),
    [
        ({"type": "adaptive"}, None), ({"type": "disabled"}, None), ({"type": "enabled", "budget_tokens": 1024}, "low"),
        ({"type": "enabled", "budget_tokens": 8000}, "medium"), ({"type": "enabled", "budget_tokens": 32000}, "high"),
    ],
)  # fmt: skip
def test_vendors_that_know_efforts_only_are_told_how_much_to_think(thinking: Any, told: str | None):
    body = {"model": "m", "max_tokens": 9, "messages": [HELLO], "thinking": thinking}
    said = asking.chat_request(orjson.dumps(body), keep_cache_marks=False, keep_thinking=False)
    assert said.get("reasoning_effort") == told and "thinking" not in said
    kept = asking.chat_request(orjson.dumps(body), keep_cache_marks=False, keep_thinking=True)
    assert kept["thinking"] == thinking
    both = {**body, "output_config": {"effort": "max"}}
    said = asking.chat_request(orjson.dumps(both), keep_cache_marks=False, keep_thinking=False)
    assert said["reasoning_effort"] == "max"


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("mcp_servers", [{"url": "x"}], "mcp_servers"),
        ("container", "c", "container"),
        ("service_tier", "standard_only", "service_tier"),
        ("tools", [{"type": "web_search_20260209", "name": "web_search"}], "web_search"),
        ("tools", [{**TOOL, "input_examples": [{"a": 1}]}], "input_examples"),
        ("messages", [{"role": "user", "content": [{"type": "search_result", "source": "s"}]}], "search_result"),
        ("messages", [{"role": "user", "content": [{"type": "image", "source": {"type": "file", "file_id": "f"}}]}], "file"),
        ("messages", [{"role": "tool", "content": "x"}], "role"),
        ("messages", [], "messages"),
        ("messages", "hi", "messages"),
        ("tool_choice", {"type": "most"}, "tool_choice"),
        ("tool_choice", "auto", "tool_choice"),
        ("output_config", {"format": {"type": "xml"}}, "output_config"),
    ],
)  # fmt: skip
def test_what_has_no_place_in_the_middle_language_is_refused_by_name(field: str, value: Any, named: str):
    body = {"model": "m", "max_tokens": 9, "messages": [HELLO], field: value}
    with pytest.raises(InvalidParameterValue, match=named):
        asking.chat_request(orjson.dumps(body), keep_cache_marks=False, keep_thinking=False)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"', b'{"messages": [null]}', b'{"messages": 3}'])
def test_malformed_messages_are_answers_not_exceptions(body: bytes):
    with pytest.raises(HeadgateError) as refused:
        asking.chat_request(body, keep_cache_marks=False, keep_thinking=False)
    assert refused.value.http_status == 400


def test_calls_whose_pieces_come_mixed_are_blocks_in_order():
    def chunk(*calls: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": {"tool_calls": list(calls)}, "finish_reason": finish}
        return b"data: " + orjson.dumps({"id": "c", "model": "m", "choices": [choice]}) + b"\n\n"

    def piece(index: int, arguments: str, name: str | None = None) -> dict[str, Any]:
        return {
            "index": index,
            **({"id": f"t{index}"} if name else {}),
            "function": {"name": name, "arguments": arguments},
        }

    writer = streaming.Writer()
    out = writer.feed([
        chunk(piece(0, "", "a"), piece(1, "", "b")), chunk(piece(1, '{"y":')), chunk(piece(0, '{"x":')), chunk(piece(1, "2}"), piece(0, "1}")),
        chunk(finish="stop"), b"data: [DONE]\n\n",
    ])  # fmt: skip
    said = [orjson.loads(event.split(b"data: ", 1)[1]) for event in out]
    starts = [event["content_block"]["name"] for event in said if event["type"] == "content_block_start"]
    texts = {0: "", 1: ""}
    for event in said:
        if event["type"] == "content_block_delta":
            texts[event["index"]] += event["delta"]["partial_json"]
    assert starts == ["a", "b"] and texts == {0: '{"x":1}', 1: '{"y":2}'}
    assert said[-2]["delta"]["stop_reason"] == "tool_use"


def test_anthropic_itself_gets_the_clients_bytes():
    row = next(row for row in ROWS if row.name == "anthropic")
    body = b'{ "model" : "the-endpoint",\n "max_tokens": 9, "messages":[{"role":"user","content":"\\u00fc"}], "client_request_id": "r" }'
    headers = {b"anthropic-beta": b"b1,b2", b"anthropic-version": b"2023-06-01", b"authorization": b"Bearer ours"}
    sent = passing.prepare(row.target(CHAT), Request(body), headers)
    assert sent.body == b'{"model":"claude-x","max_tokens":9,"messages":[{"role":"user","content":"\\u00fc"}]}'
    assert dict(sent.headers) == {
        b"content-type": b"application/json",
        b"x-api-key": b"sk-secret",
        b"anthropic-version": b"2023-06-01",
        b"anthropic-beta": b"b1,b2",
    }


@pytest.mark.parametrize("body", [b'{"container": "c"}', b'{"user_profile_id": "u"}'])
def test_anthropic_itself_is_not_asked_for_what_is_another_callers(body: bytes):
    row = next(row for row in ROWS if row.name == "anthropic")
    with pytest.raises(HeadgateError) as refused:
        passing.prepare(row.target(CHAT), Request(body), {})
    assert refused.value.http_status == 400
