"""How every process of the house logs: one line a record on stderr, as text or JSON, never with a token in it.

Called once per process by its entry point.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from typing import Any

_SECRETS = (
    re.compile(r"(?i)\b(bearer\s+|basic\s+(?=[^\s]{8}))[A-Za-z0-9._~+/=-]+"),
    re.compile(
        r"(?i)((?:authorization|token|password|secret|api[_-]?key)[\"']?\s*[:=]\s*[\"']?)(?!bearer|basic)[^\s\"',;&)}]{4,}"
    ),
    re.compile(r"\b()(?:hgt_|dapi)[A-Za-z0-9_-]{6,}"),
)
"""Group 1 is kept, the rest goes."""


def configure(level: str, style: str, process: str) -> None:
    """Makes the root logger write to stderr. `style` is `text` or `json`; `process` names the writer (`server-0`).

    Raises ValueError for an unknown level or style.
    """
    styles = {"text": TextFormatter, "json": JsonFormatter}
    if style not in styles:
        raise ValueError(f"log format {style!r} is neither `text` nor `json`")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(styles[style](process))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    logging.captureWarnings(True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio"):
        other = logging.getLogger(name)
        other.handlers.clear()
        other.propagate = True
        # These tell the story of each connection at info and debug; ours tell what matters.
        other.setLevel(max(logging.WARNING, root.level))


def redact(text: str) -> str:
    """The same without anything that looks like a credential."""
    for pattern in _SECRETS:
        text = pattern.sub(r"\1[redacted]", text)
    return text


class TextFormatter(logging.Formatter):
    """`2026-11-21T09:07:39.123Z INFO server-0 headgate.gateway.links message`, redacted."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        line = f"{stamp(record)} {record.levelname} {self._process} {record.name} {record.getMessage()}"
        trouble = _trouble(record, self)
        return redact(f"{line}\n{trouble}" if trouble else line)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, process, logger, message, and error when there is one; redacted."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": stamp(record),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        trouble = _trouble(record, self)
        if trouble:
            line["error"] = redact(trouble)
        return json.dumps(line, ensure_ascii=False)


def stamp(record: logging.LogRecord) -> str:
    """When, UTC, to the millisecond."""
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{seconds}.{int(record.msecs):03d}Z"


def _trouble(record: logging.LogRecord, formatter: logging.Formatter) -> str:
    return formatter.formatException(record.exc_info) if record.exc_info else ""
