"""Sections of the settings tree that only concern traffic to language models; `settings.py` is the tree, and the only one that reads this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SECRET: Mapping[str, Any] = {"secret": True}
"""Metadata of a section's field that is never written to a file, but that all processes below the supervisor need."""


@dataclass(frozen=True, slots=True)
class GuardrailSettings:
    """What requests to language models and their answers are checked with."""

    pii_engine: str = "built_in"
    """`built_in`, or `presidio` for names and places too. The latter needs the extra `presidio` and a spaCy model, and takes milliseconds."""
    presidio_model: str = ""
    """Name of the spaCy model, or a folder that holds one. Default: the largest English one that is installed."""
    judge_endpoint: str = ""
    """Name of a serving endpoint, ours or an external model, that answers `safe` or `unsafe` as Llama Guard does. Default: none, and
    `safety` cannot be configured."""
    judge_style: str = "conversation"
    """`conversation` when its chat template asks the question (Llama Guard), `instructions` to ask any chat model in words."""
    judge_timeout_s: float = 10.0
    """The judge has failed after this time."""
    judged_characters: int = 400
    """Of a stream, the new text after which the judge is asked; so much waits for it."""
    embeddings_endpoint: str = ""
    """Name of a serving endpoint with embeddings, for `valid_topics`. Default: none, and they cannot be configured."""
    embeddings_timeout_s: float = 5.0
    """The embeddings have failed after this time."""
    topic_threshold: float = 0.3
    """Least nearness (cosine) of a request to one of the topics. It depends on the model; the table of verdicts shows what yours gives."""
    on_failure: str = "closed"
    """When a guardrail itself fails: `closed` answers 503, `open` lets the request pass. Recorded either way."""
    shadow: str = ""
    """Endpoints, separated by commas (`*`: all), whose guardrails record what they would have done, and do nothing."""


@dataclass(frozen=True, slots=True)
class WarehouseSettings:
    """Inference and usage tables, and SQL over them. Needs the extra `warehouse`."""

    durability: str = "written"
    """When a request counts as recorded, which is before its answer is complete: `written` (survives the death of any process), `synced`
    (survives a power cut too, at the price of one disk flush per answer) or `queued` (may be lost with the process)."""
    when_full: str = "drop"
    """When requests cannot be recorded (disk full, too many waiting): `drop` answers them unrecorded and counts them, `refuse` answers 503."""
    queue_records: int = 10_000
    """Most finished requests of one server process that wait to be written."""
    queue_bytes: int = 256 * 1024**2
    """Most memory that their bodies may take."""
    spool_bytes: int = 10 * 1024**3
    """Most disk space for what is not in its table yet, per machine; then `when_full` decides."""
    payload_bytes: int = 10 * 1024**2
    """Bodies larger than this are not kept in inference tables; `logging_error_codes` says so."""
    commit_s: float = 3.0
    """Pause between two commits to a table."""
    file_bytes: int = 128 * 1024**2
    """Size of the files that compaction makes of small ones."""
    upkeep_s: float = 600.0
    """Pause between two rounds of compaction and retention. 0: never."""
    vacuum_s: float = 86400.0
    """Files that compaction or retention replaced are deleted after this time: so long may a reader go on with the version that it opened."""
    payload_retention_s: float = 0.0
    """Requests older than this are deleted from inference tables, by whole days. 0: never."""
    usage_retention_s: float = 365 * 86400.0
    """The same for `system.serving.endpoint_usage`."""
    prices: str = ""
    """A JSON file with prices of models, in the form of the built-in table, that come before those."""
    query_s: float = 60.0
    """A query that runs longer is ended."""
    query_memory_bytes: int = 1024**3
    """Memory of one query; one that needs more fails."""
    query_rows: int = 100_000
    """Most rows of a result; further ones are cut off, and the answer says so."""
    query_result_bytes: int = 25 * 1024**2
    """Largest result; the same."""
    query_processes: int = 4
    """Queries at the same time, per server process, half of them for one caller; more wait."""
    result_kept_s: float = 3600.0
    """The result of a statement can be asked for again for so long."""
    results_bytes: int = 1024**3
    """Most disk space for kept results; the oldest of whoever has most go first."""


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """Vendors of external models."""

    allow_private_addresses: bool = False
    """Addresses in configs of external models may lead to private networks and this machine, by http too. Never to a cloud's metadata service."""
    proxy_url: str = field(default="", repr=False, metadata=SECRET)
    """An HTTP proxy through which vendors are reached, e.g. `http://user:password@proxy:3128`. It then looks names up
    and decides what may be reached. Default: none, they are reached directly."""
    ca_file: str = ""
    """A file with certificates (PEM) that are believed beside the system's."""
    connect_s: float = 5.0
    """A vendor that does not take a connection within this time is down."""
    first_byte_s: float = 120.0
    """A vendor whose answer has not begun after this time has failed: the next served entity is asked, or the client gets 504."""
    idle_s: float = 60.0
    """A stream that says nothing for this long has failed."""
    total_s: float = 597.0
    """An answer that is not complete after this time has failed."""
    connections: int = 512
    """Most connections of one server process to one provider."""
    waiting: int = 512
    """Most requests of one server process that wait for a connection to one provider; more are answered 503, or by the next served entity."""
    answer_bytes: int = 64 * 1024**2
    """A longer answer is not read further: the vendor has failed."""
    breaker_failures: int = 5
    """A served entity that failed so often in a row is passed over while others of the endpoint can answer."""
    breaker_open_s: float = 10.0
    """After this time one request tries it again; the next ones only once that succeeded."""


@dataclass(frozen=True, slots=True)
class RateLimitSettings:
    """How several server processes share rate limits."""

    redis_url: str = field(default="", repr=False, metadata=SECRET)
    """Redis to share them through, e.g. `redis://:password@host:6379/0`. Default: the database. Needs the extra `redis`."""
    lease_s: float = 10.0
    """A server process that dies keeps its part of each limit from the others for this long and a minute. Without the store, servers go on with
    what they have for this long, and then within their share."""
    patience_s: float = 0.25
    """Longest that a request waits to hear how much of a limit the others have used. Then it is decided within this server's share. 0: at once."""
