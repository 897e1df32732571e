"""A chat request's messages as vendors with typed content blocks see them: the system prompt, then turns of user and assistant in alternation.

Asked by the adapters of vendors whose dialect is not OpenAI's. Checks shapes and refuses what it does not know, by its place in the request.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from headgate.errors import InvalidParameterValue

Cache = Mapping[str, Any]
"""`cache_control` as the client wrote it: `{"type": "ephemeral", "ttl"?}`."""


@dataclass(frozen=True, slots=True)
class Text:
    text: str
    cache: Cache | None = None


@dataclass(frozen=True, slots=True)
class Image:
    """Either base64 `data` with its `media_type`, or a `url`."""

    media_type: str = ""
    data: str = ""
    url: str = ""
    cache: Cache | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """`source`: `{"type": "base64", "media_type", "data"}`, `{"type": "text", "data"}`, `{"type": "url", "url"}` or what else a vendor knows.

    `said`: title, context and citations, where the client gave them.
    """

    source: Mapping[str, Any]
    said: Mapping[str, Any]
    cache: Cache | None = None


@dataclass(frozen=True, slots=True)
class Reasoning:
    text: str
    signature: str


@dataclass(frozen=True, slots=True)
class Redacted:
    """Reasoning that only the vendor can read."""

    data: str


@dataclass(frozen=True, slots=True)
class ToolUse:
    """`signature`: what Google signs its models' calls with, as its own OpenAI-compatible route shows it (`extra_content`)."""

    call_id: str
    name: str
    input: Mapping[str, Any]
    signature: str = ""


@dataclass(frozen=True, slots=True)
class ToolResult:
    call_id: str
    content: tuple[Text | Image | Document, ...]


Block = Text | Image | Document | Reasoning | Redacted | ToolUse | ToolResult


@dataclass(frozen=True, slots=True)
class Turn:
    """`role`: `user` or `assistant`. Results of tools are said by the user."""

    role: str
    blocks: list[Block] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Conversation:
    system: list[Text]
    turns: list[Turn]


_KNOWN = frozenset({"role", "content", "tool_calls", "tool_call_id", "refusal", "id"})
"""Of a message. `id` is a label that agents put on their own messages."""


def conversation(messages: Any) -> Conversation:
    """The messages of a chat request. Raises InvalidParameterValue that names the message."""
    if not isinstance(messages, list) or not messages:
        raise InvalidParameterValue("messages must be a list of at least one message.")
    found = Conversation([], [])
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        if not isinstance(message, Mapping):
            raise InvalidParameterValue(f"{where} must be an object.")
        _check_fields(message, where)
        role = message.get("role")
        if role in ("system", "developer"):
            _add_system(found, message, where)
        elif role == "user":
            _add(found, "user", _contents(message.get("content"), where))
        elif role == "assistant":
            _add(found, "assistant", _assistant(message, where))
        elif role == "tool":
            _add(found, "user", [_tool_result(message, where)])
        else:
            raise InvalidParameterValue(
                f"{where}.role is {role!r}: it must be system, developer, user, assistant or tool."
            )
    if not found.turns:
        raise InvalidParameterValue("messages must hold at least one message that is not of the system.")
    return found


def _check_fields(message: Mapping[str, Any], where: str) -> None:
    for name, value in message.items():
        if value and name not in _KNOWN and not (name == "name" and message.get("role") == "tool"):
            raise InvalidParameterValue(f"{where}.{name} is not supported by this model: leave it out.")


def _add_system(found: Conversation, message: Mapping[str, Any], where: str) -> None:
    if found.turns:
        raise InvalidParameterValue(f"{where}: messages of the system must come before all others.")
    for block in _contents(message.get("content"), where):
        if not isinstance(block, Text):
            raise InvalidParameterValue(f"{where}: a message of the system holds text only.")
        found.system.append(block)


def _add(found: Conversation, role: str, blocks: list[Block]) -> None:
    """Turns alternate: what the same side says next belongs to the same turn."""
    if not found.turns or found.turns[-1].role != role:
        found.turns.append(Turn(role))
    found.turns[-1].blocks.extend(blocks)


def _assistant(message: Mapping[str, Any], where: str) -> list[Block]:
    blocks: list[Block] = []
    content = message.get("content")
    if content:
        # Vendors refuse empty text, which is what a turn of calls alone often carries.
        blocks += [block for block in _contents(content, where) if not (isinstance(block, Text) and not block.text)]
    elif message.get("refusal"):
        blocks.append(Text(str(message["refusal"])))
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list):
        raise InvalidParameterValue(f"{where}.tool_calls must be a list.")
    blocks += [_tool_use(call, f"{where}.tool_calls[{index}]") for index, call in enumerate(calls)]
    if not blocks:
        raise InvalidParameterValue(f"{where} has neither content nor tool_calls.")
    return blocks


def _tool_use(call: Any, where: str) -> ToolUse:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or call.get("type", "function") != "function":
        raise InvalidParameterValue(f"{where} must be a call of a function.")
    arguments = function.get("arguments") or "{}"
    try:
        said = orjson.loads(arguments) if isinstance(arguments, str) else None
    except orjson.JSONDecodeError:
        said = None
    if not isinstance(said, dict):
        raise InvalidParameterValue(f"{where}.function.arguments must be a JSON object, as text.")
    name = text_of(function.get("name"), f"{where}.function.name")
    return ToolUse(text_of(call.get("id"), f"{where}.id"), name, said, _signature(call))


