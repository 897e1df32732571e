"""What the settings give guardrails to work with, and what they lack. Asked by the composition root, and by the API before it takes a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

from headgate.domain import ai_gateway
from headgate.language_settings import GuardrailSettings

BUILT_IN, PRESIDIO = "built_in", "presidio"


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
    if settings.pii_engine == PRESIDIO and find_spec("presidio_analyzer") is None:
        return f"guardrails.pii_engine is {PRESIDIO}, which is not installed: install headgate[presidio] and a spaCy model, or set it to {BUILT_IN}"
    if settings.on_failure not in ("open", "closed"):
        return f"guardrails.on_failure must be open or closed, not {settings.on_failure!r}"
    if settings.judge_style not in ("conversation", "instructions"):
        return f"guardrails.judge_style must be conversation or instructions, not {settings.judge_style!r}"
    return None
