"""Guardrails on what is asked; what is answered is looked at on its way out, see `guarding`."""

from __future__ import annotations

from collections.abc import Awaitable

from headgate.gateway.call import Call


class Guard:
    """`call.guarding` is set from here on, where the endpoint has guardrails; `call.body` may be another one, with parts masked."""

    def __call__(self, call: Call) -> Awaitable[None] | None:
        return None

    def ended(self, call: Call) -> None:
        """Gives up what is still being asked."""
        if call.guarding is not None:
            call.guarding.close()
