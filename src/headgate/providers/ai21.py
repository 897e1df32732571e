"""AI21 Labs' Jamba: OpenAI's shapes with less in them. Asked with what it knows, answered with what it leaves out put in."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from headgate.errors import InvalidParameterValue
from headgate.providers import capabilities, failures, usage
from headgate.providers.capabilities import Capabilities
from headgate.providers.port import (
    CHAT,
    COMPLETIONS,
    EMBEDDINGS,
    Answer,
    BadAnswer,
    Credential,
    Outgoing,
    Request,
    StreamReader,
    Target,
    VendorFailure,
)
from headgate.providers.translation import middle, tools, turns
from headgate.wire import sse

VENDOR = "AI21 Labs"
BASE = "https://api.ai21.com/studio/v1"
_ADVICE = {
    COMPLETIONS: "AI21 Labs has retired its Jurassic models. Serve a Jamba model as llm/v1/chat.",
    EMBEDDINGS: "It does llm/v1/chat. Serve an embedding model of another provider.",
}


class AI21:
    """See `port.Provider`. `now_s` dates answers, which AI21 does not."""

    name = "ai21labs"
    capabilities = Capabilities(
        tasks=frozenset({CHAT}), tools=True, json_object=True, n=True, streamed_n=False, stop=True
    )

    def __init__(self, now_s: Callable[[], float] = time.time) -> None:
        self._now_s = now_s

    def prepare(self, target: Target, request: Request, credential: Credential | None, now_s: float) -> Outgoing:
        """A chat request. Raises InvalidParameterValue naming what Jamba cannot do."""
        if target.task not in self.capabilities.tasks:
            raise InvalidParameterValue(
                f"{VENDOR} does not support {target.task}. {_ADVICE.get(target.task, '')}".rstrip()
            )
        body = {**middle.parsed(request), "stream": request.stream}
        if body.get("parallel_tool_calls") is True:
            body = {name: value for name, value in body.items() if name != "parallel_tool_calls"}
        capabilities.require(self.capabilities, VENDOR, body)
        asked = _asked(target.model, body)
        if request.stream:
            asked["stream"] = True
        base = target.config.get("ai21labs_api_base") or BASE
        headers = (
            (b"content-type", b"application/json"),
            (b"authorization", b"Bearer " + target.config["ai21labs_api_key"].encode()),
        )
        return Outgoing("POST", f"{base.rstrip('/')}/chat/completions", headers, orjson.dumps(asked))

    def answer(self, target: Target, body: bytes) -> Answer:
        """The answer with the fields that AI21 leaves out."""
        said = middle.answered(VENDOR, body)
        try:
            used = usage.usage_of(said.get("usage"))
            head = middle.Head(str(said["id"]), target.model, int(self._now_s()))
            choices = [_choice(choice) for choice in said["choices"]]
        except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
            raise BadAnswer(f"{VENDOR} answered something other than a completion.") from error
        return Answer(head.complete_all(choices, used), used)

    def stream(self, target: Target, include_usage: bool) -> StreamReader:
        return Reader(target.model, int(self._now_s()), include_usage)

    def failure(self, status: int, headers: Mapping[bytes, bytes], body: bytes) -> VendorFailure:
        return failures.failure(VENDOR, status, headers, failures.message_of(body))

    def token_request(self, target: Target, now_s: float) -> Outgoing | None:
        return None

    def credential(self, body: bytes, now_s: float) -> Credential:
        raise BadAnswer("AI21 Labs takes no short-lived credentials.")


def _asked(model: str, body: Mapping[str, Any]) -> dict[str, Any]:
    # Checked here; sent message by message as they are, which is how Jamba takes them.
    turns.conversation(body.get("messages"))
    asked: dict[str, Any] = {"model": model, "messages": [_message(message) for message in body["messages"]]}
    asked |= {name: body[name] for name in ("temperature", "top_p", "n") if body.get(name) is not None}
    if (most := middle.most_tokens(body)) is not None:
        asked["max_tokens"] = most
    if stop := middle.stop_sequences(body):
        asked["stop"] = stop
    for name in ("user", "metadata"):
        if body.get(name):
            raise InvalidParameterValue(f"{VENDOR} does not support {name}: leave it out.")
    functions = tools.functions(body.get("tools"))
    if any(function.strict for function in functions):
        raise InvalidParameterValue(f"{VENDOR} does not support strict tools: leave strict out.")
    # It cannot be told not to call the tools it sees; so it sees none.
    if functions and body.get("tool_choice") != "none":
        asked["tools"] = [_tool(function) for function in functions]
    wanted = body.get("response_format")
    if isinstance(wanted, Mapping) and wanted.get("type") == "json_object":
        asked["response_format"] = {"type": "json_object"}
    return middle.with_extra(asked, body, ())


def _tool(function: tools.Function) -> dict[str, Any]:
    said: dict[str, Any] = {"name": function.name, "parameters": function.parameters}
    described = {"description": function.description} if function.description else {}
    return {"type": "function", "function": {**said, **described}}


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    """With its content as one text."""
    content = message.get("content") or message.get("refusal") or ""
    if not isinstance(content, str):
        content = "".join(_text(item) for item in content)
    role = "system" if message["role"] == "developer" else message["role"]
    said = {name: message[name] for name in ("tool_calls", "tool_call_id") if message.get(name)}
    return {"role": role, "content": content, **said}


def _text(item: Mapping[str, Any]) -> str:
    if item["type"] == "reasoning":
        raise InvalidParameterValue(f"{VENDOR} does not support reasoning in messages: leave it out.")
    return str(item.get("text") or item.get("refusal") or "")


def _choice(choice: Mapping[str, Any]) -> dict[str, Any]:
    message = choice["message"]
    calls = message.get("tool_calls") or []
    text = message.get("content")
    told = {"role": "assistant", "content": text if text or not calls else None}
    finish = str(choice.get("finish_reason") or "stop")
    return {
        "index": choice["index"],
        "message": {**told, "tool_calls": calls} if calls else told,
        "finish_reason": "tool_calls" if calls and finish == "stop" else finish,
    }


class Reader(middle.Stream):
    """Jamba's chunks with the fields that they lack. See `port.StreamReader`."""

    __slots__ = ("_called", "_created_s", "_model", "_splitter")

    def __init__(self, model: str, created_s: int, include_usage: bool) -> None:
        super().__init__(VENDOR, middle.Head("", model, created_s), include_usage)
        self._model = model
        self._created_s = created_s
        self._splitter = sse.Splitter()
        self._called = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """The events that are whole now."""
        out: list[bytes] = []
        if self.complete or self.failure is not None:
            return out
        try:
            for event in self._splitter.feed(chunk):
                out += self._done() if event.data == b"[DONE]" else self._chunk(orjson.loads(event.data))
                if self.complete or self.failure is not None:
                    break
        except (sse.NotEvents, orjson.JSONDecodeError, KeyError, TypeError, AttributeError, IndexError, ValueError):
            out += self._failed(503, "something came that is not a chunk of a completion")
        return out

    def _chunk(self, said: Mapping[str, Any]) -> list[bytes]:
        if said.get("error") or said.get("detail"):
            return self._failed(500, failures.message_of(orjson.dumps(said)))
        if not self._head.answer_id:
            self._head = middle.Head(str(said["id"]), self._model, self._created_s)
        if said.get("usage"):
            self.usage = usage.usage_of(said["usage"]) or self.usage
        out: list[bytes] = []
        for choice in said["choices"]:
            delta = choice.get("delta") or {}
            calls = delta.get("tool_calls")
            if calls:
                self._called = True
                delta = {**delta, "tool_calls": [{"index": at, **call} for at, call in enumerate(calls)]}
            if delta.get("content") or calls:
                self.first_content = True
            finish = choice.get("finish_reason")
            finish = "tool_calls" if self._called and finish == "stop" else finish
            out.append(self._head.chunk(dict(delta), finish, index=int(choice.get("index") or 0)))
        return out
