"""An endpoint with guardrails in front of the fake vendor, and endpoints that judge and embed."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

from tests.contract.gateway.bench import Run
from tests.contract.gateway.vendors.outside import Outside, outside
from tests.fakes.vendor.scene import Said, Scene

from headgate.domain import ai_gateway
from headgate.domain.routing import EntityRoute, GatewayRoute
from headgate.providers.port import CHAT
from headgate.settings import GuardrailSettings

PII_MASK, PII_BLOCK = {"pii": {"behavior": "MASK"}}, {"pii": {"behavior": "BLOCK"}}
MAIL = "a@example.com"


def wants(guardrails: dict[str, Any], task: str = CHAT, **more: Any) -> GatewayRoute:
    """What an endpoint with these guardrails asks of the gateway."""
    parsed = ai_gateway.parse({"guardrails": guardrails}).guardrails
    return GatewayRoute(kind="EXTERNAL_MODEL", task=task, guardrails=parsed, **more)


def saying(*texts: str) -> Scene:
    """An answer of the vendor."""
    return Scene(tuple(Said(text) for text in texts))


def chat(text: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **more}


def verdicts(out: Outside) -> list[tuple[str, str, str]]:
    """Of the last request for `churn`."""
    call = next(call for call in reversed(out.keeper.calls) if call.endpoint.name == "churn")
    return [(one.guardrail, one.phase, one.outcome) for one in call.verdicts]


async def guard(out: Outside, guardrails: dict[str, Any], *, entity: EntityRoute | None = None, **more: Any) -> None:
    """Serves `churn` with these guardrails."""
    await out.bench.serve(entity or out.entity("vendor"), gateway=wants(guardrails, **more))


async def judged_by(out: Outside, verdict: str, **act: Any) -> None:
    """Serves the endpoint `judge`, which says that of everything."""
    await out.bench.serve(out.entity("judge"), name="judge", gateway=GatewayRoute("EXTERNAL_MODEL", CHAT))
    out.act("judge", scene=saying(verdict), **act)


def on(folder: Path, run: Run, live: Callable[[Outside], Coroutine[Any, Any, None]], **settings: Any) -> None:
    async def work() -> None:
        async with serving(folder, **settings) as out:
            await live(out)

    run(work())


@contextlib.asynccontextmanager
async def serving(folder: Path, **settings: Any) -> AsyncIterator[Outside]:
    """`settings` of guardrails."""
    named = {"judge_endpoint": "judge", "embeddings_endpoint": "vectors", **settings}
    async with outside(folder, needs={"guardrails": GuardrailSettings(**named)}) as out:
        yield out
