"""AI21 Labs' dialect for Jamba: OpenAI's, with fewer fields both ways."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from tests.fakes.vendor.scene import Heard, Reply, Said, Scene, parts

SSE = {"content-type": "text/event-stream"}
_FIELDS = frozenset(
    ["model", "messages", "tools", "documents", "response_format", "max_tokens", "temperature", "top_p", "stop", "n", "stream"]
)  # fmt: skip


class AI21:
    name = "ai21labs"

    def claims(self, heard: Heard) -> bool:
        return heard.route.endswith("/studio/v1/chat/completions")

    def reply(self, heard: Heard, scene: Scene) -> Reply:
        if not heard.headers.get("authorization", "").startswith("Bearer sk-"):
            return self.refusal(401, "Forbidden: Bad or missing API token.")
        body = heard.json
        refused = _refused(body)
        if refused:
            return self.refusal(422, refused)
        if not body.get("stream"):
            choices = [
                {"index": index, "message": _message(said), "logprobs": None, "finish_reason": said.finish}
                for index, said in enumerate(scene.choices[: body.get("n", 1)])
            ]
            whole = {
                "id": "chatcmpl-8zLI4FFBAAA",
                "choices": choices,
                "usage": usage(scene),
                "meta": {"requestDurationMillis": 501},
            }
            return Reply((orjson.dumps(whole),))
        events = (b"data: " + orjson.dumps(said) + b"\n\n" for said in chunks(scene))
        return Reply((*events, b"data: [DONE]\n\n"), headers=SSE)

    def refusal(self, status: int, message: str) -> Reply:
        return Reply((orjson.dumps({"detail": message}),), status)


def chunks(scene: Scene) -> Iterator[dict[str, Any]]:
    """A streamed answer; what was used stands in the last chunk."""
    said = scene.choices[0]
    deltas: list[dict[str, Any]] = [{"role": "assistant"}, *({"content": part} for part in parts(said.text))]
    deltas += [{"content": "", "tool_calls": _calls(said)}] if said.tool_calls else []
    for delta in deltas:
        yield {"id": "chatcmpl-8zLI4FFBAAA", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    last = {"index": 0, "delta": {"content": ""}, "finish_reason": said.finish}
    yield {"id": "chatcmpl-8zLI4FFBAAA", "choices": [last], "usage": usage(scene)}


def usage(scene: Scene) -> dict[str, Any]:
    used = scene.usage
    return {
        "prompt_tokens": used.prompt_tokens,
        "completion_tokens": used.completion_tokens,
        "total_tokens": used.total_tokens,
    }


def _message(said: Said) -> dict[str, Any]:
    calls = {"tool_calls": _calls(said)} if said.tool_calls else {}
    return {"role": "assistant", "content": said.text, **calls}


def _calls(said: Said) -> list[dict[str, Any]]:
    return [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in said.tool_calls
    ]


def _refused(body: Mapping[str, Any]) -> str:
    """Why Jamba would not take it, empty when it would."""
    unknown = sorted(body.keys() - _FIELDS)
    if unknown:
        return f"{unknown[0]}: extra fields not permitted"
    if not isinstance(body.get("messages"), list) or not body.get("model"):
        return "messages, model: field required"
    for message in body["messages"]:
        if not isinstance(message.get("content"), str) or message["role"] not in (
            "system",
            "user",
            "assistant",
            "tool",
        ):
            return "messages: content: str type expected"
    if body.get("n", 1) != 1 and body.get("stream"):
        return "n: must be 1 when streaming"
    if body.get("response_format", {"type": "text"}) not in ({"type": "text"}, {"type": "json_object"}):
        return "response_format: unexpected value"
    return ""
