"""Columns of every table, in order. Those that Databricks documents come first and have its names and types; ours follow.

A column may be added here at any time: tables get it with the next commit. None may change its type or go.
"""

from __future__ import annotations

import pyarrow as pa

_TEXT = pa.string()
_TIME = pa.timestamp("us", tz="UTC")
_WORDS = pa.map_(_TEXT, _TEXT)
COST_SCALE = 10

ATTEMPT = pa.struct(
    [
        ("served_entity_id", _TEXT),
        ("served_entity_name", _TEXT),
        ("status", pa.int32()),
        ("duration_ms", pa.int64()),
        ("error", _TEXT),
    ]
)
VERDICT = pa.struct(
    [
        ("guardrail", _TEXT),
        ("phase", _TEXT),
        ("outcome", _TEXT),
        ("detail", _TEXT),
        ("duration_ms", pa.float64()),
        ("shadow", pa.bool_()),
    ]
)

PAYLOAD = pa.schema(
    [
        ("databricks_request_id", _TEXT),
        ("request_date", pa.date32()),
        ("client_request_id", _TEXT),
        ("request_time", _TIME),
        ("status_code", pa.int32()),
        ("sampling_fraction", pa.float64()),
        ("execution_duration_ms", pa.int64()),
        ("request", _TEXT),
        ("response", _TEXT),
        ("logging_error_codes", pa.list_(_TEXT)),
        ("served_entity_id", _TEXT),
        ("requester", _TEXT),
    ]
)
LEGACY_PAYLOAD = pa.schema(
    [
        ("databricks_request_id", _TEXT),
        ("client_request_id", _TEXT),
        ("date", pa.date32()),
        ("timestamp_ms", pa.int64()),
        ("status_code", pa.int32()),
        ("sampling_fraction", pa.float64()),
        ("execution_time_ms", pa.int64()),
        ("request", _TEXT),
        ("response", _TEXT),
        ("request_metadata", _WORDS),
    ]
)
ENDPOINT_USAGE = pa.schema(
    [
        ("account_id", _TEXT),
        ("workspace_id", _TEXT),
        ("client_request_id", _TEXT),
        ("databricks_request_id", _TEXT),
        ("requester", _TEXT),
        ("status_code", pa.int32()),
        ("request_time", _TIME),
        ("input_token_count", pa.int64()),
        ("output_token_count", pa.int64()),
        ("input_character_count", pa.int64()),
        ("output_character_count", pa.int64()),
        ("usage_context", _WORDS),
        ("request_streaming", pa.bool_()),
        ("served_entity_id", _TEXT),
        # Ours from here on.
        ("request_date", pa.date32()),
        ("endpoint_id", _TEXT),
        ("endpoint_name", _TEXT),
        ("served_entity_name", _TEXT),
        ("entity_name", _TEXT),
        ("entity_version", _TEXT),
        ("provider", _TEXT),
        ("model", _TEXT),
        ("task", _TEXT),
        ("api", _TEXT),
        ("requester_id", _TEXT),
        ("user_agent", _TEXT),
        ("error_code", _TEXT),
        ("duration_ms", pa.int64()),
        ("time_to_first_byte_ms", pa.int64()),
        ("complete", pa.bool_()),
        ("tokens_estimated", pa.bool_()),
        ("cached_token_count", pa.int64()),
        ("cache_creation_token_count", pa.int64()),
        ("reasoning_token_count", pa.int64()),
        ("cost_usd", pa.decimal128(20, COST_SCALE)),
        ("price_source", _TEXT),
        ("attempts", pa.list_(ATTEMPT)),
        ("guardrails", pa.list_(VERDICT)),
        ("request_tags", _WORDS),
        ("tags", _WORDS),
        ("budget_policy_id", _TEXT),
    ]
)
_COMPUTE = pa.struct([("min_concurrency", pa.int64()), ("max_concurrency", pa.int64()), ("compute_type", _TEXT)])
SERVED_ENTITIES = pa.schema(
    [
        ("served_entity_id", _TEXT),
        ("account_id", _TEXT),
        ("workspace_id", _TEXT),
        ("created_by", _TEXT),
        ("endpoint_name", _TEXT),
        ("endpoint_id", _TEXT),
        ("served_entity_name", _TEXT),
        ("entity_type", _TEXT),
        ("entity_name", _TEXT),
        ("entity_version", _TEXT),
        ("endpoint_config_version", pa.int64()),
        ("task", _TEXT),
        ("external_model_config", pa.struct([("provider", _TEXT)])),
        (
            "foundation_model_config",
            pa.struct([("min_provisioned_throughput", pa.int64()), ("max_provisioned_throughput", pa.int64())]),
        ),
        ("custom_model_config", _COMPUTE),
        ("feature_spec_config", _COMPUTE),
        ("change_time", _TIME),
        ("endpoint_delete_time", _TIME),
    ]
)
FORMS = {
    "gateway": PAYLOAD,
    "legacy": LEGACY_PAYLOAD,
    "endpoint_usage": ENDPOINT_USAGE,
    "served_entities": SERVED_ENTITIES,
}
"""Kind of table -> its columns, before there is any."""
