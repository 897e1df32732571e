"""OpenAI's SDK by the Responses API before vendors that have chat only: what it asks arrives, what the model says comes back as its own types."""

from __future__ import annotations

from typing import Any

import httpx
import openai
import orjson
import pytest
from openai.types.responses import Response
from tests.contract.providers.cases import PIXEL
from tests.contract.providers.rows import Row, rows
from tests.fakes.vendor.scene import Heard, Reply, Said, Scene, ToolCall, heard

from headgate.domain.usage import Usage
from headgate.errors import HeadgateError, InvalidParameterValue
from headgate.providers import failures
from headgate.providers.port import CHAT, RESPONSES, Request
from headgate.wire.responses import answering, asking, streaming

NOW_S = 1_760_000_000.0
ROWS = [
    row for row in rows() if CHAT in row.provider.capabilities.tasks and RESPONSES not in row.provider.capabilities.tasks
]  # fmt: skip
every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
rows_with_tools = pytest.mark.parametrize(
    "row", [row for row in ROWS if row.provider.capabilities.tools], ids=lambda row: row.name
)
both_ways = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
TOOL: Any = {"type": "function", "name": "get_weather", "description": "Weather.", "strict": None,
             "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}  # fmt: skip
CALLS = (ToolCall("call_1", "get_weather", '{"city":"Köln"}'), ToolCall("call_2", "get_weather", "{}"))


class Door:
    """What the gateway does on this route, without its stages and without a network."""

    def __init__(self, row: Row, scene: Scene | None = None, reply: Reply | None = None, piece_bytes: int = 11) -> None:
        self.heard: list[Heard] = []
        self._row, self._scene, self._reply, self._piece_bytes = row, scene or Scene(), reply, piece_bytes

    def client(self) -> openai.OpenAI:
        http = httpx.Client(transport=httpx.MockTransport(self._answer))
        return openai.OpenAI(api_key="sk-x", base_url="http://door", max_retries=0, http_client=http)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        try:
            return self._answered(asking.parsed(request.content))
        except HeadgateError as error:
            return httpx.Response(error.http_status, json=error.body())

    def _answered(self, asked: dict[str, Any]) -> httpx.Response:
        row, stream = self._row, bool(asked.get("stream"))
        request = Request(asking.chat_request(asked), stream)
        self.heard.append(heard(row.provider.prepare(row.target(CHAT), request, row.credential, NOW_S)))
        reply = self._reply or row.dialect.reply(self.heard[-1], self._scene)
        if reply.status != 200:
            raise failures.error(row.provider.failure(reply.status, {}, reply.body))
        if not stream:
            body = answering.response(row.provider.answer(row.target(CHAT), reply.body).body, asked)
            return httpx.Response(200, content=body, headers={"content-type": "application/json"})
        reader, writer = row.provider.stream(row.target(CHAT), True), streaming.Writer(asked)
        pieces = [reply.body[at : at + self._piece_bytes] for at in range(0, len(reply.body), self._piece_bytes)]
        events = [event for piece in pieces for event in writer.feed(reader.feed(piece))] + writer.feed(reader.end())
        return httpx.Response(200, content=b"".join(events), headers={"content-type": "text/event-stream"})


def say(client: openai.OpenAI, stream: bool, **more: Any) -> Response:
    """The SDK's stream puts the response together from the events: each must fit those before it."""
    asked: dict[str, Any] = {"model": "the-endpoint", "max_output_tokens": 100, "input": "Hello?", **more}
    if not stream:
        return client.responses.create(**asked)
    with client.responses.stream(**asked) as said:
        events = list(said)
    assert events[0].type == "response.created"
    last = events[-1]
    assert last.type in ("response.completed", "response.incomplete")
    return last.response


@both_ways
@every_row
def test_text_comes_back_with_what_was_used(row: Row, stream: bool):
    response = say(Door(row, Scene((Said("Süß, 🦜 so\n"),), Usage(11, 9))).client(), stream, temperature=0.5)
    assert (response.output_text, response.status, response.temperature) == ("Süß, 🦜 so\n", "completed", 0.5)
    assert response.usage is not None and response.max_output_tokens == 100
    assert (response.usage.input_tokens, response.usage.output_tokens, response.usage.total_tokens) == (11, 9, 20)


@both_ways
@rows_with_tools
def test_calls_of_tools_come_back_one_item_each(row: Row, stream: bool):
    scene = Scene((Said("Let me look.", CALLS, finish="tool_calls"),))
    response = say(Door(row, scene).client(), stream, tools=[TOOL])
    calls = [item for item in response.output if item.type == "function_call"]
    assert [(call.name, orjson.loads(call.arguments)) for call in calls] == [
        ("get_weather", {"city": "Köln"}),
        ("get_weather", {}),
    ]
    assert len({call.call_id for call in calls}) == 2 and response.output_text == "Let me look."


@both_ways
@every_row
def test_thought_comes_back_and_can_be_given_back(row: Row, stream: bool):
    if not (row.shows_reasoning and row.provider.capabilities.reasoning):
        return
    door = Door(row, Scene((Said("42.", reasoning="Six by nine."),)))
    response = say(door.client(), stream, reasoning={"effort": "low"})
    thoughts = [item for item in response.output if item.type == "reasoning"]
    assert "".join(part.text for thought in thoughts for part in thought.summary) == "Six by nine."
    assert response.output_text == "42." and response.output[0] is thoughts[0]
    given = [{"role": "user", "content": "Hello?"}, *[item.model_dump() for item in response.output]]
    say(door.client(), stream, input=[*given, {"role": "user", "content": "And?"}])
    assert b"42." in door.heard[-1].body
    if thoughts[0].encrypted_content:
        assert b"Six by nine." in door.heard[-1].body


@both_ways
@every_row
def test_an_answer_that_was_cut_off_is_incomplete(row: Row, stream: bool):
    response = say(Door(row, Scene((Said("Hel", finish="length"),))).client(), stream)
    assert response.status == "incomplete" and response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"


@rows_with_tools
def test_a_conversation_with_tools_arrives(row: Row):
    door = Door(row)
    items: Any = [
        {"role": "user", "content": [{"type": "input_text", "text": "Hello?"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Looking.", "annotations": []}]},
        *({"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments} for call in CALLS),
        {"type": "function_call_output", "call_id": "call_1", "output": "rain"},
        {"type": "function_call_output", "call_id": "call_2", "output": [{"type": "input_text", "text": "no city"}]},
        {"role": "user", "content": "And now?"},
    ]  # fmt: skip
    say(door.client(), False, instructions="Be brief.", input=items, tools=[TOOL])
    sent = door.heard[0].body.decode()
    for word in ("Be brief.", "Hello?", "Looking.", "rain", "no city", "And now?", "get_weather"):
        assert word in sent


@both_ways
@every_row
def test_errors_raise_what_they_are(row: Row, stream: bool):
    with pytest.raises(openai.RateLimitError) as error:
        say(Door(row, reply=row.dialect.refusal(429, "the reason")).client(), stream)
    assert error.value.body["error_code"] == "REQUEST_LIMIT_EXCEEDED"


@every_row
def test_a_stream_that_breaks_raises_in_the_sdk(row: Row):
    asked = Request({"messages": [{"role": "user", "content": "x"}], "max_tokens": 9, "stream": True}, True)
    sent = heard(row.provider.prepare(row.target(CHAT), asked, row.credential, NOW_S))
    whole = row.dialect.reply(sent, Scene()).body
    with pytest.raises(openai.APIError, match="ended"):
        say(Door(row, reply=Reply((whole[: len(whole) // 2],))).client(), True)


def test_a_request_is_said_in_the_middle_language():
    asked = {
        "model": "m", "instructions": "Be brief.", "max_output_tokens": 7, "temperature": 0.1, "top_p": 0.2, "user": "u",
        "parallel_tool_calls": False, "metadata": {"a": "b"}, "store": False, "truncation": "disabled", "service_tier": "auto",
        "include": ["reasoning.encrypted_content"], "prompt_cache_key": "k", "stream": True, "reasoning": {"effort": "low", "summary": "auto"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}, "verbosity": "low"},
        "tools": [TOOL], "tool_choice": {"type": "function", "name": "get_weather"}, "usage_context": {"team": "a"},
        "input": [{"role": "developer", "content": "Be kind."},
                  {"role": "user", "content": [{"type": "input_text", "text": "See"}, {"type": "input_image", "image_url": PIXEL, "detail": "low"},
                                               {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}]}],
    }  # fmt: skip
    assert asking.chat_request(asked) == {
        "model": "m", "temperature": 0.1, "top_p": 0.2, "parallel_tool_calls": False, "user": "u", "stream": True,
        "usage_context": {"team": "a"}, "stream_options": {"include_usage": True}, "max_tokens": 7, "metadata": {"a": "b"},
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "developer", "content": "Be kind."},
                     {"role": "user", "content": [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
                                                  {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}}]}],
        "tools": [{"type": "function", "function": {name: TOOL[name] for name in ("name", "description", "parameters")}}],
        "tool_choice": {"type": "function", "function": {"name": "get_weather"}}, "reasoning_effort": "low", "verbosity": "low",
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True}},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"store": True}, "store"),
        ({"background": True}, "background"),
        ({"include": ["file_search_call.results"]}, "include"),
        ({"truncation": "auto"}, "truncation"),
        ({"max_tool_calls": 3}, "max_tool_calls"),
        ({"tools": [{"type": "web_search"}]}, r"tools\[0\] of type 'web_search'"),
        ({"tool_choice": {"type": "mcp"}}, "tool_choice"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format"),
        ({"input": []}, "input must be"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, r"input\[0\] of type 'item_reference'"),
        ({"input": [{"role": "tool", "content": "x"}]}, r"input\[0\].role"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]}, "not a file's id"),
        ({"input": [{"role": "user", "content": [{"type": "video"}]}]}, r"input\[0\].content\[0\] of type 'video'"),
    ],
)
def test_what_cannot_be_said_is_refused_by_name(more: dict[str, Any], says: str):
    with pytest.raises(InvalidParameterValue, match=says):
        asking.chat_request({"model": "m", "input": "Hello?", **more})


def test_a_refusal_and_a_verdict_stay_what_they_are():
    message = {"role": "assistant", "content": None, "refusal": "No."}
    said = {"id": "chatcmpl-1", "choices": [{"index": 0, "message": message, "finish_reason": "content_filter"}]}
    verdict = {"output_guardrail": [{"flagged": False}]}
    response = orjson.loads(answering.response(orjson.dumps(said | verdict), {}))
    assert response["output"][0]["content"] == [{"type": "refusal", "refusal": "No."}]
    assert response["incomplete_details"] == {"reason": "content_filter"}
    assert response["output_guardrail"] == [{"flagged": False}]
