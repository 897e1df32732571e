"""What is remembered of one finished request. Pure. The gateway makes it, the warehouse keeps it; limits and guardrails add their part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from headgate.domain.usage import Usage

MAX_REQUEST_SIZE_EXCEEDED = "MAX_REQUEST_SIZE_EXCEEDED"
MAX_RESPONSE_SIZE_EXCEEDED = "MAX_RESPONSE_SIZE_EXCEEDED"

GATEWAY_FORM = "gateway"
LEGACY_FORM = "legacy"

PASSED = "passed"
MASKED = "masked"
BLOCKED = "blocked"
FAILED = "failed"
"""The guardrail itself did; whether the request then went on is told by its status."""
OUTCOMES = (PASSED, MASKED, BLOCKED, FAILED)


@dataclass(frozen=True, slots=True)
class InferenceTable:
    """The table that keeps an endpoint's requests: `<catalog>.<schema>.<prefix>_payload`."""

    catalog: str
    schema: str
    prefix: str
    form: str = GATEWAY_FORM
    """`gateway` (columns of `ai_gateway.inference_table_config`) or `legacy` (those of `auto_capture_config`)."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one guardrail said of one side of a request."""

    guardrail: str
    """`pii`, `safety`, `invalid_keywords` or `valid_topics`."""
    phase: str
    """`input` or `output`."""
    outcome: str
    """One of OUTCOMES."""
    detail: str = ""
    """What it found, never the text itself: labels such as `EMAIL_ADDRESS`, categories, or why it failed."""
    duration_ms: float = 0.0
    shadow: bool = False
    """It only recorded: what it would have done was not done."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of one served entity. The last one is the answer."""

    served_entity_id: str
    served_entity_name: str
    status: int
    """HTTP status; 0 when none came (no connection, timeout), 499 when nobody waited for it any more."""
    duration_ms: int = 0
    error: str = ""


@dataclass(slots=True)
class RequestRecord:
    """One finished request, refused ones among them. Times are milliseconds; bodies are as the client sent and got them.

    Nobody changes one. It is not frozen because that would cost every request 10 µs.
    """

    request_id: str
    """`databricks_request_id`; unique."""
    endpoint_id: str
    endpoint_name: str
    at_ms: int
    """When it came, since the Unix epoch."""
    status: int
    duration_ms: int
    client_request_id: str | None = None
    served_entity_id: str | None = None
    served_entity_name: str | None = None
    entity_name: str | None = None
    """`main.default.churn`, or the external model's name."""
    entity_version: str | None = None
    provider: str | None = None
    """Of an external model."""
    model: str | None = None
    """The vendor's name of it, as asked of the vendor; what the price table is asked with."""
    task: str | None = None
    """`llm/v1/chat`, `llm/v1/completions`, `llm/v1/embeddings`; None: not a language model."""
    api: str = "invocations"
    """The route's dialect: `invocations`, `chat/completions`, `responses`, `anthropic/v1/messages` …"""
    requester: str | None = None
    requester_id: str | None = None
    user_agent: str = ""
    ttfb_ms: int | None = None
    """To the first byte of the answer's body; None: there was none."""
    request: bytes | None = None
    """None: not wanted, or too large (then `error_codes` says so)."""
    response: bytes | None = None
    """Of a stream, all bytes that the client was sent."""
    streamed: bool = False
    complete: bool = True
    """False: the stream ended early, or the client left."""
    usage: Usage | None = None
    """None: the vendor told none."""
    input_characters: int | None = None
    output_characters: int | None = None
    """None: counted later from the bodies."""
    attempts: tuple[Attempt, ...] = ()
    guardrails: tuple[Verdict, ...] = ()
    usage_context: Mapping[str, str] = field(default_factory=dict)
    """This and `client_request_id` are what the request's body says; looked up when the record is loaded."""
    request_tags: Mapping[str, str] = field(default_factory=dict)
    """The client's, of this one request."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """The endpoint's, for cost reports."""
    budget_policy_id: str | None = None
    error_code: str | None = None
    """Of a refusal: `REQUEST_LIMIT_EXCEEDED` …"""
    error_codes: tuple[str, ...] = ()
    """Why a body is missing: MAX_REQUEST_SIZE_EXCEEDED, MAX_RESPONSE_SIZE_EXCEEDED."""
    sampling_fraction: float = 1.0
    inference_table: InferenceTable | None = None
    """Where its bodies are kept; None: nowhere."""
    usage_tracked: bool = True
    """Whether it becomes a row of `system.serving.endpoint_usage`."""
