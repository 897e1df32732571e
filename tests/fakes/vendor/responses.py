"""OpenAI's Responses: a scene as output items, whole or as events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
from tests.fakes.vendor.scene import Reply, Scene, ToolCall, parts

SSE = {"content-type": "text/event-stream; charset=utf-8"}


def reply(body: dict[str, Any], scene: Scene) -> Reply:
    """What a request with this body is answered."""
    begun = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_760_000_000,
        "model": scene.model,
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "error": None,
    }
    said = scene.choices[0]
    output = [*([_message(said.text)] if said.text else []), *(_call(call) for call in said.tool_calls)]
    done = {**begun, "status": "completed", "output": output, "usage": usage(scene)}
    if not body.get("stream"):
        return Reply((orjson.dumps(done),))
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {**begun, "status": "in_progress", "usage": None}}
    ]
    for index, item in enumerate(output):
        events += _events(index, item)
    events.append({"type": "response.completed", "response": done})
    pieces = (
        b"event: %b\ndata: %b\n\n" % (event["type"].encode(), orjson.dumps({**event, "sequence_number": number}))
        for number, event in enumerate(events)
    )
    return Reply(tuple(pieces), headers=SSE)


def usage(scene: Scene) -> dict[str, Any]:
    """As Responses say it."""
    used = scene.usage
    return {
        "input_tokens": used.prompt_tokens,
        "input_tokens_details": {"cached_tokens": used.cached_tokens},
        "output_tokens": used.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": used.reasoning_tokens},
        "total_tokens": used.total_tokens,
    }


def _message(text: str) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [part]}


def _call(call: ToolCall) -> dict[str, Any]:
    told = {"call_id": call.id, "name": call.name, "arguments": call.arguments}
    return {"type": "function_call", "id": f"fc_{call.id}", "status": "completed", **told}


def _events(index: int, item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    where = {"output_index": index}
    empty = {**item, "status": "in_progress", **({"content": []} if "content" in item else {"arguments": ""})}
    yield {"type": "response.output_item.added", **where, "item": empty}
    if "content" in item:
        yield from _text({**where, "item_id": item["id"], "content_index": 0}, item["content"][0])
    else:
        at = {**where, "item_id": item["id"]}
        for start in range(0, len(item["arguments"]), 6):
            yield {
                "type": "response.function_call_arguments.delta",
                **at,
                "delta": item["arguments"][start : start + 6],
            }
        yield {
            "type": "response.function_call_arguments.done",
            **at,
            "arguments": item["arguments"],
            "name": item["name"],
        }
    yield {"type": "response.output_item.done", **where, "item": item}


def _text(where: dict[str, Any], part: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"type": "response.content_part.added", **where, "part": {**part, "text": ""}}
    for piece in parts(part["text"]):
        yield {"type": "response.output_text.delta", **where, "delta": piece, "logprobs": []}
    yield {"type": "response.output_text.done", **where, "text": part["text"], "logprobs": []}
    yield {"type": "response.content_part.done", **where, "part": part}
