"""Guardrails on what is asked; what is answered is looked at on its way out, see `watching`.

Only endpoints that have guardrails pay for them. What can be decided at once is; a judge and embeddings are asked beside the vendor.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from headgate.clock import SystemClock
from headgate.domain.ai_gateway import Guardrails
from headgate.domain.request_record import FAILED, Verdict
from headgate.domain.routing import EndpointRoute, GatewayRoute, RoutingTable
from headgate.gateway.call import Call
from headgate.gateway.watching import Looking, Watching
from headgate.guardrails import answers, guard, policy
from headgate.guardrails.bodies import KINDS
from headgate.guardrails.guard import Checked, Tools
from headgate.guardrails.pii.recognisers import BuiltIn
from headgate.settings import GuardrailSettings
from headgate.telemetry import metrics
from headgate.telemetry.counting import Metrics

logger = logging.getLogger(__name__)

_REMEMBERED = 1024
_EVERY = "*"
_SILENT_S = 60.0
"""A guardrail that fails does so for every request: said once a minute."""


@dataclass(frozen=True, slots=True)
class _Known:
    gateway: GatewayRoute
    embedded_by: tuple[str, ...]
    guard: guard.Guard


class Guard:
    """`call.guarding` is set from here on, where the endpoint has guardrails; `call.body` may be another one, with parts masked."""

    def __init__(
        self,
        settings: GuardrailSettings | None = None,
        tools: Tools | None = None,
        table: Callable[[], RoutingTable] = RoutingTable,
        counted: Metrics | None = None,
    ) -> None:
        """`table` gives the newest, quickly."""
        self._settings = settings or GuardrailSettings()
        self._tools = tools or Tools(BuiltIn(), SystemClock())
        self._table = table
        self._counted = counted
        self._shadows = frozenset(name.strip() for name in self._settings.shadow.split(",") if name.strip())
        self._guards: dict[str, _Known] = {}
        self._looking = Looking()
        self._silent_until_s = 0.0

    def equip(self, tools: Tools) -> None:
        """Once there is a way to ask models; before the first request."""
        self._tools = tools

    def __call__(self, call: Call) -> Awaitable[None] | None:
        guardrails = call.endpoint.gateway.guardrails
        if guardrails is None or not guardrails:
            return None
        made = self._guard(call.endpoint, guardrails)
        if call.task not in KINDS:
            # Nobody can say which of its texts count.
            raise answers.failed("pii", policy.INPUT)
        if self._looking.takes_long(made, len(call.body)):
            return self._in_thread(call, made)
        self._begin(call, made, made.check_input(call.task, bytes(call.body)))
        return None

    def ended(self, call: Call) -> None:
        """Gives up what is still being asked."""
        if call.guarding is not None:
            call.guarding.close()
            call.guarding = None  # it knows the call: in a circle both would stay until the next collection
        for verdict in call.verdicts:
            if verdict.outcome == FAILED:
                self._say(call, verdict)
            if self._counted is not None:
                mode = "shadow" if verdict.shadow else "enforced"
                self._counted.number(
                    metrics.GUARDRAIL_VERDICTS, verdict.guardrail, verdict.phase, verdict.outcome, mode
                ).add()

    def _say(self, call: Call, verdict: Verdict) -> None:
        now_s = self._tools.clock.monotonic_s()
        if now_s < self._silent_until_s:
            return
        self._silent_until_s = now_s + _SILENT_S
        logger.warning(
            "endpoint %s: guardrail %s failed on %s: %s; more of these are not logged for a minute",
            call.endpoint.name,
            verdict.guardrail,
            verdict.phase,
            verdict.detail,
        )

    async def stop(self) -> None:
        """Once no request is left."""
        await self._looking.stop()

    async def _in_thread(self, call: Call, made: guard.Guard) -> None:
        body = bytes(call.body)
        checked = await self._looking.check(made, len(body), lambda: made.check_input(call.task, body))
        self._begin(call, made, checked)

    def _begin(self, call: Call, made: guard.Guard, checked: Checked) -> None:
        call.verdicts += checked.verdicts
        if checked.refusal is not None:
            raise checked.refusal
        call.body = checked.body
        call.guarding = Watching(call, made, self._looking, checked.question)

    def _guard(self, endpoint: EndpointRoute, guardrails: Guardrails) -> guard.Guard:
        """The same object for as long as neither the endpoint's guardrails nor the endpoint that embeds its topics change."""
        known, embedded_by = self._guards.get(endpoint.id), self._embedded_by()
        if known is not None and known.gateway is endpoint.gateway and known.embedded_by == embedded_by:
            return known.guard
        if len(self._guards) >= _REMEMBERED:
            self._guards.clear()
        shadow = endpoint.name in self._shadows or _EVERY in self._shadows
        wanted = policy.policy_of(guardrails.to_json(), shadow=shadow, on_failure=self._settings.on_failure)
        made = guard.Guard(wanted, self._tools)
        self._guards[endpoint.id] = _Known(endpoint.gateway, embedded_by, made)
        return made

    def _embedded_by(self) -> tuple[str, ...]:
        """What stands behind the name of the endpoint with embeddings: topics embedded by another model are near to nothing."""
        route = self._table().endpoints.get(self._settings.embeddings_endpoint)
        return () if route is None else tuple(entity.deployment_key for entity in route.entities)
