"""What is remembered of a call that is over. Pure; nothing of a body is parsed: what a client says of itself there is looked up by the loader."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, cast

import orjson

from headgate.domain.request_record import (
    MAX_REQUEST_SIZE_EXCEEDED,
    MAX_RESPONSE_SIZE_EXCEEDED,
    RequestRecord,
)
from headgate.domain.routing import GatewayRoute
from headgate.gateway.call import UNCHOSEN, Call

REQUEST_TAGS = b"databricks-ai-gateway-request-tags"
MOST_TAGS = 50
LONGEST_TEXT = 1024
"""Of what clients say in headers, so much is kept."""


class Outcome(NamedTuple):
    """What the client got."""

    status: int
    body: bytes | None
    """None: none was kept."""
    too_large: bool = False
    """The body is missing because it is longer than what is kept."""
    complete: bool = True


def keeps_bodies(route: GatewayRoute) -> bool:
    """Whether anybody wants more of its requests than that they were: a table, or whoever counts the characters of language models."""
    return route.inference_table is not None or (route.task is not None and route.usage_tracked)


def record(call: Call, outcome: Outcome, duration_s: float, now_ms: int) -> RequestRecord:
    """Of a call that entered `stages.record` and was over now, `now_ms` since the Unix epoch."""
    route, entity, principal = call.endpoint.gateway, call.entity, call.principal
    chosen = entity is not UNCHOSEN
    vendor = entity.external
    duration_ms = round(duration_s * 1000)
    kept = keeps_bodies(route)
    return RequestRecord(
        request_id=call.request_id,
        endpoint_id=call.endpoint.id,
        endpoint_name=call.endpoint.name,
        at_ms=now_ms - duration_ms,
        status=outcome.status,
        duration_ms=duration_ms,
        served_entity_id=entity.id if chosen else None,
        served_entity_name=entity.name if chosen else None,
        entity_name=(entity.entity_name if vendor is None else vendor.name) if chosen else None,
        entity_version=entity.entity_version or None,
        provider=None if vendor is None else vendor.provider,
        model=None if vendor is None else vendor.name,
        task=route.task,
        api=call.head.api,
        requester=principal.user_name,
        requester_id=principal.id or None,
        user_agent=call.head.headers.get(b"user-agent", b"")[:LONGEST_TEXT].decode("latin-1"),
        ttfb_ms=round((call.first_byte_s - call.arrived_s) * 1000) if call.first_byte_s else None,
        request=cast(bytes, call.received) if kept and not _unread(call) else None,  # only read from now on
        response=outcome.body if kept else None,
        streamed=call.streamed,
        complete=call.complete and outcome.complete,
        usage=call.usage,
        attempts=call.attempts,
        guardrails=call.verdicts,
        request_tags=request_tags(call.head.headers),
        tags=route.tags,
        budget_policy_id=route.budget_policy_id,
        error_code=call.error_code or None,
        error_codes=_error_codes(call, outcome) if kept else (),
        inference_table=route.inference_table,
        usage_tracked=route.usage_tracked,
    )


def request_tags(headers: Mapping[bytes, bytes]) -> Mapping[str, str]:
    """What a client says of one request, a JSON object of texts in a header; empty when it is none."""
    said = headers.get(REQUEST_TAGS)
    if said is None:
        return _NO_TAGS
    try:
        told = orjson.loads(said)
    except orjson.JSONDecodeError:
        return _NO_TAGS
    if not isinstance(told, dict):
        return _NO_TAGS
    texts = [(name, value) for name, value in told.items() if isinstance(value, str)][:MOST_TAGS]
    return {name[:LONGEST_TEXT]: value[:LONGEST_TEXT] for name, value in texts}


_NO_TAGS: Mapping[str, str] = {}


def _unread(call: Call) -> bool:
    """Whether its body was too long to be read at all."""
    return call.body_bytes > len(call.received)


def _error_codes(call: Call, outcome: Outcome) -> tuple[str, ...]:
    codes = []
    if _unread(call):
        codes.append(MAX_REQUEST_SIZE_EXCEEDED)
    if outcome.too_large:
        codes.append(MAX_RESPONSE_SIZE_EXCEEDED)
    return tuple(codes)
