"""The turns of a conversation as Gemini's contents and parts. Asked by `asking`.

Gemini knows calls by their order, not by ids: results are put in the order of the calls they answer. Signatures of thought go back to the
part they came with: that of a call on the call, that of reasoning on the text which follows it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import orjson

from headgate.errors import InvalidParameterValue
from headgate.providers.translation import turns

UNSIGNED = "skip_thought_signature_validator"
"""What Google documents for calls that another model made, or whose signature the client did not keep: Gemini 3 refuses them bare."""

_GENERATION = re.compile(r"gemini-(\d+)")
_MEDIA_TYPES = {
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp", "heic": "image/heic", "heif": "image/heif",
    "gif": "image/gif", "pdf": "application/pdf", "txt": "text/plain", "md": "text/plain", "mp3": "audio/mpeg", "wav": "audio/wav",
    "flac": "audio/flac", "ogg": "audio/ogg", "m4a": "audio/m4a", "aac": "audio/aac", "mp4": "video/mp4", "mov": "video/quicktime",
    "webm": "video/webm", "mpeg": "video/mpeg", "mpg": "video/mpg", "avi": "video/avi", "wmv": "video/wmv",
}  # fmt: skip
"""Vertex AI wants the type of a file it is to fetch; of a URL only its ending tells."""


def generation_of(model: str) -> int:
    """The 3 of `gemini-3-pro`, 0 where the name tells none."""
    found = _GENERATION.search(model)
    return int(found[1]) if found else 0


def with_media_as_documents(messages: Any) -> Any:
    """Audio and video, which only Gemini knows, in the shape of documents, which the turns know."""
    if not isinstance(messages, list):
        return messages
    return [
        {**message, "content": [_as_document(item, f"messages[{index}]") for item in message["content"]]}
        if isinstance(message, Mapping) and isinstance(message.get("content"), list)
        else message
        for index, message in enumerate(messages)
    ]


def _as_document(item: Any, where: str) -> Any:
    kind = item.get("type") if isinstance(item, Mapping) else None
    if kind == "input_audio":
        said = item.get("input_audio")
        if not isinstance(said, Mapping) or f"audio/{said.get('format')}" not in ("audio/wav", "audio/mp3"):
            raise InvalidParameterValue(f"{where}: input_audio must hold data and a format, wav or mp3.")
        source = {"type": "base64", "media_type": f"audio/{said['format']}", "data": said.get("data")}
        return {"type": "document", "source": source}
    if kind in ("audio_url", "video_url"):
        said = item.get(kind)
        url = turns.text_of(said.get("url") if isinstance(said, Mapping) else said, f"{where}: {kind}.url")
        if not url.startswith("data:"):
            return {"type": "document", "source": {"type": "url", "url": url}}
        media_type, data = turns.data_url(url, f"{where}: {kind}.url")
        return {"type": "document", "source": {"type": "base64", "media_type": media_type, "data": data}}
    return item


def contents(said: Sequence[turns.Turn], model: str) -> list[dict[str, Any]]:
    """What was said, by `user` and `model`. Raises InvalidParameterValue for what Gemini cannot be shown."""
    needs_signatures = generation_of(model) >= 3
    names: dict[str, str] = {}
    found = []
    for turn in said:
        calls = [block for block in turn.blocks if isinstance(block, turns.ToolUse)]
        names |= {call.call_id: call.name for call in calls}
        if turn.role == "assistant":
            found.append({"role": "model", "parts": _spoken(turn.blocks, needs_signatures)})
        else:
            found.append({"role": "user", "parts": [_part(block, names) for block in _in_order(turn.blocks, names)]})
    return found


def _spoken(blocks: Sequence[turns.Block], needs_signatures: bool) -> list[dict[str, Any]]:
    """Parts of the model's. A signature of thought belongs to the text after it, at the end to the text before."""
    parts: list[dict[str, Any]] = []
    signature = ""
    unsigned_call = needs_signatures
    for block in blocks:
        if isinstance(block, turns.Reasoning):
            signature = block.signature or signature
            parts += [{"text": block.text, "thought": True}] if block.text else []
            continue
        if isinstance(block, turns.ToolUse):
            part = {"functionCall": {"name": block.name, "args": block.input}}
            own = block.signature or (UNSIGNED if unsigned_call else "")
            unsigned_call = False
        else:
            part, own = _part(block, {}), signature
            signature = ""
        parts.append({**part, "thoughtSignature": own} if own else part)
    if signature:
        texts = [part for part in parts if "text" in part and not part.get("thought")]
        if texts:
            texts[-1].setdefault("thoughtSignature", signature)
        else:
            parts.append({"text": "", "thoughtSignature": signature})
    return parts


