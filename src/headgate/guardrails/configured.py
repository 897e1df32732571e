"""What the settings give guardrails to work with, and what they lack. Asked by the composition root, and by the API before it takes a configuration."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from headgate.clock import Clock
from headgate.domain import ai_gateway
from headgate.errors import InvalidParameterValue
from headgate.guardrails.guard import Tools
from headgate.guardrails.pii import presidio
from headgate.guardrails.pii.findings import Finder
from headgate.guardrails.pii.recognisers import BuiltIn
from headgate.guardrails.safety import Judge
from headgate.settings import GuardrailSettings

BUILT_IN, PRESIDIO = "built_in", "presidio"

Invoke = Callable[[str, bytes, float], Awaitable[bytes]]
"""Asks an endpoint of this server: its name, the body of a request, seconds it may take -> the body of its answer."""


def guardrails_missing(settings: GuardrailSettings) -> Mapping[str, str]:
    """Guardrails that cannot be configured here -> why, and what to do about it (`ai_gateway.Surroundings.missing`)."""
    found = {}
    if not settings.judge_endpoint:
        found[ai_gateway.SAFETY] = (
            "it needs a judge. Serve a model that answers as Llama Guard does, or an external one, and name its endpoint in the setting "
            "guardrails.judge_endpoint (HEADGATE_GUARDRAILS_JUDGE_ENDPOINT)."
        )
    if not settings.embeddings_endpoint:
        found[ai_gateway.TOPICS] = (
            "it needs embeddings. Name an endpoint that serves some in the setting guardrails.embeddings_endpoint "
            "(HEADGATE_GUARDRAILS_EMBEDDINGS_ENDPOINT)."
        )
    return found


def refusal(settings: GuardrailSettings) -> str | None:
    """Why these settings cannot be served with; None: they can."""
    if settings.pii_engine not in (BUILT_IN, PRESIDIO):
        return f"guardrails.pii_engine must be {BUILT_IN} or {PRESIDIO}, not {settings.pii_engine!r}"
    if settings.pii_engine == PRESIDIO:
        try:
            presidio.model(settings.presidio_model)
        except InvalidParameterValue as problem:
            return problem.message
    if settings.on_failure not in ("open", "closed"):
        return f"guardrails.on_failure must be open or closed, not {settings.on_failure!r}"
    if settings.judge_style not in ("conversation", "instructions"):
        return f"guardrails.judge_style must be conversation or instructions, not {settings.judge_style!r}"
    return None


def finder(settings: GuardrailSettings) -> Finder:
    """What finds personal data. Presidio takes seconds to come up. Raises InvalidParameterValue when it is not installed."""
    built_in = BuiltIn()
    return (
        built_in
        if settings.pii_engine == BUILT_IN
        else presidio.Presidio(built_in, presidio.engine(settings.presidio_model))
    )


def tools(settings: GuardrailSettings, found: Finder, clock: Clock, invoke: Invoke) -> Tools:
    """What guards of all endpoints check with. `found`: the finder."""
    judge_timeout_s, embed_timeout_s = settings.judge_timeout_s, settings.embeddings_timeout_s

    async def judge(body: bytes) -> bytes:
        return await invoke(settings.judge_endpoint, body, judge_timeout_s)

    async def embed(body: bytes) -> bytes:
        return await invoke(settings.embeddings_endpoint, body, embed_timeout_s)

    return Tools(
        finder=found,
        clock=clock,
        judge=Judge(judge, judge_timeout_s, settings.judge_style) if settings.judge_endpoint else None,
        embed=embed if settings.embeddings_endpoint else None,
        topic_threshold=settings.topic_threshold,
        topic_timeout_s=embed_timeout_s,
        judged_characters=settings.judged_characters,
        is_slow=settings.pii_engine != BUILT_IN,
    )
