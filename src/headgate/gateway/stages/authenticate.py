"""Second step: who is calling. In memory; raises Unauthenticated."""

from __future__ import annotations

from collections.abc import Callable

from headgate.access.principals import Principal
from headgate.gateway.call import Call


class Authenticate:
    """`call.principal` is set from here on."""

    def __init__(self, authenticate: Callable[[str | None], Principal]) -> None:
        """`authenticate` turns an Authorization header into a Principal."""
        self._authenticate = authenticate

    def __call__(self, call: Call) -> None:
        call.principal = self._authenticate(call.head.authorization)
