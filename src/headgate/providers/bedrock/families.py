"""The makers of models on Bedrock (`bedrock_provider`): what Converse does for each, and where it wants what it has no field for. Data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from headgate.providers.capabilities import Capabilities
from headgate.providers.port import CHAT, COMPLETIONS, EMBEDDINGS

ANSWER_TOOL = "structured_answer"
"""The tool whose call is the answer."""

_TALKS = frozenset({CHAT, COMPLETIONS})


@dataclass(frozen=True, slots=True)
class Family:
    """`fields`: our field -> the path of its own in `additionalModelRequestFields`."""

    name: str
    capabilities: Capabilities
    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    answers_through_a_tool: bool = False
    """Whether a structured answer is had by making the model call a tool that takes it."""


FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family(
            "anthropic",
            Capabilities(
                tasks=_TALKS,
                tools=True,
                tool_choice=True,
                parallel_tools=True,
                images=True,
                files=True,
                structured_output=True,
                stop=True,
                reasoning=True,
                thinking=True,
                top_k=True,
                cache_control=True,
            ),
            {"top_k": ("top_k",), "thinking": ("thinking",)},
        ),
        Family(
            "amazon",
            Capabilities(
                tasks=_TALKS | {EMBEDDINGS},
                tools=True,
                tool_choice=True,
                images=True,
                files=True,
                structured_output=True,
                stop=True,
                reasoning=True,
                top_k=True,
                dimensions=True,
                cache_control=True,
            ),
            {"top_k": ("inferenceConfig", "topK")},
            answers_through_a_tool=True,
        ),
        Family(
            "cohere",
            Capabilities(
                tasks=_TALKS | {EMBEDDINGS},
                tools=True,
                files=True,
                stop=True,
                seed=True,
                penalties=True,
                top_k=True,
                dimensions=True,
            ),
            {
                "top_k": ("k",),
                "seed": ("seed",),
                "frequency_penalty": ("frequency_penalty",),
                "presence_penalty": ("presence_penalty",),
            },
        ),
        Family(
            "ai21labs",
            Capabilities(tasks=_TALKS, tools=True, files=True, stop=True, penalties=True),
            {"frequency_penalty": ("frequency_penalty",), "presence_penalty": ("presence_penalty",)},
        ),
    )
}
