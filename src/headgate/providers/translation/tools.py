"""Tools, the choice among them and structured output of a chat request, checked and in one shape. Asked by translating adapters."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from headgate.errors import InvalidParameterValue
from headgate.providers.translation.turns import text_of


@dataclass(frozen=True, slots=True)
class Function:
    """`parameters`: a JSON schema of an object."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    strict: bool
    cache: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Choice:
    """`kind`: `auto`, `none`, `required` or `function`; `name` with the last."""

    kind: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Schema:
    """What a structured answer must look like."""

    name: str
    schema: Mapping[str, Any]


def functions(said: Any) -> list[Function]:
    """`tools` of a request. Raises InvalidParameterValue."""
    if said is None:
        return []
    if not isinstance(said, list):
        raise InvalidParameterValue("tools must be a list.")
    return [_function(tool, f"tools[{index}]") for index, tool in enumerate(said)]


def _function(tool: Any, where: str) -> Function:
    kind = tool.get("type", "function") if isinstance(tool, Mapping) else None
    function = tool.get("function") if kind == "function" else None
    if not isinstance(function, Mapping):
        raise InvalidParameterValue(f"{where} must be of type function: this model does not support {kind!r}.")
    parameters = function.get("parameters")
    return Function(
        text_of(function.get("name"), f"{where}.function.name"),
        str(function.get("description") or ""),
        parameters if isinstance(parameters, Mapping) and parameters else {"type": "object", "properties": {}},
        bool(function.get("strict")),
        tool.get("cache_control") or function.get("cache_control"),
    )


def choice(said: Any) -> Choice:
    """`tool_choice` of a request, `auto` where there is none. Raises InvalidParameterValue."""
    if said in (None, "auto", "none", "required"):
        return Choice(said or "auto")
    function = said.get("function") if isinstance(said, Mapping) and said.get("type") == "function" else None
    if not isinstance(function, Mapping):
        raise InvalidParameterValue(
            'tool_choice must be auto, none, required or {"type": "function", "function": {"name": …}}.'
        )
    return Choice("function", text_of(function.get("name"), "tool_choice.function.name"))


def json_schema(said: Any) -> Schema | None:
    """The schema of `response_format`, None for plain text. Raises InvalidParameterValue."""
    if not isinstance(said, Mapping) or said.get("type") != "json_schema":
        return None
    wanted = said.get("json_schema")
    schema = wanted.get("schema") if isinstance(wanted, Mapping) else None
    if not isinstance(wanted, Mapping) or not isinstance(schema, Mapping):
        raise InvalidParameterValue("response_format.json_schema.schema must be an object.")
    described = {"description": wanted["description"]} if wanted.get("description") else {}
    return Schema(str(wanted.get("name") or "answer"), {**described, **schema})


def text_of_base64(data: Any) -> str:
    """The text of a file. Raises InvalidParameterValue."""
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, TypeError, ValueError) as error:
        raise InvalidParameterValue("A file of text must be UTF-8, in base64.") from error


def json_text(schema: Mapping[str, Any]) -> str:
    """A schema where a vendor wants it as text."""
    return orjson.dumps(schema).decode()
