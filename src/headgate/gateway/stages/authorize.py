"""Fourth step: may the caller query this endpoint (CAN_QUERY). Raises PermissionDenied."""

from __future__ import annotations

from collections.abc import Callable

from headgate import errors
from headgate.access.principals import Principal
from headgate.domain.routing import EndpointRoute
from headgate.gateway.call import Call


class Authorize:
    """Asks the rule it was given; in memory."""

    def __init__(self, may_query: Callable[[Principal, EndpointRoute], bool]) -> None:
        self._may_query = may_query

    def __call__(self, call: Call) -> None:
        if not self._may_query(call.principal, call.endpoint):
            raise errors.PermissionDenied(
                f"User {call.principal.user_name} does not have CAN QUERY on endpoint {call.endpoint.name}. "
                "Ask somebody who can manage it."
            )
