"""What the audit log says of one request: who, what, from where, and what became of it. Pure. Never bodies, queries or secrets."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

BEGUN = "BEGUN"
"""Its handler was called and nobody knows what became of it: the server or the store died meanwhile."""
DONE = "DONE"
REFUSED = "REFUSED"
"""For want of a credential or a right; also when what was asked for was said not to exist because it is hidden."""
FAILED = "FAILED"
"""Not done, for another reason."""
OUTCOMES = (BEGUN, DONE, REFUSED, FAILED)


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One row. Texts that are too long are cut."""

    event_id: str
    event_time_ms: int
    method: str
    path: str
    """The route's template; what was asked for when no route was found."""
    principal_id: str = ""
    """Empty: not known."""
    principal_name: str = ""
    credential: str = ""
    """What kind of credential was shown."""
    source_ip_address: str = ""
    user_agent: str = ""
    service_name: str = ""
    """The family: `serving endpoints`, `secrets`, `inference` …"""
    action_name: str = ""
    """The operation: `update_config`, `put_secret` …"""
    object: str = ""
    """Names what it was done to."""
    request_id: str = ""
    outcome: str = BEGUN
    status_code: int = 0
    error_code: str = ""
    count: int = 1
    """So many alike within moments."""

    def ended(self, outcome: str, status_code: int, error_code: str) -> AuditEvent:
        """The same, with what became of it."""
        return dataclasses.replace(self, outcome=outcome, status_code=status_code, error_code=error_code)


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which events; empty: all."""

    principal: str = ""
    """Name or id of who called."""
    outcome: str = ""
    action: str = ""
    service: str = ""
    object: str = ""
    since_ms: int = 0
    until_ms: int | None = None
    """Not this and later ones."""


@dataclass(frozen=True, slots=True)
class AuditPlace:
    """A place in the log, for reading on from there. The newest come first."""

    event_time_ms: int
    event_id: str
