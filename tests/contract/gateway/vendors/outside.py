"""A gateway, and vendors outside it in the same event loop, over real sockets: each vendor has a name, which its addresses begin with."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.contract.gateway.bench import AnyClient, Bench
from tests.contract.gateway.wire_client import Response
from tests.fakes.vendor import bedrock
from tests.fakes.vendor.dialects import all_of_them
from tests.fakes.vendor.script import Act, Script
from tests.fakes.vendor.server import FakeVendor

from headgate.clock import SystemClock
from headgate.domain.external_model import ExternalModel
from headgate.domain.request_record import Attempt
from headgate.domain.routing import EntityRoute, GatewayRoute
from headgate.errors import HeadgateError
from headgate.gateway.call import Call, Reply
from headgate.gateway.vendors.keys import KeySource
from headgate.gateway.vendors.plane import VendorNeeds
from headgate.language_settings import ProviderSettings
from headgate.providers.port import CHAT
from headgate.telemetry.counting import Metrics
from headgate.upstream.client import open_upstream

HELLO = {"messages": [{"role": "user", "content": "Hi"}]}
SAID = "Hello, wide world."
NOWHERE = "http://127.0.0.1:9"
"""Where nobody listens."""


class Watching:
    """A keeper that remembers every call as it was in the end, and keeps nothing."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def wants(self, call: Call) -> bool:
        self.calls.append(call)
        return False

    async def answered(self, call: Call, reply: Reply) -> Reply:
        return reply

    async def refused(self, call: Call, error: HeadgateError) -> None: ...

    def ended(self, call: Call) -> None: ...

    def close(self) -> None: ...


@dataclass
class Outside:
    """The gateway is `bench`; vendors do as they should until told otherwise."""

    bench: Bench
    vendor: FakeVendor
    keeper: Watching
    opened: list[str] = field(default_factory=list)
    """Models whose keys were opened, in order."""
    secrets: dict[str, str] = field(default_factory=dict)
    """Values of fields that stand for the configured ones."""
    secrets_revision: int = 0
    problem: Exception | None = None
    """Raised by whoever opens keys."""

    def script(self, name: str) -> Script:
        return self.vendor.scripts.setdefault(name, Script())

    def act(self, name: str, **act: Any) -> Script:
        """From now on this vendor does that."""
        script = self.script(name)
        script.act = Act(**act)
        return script

    def entity(
        self, name: str, share: int = 100, provider: str = "openai", *, task: str = CHAT, base: str = "", **more: Any
    ) -> EntityRoute:
        """A served entity called as its vendor is. More: fields of its config, `first_byte_s`, `total_s`."""
        self.script(name)
        patience = {key: more.pop(key) for key in ("first_byte_s", "total_s") if key in more}
        config = {**_config(provider, base or f"{self.vendor.url}/{name}"), **more}
        model = ExternalModel(f"model-of-{name}", provider, task, config, **patience)
        return EntityRoute(name, "", "", f"key-of-{name}", share, 0, id=f"id-of-{name}", external=model)

    async def serve(self, *entities: EntityRoute, fallback: bool = True, task: str = CHAT, **more: Any) -> None:
        """The endpoint `churn`."""
        route = GatewayRoute(kind="EXTERNAL_MODEL", task=task, fallback=fallback)
        await self.bench.serve(*entities, gateway=more.pop("gateway", route), **more)

    async def ask(self, body: Mapping[str, Any] = HELLO, **options: Any) -> Response:
        return await self.send(body, **options).done()

    def send(self, body: Mapping[str, Any] = HELLO, **options: Any) -> AnyClient:
        path = options.pop("path", "/serving-endpoints/churn/invocations")
        return self.bench.send(path, json.dumps(body).encode(), **options)

    async def stream(self, body: Mapping[str, Any] = HELLO, **options: Any) -> Response:
        return await self.ask({**body, "stream": True}, **options)

    def heard(self, name: str) -> int:
        """Requests this vendor got."""
        return self.script(name).count

    @property
    def call(self) -> Call:
        """The last one."""
        return self.keeper.calls[-1]

    def attempts(self) -> list[tuple[str, int]]:
        """Of the last call: who was asked, and what status came."""
        return [(one.served_entity_name, one.status) for one in self.call.attempts]

    def last_attempt(self) -> Attempt:
        return self.call.attempts[-1]

    def open_target(self, model: ExternalModel) -> Mapping[str, str]:
        if self.problem is not None:
            raise self.problem
        self.opened.append(model.name)
        return {**model.fields, **self.secrets}


@contextlib.asynccontextmanager
async def outside(folder: Path, **options: Any) -> AsyncIterator[Outside]:
    """Options: `providers` (settings of theirs by name), and those of Bench."""
    settings = replace(ProviderSettings(allow_private_addresses=True), **options.pop("providers", {}))
    async with FakeVendor(all_of_them()) as vendor:
        made = Outside(None, vendor, Watching())  # type: ignore[arg-type]  # in a moment
        counted = Metrics(folder / "upstream", "server-0")
        keys = KeySource(made.open_target, lambda: made.secrets_revision)
        needs = VendorNeeds(open_upstream(settings, SystemClock(), counted), keys, settings)
        more = {"vendors": needs, "keeper": made.keeper, **options.pop("needs", {})}
        async with Bench(folder, needs=more, **options) as bench:
            made.bench = bench
            yield made


def text_of(response: Response) -> str:
    """What the model said, whole or streamed."""
    if response.headers.get("content-type", "").startswith("application/json"):
        return str(response.json()["choices"][0]["message"]["content"])
    deltas = [choice["delta"] for event in events_of(response) for choice in event.get("choices", ())]
    return "".join(delta.get("content") or "" for delta in deltas)


def events_of(response: Response) -> list[dict[str, Any]]:
    """A stream's events; the end is left out."""
    lines = [line for line in response.body.split(b"\n\n") if line]
    assert all(line.startswith(b"data: ") for line in lines), response.body
    return [json.loads(line[6:]) for line in lines if line != b"data: [DONE]"]


def is_done(response: Response) -> bool:
    """Whether a stream ended as it should."""
    return response.complete and response.body.endswith(b"data: [DONE]\n\n")


def _config(provider: str, base: str) -> dict[str, str]:
    return {
        "openai": {"openai_api_key": "sk-secret", "openai_api_base": f"{base}/v1"},
        "anthropic": {"anthropic_api_key": "sk-secret", "anthropic_api_base": base},
        "amazon-bedrock": {
            "aws_region": "eu-west-1",
            "bedrock_provider": "anthropic",
            "aws_access_key_id": bedrock.ACCESS_KEY,
            "aws_secret_access_key": bedrock.SECRET_KEY,
            "aws_endpoint_url": base,
        },
        "google-cloud-vertex-ai": {
            "project_id": "our-project",
            "region": "us-central1",
            "google_cloud_vertex_ai_api_base": base,
            "google_cloud_vertex_ai_token_uri": f"{base}/token",
        },
        "cohere": {"cohere_api_key": "sk-secret", "cohere_api_base": base},
        "ai21labs": {"ai21labs_api_key": "sk-secret", "ai21labs_api_base": f"{base}/studio/v1"},
        "databricks-model-serving": {"databricks_api_token": "sk-secret", "databricks_workspace_url": base},
        "custom": {"custom_provider_url": f"{base}/v1", "bearer_token_auth.token": "sk-secret"},
    }[provider]


async def settled() -> None:
    """Lets what is ready run."""
    for _ in range(20):
        await asyncio.sleep(0)
