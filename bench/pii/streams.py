"""`python -m bench.pii.streams`: what guardrails cost a stream. CPU per event, and how long text is held back by the window.

Text comes a token (a word or a part of one) at a time; how long each character waits is counted in tokens, so that it holds for every speed.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import orjson
from bench.pii.measure import DATED, PROSE

from headgate.clock import SystemClock
from headgate.guardrails import bodies
from headgate.guardrails.guard import Guard, Tools
from headgate.guardrails.pii.recognisers import BuiltIn
from headgate.guardrails.policy import policy_of
from headgate.guardrails.streaming import StreamGuard
from headgate.wire import sse

ROOT = Path(__file__).parents[2]
TOKEN = re.compile(r"\s?\w{1,6}|\s+|[^\w\s]")
REQUEST = b'{"messages":[{"role":"user","content":"Tell me"}]}'
KINDS: dict[str, dict[str, Any]] = {
    "personal data": {"pii": {"behavior": "MASK"}},
    "keywords of 20 letters": {"invalid_keywords": ["x" * 20]},
    "both": {"pii": {"behavior": "MASK"}, "invalid_keywords": ["x" * 20]},
}


def events(text: str) -> list[tuple[int, bytes]]:
    """A stream: the length of each token, and its event."""
    made = []
    for token in TOKEN.findall(text):
        choice = {"index": 0, "delta": {"content": token}, "finish_reason": None}
        made.append((len(token), sse.event(orjson.dumps({"id": "c", "choices": [choice]}))))
    return made


def left(out: list[bytes]) -> int:
    """Characters of content in these events."""
    told = [orjson.loads(line[6:]) for event in out for line in event.split(b"\n\n") if line.startswith(b"data: {")]
    return sum(len(choice["delta"].get("content") or "") for event in told for choice in event["choices"])


def waits(stream: StreamGuard, text: str) -> tuple[list[int], float]:
    """How many tokens each character waited, and microseconds per event."""
    arrived: list[int] = []
    waited: list[int] = []
    spent_s = 0.0
    made = events(text)
    for number, (size, event) in enumerate(made):
        arrived += [number] * size
        began_s = time.perf_counter()
        out = stream.feed(event)
        spent_s += time.perf_counter() - began_s
        gone = len(waited)
        waited += [number - at for at in arrived[gone : gone + left(out)]]
    return sorted(waited), spent_s / len(made) * 1e6


def main() -> None:
    """Prints a line per kind of guardrail and of text."""
    tables = (ROOT / "docs" / "performance.md").read_text()[:20_000]
    for what, text in (("prose", PROSE * 100), ("prose with dates", DATED * 100), ("tables of numbers", tables)):
        for name, side in KINDS.items():
            guard = Guard(policy_of({"output": side}), Tools(BuiltIn(), SystemClock()))
            # Masked text is as long as another: what is found here is nobody's.
            found, microseconds = waits(StreamGuard(guard, bodies.CHAT, REQUEST), text)
            mean = sum(found) / len(found)
            print(
                f"{what:<18} {name:<24} tokens waited: mean {mean:.1f}, p50 {found[len(found) // 2]}, p90 {found[len(found) * 9 // 10]}, "
                f"p99 {found[len(found) * 99 // 100]}, most {found[-1]}; {microseconds:.0f} µs per event"
            )


if __name__ == "__main__":
    main()
