"""How long a guarded request of 4 MiB keeps everybody else waiting: `python -m bench.pii.stalls [names]`.

A thread checks the body as the gateway's do, while an event loop wants a turn every millisecond. Printed is CPU time of that thread: in all, and
between two turns of the loop, which is what other requests wait on an idle machine (and, unlike wall time, the same on a busy one).
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
from collections.abc import Callable

import orjson
from bench.pii.measure import DATED, PROSE

from headgate.clock import SystemClock
from headgate.guardrails.bodies import CHAT
from headgate.guardrails.guard import Guard, Tools
from headgate.guardrails.pii.recognisers import BuiltIn
from headgate.guardrails.policy import policy_of

MEBIBYTES = 4
UNITS = {
    "prose": PROSE, "prose with dates": DATED, "digits": "4111222233334444", "cards": "4111 1111 1111 1111 ", "phones": "phone +1 (415) 555-2671 ",
    "@": "@", "e-mail": "jane.doe@example.com ", "addresses": "10.1.2.3 ", "IBANs": "DE11 ", "spaces": " ", "keyword's beginning": "project falco ",
    "escapes": '\n"', "Cyrillic": "аб вгд ", "Cyrillic and Latin": "aб ", "unseen": "\u200b1", "marks": "\u0301\u0316", "ligatures": "\ufdfa", "ideographs": "会議は春に",
}  # fmt: skip


def bodies() -> dict[str, bytes]:
    """By name, about so many bytes each."""
    size = MEBIBYTES << 20
    found = {
        name: orjson.dumps({"messages": [{"role": "user", "content": unit * (size // (len(orjson.dumps(unit)) - 2))}]})
        for name, unit in UNITS.items()
    }
    found["many texts"] = orjson.dumps({"messages": [{"role": "user", "content": "a1"}] * 70_000})
    found["JSON in a text"] = orjson.dumps({"messages": [{"role": "user", "content": f"[{'[],' * 390_000}1]"}]})
    found["nothing in JSON"] = b'{"messages":[]' + b" " * size + b"}"
    return found


async def measured(check: Callable[[], object]) -> list[float]:
    """ms of CPU: in all, then between two turns the most, 99th percentile, median."""
    gaps, total_s = [], [0.0]
    begun, over, seen = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        began_s = time.thread_time()
        check()
        total_s[0] = time.thread_time() - began_s
        over.set()
        seen.wait()

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait()
    clock = time.pthread_getcpuclockid(thread.ident or 0)
    last_s = 0.0
    while not over.is_set():
        await asyncio.sleep(0.001)
        now_s = time.clock_gettime(clock)
        gaps.append(now_s - last_s)
        last_s = now_s
    seen.set()
    thread.join()
    gaps.sort()
    return [1000 * value for value in (total_s[0], gaps[-1], gaps[len(gaps) * 99 // 100], gaps[len(gaps) // 2])]


async def main(names: list[str]) -> None:
    """Prints the table."""
    guardrails = {"input": {"pii": {"behavior": "MASK"}, "invalid_keywords": ["project falcon", "credit score"]}}
    guard = Guard(policy_of(guardrails), Tools(BuiltIn(), SystemClock()))
    guard.check_input(CHAT, '{"messages":[{"content":"é"}]}'.encode())
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)  # as the server does
    print(f"{'body':22}{'in all':>8}{'most':>8}{'p99':>8}{'p50':>8}   ms of CPU")
    for name, body in bodies().items():
        if not names or name in names:
            values = await measured(lambda body=body: guard.check_input(CHAT, body))
            print(f"{name:22}" + "".join(f"{value:8.1f}" for value in values), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