def _signature(call: Mapping[str, Any]) -> str:
    extra = call.get("extra_content")
    google = extra.get("google") if isinstance(extra, Mapping) else None
    return str(google.get("thought_signature") or "") if isinstance(google, Mapping) else ""


def _tool_result(message: Mapping[str, Any], where: str) -> ToolResult:
    call_id = text_of(message.get("tool_call_id"), f"{where}.tool_call_id")
    content = message.get("content")
    blocks = _contents(content, where) if content else []
    shown = tuple(block for block in blocks if isinstance(block, Text | Image | Document))
    if len(shown) != len(blocks):
        raise InvalidParameterValue(f"{where}: the result of a tool holds text, images and documents only.")
    return ToolResult(call_id, shown)


def _contents(content: Any, where: str) -> list[Block]:
    if isinstance(content, str):
        return [Text(content)]
    if not isinstance(content, list) or not content:
        raise InvalidParameterValue(f"{where}.content must be text or a list of content items.")
    return [block for index, item in enumerate(content) for block in _items(item, f"{where}.content[{index}]")]


def _items(item: Any, where: str) -> Iterator[Block]:
    kind = item.get("type") if isinstance(item, Mapping) else None
    if kind == "text":
        yield Text(text_of(item.get("text"), f"{where}.text", empty=True), item.get("cache_control"))
    elif kind == "refusal":
        yield Text(text_of(item.get("refusal"), f"{where}.refusal"))
    elif kind == "image_url":
        yield _image(item, where)
    elif kind == "file":
        yield _file(item, where)
    elif kind == "document":
        yield _document(item, where)
    elif kind == "reasoning":
        yield from _reasoning(item, where)
    else:
        raise InvalidParameterValue(f"{where}: content of type {kind!r} is not supported by this model.")


def _image(item: Mapping[str, Any], where: str) -> Image:
    said = item.get("image_url")
    said = said if isinstance(said, Mapping) else {"url": said}
    url = text_of(said.get("url"), f"{where}.image_url.url")
    if said.get("detail") == "low":
        raise InvalidParameterValue(f"{where}.image_url.detail 'low' is not supported by this model: use 'auto'.")
    if not url.startswith("data:"):
        return Image(url=url, cache=item.get("cache_control"))
    media_type, data = data_url(url, f"{where}.image_url.url")
    return Image(media_type, data, cache=item.get("cache_control"))


def _file(item: Mapping[str, Any], where: str) -> Document:
    said = item.get("file")
    if not isinstance(said, Mapping) or not isinstance(said.get("file_data"), str):
        raise InvalidParameterValue(f"{where}.file must hold its content in file_data, as a data: URL in base64.")
    media_type, data = data_url(said["file_data"], f"{where}.file.file_data")
    title = {"title": said["filename"]} if said.get("filename") else {}
    return Document({"type": "base64", "media_type": media_type, "data": data}, title, item.get("cache_control"))


def _document(item: Mapping[str, Any], where: str) -> Document:
    source = item.get("source")
    if not isinstance(source, Mapping) or not isinstance(source.get("type"), str):
        raise InvalidParameterValue(f"{where}.source must be an object with a type.")
    said = {name: item[name] for name in ("title", "context", "citations") if item.get(name) is not None}
    return Document(source, said, item.get("cache_control"))


def _reasoning(item: Mapping[str, Any], where: str) -> Iterator[Block]:
    summary = item.get("summary")
    for index, part in enumerate(summary if isinstance(summary, list) else ()):
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind == "summary_text":
            yield Reasoning(str(part.get("text") or ""), str(part.get("signature") or ""))
        elif kind == "summary_encrypted_text":
            yield Redacted(text_of(part.get("data"), f"{where}.summary[{index}].data"))
        else:
            raise InvalidParameterValue(f"{where}.summary[{index}] of type {kind!r} is not known.")


def data_url(url: str, where: str) -> tuple[str, str]:
    """Media type and base64 of a `data:` URL."""
    head, comma, data = url.partition(",")
    media_type, *options = head.removeprefix("data:").split(";")
    if not url.startswith("data:") or not comma or options[-1:] != ["base64"] or "/" not in media_type:
        raise InvalidParameterValue(f"{where} must be a data: URL in base64, as data:image/png;base64,…")
    return media_type.lower(), data


def whole_thoughts(blocks: Sequence[Block]) -> list[Block]:
    """The blocks with pieces of a thought in one. Clients send back what a stream brought them piece by piece; its signature came last."""
    found: list[Block] = []
    for block in blocks:
        before = found[-1] if found else None
        if isinstance(block, Reasoning) and isinstance(before, Reasoning) and not before.signature:
            found[-1] = Reasoning(before.text + block.text, block.signature)
        else:
            found.append(block)
    return found


def text_of(value: Any, where: str, *, empty: bool = False) -> str:
    """This text. Raises InvalidParameterValue that names its place when it is none."""
    if not isinstance(value, str) or not (value or empty):
        raise InvalidParameterValue(f"{where} must be text.")
    return value
