"""A chat request as Bedrock's Converse wants it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headgate.errors import InvalidParameterValue
from headgate.providers.bedrock import blocks
from headgate.providers.bedrock.families import ANSWER_TOOL, Family
from headgate.providers.translation import middle, tools, turns

_OWN = frozenset(
    {
        "additionalModelRequestFields",
        "additionalModelResponseFieldPaths",
        "guardrailConfig",
        "outputConfig",
        "performanceConfig",
        "requestMetadata",
        "serviceTier",
    }
)
"""Converse's own fields that `extra_params` can set; what else stands there goes to the model."""
GOVERNED = frozenset({"system", "inferenceConfig", "toolConfig", "promptVariables", "tool_choice", "stop_sequences"})
"""What `extra_params` cannot set."""


def converse_request(family: Family, body: Mapping[str, Any]) -> dict[str, Any]:
    """The request in Converse's dialect; the model stands in the address. `body` has been checked against the family's capabilities."""
    conversation = turns.conversation(body.get("messages"))
    writer = blocks.Writer()
    asked: dict[str, Any] = {
        "messages": [{"role": turn.role, "content": writer.written(turn.blocks)} for turn in conversation.turns]
    }
    if conversation.system:
        asked["system"] = writer.written(conversation.system)
    if config := _inference_config(body):
        asked["inferenceConfig"] = config
    for part in (_tools(body, writer, conversation), _model_fields(family, body), _output(family, body), _labels(body)):
        asked = middle.merged(asked, part)
    extra = middle.with_extra({}, body, GOVERNED)
    own = {name: value for name, value in extra.items() if name in _OWN}
    models = {name: value for name, value in extra.items() if name not in _OWN}
    return middle.merged(asked, middle.merged(own, {"additionalModelRequestFields": models}) if models else own)


def as_chat(body: Mapping[str, Any]) -> dict[str, Any]:
    """A completions request as the chat request that it is to Converse, which knows nothing else."""
    prompt = body.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str):
        raise InvalidParameterValue("Amazon Bedrock takes one prompt at a time, as text.")
    return {
        **{name: value for name, value in body.items() if name != "prompt"},
        "messages": [{"role": "user", "content": prompt}],
    }


def _inference_config(body: Mapping[str, Any]) -> dict[str, Any]:
    said = {
        "maxTokens": middle.most_tokens(body),
        "temperature": body.get("temperature"),
        "topP": body.get("top_p"),
        "stopSequences": middle.stop_sequences(body) or None,
    }
    return {name: value for name, value in said.items() if value is not None}


def _tools(body: Mapping[str, Any], writer: blocks.Writer, conversation: turns.Conversation) -> dict[str, Any]:
    functions = tools.functions(body.get("tools"))
    if not functions:
        return {}
    choice = tools.choice(body.get("tool_choice"))
    if choice.kind == "none":
        if any(isinstance(block, turns.ToolUse) for turn in conversation.turns for block in turn.blocks):
            raise InvalidParameterValue(
                "Amazon Bedrock does not support tool_choice 'none' after calls of tools: use 'auto'."
            )
        # Converse has no word for it; tools that are not offered are not called either.
        return {}
    config: dict[str, Any] = {"tools": writer.offered(functions)}
    said: dict[str, Any] = {}
    if body.get("parallel_tool_calls") is False:
        kind = {"required": "any", "function": "tool"}.get(choice.kind, choice.kind)
        named = {"name": choice.name} if choice.name else {}
        said = {
            "additionalModelRequestFields": {"tool_choice": {"type": kind, **named, "disable_parallel_tool_use": True}}
        }
    elif choice.kind == "required":
        config["toolChoice"] = {"any": {}}
    elif choice.kind == "function":
        config["toolChoice"] = {"tool": {"name": choice.name}}
    return {"toolConfig": config, **said}


def _model_fields(family: Family, body: Mapping[str, Any]) -> dict[str, Any]:
    """What only the model knows."""
    said: dict[str, Any] = {}
    for name, path in family.fields.items():
        if body.get(name) is not None:
            value: Any = body[name]
            for step in reversed(path):
                value = {step: value}
            said = middle.merged(said, value)
    if family.name == "amazon":
        said |= _nova_reasoning(body)
    elif body.get("reasoning_effort") == "none":
        said.setdefault("thinking", {"type": "disabled"})
    return {"additionalModelRequestFields": said} if said else {}


def _nova_reasoning(body: Mapping[str, Any]) -> dict[str, Any]:
    effort = body.get("reasoning_effort")
    if effort is None:
        return {}
    if effort == "none":
        return {"reasoningConfig": {"type": "disabled"}}
    if effort not in ("low", "medium", "high"):
        raise InvalidParameterValue(
            f"Amazon's models do not support reasoning_effort {effort!r}: use none, low, medium or high."
        )
    return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": effort}}


def _output(family: Family, body: Mapping[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {}
    effort = body.get("reasoning_effort")
    if family.name == "anthropic" and effort not in (None, "none"):
        if effort not in ("low", "medium", "high", "xhigh", "max"):
            raise InvalidParameterValue(
                f"Anthropic's models do not support reasoning_effort {effort!r}: use none, low, medium, high, xhigh or max."
            )
        said["effort"] = effort
    schema = tools.json_schema(body.get("response_format"))
    if schema is None:
        return {"outputConfig": said} if said else {}
    if family.answers_through_a_tool:
        return _answer_tool(schema, body)
    structure = {"jsonSchema": {"name": schema.name, "schema": tools.json_text(schema.schema)}}
    return {"outputConfig": {**said, "textFormat": {"type": "json_schema", "structure": structure}}}


def _answer_tool(schema: tools.Schema, body: Mapping[str, Any]) -> dict[str, Any]:
    """The only tool there is, which the model must call: its arguments are the answer."""
    if body.get("tools"):
        raise InvalidParameterValue("Amazon's models do not support response_format json_schema together with tools.")
    if schema.schema.get("type") != "object":
        raise InvalidParameterValue("response_format.json_schema.schema must be of type object for Amazon's models.")
    spec = {
        "name": ANSWER_TOOL,
        "description": f"Takes the answer: {schema.name}.",
        "inputSchema": {"json": schema.schema},
    }
    return {"toolConfig": {"tools": [{"toolSpec": spec}], "toolChoice": {"tool": {"name": ANSWER_TOOL}}}}


def _labels(body: Mapping[str, Any]) -> dict[str, Any]:
    """`metadata` and `user`: found again in the logs of the AWS account."""
    metadata = body.get("metadata") or {}
    if not isinstance(metadata, Mapping):
        raise InvalidParameterValue("metadata must be an object.")
    said = {**metadata, **({"user": body["user"]} if body.get("user") else {})}
    return {"requestMetadata": said} if said else {}
