"""Tells the audit log of requests that were refused for want of a credential or a right. Called by the doors; never waits."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from headgate import errors
from headgate.clock import Clock
from headgate.domain.audit import REFUSED, AuditEvent
from headgate.gateway.call import ANONYMOUS, Call

Note = Callable[[AuditEvent], None]
"""`AuditLog.note`: must be quick and must not raise."""

_SERVICE = "inference"


def unheard(_event: AuditEvent) -> None:
    """Nobody writes it down."""


class Refusals:
    """See the module."""

    def __init__(self, note: Note, clock: Clock) -> None:
        self._note = note
        self._clock = clock

    def tell(self, call: Call, error: errors.HeadgateError, action: str = "query") -> None:
        """Of a request that was not let in to an endpoint.

        Unknown names as well: for somebody who may not see an endpoint both are one (docs/decisions/0088).
        """
        caller, head, status = call.principal, call.head, error.http_status
        if status not in (401, 403, 404) or (status == 404 and caller.admin):
            return
        known = caller is not ANONYMOUS
        self._note(
            AuditEvent(
                event_id=uuid.uuid4().hex,
                event_time_ms=self._clock.now_ms(),
                method=head.method,
                path=head.path,
                principal_id=caller.id,
                principal_name=caller.user_name,
                credential=caller.credential if known else "",
                source_ip_address=call.address,
                user_agent=head.headers.get(b"user-agent", b"").decode("latin-1"),
                service_name=_SERVICE,
                action_name=action,
                object=head.endpoint_name,
                request_id=call.request_id,
                outcome=REFUSED,
                status_code=status,
                error_code=error.error_code,
            )
        )