def _in_order(blocks: Sequence[turns.Block], names: Mapping[str, str]) -> list[turns.Block]:
    """Results in the order of their calls, then everything else."""
    order = {call_id: at for at, call_id in enumerate(names)}
    results = [block for block in blocks if isinstance(block, turns.ToolResult)]
    results.sort(key=lambda result: order.get(result.call_id, -1))
    return [*results, *(block for block in blocks if not isinstance(block, turns.ToolResult))]


def _part(block: turns.Block, names: Mapping[str, str]) -> dict[str, Any]:
    match block:
        case turns.Text():
            return {"text": block.text}
        case turns.Image():
            return _fetched(block.url) if block.url else _inline(block.media_type, block.data)
        case turns.Document():
            return _document(block.source)
        case turns.ToolResult():
            return _result(block, names)
        case _:
            raise InvalidParameterValue("Vertex AI does not support reasoning of another provider: leave it out.")


def _document(source: Mapping[str, Any]) -> dict[str, Any]:
    kind = source.get("type")
    if kind == "text":
        return {"text": turns.text_of(source.get("data"), "document.source.data")}
    if kind == "url":
        return _fetched(turns.text_of(source.get("url"), "document.source.url"))
    if kind == "base64":
        return _inline(str(source.get("media_type") or ""), turns.text_of(source.get("data"), "document.source.data"))
    raise InvalidParameterValue(
        f"Vertex AI does not support a document's source of type {kind!r}: use base64, text or url."
    )


def _inline(media_type: str, data: str) -> dict[str, Any]:
    return {"inlineData": {"mimeType": media_type, "data": data}}


def _fetched(url: str) -> dict[str, Any]:
    """A file that Google fetches: from the web, or from Cloud Storage."""
    if not url.startswith(("https://", "http://", "gs://")):
        raise InvalidParameterValue(
            "Vertex AI fetches files from https:// and gs:// only: give others inline, as a data: URL in base64."
        )
    media_type = _MEDIA_TYPES.get(urlsplit(url).path.rpartition(".")[2].lower())
    if media_type is None:
        raise InvalidParameterValue(
            "Vertex AI must be told what a file is that it fetches, and this URL's ending does not tell: "
            "use one that ends in .png, .jpg, .webp, .pdf, …, or give the file inline, as a data: URL in base64."
        )
    return {"fileData": {"fileUri": url, "mimeType": media_type}}


def _result(block: turns.ToolResult, names: Mapping[str, str]) -> dict[str, Any]:
    """A function's answer: an object as it is, everything else under `output`."""
    name = names.get(block.call_id)
    if name is None:
        raise InvalidParameterValue(f"tool_call_id {block.call_id!r} is that of no call before it.")
    text = "".join(part.text for part in block.content if isinstance(part, turns.Text))
    said: dict[str, Any] = {"name": name, "response": _object(text)}
    shown = [_part(part, {}) for part in block.content if not isinstance(part, turns.Text)]
    return {"functionResponse": {**said, "parts": shown} if shown else said}


def _object(text: str) -> dict[str, Any]:
    try:
        said = orjson.loads(text)
    except orjson.JSONDecodeError:
        said = None
    return said if isinstance(said, dict) else {"output": text}
