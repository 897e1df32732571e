from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson

from headgate.guardrails.guard import Checked, Guard, Tools
from headgate.guardrails.pii.recognisers import BuiltIn
from headgate.guardrails.policy import policy_of
from headgate.guardrails.safety import Judge
from headgate.guardrails.streaming import StreamGuard


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


async def check_output(checks: Guard, kind: str, body: bytes, request: bytes) -> Checked:
    """A whole answer, with what the models say of it."""
    checked = checks.check_answer(kind, body, request)
    if checked.question is None:
        return checked
    asked = await checks.ask(checked.question)
    return Checked(checked.body, checked.verdicts + asked.verdicts, asked.refusal)


async def guarded(source: AsyncIterator[bytes], stream: StreamGuard, guard: Guard) -> AsyncIterator[bytes]:
    """The stream as it may leave. Ends after a refusal: the caller closes `source`."""
    async for chunk in source:
        for event in stream.feed(chunk):
            yield event
        async for event in _asked(stream, guard):
            yield event
        if stream.refusal is not None:
            return
    for event in stream.end():
        yield event
    async for event in _asked(stream, guard):
        yield event


async def _asked(stream: StreamGuard, guard: Guard) -> AsyncIterator[bytes]:
    while stream.question is not None and stream.refusal is None:
        checked = await guard.ask(stream.question)
        for event in stream.answered(checked.verdicts, checked.refusal):
            yield event
