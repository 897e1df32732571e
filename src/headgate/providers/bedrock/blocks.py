"""Content blocks and tools as Converse writes them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from headgate.errors import InvalidParameterValue
from headgate.providers.translation import tools, turns

_IMAGES = {"image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
_DOCUMENTS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9 \-()\[\]]+")


class Writer:
    """Of one request: numbers its documents, whose names must differ."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def written(self, blocks: Sequence[turns.Block]) -> list[dict[str, Any]]:
        """A turn's content, or the system's."""
        return [said for block in turns.whole_thoughts(blocks) for said in self._block(block)]

    def offered(self, functions: Sequence[tools.Function]) -> list[dict[str, Any]]:
        """The tools of `toolConfig`."""
        return [said for function in functions for said in self._tool(function)]

    def _tool(self, function: tools.Function) -> Iterator[dict[str, Any]]:
        said: dict[str, Any] = {"name": function.name, "inputSchema": {"json": function.parameters}}
        if function.description:
            said["description"] = function.description
        if function.strict:
            said["strict"] = True
        yield {"toolSpec": said}
        yield from self._cache_point(function.cache)

    def _block(self, block: turns.Block) -> Iterator[dict[str, Any]]:
        match block:
            case turns.Text():
                yield {"text": block.text}
                yield from self._cache_point(block.cache)
            case turns.Image():
                yield {"image": _image(block)}
                yield from self._cache_point(block.cache)
            case turns.Document():
                yield {"document": self._document(block)}
                yield from self._cache_point(block.cache)
            case turns.Reasoning():
                signature = {"signature": block.signature} if block.signature else {}
                yield {"reasoningContent": {"reasoningText": {"text": block.text, **signature}}}
            case turns.Redacted():
                yield {"reasoningContent": {"redactedContent": block.data}}
            case turns.ToolUse():
                yield {"toolUse": {"toolUseId": block.call_id, "name": block.name, "input": block.input}}
            case turns.ToolResult():
                content = [self._in_result(item) for item in block.content]
                yield {"toolResult": {"toolUseId": block.call_id, "content": content}}
                for item in block.content:
                    yield from self._cache_point(item.cache)

    def _in_result(self, item: turns.Text | turns.Image | turns.Document) -> dict[str, Any]:
        """Marks of the cache have no place in a result of a tool, but after it."""
        match item:
            case turns.Text():
                return {"text": item.text}
            case turns.Image():
                return {"image": _image(item)}
            case turns.Document():
                return {"document": self._document(item)}

    @staticmethod
    def _cache_point(cache: turns.Cache | None) -> Iterator[dict[str, Any]]:
        if cache is None:
            return
        ttl = {"ttl": cache["ttl"]} if isinstance(cache, Mapping) and cache.get("ttl") else {}
        yield {"cachePoint": {"type": "default", **ttl}}

    def _document(self, block: turns.Document) -> dict[str, Any]:
        kind = block.source.get("type")
        media_type = str(block.source.get("media_type") or "text/plain").partition(";")[0]
        written = _DOCUMENTS.get(media_type)
        if written is None or kind not in ("base64", "text"):
            raise InvalidParameterValue(
                f"Amazon Bedrock does not support documents of {media_type!r} from {kind!r}: send one of {', '.join(_DOCUMENTS)} in base64."
            )
        source = {
            "bytes" if kind == "base64" else "text": turns.text_of(block.source.get("data"), "a document's source.data")
        }
        said = {name: block.said[name] for name in ("context", "citations") if name in block.said}
        return {"format": written, "name": self._name(block.said.get("title")), "source": source, **said}

    def _name(self, title: Any) -> str:
        wished = " ".join(_NOT_IN_A_NAME.sub("-", str(title or "document")).split())[:150] or "document"
        name, number = wished, 1
        while name in self._names:
            number += 1
            name = f"{wished} {number}"
        self._names.add(name)
        return name


def _image(block: turns.Image) -> dict[str, Any]:
    if block.url.startswith("s3://"):
        ending = block.url.rpartition(".")[2].lower()
        written = _IMAGES.get(f"image/{ending}")
        source: dict[str, Any] = {"s3Location": {"uri": block.url}}
    elif block.url:
        raise InvalidParameterValue(
            "Amazon Bedrock does not support images by URL: send a data: URL in base64, or an s3:// address."
        )
    else:
        written = _IMAGES.get(block.media_type)
        source = {"bytes": block.data}
    if written is None:
        raise InvalidParameterValue("Amazon Bedrock supports images of type png, jpeg, gif and webp only.")
    return {"format": written, "source": source}
