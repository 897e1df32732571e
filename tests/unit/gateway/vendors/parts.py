"""What the tests of this folder are made from: a clock by hand, an upstream that answers from a list, models and routes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from headgate.domain.external_model import ExternalModel
from headgate.domain.routing import EndpointRoute, EntityRoute, GatewayRoute, RoutingTable
from headgate.providers.port import CHAT
from headgate.upstream.port import Lane, Sending


class HandClock:
    """Stands still until told."""

    def __init__(self) -> None:
        self.s = 1_000_000.0

    def now_ms(self) -> int:
        return int(self.s * 1000)

    def monotonic_s(self) -> float:
        return self.s


@dataclass
class Said:
    """`upstream.port.Response`: a whole answer."""

    status: int = 200
    said: bytes = b"{}"
    headers: Mapping[bytes, bytes] = field(default_factory=dict)
    complete: bool = True

    async def body(self) -> bytes:
        return self.said

    async def chunk(self) -> bytes:
        said, self.said = self.said, b""
        return said

    def close(self) -> None: ...


Answering = Callable[[Sending, Lane], Said | Exception]


class ScriptedUpstream:
    """`upstream.port.Upstream`. Every request waits until `released`."""

    def __init__(self, answer: Answering) -> None:
        self.asked: list[tuple[Sending, Lane]] = []
        self.released = asyncio.Event()
        self.released.set()
        self._answer = answer

    async def send(self, sending: Sending, lane: Lane) -> Said:
        self.asked.append((sending, lane))
        await self.released.wait()
        answer = self._answer(sending, lane)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self) -> None: ...


def model(name: str = "gpt", provider: str = "openai", **more: Any) -> ExternalModel:
    fields = more.pop("fields", {"openai_api_key": "sk-secret"})
    return ExternalModel(name, provider, CHAT, fields, **more)


def entity(name: str, share: int = 100, external: ExternalModel | None = None) -> EntityRoute:
    return EntityRoute(name, "", "", f"key-of-{name}", share, 0, id=name, external=external or model(name))


def endpoint(*entities: EntityRoute, fallback: bool = True, name: str = "chat") -> EndpointRoute:
    return EndpointRoute(f"id-of-{name}", name, "READY", entities, gateway=GatewayRoute(task=CHAT, fallback=fallback))


def table(*endpoints: EndpointRoute) -> RoutingTable:
    return RoutingTable(1, {one.name: one for one in endpoints})
