"""What an endpoint's `ai_gateway.guardrails` asks for, as frozen data. The rules of what may be configured are the domain's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NONE, BLOCK, MASK = "NONE", "BLOCK", "MASK"
OPEN, CLOSED = "open", "closed"
INPUT, OUTPUT = "input", "output"


@dataclass(frozen=True, slots=True)
class Side:
    """What is asked of one direction."""

    pii: str = NONE
    """`NONE`, `BLOCK` or `MASK`."""
    safety: bool = False
    invalid_keywords: tuple[str, ...] = ()
    valid_topics: tuple[str, ...] = ()

    @property
    def anything(self) -> bool:
        """Whether there is anything to check."""
        return self.pii != NONE or self.safety or bool(self.invalid_keywords) or bool(self.valid_topics)

    @property
    def asks_models(self) -> bool:
        """Whether a judge or embeddings are asked."""
        return self.safety or bool(self.valid_topics)


@dataclass(frozen=True, slots=True)
class Policy:
    """Both directions of one endpoint, and how strict they are."""

    input: Side = Side()
    output: Side = Side()
    shadow: bool = False
    """Record what would have been done, and do nothing."""
    on_failure: str = CLOSED
    """When a guardrail fails: `closed` refuses the request, `open` lets it pass. Recorded either way."""


def side_of(wanted: Mapping[str, Any] | None) -> Side:
    """From one side of `ai_gateway.guardrails`, already validated: `{"pii": {"behavior"}, "safety", "invalid_keywords", "valid_topics"}`."""
    wanted = wanted or {}
    pii = wanted.get("pii") or {}
    return Side(
        pii=pii.get("behavior") or NONE,
        safety=bool(wanted.get("safety")),
        invalid_keywords=tuple(wanted.get("invalid_keywords") or ()),
        valid_topics=tuple(wanted.get("valid_topics") or ()),
    )


def policy_of(guardrails: Mapping[str, Any] | None, *, shadow: bool = False, on_failure: str = CLOSED) -> Policy:
    """From the whole object."""
    wanted = guardrails or {}
    return Policy(side_of(wanted.get("input")), side_of(wanted.get("output")), shadow, on_failure)
