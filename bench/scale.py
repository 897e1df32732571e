"""Many endpoints on one house: memory of 40 that are awake, and what 1,000 that sleep cost.

    python -m bench.scale [--awake 40] [--requests 10000] [--asleep 1000] [--json FILE]

Run by `make bench-scale`; takes a few minutes. Memory is PSS (what is shared counts once) of every process of the house, by role.
"""

from __future__ import annotations

import argparse
import http.client
import json
import platform
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from bench import sleepers
from bench.environments import log_of
from bench.house import House
from bench.memory import Memory, by_role
from bench.models import Work, trained
from bench.processes import cpu_s, pids_of

MODEL = "main.bench.light"
IDLE_S = 5
REST_DEADLINE_S, COMPILED_DEADLINE_S = 300.0, 60.0
LISTS, WAKES, IDLE_WINDOW_S, CLIENTS = 9, 9, 10.0, 8
AWAKE_LIMIT_MB, GROWTH_LIMIT_MB, START_LIMIT_S, LIST_LIMIT_MS = 1200.0, 20.0, 5.0, 200.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many of what."""

    awake: int
    requests: int
    asleep: int


class Client:
    """One connection to the house."""

    def __init__(self, house: House) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(house.host).netloc, timeout=120)
        self._headers = {"authorization": f"Bearer {house.token}", "content-type": "application/json"}

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[float, bytes]:
        """Seconds until the whole answer was here, and the answer. Raises RuntimeError when it is not a 200."""
        began = time.perf_counter()
        self._connection.request(method, path, body, self._headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{method} {path}: {answer.status}: {text[:500]!r}")
        return time.perf_counter() - began, text

    def predict(self, endpoint: str, work: Work) -> float:
        """Seconds one prediction took. Raises RuntimeError when the answer is another one."""
        seconds, text = self.ask("POST", f"/serving-endpoints/{endpoint}/invocations", work.split)
        if json.loads(text)["predictions"] != work.answer:
            raise RuntimeError(f"{endpoint} answered {text[:500]!r}")
        return seconds


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.scale", description=__doc__)
    parser.add_argument("--awake", type=int, default=40)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--asleep", type=int, default=1000)
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    given = parser.parse_args()
    sizes = Sizes(given.awake, given.requests, given.asleep)
    work = Work.read(trained(), "light")
    with House(log_of("scale"), HEADGATE_SCALING_IDLE_S=str(IDLE_S)) as house:
        house.register(work.folder, MODEL)
        restart(house)
        empty = at_rest(house)
        measured: dict[str, Any] = {"python": platform.python_version(), "empty": empty.to_json()}
        show("empty house", empty)
        if sizes.awake:
            measured |= awake(house, work, sizes)
        if sizes.asleep:
            measured |= asleep(house, work, sizes, empty)
    if given.json:
        given.json.write_text(json.dumps(measured, indent=1) + "\n")


# -- awake ------------------------------------------------------------------------------------------------------------


def awake(house: House, work: Work, sizes: Sizes) -> dict[str, Any]:
    """Memory with every endpoint awake, before and after many requests; the endpoints are deleted again."""
    names = [f"awake-{number:03d}" for number in range(sizes.awake)]
    seconds = [house.create_endpoint(name, MODEL) for name in names]
    print(f"create → READY, environment cached: median {median(seconds):.2f} s, slowest {max(seconds[1:]):.2f} s")
    ask_all(house, work, names)
    before = verdict(f"{sizes.awake} awake, asked once", at_rest(house))
    ask_all(house, work, [names[number % sizes.awake] for number in range(sizes.requests)])
    after = verdict(f"{sizes.awake} awake, after {sizes.requests:,} requests", at_rest(house))
    for name in names:
        house.delete_endpoint(name)
    return {"create_s": seconds, "awake": before.to_json(), "awake_after_requests": after.to_json()}


def ask_all(house: House, work: Work, names: Iterable[str]) -> None:
    """One prediction of each, from a few connections."""
    shares: list[list[str]] = [[] for _ in range(CLIENTS)]
    for number, name in enumerate(names):
        shares[number % CLIENTS].append(name)

    def ask(share: list[str]) -> None:
        client = Client(house)
        for name in share:
            client.predict(name, work)

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(ask, shares))


def verdict(what: str, memory: Memory) -> Memory:
    """Shows it beside the limit. What compiles in the background ends by itself and does not count."""
    show(what, memory)
    lasting_mb = memory.total_mb - memory.of("other").pss_mb
    print(f"  whole house {lasting_mb:.0f} MB, limit {AWAKE_LIMIT_MB:.0f} MB {_passes(lasting_mb <= AWAKE_LIMIT_MB)}")
    return memory


# -- asleep -----------------------------------------------------------------------------------------------------------


def asleep(house: House, work: Work, sizes: Sizes, empty: Memory) -> dict[str, Any]:
    """Everything about sleeping endpoints: start-up, list, memory, idle CPU, metrics, wake."""
    pattern = "sleeper-0000"
    house.create_endpoint(pattern, MODEL, scale_to_zero=True)
    Client(house).predict(pattern, work)
    wait_until(lambda: not by_role(house.process.pids).of("replica").processes, "the last replica ends")
    house.process.stop()
    names = [f"sleeper-{number:04d}" for number in range(1, sizes.asleep)]
    sleepers.write(house.folder / "data", pattern, names)
    start_s = restart(house)
    print(f"{sizes.asleep} asleep: /health answers after {start_s:.2f} s {_passes(start_s <= START_LIMIT_S)}")
    client = Client(house)
    lists = [client.ask("GET", "/api/2.0/serving-endpoints") for _ in range(LISTS)]
    listed = len(json.loads(lists[0][1])["endpoints"])
    list_ms = [seconds * 1e3 for seconds, _ in lists]
    print(
        f"  list of {listed}: median {median(list_ms):.0f} ms, first {list_ms[0]:.0f} ms {_passes(median(list_ms) <= LIST_LIMIT_MS)}"
    )
    metrics_ms = median(client.ask("GET", "/metrics")[0] for _ in range(LISTS)) * 1e3
    memory = at_rest(house)
    show(f"{sizes.asleep} asleep, after the lists", memory)
    growth = {role: memory.of(role).rss_mb - empty.of(role).rss_mb for role in ("server", "control", "agent")}
    print(f"  RSS grew by {growth} MB; server {_passes(growth['server'] <= GROWTH_LIMIT_MB)}")
    idle, client = idle_cpu(house), Client(house)  # the connection of before may be closed by now: it had nothing to do
    print(f"  /metrics {metrics_ms:.0f} ms; idle CPU, per cent of a core: {idle}")
    wakes = [client.predict(name, work) * 1e3 for name in names[:: max(1, len(names) // WAKES)][:WAKES]]
    print(f"  wake: median {median(wakes):.0f} ms, first {wakes[0]:.0f} ms, slowest {max(wakes):.0f} ms")
    created = [house.create_endpoint(f"late-{number}", MODEL, scale_to_zero=True) for number in range(3)]
    print(f"  create → READY beside them: {[round(seconds, 2) for seconds in created]} s")
    return {
        "start_s": start_s,
        "list_ms": list_ms,
        "metrics_ms": metrics_ms,
        "asleep": memory.to_json(),
        "rss_growth_mb": growth,
        "idle_cpu_percent": idle,
        "wake_ms": wakes,
        "create_beside_s": created,
    }


def idle_cpu(house: House) -> dict[str, float]:
    """Per cent of a core each role uses while nothing happens."""
    roles = {role: pids_of(house.process.pids, f"headgate.app {role} ") for role in ("server", "control", "agent")}
    before = {role: cpu_s(pids) for role, pids in roles.items()}
    time.sleep(IDLE_WINDOW_S)
    return {role: round((cpu_s(pids) - before[role]) / IDLE_WINDOW_S * 100, 1) for role, pids in roles.items()}


# -- both -------------------------------------------------------------------------------------------------------------


def restart(house: House) -> float:
    """Seconds from the command to the first 200 of `/health`."""
    house.process.stop()
    began = time.monotonic()
    house.__enter__()
    return time.monotonic() - began


def at_rest(house: House) -> Memory:
    """Memory once the processes hardly work any more and, unless that takes long, everything is compiled."""
    deadline = time.monotonic() + COMPILED_DEADLINE_S
    while by_role(house.process.pids).of("other").processes and time.monotonic() < deadline:
        time.sleep(0.5)
    house.process.wait_until_idle()
    return by_role(house.process.pids)


def show(what: str, memory: Memory) -> None:
    print(f"{what}: {memory.total_mb:.0f} MB PSS\n{memory.table()}", flush=True)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + REST_DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {REST_DEADLINE_S:.0f} s: {what}")
        time.sleep(0.2)


def _passes(good: bool) -> str:
    return "PASS" if good else "MISS"


if __name__ == "__main__":
    sys.exit(main())
