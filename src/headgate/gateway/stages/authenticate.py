"""Second step: who is calling. In memory; raises Unauthenticated, at once or, for one who seems to guess, later."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from headgate import errors
from headgate.access.attempts import Attempts
from headgate.access.principals import Principal
from headgate.gateway.call import Call


class Authenticate:
    """`call.principal` is set from here on."""

    def __init__(self, authenticate: Callable[[str | None], Principal], attempts: Attempts) -> None:
        """`authenticate` turns an Authorization header into a Principal."""
        self._authenticate = authenticate
        self._attempts = attempts

    def __call__(self, call: Call) -> Awaitable[None] | None:
        try:
            call.principal = self._authenticate(call.head.authorization)
        except errors.Unauthenticated as refusal:
            hold_s = self._attempts.refused(call.head.authorization, call.address)
            if not hold_s:
                raise
            return self._hold(hold_s, refusal)
        return None

    async def _hold(self, hold_s: float, refusal: errors.Unauthenticated) -> None:
        await self._attempts.sleep(hold_s)
        raise refusal
