"""What Google's refusals mean: `google.rpc.Status` with its `RetryInfo`, alone or in a list, and those of its token server."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from headgate.providers import failures
from headgate.providers.port import VendorFailure

VENDOR = "Vertex AI"

STATUS = {
    "INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400, "OUT_OF_RANGE": 400, "UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404, "ABORTED": 409, "ALREADY_EXISTS": 409, "RESOURCE_EXHAUSTED": 429, "CANCELLED": 503, "INTERNAL": 500, "UNKNOWN": 500,
    "DATA_LOSS": 500, "UNIMPLEMENTED": 501, "UNAVAILABLE": 503, "DEADLINE_EXCEEDED": 504,
}  # fmt: skip
"""Of errors in the middle of a stream that name no number."""

_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")


def failure(status: int, headers: Mapping[bytes, bytes], body: bytes) -> VendorFailure:
    """A refusal. Whatever the token server refuses is about credentials."""
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        said = None
    if isinstance(said, dict) and isinstance(said.get("error"), str) and 400 <= status < 500:
        return failures.failure(VENDOR, 401, headers, "")
    # Cancelled: not by us, for then nobody would read it.
    status = 503 if status == 499 else status
    waited = retry_delay_s(error_of(said))
    if waited is not None and b"retry-after" not in headers:
        headers = {**headers, b"retry-after-ms": str(waited * 1000).encode()}
    return failures.failure(VENDOR, status, headers, failures.message_of(body))


def in_stream(error: Mapping[str, Any]) -> VendorFailure:
    """A refusal in the middle of a stream."""
    code = error.get("code")
    if not isinstance(code, int) or not 400 <= code <= 599:
        code = STATUS.get(str(error.get("status")), 500)
    return failure(code, {}, orjson.dumps({"error": dict(error)}))


def error_of(said: Any) -> Mapping[str, Any]:
    """The status in what was said, empty when there is none."""
    said = said[0] if isinstance(said, list) and said else said
    error = said.get("error") if isinstance(said, dict) else None
    return error if isinstance(error, dict) else {}


def retry_delay_s(error: Mapping[str, Any]) -> float | None:
    """`RetryInfo` of a status, in seconds."""
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and str(detail.get("@type", "")).endswith("google.rpc.RetryInfo"):
            said = _DURATION.fullmatch(str(detail.get("retryDelay")))
            if said is not None:
                return float(said[1])
    return None
