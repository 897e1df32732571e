from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from headgate.guardrails.guard import Guard, Tools
from headgate.guardrails.pii.recognisers import BuiltIn
from headgate.guardrails.policy import policy_of
from headgate.guardrails.safety import Judge


class StoppedClock:
    """Time that stands still."""

    def now_ms(self) -> int:
        return 0

    def monotonic_s(self) -> float:
        return 0.0


class ScriptedJudge:
    """A judge endpoint: `unsafe` with this code whenever the last message has the word; keeps what it was asked."""

    def __init__(self, word: str = "poison", code: str = "S9") -> None:
        self.word, self.code = word, code
        self.asked: list[Any] = []

    async def __call__(self, body: bytes) -> bytes:
        self.asked.append(orjson.loads(body))
        unsafe = self.word in self.asked[-1]["messages"][-1]["content"]
        content = f"\n\nunsafe\n{self.code}" if unsafe else "\n\nsafe"
        return orjson.dumps({"choices": [{"message": {"role": "assistant", "content": content}}]})


def guard(guardrails: dict[str, Any], judge: Callable[..., Any] | None = None, **more: Any) -> Guard:
    tools = {name: more.pop(name) for name in ("finder", "embed", "topic_threshold") if name in more}
    made = Judge(judge, timeout_s=30) if judge is not None else None
    return Guard(
        policy_of(guardrails, **more), Tools(**{"finder": BuiltIn(), **tools}, clock=StoppedClock(), judge=made)
    )


def chat(*contents: Any, **more: Any) -> bytes:
    return orjson.dumps({"messages": [{"role": "user", "content": content} for content in contents], **more})


def answer(*contents: Any, **more: Any) -> bytes:
    choices = [
        {"index": place, "message": {"role": "assistant", "content": content}, "finish_reason": "stop", **more}
        for place, content in enumerate(contents)
    ]
    return orjson.dumps({"id": "1", "object": "chat.completion", "choices": choices, "usage": {"prompt_tokens": 1}})


PII_BLOCK = {"pii": {"behavior": "BLOCK"}}
PII_MASK = {"pii": {"behavior": "MASK"}}
