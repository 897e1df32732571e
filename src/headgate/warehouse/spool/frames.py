"""Records as frames of bytes, each with its length and checksum. The spool writes them, the loader reads them.

A frame is `HGR1`, checksum, lengths of its three parts; then the parts: the record without bodies as JSON, the request, the response.
Reading passes over whatever is damaged, to the next frame that is whole.
"""

from __future__ import annotations

import dataclasses
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import orjson

from headgate.domain.request_record import (
    MAX_REQUEST_SIZE_EXCEEDED,
    MAX_RESPONSE_SIZE_EXCEEDED,
    Attempt,
    InferenceTable,
    RequestRecord,
    Verdict,
)
from headgate.domain.usage import Usage
from headgate.warehouse.spool import context

MAGIC = b"HGR1"
_HEAD = struct.Struct(">4sIIII")
_ABSENT = 0xFFFFFFFF
_MOST = 1 << 30
"""A part larger than this is not ours: no need to look for its end."""
_FIELDS = tuple(item.name for item in dataclasses.fields(RequestRecord) if item.name not in ("request", "response"))


def capped(record: RequestRecord, payload_bytes: int) -> RequestRecord:
    """Without bodies that nobody keeps or that are too large; the latter is noted in `error_codes`."""
    if record.inference_table is None and (record.task is None or not record.usage_tracked):
        return dataclasses.replace(context.completed(record), request=None, response=None)
    codes = list(record.error_codes)
    request, response = record.request, record.response
    if request is not None and len(request) > payload_bytes:
        record = context.completed(record)
        request = None
        codes.append(MAX_REQUEST_SIZE_EXCEEDED)
    if response is not None and len(response) > payload_bytes:
        response = None
        codes.append(MAX_RESPONSE_SIZE_EXCEEDED)
    if len(codes) == len(record.error_codes):
        return record
    return dataclasses.replace(record, request=request, response=response, error_codes=tuple(dict.fromkeys(codes)))


def encoded(record: RequestRecord) -> tuple[bytes, ...]:
    """One frame, in pieces that are to be written one after the other."""
    told = orjson.dumps({name: getattr(record, name) for name in _FIELDS}, default=_plain)
    lengths = [len(told), _length(record.request), _length(record.response)]
    request, response = record.request or b"", record.response or b""
    checksum = zlib.crc32(response, zlib.crc32(request, zlib.crc32(told, zlib.crc32(struct.pack(">III", *lengths)))))
    return (_HEAD.pack(MAGIC, checksum, *lengths), told, request, response)


@dataclasses.dataclass(slots=True)
class Damage:
    """What reading had to pass over. A torn end is what a killed process leaves; anything else is a fault of the disk."""

    places: int = 0
    torn_bytes: int = 0


def decoded(content: bytes, damage: Damage | None = None) -> Iterator[RequestRecord]:
    """The whole records of a segment, in order."""
    damage = damage or Damage()
    view = memoryview(content)
    at = 0
    while at < len(content):
        found = _frame(view, at)
        if found is not None:
            record, at = found
            yield record
            continue
        following = _next_whole(content, view, at + 1)
        if following is None:
            damage.torn_bytes += len(content) - at
            return
        damage.places += 1
        at = following


def _length(part: bytes | None) -> int:
    return _ABSENT if part is None else len(part)


def _frame(view: memoryview, at: int) -> tuple[RequestRecord, int] | None:
    if at + _HEAD.size > len(view):
        return None
    magic, checksum, told_bytes, request_bytes, response_bytes = _HEAD.unpack_from(view, at)
    sizes = [0 if size == _ABSENT else size for size in (told_bytes, request_bytes, response_bytes)]
    end = at + _HEAD.size + sum(sizes)
    if magic != MAGIC or max(sizes) > _MOST or end > len(view):
        return None
    if zlib.crc32(view[at + _HEAD.size : end], zlib.crc32(view[at + 8 : at + _HEAD.size])) != checksum:
        return None
    told_end = at + _HEAD.size + sizes[0]
    request_end = told_end + sizes[1]
    told = orjson.loads(view[at + _HEAD.size : told_end])
    told["request"] = None if request_bytes == _ABSENT else bytes(view[told_end:request_end])
    told["response"] = None if response_bytes == _ABSENT else bytes(view[request_end:end])
    return _record(told), end


def _next_whole(content: bytes, view: memoryview, start: int) -> int | None:
    at = content.find(MAGIC, start)
    while at >= 0:
        if _frame(view, at) is not None:
            return at
        at = content.find(MAGIC, at + 1)
    return None


def _plain(value: Any) -> Any:
    """For orjson: mappings that are no dict."""
    return dict(value)


def _record(told: dict[str, Any]) -> RequestRecord:
    """Unknown fields are a newer writer's: passed over. Missing ones get their defaults."""
    values = {name: told[name] for name in (*_FIELDS, "request", "response") if name in told}
    values["attempts"] = tuple(Attempt(**item) for item in told.get("attempts", ()))
    values["guardrails"] = tuple(Verdict(**item) for item in told.get("guardrails", ()))
    values["error_codes"] = tuple(told.get("error_codes", ()))
    if told.get("usage") is not None:
        values["usage"] = Usage(**told["usage"])
    if told.get("inference_table") is not None:
        values["inference_table"] = InferenceTable(**told["inference_table"])
    return RequestRecord(**values)
