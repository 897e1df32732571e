"""What records become in the tables. Pure; asked by the loader."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa

from headgate.domain.request_record import LEGACY_FORM, RequestRecord
from headgate.domain.served_entity_record import ServedEntityRecord
from headgate.domain.usage import Usage, estimated_tokens
from headgate.warehouse import joining
from headgate.warehouse.prices import PriceTable
from headgate.warehouse.tables import columns, places
from headgate.warehouse.tables.delta import Form
from headgate.warehouse.tables.places import TableName

logger = logging.getLogger(__name__)

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_LAST_MS = 253_402_300_799_000
_SEARCHED = ("databricks_request_id", "request_time", "status_code", "served_entity_id", "requester")
PAYLOAD = Form(columns.PAYLOAD, "request_date", _SEARCHED)
LEGACY_PAYLOAD = Form(columns.LEGACY_PAYLOAD, "date", ("databricks_request_id", "timestamp_ms", "status_code"))
ENDPOINT_USAGE = Form(columns.ENDPOINT_USAGE, "request_date", (*_SEARCHED, "endpoint_name"))
SERVED_ENTITIES = Form(columns.SERVED_ENTITIES)
ENTITY_KEYS = ("served_entity_id", "endpoint_config_version")


@dataclasses.dataclass(frozen=True, slots=True)
class Origin:
    """Which installation the rows are of."""

    account_id: str
    workspace_id: str


def tables_of(record: RequestRecord) -> list[tuple[TableName, Form]]:
    """Where a record goes."""
    found = []
    wanted = record.inference_table
    if wanted is not None:
        form = LEGACY_PAYLOAD if wanted.form == LEGACY_FORM else PAYLOAD
        found.append((places.payload_table(wanted), form))
    if record.usage_tracked:
        found.append((places.ENDPOINT_USAGE, ENDPOINT_USAGE))
    return found


def rows_of(form: Form, records: Sequence[RequestRecord], origin: Origin, prices: PriceTable) -> pa.Table:
    """Their rows in a table of that form; without those that cannot be told in it, so that one cannot hold up all."""
    try:
        return _table(form, records, origin, prices)
    except _IMPOSSIBLE:
        pass
    parts = []
    for record in records:
        try:
            parts.append(_table(form, [record], origin, prices))
        except _IMPOSSIBLE as error:
            logger.error("request %s is in no table: %s", record.request_id, error)
    return pa.concat_tables(parts) if parts else form.columns.empty_table()


_IMPOSSIBLE = (pa.ArrowException, ArithmeticError, ValueError, TypeError)


def _table(form: Form, records: Iterable[RequestRecord], origin: Origin, prices: PriceTable) -> pa.Table:
    if form is ENDPOINT_USAGE:
        made = [_usage_row(record, origin, prices) for record in records]
    elif form is LEGACY_PAYLOAD:
        made = [_legacy_row(record) for record in records]
    else:
        made = [_payload_row(record) for record in records]
    return pa.Table.from_pylist(made, schema=form.columns)


def entity_rows(records: Iterable[ServedEntityRecord], origin: Origin) -> pa.Table:
    """Rows of `system.serving.served_entities`."""
    return pa.Table.from_pylist([_entity_row(record, origin) for record in records], schema=columns.SERVED_ENTITIES)


def _payload_row(record: RequestRecord) -> dict[str, Any]:
    at = _time(record.at_ms)
    return {
        "databricks_request_id": record.request_id,
        "request_date": at.date(),
        "client_request_id": record.client_request_id,
        "request_time": at,
        "status_code": record.status,
        "sampling_fraction": record.sampling_fraction,
        "execution_duration_ms": record.duration_ms,
        "request": _text(record.request),
        "response": _text(_whole_response(record)),
        "logging_error_codes": list(record.error_codes),
        "served_entity_id": record.served_entity_id,
        "requester": record.requester,
    }


def _legacy_row(record: RequestRecord) -> dict[str, Any]:
    told = {
        "endpoint_name": record.endpoint_name,
        "model_name": record.entity_name,
        "model_version": record.entity_version,
    }
    return {
        "databricks_request_id": record.request_id,
        "client_request_id": record.client_request_id,
        "date": _time(record.at_ms).date(),
        "timestamp_ms": record.at_ms,
        "status_code": record.status,
        "sampling_fraction": record.sampling_fraction,
        "execution_time_ms": record.duration_ms,
        "request": _text(record.request),
        "response": _text(_whole_response(record)),
        "request_metadata": [(name, value) for name, value in told.items() if value is not None],
    }


def _usage_row(record: RequestRecord, origin: Origin, prices: PriceTable) -> dict[str, Any]:
    at = _time(record.at_ms)
    answer = (_whole_response(record) or b"") if record.task is not None and _was_answered(record) else b""
    typed = record.input_characters, record.output_characters
    if record.task is not None and None in typed:
        typed = _counted(record, answer)
    usage, estimated = _used(record, typed, answer)
    cost, source = _cost(record, usage, prices, at.date().isoformat())
    return {
        "account_id": origin.account_id,
        "workspace_id": origin.workspace_id,
        **{name: getattr(record, name) for name in _AS_THEY_ARE},
        "databricks_request_id": record.request_id,
        "status_code": record.status,
        "request_time": at,
        "request_date": at.date(),
        "input_token_count": usage.prompt_tokens if usage else None,
        "output_token_count": usage.completion_tokens if usage else None,
        "input_character_count": typed[0],
        "output_character_count": typed[1],
        "usage_context": _words(record.usage_context),
        "request_streaming": record.streamed,
        "time_to_first_byte_ms": record.ttfb_ms,
        "tokens_estimated": estimated,
        "cached_token_count": usage.cached_tokens if usage else None,
        "cache_creation_token_count": usage.cache_creation_tokens if usage else None,
        "reasoning_token_count": usage.reasoning_tokens if usage else None,
        "cost_usd": cost,
        "price_source": source,
        "attempts": [dataclasses.asdict(attempt) for attempt in record.attempts],
        "guardrails": [dataclasses.asdict(verdict) for verdict in record.guardrails],
        "request_tags": _words(record.request_tags),
        "tags": _words(record.tags),
    }


_LEFT = 499
_AS_THEY_ARE = (
    "client_request_id", "requester", "served_entity_id", "endpoint_id", "endpoint_name", "served_entity_name",
    "entity_name", "entity_version", "provider", "model", "task", "api", "requester_id", "user_agent", "error_code",
    "duration_ms", "complete", "budget_policy_id",
)  # fmt: skip


def _entity_row(record: ServedEntityRecord, origin: Origin) -> dict[str, Any]:
    compute = {name: getattr(record, name) for name in ("min_concurrency", "max_concurrency", "compute_type")}
    throughput = {name: getattr(record, name) for name in ("min_provisioned_throughput", "max_provisioned_throughput")}
    kind = record.entity_type
    return {
        **{field.name: getattr(record, field.name, None) for field in columns.SERVED_ENTITIES},
        "account_id": origin.account_id,
        "workspace_id": origin.workspace_id,
        "external_model_config": {"provider": record.provider} if kind == "EXTERNAL_MODEL" else None,
        "foundation_model_config": throughput if kind == "FOUNDATION_MODEL" else None,
        "custom_model_config": compute if kind == "CUSTOM_MODEL" else None,
        "feature_spec_config": compute if kind == "FEATURE_SPEC" else None,
        "change_time": _time(record.change_time_ms),
        "endpoint_delete_time": None
        if record.endpoint_delete_time_ms is None
        else _time(record.endpoint_delete_time_ms),
    }


def _counted(record: RequestRecord, answer: bytes) -> tuple[int | None, int | None]:
    typed, said = record.input_characters, record.output_characters
    if typed is None and record.request is not None:
        typed = joining.request_characters(record.request)
    if said is None and answer:
        said = joining.response_characters(answer)
    return typed, said


def _was_answered(record: RequestRecord) -> bool:
    """Whether a model said anything. What a client was sent before it left, or before a stream broke, has cost something."""
    return record.status < 400 or (record.streamed and bool(record.response))


def _was_left(record: RequestRecord) -> bool:
    """Whether a vendor was still at work when its client left: it had been sent what was typed."""
    return record.status == _LEFT and bool(record.attempts) and record.attempts[-1].status == _LEFT


def _used(record: RequestRecord, typed: tuple[int | None, int | None], answer: bytes) -> tuple[Usage | None, bool]:
    """What the model says, else what the API documents as an estimate; nothing for what never reached a model."""
    if record.usage is not None:
        return record.usage, False
    if record.task is None or typed[0] is None or not (_was_answered(record) or _was_left(record)):
        return None, False
    if record.provider is None and (said := joining.response_usage(answer)) is not None:
        return said, False
    return Usage(estimated_tokens(typed[0]), estimated_tokens(typed[1]) if typed[1] else 0), True


def _cost(
    record: RequestRecord, usage: Usage | None, prices: PriceTable, day: str
) -> tuple[Decimal | None, str | None]:
    if usage is None or record.provider is None or record.model is None:
        return None, None
    price = prices.find(record.provider, record.model, day, usage.prompt_tokens)
    if price is None:
        return None, None
    return round(price.of(usage), columns.COST_SCALE), price.source


def _whole_response(record: RequestRecord) -> bytes | None:
    if record.response is None or not record.streamed:
        return record.response
    return joining.joined(record.response)


def _text(body: bytes | None) -> str | None:
    return None if body is None else body.decode("utf-8", "replace")


def _words(told: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(str(name), str(value)) for name, value in told.items()]


def _time(at_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=min(max(at_ms, 0), _LAST_MS))
