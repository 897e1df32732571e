"""The endpoints that clients ask: what each one's vendor says. A name is that of the endpoint, the vendor and the client's `model`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.scenario.language_house import CHAT, COMPLETIONS, EMBEDDINGS, SAID

CALLS = [
    {"id": "call_1", "name": "weather", "arguments": '{"city": "Paris"}'},
    {"id": "call_2", "name": "weather", "arguments": '{"city": "Oslo"}'},
]
CITY = '{"city": "Paris", "degrees": 21}'
COUNTED = {"prompt_tokens": 11, "completion_tokens": 9, "cached_tokens": 3, "reasoning_tokens": 2}
CUT_AFTER = 3
"""Pieces after which the stream of `cut` breaks: a role and two words."""


@dataclass(frozen=True)
class Vendor:
    """One endpoint of one external model."""

    provider: str = "openai"
    task: str = CHAT
    act: Mapping[str, Any] = field(default_factory=dict)
    """How it answers, `script.Act` as JSON."""
    gateway: Mapping[str, Any] = field(default_factory=dict)
    """The endpoint's `ai_gateway`."""
    config: Mapping[str, Any] = field(default_factory=dict)


def says(*choices: Mapping[str, Any], **scene: Any) -> dict[str, Any]:
    """An act that plays this scene."""
    return {"scene": {**({"choices": list(choices)} if choices else {}), **scene}}


TOOLS = says({"text": "", "tool_calls": CALLS, "finish": "tool_calls"})
VENDORS: Mapping[str, Vendor] = {
    "talk": Vendor(act=says({"text": SAID}, usage=COUNTED)),
    "many": Vendor(act=says({"text": "One."}, {"text": "Two."})),
    "tools": Vendor(act=TOOLS),
    "shaped": Vendor(act=says({"text": CITY})),
    "embed": Vendor(task=EMBEDDINGS, act=says(embeddings=[[0.5, -0.25], [1.0, 2.0]])),
    "complete": Vendor(task=COMPLETIONS, act=says({"text": " upon a time"})),
    "refusing": Vendor(act={"status": 400, "message": "That is not a question."}),
    "limited": Vendor(act={"status": 429, "message": "Slow down.", "headers": {"retry-after": "7"}}),
    "broken": Vendor(act={"status": 500, "message": "The model fell over."}),
    "locked": Vendor(act={"status": 401, "message": "Incorrect API key provided: sk-****."}),
    "flaky": Vendor(),
    "cut": Vendor(act={"hang_up_after_pieces": CUT_AFTER}),
    "claude": Vendor("anthropic"),
    "claude-tools": Vendor("anthropic", act=TOOLS),
    "thinker": Vendor("anthropic", act=says({"text": "Because.", "reasoning": "Let me see."})),
    "claude-limited": Vendor(
        "anthropic", act={"status": 429, "message": "Slow down.", "headers": {"retry-after": "7"}}
    ),
    "claude-cut": Vendor("anthropic", act={"hang_up_after_pieces": 5}),
    "rationed": Vendor(gateway={"rate_limits": [{"calls": 0, "key": "user", "renewal_period": "minute"}]}),
    "guarded": Vendor(gateway={"guardrails": {"input": {"pii": {"behavior": "BLOCK"}}}}),
    "masked": Vendor(
        act=says({"text": "Write to ann@example.com for more."}),
        gateway={"guardrails": {"output": {"pii": {"behavior": "MASK"}}}},
    ),
    "azure": Vendor(config={"openai_api_type": "azure"}),
    "command": Vendor("cohere"),
    "jamba": Vendor("ai21labs"),
    "dbrx": Vendor("databricks-model-serving"),
    "converse": Vendor("amazon-bedrock"),
    "gemini": Vendor("google-cloud-vertex-ai"),
    "vllm": Vendor("custom"),
}
EVERY_PROVIDER = ("talk", "claude", "azure", "command", "jamba", "dbrx", "converse", "gemini", "vllm")
