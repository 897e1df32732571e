"""What a vendor's refusal means to our client: status, message, when to try again. Asked by every vendor's `failure`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from headgate.domain import external_providers
from headgate.errors import (
    BadRequest,
    DeadlineExceeded,
    HeadgateError,
    InternalError,
    NotFound,
    PermissionDenied,
    ResourceConflict,
    TemporarilyUnavailable,
    TooManyRequests,
    Unauthenticated,
)
from headgate.providers.port import Target, VendorFailure

_LONGEST_MESSAGE = 1000
_MOST_WORDS = 4 * _LONGEST_MESSAGE
_SHORTEST_SECRET = 6
_SHORTEST_PART = 4
_LONGEST_WAIT_S = 24 * 3600.0
_SHOWN = {401: 401, 403: 403, 404: 404, 408: 504, 409: 409, 429: 429, 500: 500, 501: 500, 504: 504, 524: 504}
_ERRORS: dict[int, type[HeadgateError]] = {
    400: BadRequest, 401: Unauthenticated, 403: PermissionDenied, 404: NotFound, 409: ResourceConflict, 429: TooManyRequests,
    500: InternalError, 503: TemporarilyUnavailable, 504: DeadlineExceeded,
}  # fmt: skip


def failure(vendor: str, status: int, headers: Mapping[bytes, bytes], message: str) -> VendorFailure:
    """A refusal as our client is shown it. `message`: the vendor's own words, found by `message_of` or by the vendor's adapter.

    The vendor's status is kept where clients know it; 413, 422 and other 4xx become 400 (MLflow's client retries those for minutes),
    502, 503, 529 become 503. What the vendor says about our credentials is kept from the client: it may quote them.
    """
    shown = _SHOWN.get(status) or (503 if status >= 500 or status < 400 else 400)
    if status == 401:
        text = f"{vendor} did not accept the credentials of this served entity: its owner must renew them."
    else:
        text = f"{vendor} answered {status}: {_short(message)}" if message else f"{vendor} answered {status}."
    retryable = shown in (429, 500, 503, 504)
    return VendorFailure(shown, text, retry_after_s(headers) if retryable else None, retryable)


def error(failure: VendorFailure) -> HeadgateError:
    """The failure as an error for the client, with `Retry-After` in whole seconds, which is all that clients understand."""
    headers = {} if failure.retry_after_s is None else {"Retry-After": str(max(1, math.ceil(failure.retry_after_s)))}
    return _ERRORS.get(failure.status, TemporarilyUnavailable)(failure.message, headers=headers)


def without_secrets(failure: VendorFailure, target: Target) -> VendorFailure:
    """The same, should the vendor quote what it was sent: secrets of the entity are starred."""
    rules = external_providers.PROVIDERS.get(target.provider)
    message = failure.message
    for name in rules.secrets if rules is not None else ():
        message = starred(message, target.config.get(name, ""))
    return dataclasses.replace(failure, message=message)


def starred(message: str, secret: str) -> str:
    """The message without the secret; also without the beginning of one that was cut off with the message's end."""
    if len(secret) < _SHORTEST_SECRET:
        return message
    message = message.replace(secret, "***")
    said = message.rstrip("…")
    for length in range(min(len(secret) - 1, len(said)), _SHORTEST_PART - 1, -1):
        if said.endswith(secret[:length]):
            return f"{said[:-length]}***…"
    return message


def message_of(body: bytes) -> str:
    """The vendor's own words: from `{"error": {"message"}}` and its relatives, or the text itself; at most 4,000 characters."""
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        text = body[:_MOST_WORDS].decode("utf-8", "replace").strip()
        return "" if text.startswith("<") else text
    # Written anew: a secret that is quoted with escapes would not be known again.
    return (_words(said) or orjson.dumps(said).decode())[:_MOST_WORDS]


def retry_after_s(headers: Mapping[bytes, bytes]) -> float | None:
    """Seconds from `retry-after-ms` or `retry-after`, which is a number or a date (measured from the answer's own `date`)."""
    waited = _number(headers.get(b"retry-after-ms"))
    if waited is not None:
        return min(waited / 1000, _LONGEST_WAIT_S)
    said = headers.get(b"retry-after")
    waited = _number(said)
    if waited is None:
        until, now = _date(said), _date(headers.get(b"date"))
        if until is None or now is None:
            return None
        waited = max(0.0, (until - now).total_seconds())
    return min(waited, _LONGEST_WAIT_S)


def _words(said: Any) -> str:
    if isinstance(said, list) and said:
        return _words(said[0])
    if isinstance(said, str):
        return said
    if not isinstance(said, dict):
        return ""
    for name in ("error_description", "error", "message", "Message", "detail", "errors"):
        if said.get(name):
            return _words(said[name])
    return ""


def _short(message: str) -> str:
    message = " ".join(message.split())
    return message if len(message) <= _LONGEST_MESSAGE else message[:_LONGEST_MESSAGE] + "…"


def _number(said: bytes | None) -> float | None:
    try:
        value = float(said or b"")
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _date(said: bytes | None) -> datetime | None:
    try:
        value = parsedate_to_datetime((said or b"").decode("ascii"))
    except (ValueError, TypeError):
        return None
    return value if value.tzinfo is not None else None
