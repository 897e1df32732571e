"""All Prometheus metrics of the house: what they are called and what they count. Pure data.

Counted through `telemetry.counting`, shown by `telemetry.exposition`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

BUCKETS_MS = (
    0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0, 30_000.0, 60_000.0,
    120_000.0, 300_000.0, 600_000.0,
)  # fmt: skip
"""Upper bounds of every histogram, milliseconds; one more bucket holds what is slower."""

ENTITY = ("endpoint", "served_entity")
"""Labels of whatever is counted per served entity."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric on `/metrics`."""

    name: str
    kind: str
    """`counter`, `gauge` or `histogram` (observed in milliseconds, shown in seconds)."""
    help: str
    labels: tuple[str, ...] = ()
    merge: str = "sum"
    """What becomes of several processes' numbers: `sum` or, for gauges, `max`."""
    windowed: bool = False
    """Also remembers how much came in the last minute (`export-metrics` shows that)."""


REQUESTS = Metric(
    "headgate_requests_total", "counter", "Inference requests answered.", (*ENTITY, "code"), windowed=True
)
REQUEST_SECONDS = Metric(
    "headgate_request_seconds", "histogram", "From the request's head to its answer's end.", ENTITY
)
QUEUE_SECONDS = Metric(
    "headgate_queue_seconds", "histogram", "Waiting for a replica or for a free slot of one.", ENTITY
)
PREDICTION_SECONDS = Metric(
    "headgate_prediction_seconds", "histogram", "Inside the model, as the worker measured it.", ENTITY
)
WAKE_SECONDS = Metric(
    "headgate_wake_seconds",
    "histogram",
    "Phases of a wake, as the request that waited longest for it saw them.",
    (*ENTITY, "phase"),
)
REPLICA_DEATHS = Metric(
    "headgate_requests_interrupted_total", "counter", "Requests whose replica died under them.", ENTITY
)
IN_FLIGHT = Metric("headgate_requests_in_flight", "gauge", "Requests that replicas work on.", ENTITY)
QUEUED = Metric("headgate_requests_queued", "gauge", "Requests waiting for a replica or a slot.", ENTITY)
CONCURRENCY = Metric(
    "headgate_provisioned_concurrency", "gauge", "Requests the ready replicas can execute at once.", ENTITY, "max"
)
REFUSED = Metric(
    "headgate_requests_refused_total",
    "counter",
    "Requests refused before they were let in to an endpoint.",
    ("error_code",),
)
ROUTING_REVISION = Metric(
    "headgate_routing_revision", "gauge", "Revision of the routing table in use.", ("process",), "max"
)
ROUTING_FAILURES = Metric(
    "headgate_routing_refresh_failures_total",
    "counter",
    "Times the routing table could not be read; the last one stays in use.",
)
DIRECTORY_REVISION = Metric(
    "headgate_directory_revision", "gauge", "Revision of the directory of users in use.", ("process",), "max"
)
DIRECTORY_FAILURES = Metric(
    "headgate_directory_refresh_failures_total",
    "counter",
    "Times the directory of users could not be read; the last one stays in use.",
)
AUTHENTICATION_FAILURES = Metric(
    "headgate_authentication_failures_total",
    "counter",
    "Credentials that were refused: answered at once, held back, or turned away since too many were held back.",
    ("answer",),
)
REPORT_FAILURES = Metric(
    "headgate_load_report_failures_total",
    "counter",
    "Times load, demand or the routing table in use could not be written.",
)
REPLICA_CPU = Metric("headgate_replica_cpu_percentage", "gauge", "CPU used by the replicas, mean.", ENTITY, "max")
REPLICA_MEMORY = Metric(
    "headgate_replica_memory_percentage", "gauge", "Memory used by the replicas, mean.", ENTITY, "max"
)
BATCHES = Metric("headgate_batches_total", "counter", "Predictions that answered several requests at once.", ENTITY)
JOINED = Metric("headgate_requests_batched_total", "counter", "Requests answered together with others.", ENTITY)
MISMATCHES = Metric(
    "headgate_fast_path_mismatches_total",
    "counter",
    "Answers of a library's own predict that differed from MLflow's; that replica uses MLflow's from then on.",
    ENTITY,
)
LAP_SECONDS = Metric("headgate_control_lap_seconds", "histogram", "One lap of the control loop.")
ACTIONS = Metric("headgate_control_actions_total", "counter", "Actions applied by control.", ("action", "outcome"))
AUDIT_DROPPED = Metric(
    "headgate_audit_events_dropped_total",
    "counter",
    "Refused accesses that are not in the audit log: too many at once.",
)
AUDIT_FAILURES = Metric(
    "headgate_audit_failures_total", "counter", "Times the audit log could not be written; a change is refused then."
)
RATE_LIMIT_ADMITTED = Metric(
    "headgate_rate_limit_admitted_total", "counter", "Requests that endpoints with rate limits let in."
)
RATE_LIMIT_REFUSED = Metric(
    "headgate_rate_limit_refused_total",
    "counter",
    "Requests refused by a rate limit: of calls or tokens, of the endpoint or the caller.",
    ("limit", "scope"),
)
RATE_LIMIT_EXCHANGES = Metric(
    "headgate_rate_limit_exchanges_total",
    "counter",
    "Times rate limits were shared with other servers, or could not be.",
    ("outcome",),
)
GUARDRAIL_VERDICTS = Metric(
    "headgate_guardrail_verdicts_total",
    "counter",
    "What guardrails said of requests and answers; in mode `shadow` nothing came of it.",
    ("guardrail", "phase", "outcome", "mode"),
)
SPOOL_DROPPED = Metric(
    "headgate_records_dropped_total", "counter", "Finished requests that were not recorded.", ("reason",)
)
SPOOL_FAILURES = Metric(
    "headgate_spool_failures_total", "counter", "Times finished requests could not be written to disk."
)
SPOOL_BYTES = Metric(
    "headgate_spool_bytes", "gauge", "Requests on this machine's disk that are not in their tables yet.", merge="max"
)
SPOOL_DAMAGE = Metric(
    "headgate_spool_damaged_total",
    "counter",
    "Places in the spool that could not be read; what a killed process tore is not counted.",
)
LOADED = Metric("headgate_warehouse_rows_total", "counter", "Rows added to tables.")
LOAD_FAILURES = Metric(
    "headgate_warehouse_failures_total", "counter", "Failed attempts to add to a table or to look after it.", ("work",)
)
LOAD_LAG = Metric(
    "headgate_warehouse_lag_seconds",
    "gauge",
    "Age of the oldest requests that are not in their tables yet.",
    merge="max",
)
UPSTREAM_CONNECTIONS = Metric(
    "headgate_upstream_connections", "gauge", "Connections to providers, by what they do.", ("provider", "state")
)
UPSTREAM_OPENED = Metric(
    "headgate_upstream_connections_opened_total", "counter", "Connections made to providers.", ("provider",)
)
UPSTREAM_WAITING = Metric(
    "headgate_upstream_waiting", "gauge", "Requests that wait for a connection to a provider.", ("provider",)
)
UPSTREAM_FAILURES = Metric(
    "headgate_upstream_failures_total",
    "counter",
    "Requests to providers that got no complete answer, by why; see architecture/upstream.md.",
    ("provider", "kind"),
)
ATTEMPTS = Metric(
    "headgate_vendor_attempts_total",
    "counter",
    "Times a served entity's vendor was asked, by what became of it.",
    (*ENTITY, "outcome"),
)
FALLBACKS = Metric(
    "headgate_fallbacks_total", "counter", "Requests that went on from this served entity to another one.", ENTITY
)
BREAKER_STATE = Metric(
    "headgate_breaker_state",
    "gauge",
    "Circuit breaker of a served entity's vendor: 0 closed, 1 open, 2 tried by one request. The worst of all servers.",
    ENTITY,
    "max",
)
FIRST_BYTE_SECONDS = Metric(
    "headgate_first_byte_seconds",
    "histogram",
    "From the request's head to the first byte of a vendor's answer on its way out.",
    ENTITY,
)
TOKENS = Metric(
    "headgate_tokens_total",
    "counter",
    "Tokens of language models, as vendors count them: prompt (cached ones among them), cached, completion (reasoning among them), reasoning.",
    (*ENTITY, "kind"),
)
KEY_FAILURES = Metric(
    "headgate_vendor_key_failures_total",
    "counter",
    "Times keys of external models could not be read; the last ones stay in use.",
)
PROCESS_CPU = Metric(
    "headgate_process_cpu_seconds_total", "counter", "CPU time of a process of the house.", ("process",), "max"
)
PROCESS_MEMORY = Metric(
    "headgate_process_resident_bytes", "gauge", "Memory of a process of the house.", ("process",), "max"
)

