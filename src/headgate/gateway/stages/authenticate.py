"""Second stage: who is calling. In memory; raises Unauthenticated."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from headgate.access.principals import Principal
from headgate.gateway.call import Call, Reply


class Authenticate:
    """`call.principal` is set from here on."""

    def __init__(self, authenticate: Callable[[str | None], Principal]) -> None:
        """`authenticate` turns an Authorization header into a Principal."""
        self._authenticate = authenticate

    async def __call__(self, call: Call, next: Callable[[Call], Awaitable[Reply]]) -> Reply:
        header = call.headers.get(b"authorization")
        call.principal = self._authenticate(None if header is None else header.decode("latin-1"))
        return await next(call)
