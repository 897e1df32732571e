"""The OpenAPI 3.1 document of an endpoint of external models: what their task takes and gives. All schemas are inline.

Only what every vendor of the task has; what else one understands may be sent beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headgate.domain.endpoint import Endpoint, ServedEntity

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_WHOLE: Schema = {"type": "integer", "minimum": 1}
_TEXTS: Schema = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}
_SAMPLING: Mapping[str, Schema] = {
    "max_tokens": _WHOLE,
    "temperature": {"type": "number", "minimum": 0, "maximum": 2},
    "top_p": {"type": "number", "minimum": 0, "maximum": 1},
    "stop": _TEXTS,
    "n": _WHOLE,
    "stream": {"type": "boolean"},
    "extra_params": {"type": "object", "description": "What only the provider of the model knows."},
}
_USAGE: Schema = {
    "type": "object",
    "properties": {name: {"type": "integer"} for name in ("prompt_tokens", "completion_tokens", "total_tokens")},
}
_MESSAGE: Schema = {
    "type": "object",
    "properties": {
        "role": {"type": "string", "enum": ["system", "user", "assistant", "tool"]},
        "content": {"anyOf": [_TEXT, {"type": "array", "items": {"type": "object"}}, {"type": "null"}]},
        "tool_calls": {"type": "array", "items": {"type": "object"}},
        "tool_call_id": _TEXT,
    },
    "required": ["role"],
}


def document(endpoint: Endpoint, base: str) -> dict[str, Any]:
    """The document. `base` is scheme and host."""
    assert endpoint.serving is not None
    config = endpoint.serving.config
    paths = {"/invocations": {"post": _operation(config.task, f"Query the endpoint {endpoint.name}")}}
    for entity in config.served_entities:
        paths[f"/served-models/{entity.name}/invocations"] = {"post": _operation(config.task, _summary(entity))}
    return {
        "openapi": "3.1.0",
        "info": {"title": endpoint.name, "version": str(endpoint.serving.number)},
        "servers": [{"url": f"{base}/serving-endpoints/{endpoint.name}"}],
        "paths": paths,
    }


def _summary(entity: ServedEntity) -> str:
    assert entity.external_model is not None
    return f"Query {entity.external_model.name} of {entity.external_model.provider}"


def _operation(task: str, summary: str) -> dict[str, Any]:
    request, answer = _FORMS[task]
    ok: dict[str, Any] = {"description": "What the model answers.", "content": {"application/json": {"schema": answer}}}
    if task != "llm/v1/embeddings":
        ok["content"]["text/event-stream"] = {
            "schema": {**_TEXT, "description": "With `stream`: lines of data, then [DONE]."}
        }
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": {"schema": request}}},
        "responses": {"200": ok},
    }


def _object(required: list[str], **properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": required}


def _answer(choice: Schema) -> Schema:
    choices = {"type": "array", "items": choice}
    return _object(
        ["choices"], id=_TEXT, object=_TEXT, created={"type": "integer"}, model=_TEXT, choices=choices, usage=_USAGE
    )


_FINISHED: Mapping[str, Schema] = {"index": {"type": "integer"}, "finish_reason": {"type": ["string", "null"]}}
_TOOLS: Mapping[str, Schema] = {
    "tools": {"type": "array", "items": {"type": "object"}},
    "tool_choice": {"anyOf": [_TEXT, {"type": "object"}]},
    "response_format": {"type": "object"},
}
_FORMS: Mapping[str, tuple[Schema, Schema]] = {
    "llm/v1/chat": (
        _object(["messages"], messages={"type": "array", "items": _MESSAGE}, **_TOOLS, **_SAMPLING),
        _answer(_object(["message"], message=_MESSAGE, **_FINISHED)),
    ),
    "llm/v1/completions": (
        _object(["prompt"], prompt=_TEXTS, **_SAMPLING),
        _answer(_object(["text"], text=_TEXT, **_FINISHED)),
    ),
    "llm/v1/embeddings": (
        _object(
            ["input"], input=_TEXTS, dimensions=_WHOLE, encoding_format={"type": "string", "enum": ["float", "base64"]}
        ),
        _object(
            ["data"],
            object=_TEXT,
            model=_TEXT,
            data={
                "type": "array",
                "items": _object(
                    ["embedding"],
                    index={"type": "integer"},
                    embedding={"anyOf": [{"type": "array", "items": {"type": "number"}}, _TEXT]},
                ),
            },
            usage=_USAGE,
        ),
    ),
}
"""Task -> what is asked, what is answered."""