ALL: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        REQUESTS, REQUEST_SECONDS, QUEUE_SECONDS, PREDICTION_SECONDS, WAKE_SECONDS, REPLICA_DEATHS, IN_FLIGHT, QUEUED, CONCURRENCY,
        REFUSED, ROUTING_REVISION, ROUTING_FAILURES, REPORT_FAILURES, REPLICA_CPU, REPLICA_MEMORY, BATCHES, JOINED, MISMATCHES, LAP_SECONDS, ACTIONS,
        ATTEMPTS, FALLBACKS, BREAKER_STATE, FIRST_BYTE_SECONDS, TOKENS, KEY_FAILURES,
        PROCESS_CPU, PROCESS_MEMORY, DIRECTORY_REVISION, DIRECTORY_FAILURES, AUTHENTICATION_FAILURES,
        AUDIT_DROPPED, AUDIT_FAILURES,
        RATE_LIMIT_ADMITTED, RATE_LIMIT_REFUSED, RATE_LIMIT_EXCHANGES, GUARDRAIL_VERDICTS,
        UPSTREAM_CONNECTIONS, UPSTREAM_OPENED, UPSTREAM_WAITING, UPSTREAM_FAILURES,
        SPOOL_DROPPED, SPOOL_FAILURES, SPOOL_BYTES, SPOOL_DAMAGE, LOADED, LOAD_FAILURES, LOAD_LAG,
    )
}  # fmt: skip
"""Every metric by name; docs/reference/metrics.md is generated from it."""
