"""A chat request as Gemini's `generateContent` wants it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headgate.errors import InvalidParameterValue
from headgate.providers import capabilities
from headgate.providers.translation import middle, tools, turns
from headgate.providers.vertex import contents
from headgate.providers.vertex.refusing import VENDOR

GOVERNED = frozenset({"contents", "systemInstruction"})
_GOVERNED_GENERATION = frozenset({"maxOutputTokens", "candidateCount"})
_SPELLED_ONCE = re.compile(r"_([a-z])")

_PLAIN = {
    "temperature": "temperature", "top_p": "topP", "top_k": "topK", "seed": "seed", "n": "candidateCount",
    "frequency_penalty": "frequencyPenalty", "presence_penalty": "presencePenalty",
}  # fmt: skip
_OWN_TOOLS = frozenset(
    {"googleSearch", "googleSearchRetrieval", "googleMaps", "urlContext", "codeExecution", "enterpriseWebSearch"}
)
"""Tools that Gemini runs itself: an object without a type, `{"google_search": {}}`."""

_BUDGETS = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24576}
"""Tokens of thought for an effort, of models that know no levels, as Google's own OpenAI-compatible route has them."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A method of a model, and its request."""

    verb: str
    body: Mapping[str, Any]
    version: str = "v1"


def generation(model: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The request in Gemini's dialect. `body` has been checked against the capabilities."""
    conversation = turns.conversation(contents.with_media_as_documents(body.get("messages")))
    asked: dict[str, Any] = {"contents": contents.contents(conversation.turns, model)}
    if conversation.system:
        asked["systemInstruction"] = {"parts": [{"text": block.text} for block in conversation.system]}
    asked |= _tools(body)
    configured = _generation_config(model, body)
    if configured:
        asked["generationConfig"] = configured
    asked |= _labels(body)
    return middle.with_extra(asked, _with_names_in_camel_case(body), GOVERNED)


def _generation_config(model: str, body: Mapping[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = {theirs: body[ours] for ours, theirs in _PLAIN.items() if body.get(ours) is not None}
    if (most := middle.most_tokens(body)) is not None:
        config["maxOutputTokens"] = most
    if stop := middle.stop_sequences(body):
        config["stopSequences"] = stop
    if body.get("logprobs"):
        config["responseLogprobs"] = True
        if body.get("top_logprobs"):
            config["logprobs"] = body["top_logprobs"]
    elif body.get("top_logprobs"):
        raise InvalidParameterValue("top_logprobs needs logprobs to be true.")
    wanted = body.get("response_format")
    if isinstance(wanted, Mapping) and wanted.get("type") in ("json_object", "json_schema"):
        config["responseMimeType"] = "application/json"
        if (schema := tools.json_schema(wanted)) is not None:
            config["responseJsonSchema"] = schema.schema
    if (thinking := _thinking(model, body)) is not None:
        config["thinkingConfig"] = thinking
    return config


def _thinking(model: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
    """How much to think. Thoughts are asked for whenever thinking is: they are the reasoning that the answer shows."""
    thinking, effort = body.get("thinking"), body.get("reasoning_effort")
    if thinking is not None:
        return _thinking_said(thinking)
    if effort is None:
        return None
    levels = contents.generation_of(model) >= 3
    if effort == "none":
        if levels:
            raise InvalidParameterValue(f"{model} always thinks: the least is reasoning_effort 'minimal'.")
        return {"thinkingBudget": 0}
    if effort not in _BUDGETS:
        raise InvalidParameterValue(
            f"{VENDOR} does not support reasoning_effort {effort!r}: use none, {', '.join(_BUDGETS)}."
        )
    said = {"thinkingLevel": str(effort).upper()} if levels else {"thinkingBudget": _BUDGETS[str(effort)]}
    return {**said, "includeThoughts": True}


def _thinking_said(thinking: Any) -> dict[str, Any]:
    """`thinking` in Anthropic's words: enabled with a budget, adaptive, disabled."""
    kind = thinking.get("type") if isinstance(thinking, Mapping) else None
    if kind == "disabled":
        return {"thinkingBudget": 0}
    if kind == "adaptive":
        return {"thinkingBudget": -1, "includeThoughts": True}
    budget = thinking.get("budget_tokens") if kind == "enabled" else None
    if not isinstance(budget, int) or isinstance(budget, bool):
        raise InvalidParameterValue('thinking must be {"type": "enabled", "budget_tokens": …}, adaptive or disabled.')
    return {"thinkingBudget": budget, "includeThoughts": True}


def _tools(body: Mapping[str, Any]) -> dict[str, Any]:
    said = body.get("tools")
    own, functions = _apart(said) if isinstance(said, list) else ([], said)
    found = tools.functions(functions)
    if not found and not own:
        return {}
    declared = [{"functionDeclarations": [_declaration(function) for function in found]}] if found else []
    asked: dict[str, Any] = {"tools": [*declared, *own]}
    choice = tools.choice(body.get("tool_choice"))
    if any(function.strict for function in found) and choice.kind == "auto":
        # As AUTO, but what is called is called as its schema says; ANY does that anyway.
        asked["toolConfig"] = {"functionCallingConfig": {"mode": "VALIDATED"}}
    elif body.get("tool_choice") is not None and found:
        config: dict[str, Any] = {"mode": {"none": "NONE", "auto": "AUTO"}.get(choice.kind, "ANY")}
        if choice.name:
            config["allowedFunctionNames"] = [choice.name]
        asked["toolConfig"] = {"functionCallingConfig": config}
    return asked


def _apart(said: Sequence[Any]) -> tuple[list[dict[str, Any]], list[Any]]:
    """Gemini's own tools, and functions."""
    own: list[dict[str, Any]] = []
    functions: list[Any] = []
    for tool in said:
        named = _named(tool)
        if named and named.keys() <= _OWN_TOOLS:
            own.append(named)
        else:
            functions.append(tool)
    return own, functions


def _declaration(function: tools.Function) -> dict[str, Any]:
    said: dict[str, Any] = {"name": function.name, "parametersJsonSchema": function.parameters}
    return {**said, "description": function.description} if function.description else said


def _labels(body: Mapping[str, Any]) -> dict[str, Any]:
    """`metadata` are the labels that Google's bills show."""
    if body.get("user"):
        raise InvalidParameterValue(f"{VENDOR} does not support user: leave it out.")
    metadata = body.get("metadata")
    if not metadata:
        return {}
    if not isinstance(metadata, Mapping) or not all(isinstance(value, str) for value in metadata.values()):
        raise InvalidParameterValue("metadata must be an object of texts.")
    return {"labels": dict(metadata)}


def _with_names_in_camel_case(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Google takes `generation_config` for `generationConfig`: one spelling, so that neither gets around what the endpoint governs."""
    extra = capabilities.extra_params(body.get("extra_params"), body)
    named = _named(extra)
    if isinstance(named.get("generationConfig"), Mapping):
        config = named["generationConfig"] = _named(named["generationConfig"])
        for name in sorted(_GOVERNED_GENERATION & config.keys()):
            raise InvalidParameterValue(f"extra_params cannot set {name}: give max_tokens or n in the request.")
    calling = _named(named.get("toolConfig")).get("functionCallingConfig")
    if _named(calling).get("streamFunctionCallArguments"):
        raise InvalidParameterValue("extra_params cannot ask for arguments of calls in pieces: they come whole.")
    return {**body, "extra_params": named}


def _named(said: Any) -> dict[str, Any]:
    """An object in one spelling, empty for anything else."""
    return {_camel(str(name)): value for name, value in said.items()} if isinstance(said, Mapping) else {}


def _camel(name: str) -> str:
    return _SPELLED_ONCE.sub(lambda found: found[1].upper(), name)
