"""A model's thought inside an item of the Responses API: what is signed travels in `encrypted_content` and comes back as it was.

Nobody but the vendor can check a signature, and none is made here: the text is only packed.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

_MARK = "hg1."


def packed(items: Sequence[Mapping[str, Any]]) -> str:
    """Items of type `reasoning` of the middle language, for `encrypted_content`."""
    return _MARK + base64.b64encode(orjson.dumps(items)).decode()


def opened(content: Any) -> list[dict[str, Any]]:
    """The items again; none for what was not packed here."""
    if not isinstance(content, str) or not content.startswith(_MARK):
        return []
    try:
        said = orjson.loads(base64.b64decode(content[len(_MARK) :], validate=True))
    except (binascii.Error, ValueError):
        return []
    items = said if isinstance(said, list) else []
    return [item for item in items if isinstance(item, dict) and item.get("type") == "reasoning"]


def item(blocks: Sequence[Mapping[str, Any]], item_id: str) -> dict[str, Any]:
    """Blocks `thinking` and `redacted_thinking` (as `wire.messages.answering` finds them) as one item of output."""
    texts = [block["thinking"] for block in blocks if block["type"] == "thinking" and block["thinking"]]
    said: dict[str, Any] = {
        "id": item_id,
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": text} for text in texts],
        "status": "completed",
    }
    if any(block.get("signature") or block.get("data") for block in blocks):
        said["encrypted_content"] = packed([{"type": "reasoning", "summary": [_summary(block)]} for block in blocks])
    return said


def _summary(block: Mapping[str, Any]) -> dict[str, Any]:
    if block["type"] == "redacted_thinking":
        return {"type": "summary_encrypted_text", "data": block["data"]}
    return {"type": "summary_text", "text": block["thinking"], "signature": block["signature"]}
